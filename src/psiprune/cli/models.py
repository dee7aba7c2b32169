"""Commands about one RBM: `train`, `prune` and `evaluate`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from psiprune.cli.app import (
    Flat,
    Out,
    Whole,
    advance,
    app,
    check_new,
    chosen_settings,
    progress_bar,
    show,
)
from psiprune.config import (
    FineTuneSettings,
    MeasureSettings,
    PathSettings,
    PruneSettings,
    TrainSettings,
)
from psiprune.inputs import InputError

if TYPE_CHECKING:
    import xarray as xr

    from psiprune.pruning import Level
    from psiprune.rbm import RBM


@app.command(name="train")
def train_command(
    shots: Path,
    *,
    out: Out,
    hidden: Annotated[int | None, Whole] = None,
    seed: Annotated[int, Whole] = 0,
    settings: Annotated[TrainSettings | None, Flat] = None,
    config: Path | None = None,
    state: Path | None = None,
    history: Path | None = None,
    json: bool = False,
) -> None:
    """Fit an RBM to shots.

    Parameters
    ----------
    shots
        file of shots: NetCDF of psiprune, .npy, .npz, or text of 0 and 1
    out
        file to write the RBM to
    hidden
        number of hidden units; half the number of sites if not given
    seed
        seed of initial weights, shuffling and chains
    config
        TOML file of the settings; options given here win
    state
        file of the reference state, for --history
    history
        file to write the error measures every 10 epochs to; needs --state
    json
        print one JSON object on standard output
    """
    from psiprune.rbm import initial_rbm
    from psiprune.shots import read_shots
    from psiprune.training import train

    if (state is None) != (history is None):
        raise InputError("--history: needs --state, and --state has no use without it; give both")
    check_new(out)
    chosen = chosen_settings(TrainSettings, settings, config)
    data = read_shots(shots)
    with progress_bar(chosen.epochs) as bar:
        if state is None or history is None:
            rbm = train(
                data, hidden=hidden, seed=seed, settings=chosen, watch=lambda _: advance(bar)
            )
        else:
            from psiprune.errors import reference_of
            from psiprune.experiments.measured import train_with_history
            from psiprune.files import write_dataset
            from psiprune.mps import load_mps

            check_new(history)
            units = max(1, data.sites // 2) if hidden is None else hidden
            start, reference = initial_rbm(data.sites, units, seed), reference_of(load_mps(state))
            rbm, entries = train_with_history(
                start, data, chosen, seed, reference, 10, 10_000, lambda _: advance(bar)
            )
            write_dataset(history, entries, "history")
    rbm.save(out)
    done = rbm.provenance.get("epochs_done", 0)
    converged = rbm.provenance.get("converged")
    ending = "" if converged is None else ", converged" if converged else ", not converged"
    numbers = {
        "file": str(out),
        "visible": rbm.visible,
        "hidden": rbm.hidden,
        "weights": rbm.number_of_weights,
        "epochs": done,
        "converged": None if converged is None else bool(converged),
    }
    show(
        numbers,
        f"{out}: {rbm.visible} visible and {rbm.hidden} hidden units, {rbm.number_of_weights} "
        f"weights, {done} epochs over {len(data)} shots{ending}",
        json,
    )


@app.command(name="prune")
def prune_command(
    rbm: Path,
    shots: Path,
    *,
    out: Out,
    seed: Annotated[int, Whole] = 0,
    prune: Annotated[PruneSettings | None, Flat] = None,
    fine_tune: FineTuneSettings | None = None,
    no_fine_tune: bool = False,
    state: Path | None = None,
    json: bool = False,
) -> None:
    """Prune an RBM step by step and train it on after each step; a second start goes on.

    Parameters
    ----------
    rbm
        file of the trained RBM
    shots
        file of the training set
    out
        folder to write level-00.nc, level-01.nc, ... to
    seed
        seed of fine-tuning and of random pruning
    no_fine_tune
        only remove weights, do not train
    state
        file of the reference state; each level then keeps its error measures, as in a study
    json
        print one JSON object on standard output
    """
    from psiprune.experiments.path import run_path
    from psiprune.rbm import load_rbm, rbm_from_dataset
    from psiprune.runs import open_run
    from psiprune.shots import check_sites, read_shots

    if no_fine_tune and fine_tune is not None:
        raise InputError("--no-fine-tune: cannot stand with --fine-tune options; give one of them")
    tuning = None if no_fine_tune else fine_tune or FineTuneSettings()
    dense, data = load_rbm(rbm), read_shots(shots)
    check_sites(data, dense.visible, "the RBM")
    describe = _describer(state, dense, seed)
    chosen = PathSettings(
        rbm=hashlib.sha256(rbm.read_bytes()).hexdigest(),
        shots=hashlib.sha256(shots.read_bytes()).hexdigest(),
        seed=seed,
        prune=prune or PruneSettings(),
        fine_tune=tuning,
        state=None if state is None else hashlib.sha256(state.read_bytes()).hexdigest(),
    )
    epochs = chosen.prune.levels * (tuning.epochs if tuning else 0)
    with open_run(out, chosen) as folder, progress_bar(epochs) as bar:
        levels = run_path(
            folder,
            lambda: dense,
            data,
            chosen.prune,
            tuning,
            seed,
            describe,
            lambda _: advance(bar),
        )
    kept = [rbm_from_dataset(level, out) for level in levels]
    numbers = [
        {"level": k, "weights": level.number_of_weights, "components": level.components}
        for k, level in enumerate(kept)
    ]
    show(
        {"folder": str(out), "levels": numbers},
        f"{out}: {len(kept)} levels, {kept[0].number_of_weights} to {kept[-1].number_of_weights} "
        f"weights, the last graph in {kept[-1].components} parts",
        json,
    )


def _describer(state: Path | None, dense: RBM, seed: int) -> Callable[[Level], xr.Dataset]:
    """What is kept of a level: its RBM and, against a reference state, its measures."""
    if state is None:
        return lambda level: level.rbm.to_dataset()
    from psiprune.errors import check_reference, reference_of
    from psiprune.experiments.measured import measured_level
    from psiprune.mps import load_mps

    reference = reference_of(load_mps(state))
    check_reference(dense, reference)
    return lambda level: measured_level(level, reference, MeasureSettings().draws, seed)


@app.command(name="evaluate")
def evaluate_command(
    rbm: Path,
    state: Path,
    *,
    seed: Annotated[int, Whole] = 0,
    measure: Annotated[MeasureSettings | None, Flat] = None,
    json: bool = False,
) -> None:
    """Measure how far an RBM is from a state: KL, fidelity, energy, |m|, C(d).

    Parameters
    ----------
    rbm
        file of the RBM
    state
        file of the state
    seed
        seed of the draws
    json
        print one JSON object on standard output
    """
    from psiprune.errors import evaluate
    from psiprune.mps import load_mps
    from psiprune.rbm import load_rbm
    from psiprune.tables import report_numbers, report_text

    draws = (measure or MeasureSettings()).draws
    report = evaluate(load_rbm(rbm), load_mps(state), draws=draws, seed=seed)
    show(report_numbers(report), report_text(report), json)
