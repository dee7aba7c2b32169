"""The command `rewire`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, Out, StrictInt, advance, app, progress_bar, show
from psiprune.cli.options import with_method_options
from psiprune.cli.prune import file_digest, level_writer
from psiprune.experiments.settings import RewirePathSettings
from psiprune.pruning.settings import RewireSettings
from psiprune.training.methods import AnyMethod


@app.command(name="rewire")
@with_method_options
def rewire_command(
    rbm: Path,
    shots: Path,
    *,
    out: Out,
    seed: Annotated[int, StrictInt] = 0,
    rewire: Annotated[RewireSettings | None, Flat] = None,
    fine_tune: AnyMethod | None = None,
    state: Path | None = None,
    json: bool = False,
) -> None:
    """Move the weights of a sparse RBM to where they are needed; rerun to resume.

    Each round drops some weights, grows as many missing ones and fine-tunes. Where a layer has at
    most 18 units, a round that does not increase the likelihood of the shots is undone.

    Parameters
    ----------
    rbm
        file of the trained, pruned RBM
    shots
        file of the training set
    out
        folder to write level-00.nc, level-01.nc, ... to, one per round
    seed
        random seed of fine-tuning, of samples and of random dropping
    fine_tune
        training after each round
    state
        file of the reference state: measure the metrics of each level against it
    json
        print one JSON object on standard output
    """
    from psiprune.io.run import open_run, refuse_busy

    refuse_busy(out)
    from psiprune.data.shots import check_sites, read_shots
    from psiprune.experiments.pruning_path import path_levels
    from psiprune.pruning.iterative import tuning_of
    from psiprune.pruning.rewire import check_rewirable, rewire_step
    from psiprune.rbm.serialization import load_rbm, rbm_from_dataset

    start, data = load_rbm(rbm), read_shots(shots)
    check_sites(data, start.visible, "the RBM")
    check_rewirable(start)
    method = "auto" if fine_tune is None else fine_tune.model_dump(exclude_unset=True)
    tuning = tuning_of(start, method)
    assert tuning is not None
    chosen = RewirePathSettings(
        rbm=file_digest(rbm),
        shots=file_digest(shots),
        state=None if state is None else file_digest(state),
        seed=seed,
        rewire=rewire or RewireSettings(),
        fine_tune=tuning,
    )
    rounds = chosen.rewire.rounds
    with open_run(out, chosen) as folder, progress_bar(rounds * tuning.epochs) as bar:
        levels = path_levels(
            folder,
            rounds,
            lambda _: start,
            lambda last, _, checkpoints: rewire_step(
                last,
                data,
                chosen.rewire,
                tuning,
                chosen.seed,
                lambda _: advance(bar),
                checkpoints,
            ),
            level_writer(state, start, seed),
        )
    last = rbm_from_dataset(levels[-1], out)
    moved = int((last.mask & ~start.mask).sum())
    show(
        {
            "folder": str(out),
            "weights": last.number_of_weights,
            "moved": moved,
            "fine_tune": tuning.model_dump(),
            "training_warnings": [],
        },
        f"{out}: {rounds} rounds, {moved} of {last.number_of_weights} weights moved\n"
        f"fine-tuning: {tuning}",
        json,
    )
