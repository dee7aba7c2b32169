"""Command `rewire`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, Out, Whole, advance, app, progress_bar, show
from psiprune.cli.options import with_method_options
from psiprune.cli.prune import _describer, _digest
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
    seed: Annotated[int, Whole] = 0,
    rewire: Annotated[RewireSettings | None, Flat] = None,
    fine_tune: AnyMethod | None = None,
    state: Path | None = None,
    json: bool = False,
) -> None:
    """Move the weights of a sparse RBM to where they are needed; rerun to resume.

    Each round drops some weights and grows as many missing ones, and trains on. Where a layer has
    at most 18 units, a round that does not raise the likelihood of the shots is undone.

    Parameters
    ----------
    rbm
        file of the trained RBM, with some of its weights pruned
    shots
        file of the training set
    out
        folder to write level-00.nc, level-01.nc, ... to, one a round
    seed
        seed of training, of samples and of random dropping
    fine_tune
        training after each round
    state
        file of the reference state; each level then keeps its error measures, as in a study
    json
        print one JSON object on standard output
    """
    from psiprune.io.run import open_run, refuse_busy

    refuse_busy(out)
    from psiprune.data.shots import check_sites, read_shots
    from psiprune.experiments.pruning_path import keep_levels
    from psiprune.pruning.iterative import tuning_of
    from psiprune.pruning.rewire import check_rewirable, rewire_step
    from psiprune.rbm.serialization import load_rbm, rbm_from_dataset

    start, data = load_rbm(rbm), read_shots(shots)
    check_sites(data, start.visible, "the RBM")
    check_rewirable(start)
    given = "auto" if fine_tune is None else fine_tune.model_dump(exclude_unset=True)
    tuning = tuning_of(start, given)
    assert tuning is not None
    chosen = RewirePathSettings(
        rbm=_digest(rbm),
        shots=_digest(shots),
        state=None if state is None else _digest(state),
        seed=seed,
        rewire=rewire or RewireSettings(),
        fine_tune=tuning,
    )
    rounds = chosen.rewire.rounds
    with open_run(out, chosen) as folder, progress_bar(rounds * tuning.epochs) as bar:
        levels = keep_levels(
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
            _describer(state, start, seed),
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
        f"{out}: {rounds} rounds, {moved} of {last.number_of_weights} weights are now elsewhere\n"
        f"fine-tuning: {tuning}",
        json,
    )
