"""Train the models of a run: the candidates, of which one is chosen, and the ensemble."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psiprune.core.exceptions import DivergenceError
from psiprune.core.statistics import Choice, choose
from psiprune.experiments.ensemble import run_parallel
from psiprune.experiments.named_warnings import repeat_warnings
from psiprune.inference.log_partition import log_partition
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.metrics.bootstrap import block_means
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction.dataset import Candidate, choice_file, learning_rate_of
from psiprune.reconstruction.inputs import Run
from psiprune.training.method import Initial
from psiprune.training.train import Callback, ensemble_initial, train


def choose_model(run: Run) -> tuple[list[Candidate], Choice]:
    """Train a model of each size and learning rate; choose one by the validation likelihood.

    Candidates whose training diverges are left out.

    Raises:
        DivergenceError: all of them diverged.
    """
    items = [
        Candidate(
            hidden,
            training,
            run.folder / choice_file(hidden, training.method, learning_rate_of(training)),
        )
        for hidden, training in run.settings.candidates(run.shots.sites)
    ]
    failures = run_parallel(
        lambda item, tick: _train(run, item, run.settings.seed, tick),
        items,
        sum(item.training.epochs for item in items),
        "choosing the model",
        name=lambda item: item.file.stem,
    )
    candidates = [item for item, failed in zip(items, failures, strict=True) if failed is None]
    if not candidates:
        raise DivergenceError(str(failures[0]))
    log_p, errors = [], []
    for item in candidates:
        stored = read_dataset(item.file, "rbm")
        rbm = rbm_from_dataset(stored, item.file)
        log_p.append(
            rbm.log_prob_unnormalized(run.split.validation) - float(stored["log_partition"])
        )
        errors.append(float(stored["log_partition_error"]))
    sizes = [item.hidden for item in candidates]
    by_block = block_means(np.array(log_p), run.dependence.blocks.length)
    choice = choose(by_block, np.array(errors), sizes, run.settings.significance)
    return candidates, choice


def _train(
    run: Run, item: Candidate, seed: int, tick: Callback, initial: Sequence[Initial] | None = None
) -> DivergenceError | None:
    """Train an RBM and write it with its log Z unless its file exists; return why it diverged."""
    if item.file.exists():
        repeat_warnings(read_dataset(item.file, "rbm").attrs)
        return None
    data = run.split.training
    with Checkpoints(item.file) as checkpoints:
        try:
            rbm = train(
                data,
                hidden=item.hidden,
                seed=seed,
                method=item.training,
                initial=initial,
                callback=tick,
                checkpoints=checkpoints,
            )
        except DivergenceError as failed:
            return failed
        log_z = log_partition(rbm, data=data, seed=seed)
        stored = rbm.to_dataset().assign(
            log_partition=log_z.value,
            log_partition_error=log_z.error,
            log_partition_warning=log_z.warning,
        )
        write_dataset(item.file, stored, "rbm")
    return None


def train_ensemble(run: Run, chosen: Candidate) -> list[RBM]:
    """Train the chosen model with every seed; the candidate itself has the first seed."""
    files = [run.folder / "ensemble" / f"seed-{seed}.nc" for seed in run.seeds]
    if not files[0].exists():
        write_dataset(files[0], read_dataset(chosen.file, "rbm"), "rbm")

    def work(k: int, tick: Callback) -> RBM:
        if k > 0:
            initial = ensemble_initial(chosen.training)
            failed = _train(run, chosen._replace(file=files[k]), run.seeds[k], tick, initial)
            if failed is not None:
                raise failed
        return rbm_from_dataset(read_dataset(files[k], "rbm"), files[k])

    epochs = (len(files) - 1) * chosen.training.epochs
    return run_parallel(
        work, range(len(files)), epochs, "training the ensemble", name=lambda k: files[k].stem
    )
