"""Train the models of a run: the candidates, of which one is chosen, and replicas of that one."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError
from psiprune.core.random import Stream, derive_seed
from psiprune.core.statistics import Choice, choose
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import run_parallel
from psiprune.experiments.named_warnings import (
    collected_warnings,
    named_warnings,
    repeat_warnings,
    training_named,
)
from psiprune.inference.log_partition import LogPartition, log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.metrics.bootstrap import block_means
from psiprune.metrics.draws import draw_from_data
from psiprune.rbm.mask_for_shots import mask_for_shots
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.reconstruction.architecture import Architecture, Model, learning_rate_of
from psiprune.reconstruction.dataset import Candidate
from psiprune.reconstruction.inputs import Run
from psiprune.training.contrastive_divergence import ContrastiveDivergence
from psiprune.training.symmetry import trained_parameters, with_symmetry_of
from psiprune.training.train import Callback, train


def choose_model(run: Run) -> tuple[list[Candidate], Choice]:
    """Train models of several sizes; choose the smallest that describes the shots as well as any.

    First those of the settings. Then, between the chosen size and the next smaller one tried,
    further sizes by bisection. Candidates whose training diverges are left out, and only warnings
    about the chosen one are shown.

    Raises:
        DivergenceError: all of them diverged.
    """
    candidates: list[Candidate] = []
    scores: list[NDArray[np.float64]] = []
    errors: list[float] = []
    sizes: list[int] = []
    tried: set[Architecture] = set()
    wanted = run.settings.candidates(run.shots.sites)
    while wanted:
        tried |= {model.architecture for model in wanted}
        with collected_warnings():  # that a candidate is too small is no news
            trained = _train_candidates(run, wanted, first=not candidates)
        for item in trained:
            candidates.append(item)
            score, error, size = _score(run, item)
            scores.append(score)
            errors.append(error)
            sizes.append(size)
        by_block = block_means(np.array(scores), run.dependence.blocks.length)
        choice = choose(by_block, np.array(errors), sizes)
        wanted = _between(run, tried, candidates[choice.chosen].model)
    chosen = candidates[choice.chosen]
    with named_warnings(), training_named(chosen.file.stem):
        repeat_warnings(read_dataset(chosen.file, "rbm").attrs)
    return candidates, choice


def _train_candidates(run: Run, wanted: Sequence[Model], *, first: bool) -> list[Candidate]:
    """Train candidates in parallel; leave out those that diverge, unless all of the first do."""
    items = [Candidate(model, run.folder / model.file) for model in wanted]
    failures = run_parallel(
        lambda item, tick: _train(run, item, run.settings.seed, tick),
        items,
        sum(item.model.training.epochs for item in items),
        "choosing the model",
        name=lambda item: item.file.stem,
    )
    trained = [item for item, failed in zip(items, failures, strict=True) if failed is None]
    if first and not trained:
        raise DivergenceError(str(failures[0]))
    return trained


def _score(run: Run, item: Candidate) -> tuple[NDArray[np.float64], float, int]:
    """Return the log-likelihood of each training and validation shot, its error, and the size.

    The training shots give parameters / shots more than fresh ones would, on average, which is
    subtracted (Akaike 1974). There are several times as many as validation shots, so models are
    told apart that the validation shots alone cannot tell apart. The error is that of log Z, and of
    the annealing of records. The size is the number of parameters, tied ones counted once.
    """
    stored = read_dataset(item.file, "rbm")
    rbm, split = rbm_from_dataset(stored, item.file), run.split
    parameters = trained_parameters(rbm, run.shots.positions)
    optimism = parameters / run.independent(split.training)
    log_z = LogPartition(
        float(stored["log_partition"]), float(stored["log_partition_error"]), "", None, {}
    )
    training, validation = (
        shots_log_prob(rbm, part, log_z, run.settings.seed)
        for part in (split.training, split.validation)
    )
    values = np.concatenate([training.values - optimism, validation.values])
    return values, math.hypot(training.error, training.bias), parameters


def _between(run: Run, tried: Collection[Architecture], chosen: Model) -> list[Model]:
    """Return the next size to try, if any, with the method and rate of the chosen one."""
    between = run.settings.between(tried, chosen.architecture)
    if between is None:
        return []
    method = between.method(run.settings.train, run.shots.sites, run.settings.readout)
    if isinstance(method, ContrastiveDivergence) and np.isfinite(learning_rate_of(chosen.training)):
        method = method.model_copy(update={"learning_rate": learning_rate_of(chosen.training)})
    return [Model(between, method)]


def mask_of(run: Run, architecture: Architecture) -> Mask | None:
    """Return the links of a model; those of a chain are as many as the training shots support."""
    if architecture.scale_free and run.shots.positions is None:
        return mask_for_shots(run.split.training, architecture.hidden)
    return architecture.mask(run.shots.sites, run.shots.positions)


def _train(
    run: Run, item: Candidate, seed: int, tick: Callback, draw: Callable[[], Shots] | None = None
) -> DivergenceError | None:
    """Train an RBM and write it with its log Z unless its file exists; return why it diverged.

    On the training shots, or on those that `draw` returns.
    """
    if item.file.exists():
        repeat_warnings(read_dataset(item.file, "rbm").attrs)
        return None
    data = run.split.training if draw is None else draw()
    architecture, training = item.model
    with Checkpoints(item.file) as checkpoints:
        try:
            rbm = train(
                data,
                hidden=architecture.hidden,
                mask=mask_of(run, architecture),
                seed=seed,
                method=training,
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
    """Return the chosen RBM and replicas, each trained on fresh draws of it, as many as it had.

    How far they are from it is how far it is from the state, up to noise: the parametric bootstrap
    (Efron 1979). That includes the noise of training.
    """
    files = [run.folder / "ensemble" / f"seed-{seed}.nc" for seed in run.seeds]
    if not files[0].exists():
        write_dataset(files[0], read_dataset(chosen.file, "rbm"), "rbm")
    rbm = rbm_from_dataset(read_dataset(files[0], "rbm"), files[0])

    training = with_symmetry_of(chosen.model.training, rbm)
    model = chosen.model._replace(training=training)

    def work(k: int, tick: Callback) -> RBM:
        item = chosen._replace(file=files[k], model=model)
        failed = _train(run, item, run.seeds[k], tick, lambda: _replica(run, rbm, run.seeds[k]))
        if failed is not None:
            raise failed
        return rbm_from_dataset(read_dataset(files[k], "rbm"), files[k])

    epochs = (len(files) - 1) * chosen.model.training.epochs
    others = run_parallel(
        work, range(1, len(files)), epochs, "training replicas", name=lambda k: files[k].stem
    )
    return [rbm, *others]


def _replica(run: Run, rbm: RBM, seed: int) -> Shots:
    """Draw as many independent shots from an RBM as the training set is worth.

    They are misread as the training set was.
    """
    training = run.split.training
    number = max(1, round(run.independent(training)))
    streams = Stream.REPLICA_START, Stream.REPLICA_DRAWS
    drawn = draw_from_data(rbm, training.bits, number, seed, *streams)
    drawn = drawn.recorded(training.readout, derive_seed(seed, Stream.REPLICA_RECORDS))
    bits = drawn.bits.reshape(-1, rbm.visible)[:number]
    source = f"draws of the RBM of {training.source}"
    return replace(training, bits=bits, source=source)
