"""The commands `prune`, a path of fixed length or until it hurts, and `rewire`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from psiprune.cli.app import Flat, Out, Whole, advance, app, chosen_settings, progress_bar, show
from psiprune.cli.options import with_method_options
from psiprune.core.exceptions import InputError
from psiprune.experiments.settings import PathSettings, UntilSettings
from psiprune.io.bytes import read_bytes
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import SEARCH_LEVELS, PruneSettings
from psiprune.training.methods import AnyMethod

if TYPE_CHECKING:
    import xarray as xr

    from psiprune.data.shots import Shots
    from psiprune.metrics.measure import Measure
    from psiprune.metrics.selectors import Metric
    from psiprune.pruning.iterative import Level
    from psiprune.rbm.model import RBM
    from psiprune.training.method import Method


@app.command(name="prune")
@with_method_options
def prune_command(
    rbm: Path,
    shots: Path,
    *,
    out: Out,
    seed: Annotated[int, Whole] = 0,
    prune: Annotated[PruneSettings | None, Flat] = None,
    fine_tune: AnyMethod | None = None,
    no_fine_tune: bool = False,
    rewind: Path | None = None,
    state: Path | None = None,
    until: str | None = None,
    limit: float | None = None,
    others: Annotated[int | None, Whole] = None,
    no_bisect: bool = False,
    json: bool = False,
) -> None:
    """Prune an RBM step by step, fine-tuning after each step; rerun to resume.

    With --until it prunes until a measure exceeds a limit, and then searches for the smallest RBM
    within the limit between the last two levels: "how small can this model be?".

    Parameters
    ----------
    rbm
        file of the trained RBM
    shots
        file of the training set
    out
        folder to write level-00.nc, level-01.nc, ... to; with --until smallest.nc as well
    seed
        seed of fine-tuning, of random pruning and of samples
    no_fine_tune
        only remove weights, do not train
    rewind
        file of the same RBM untrained, or of an early epoch (psiprune train --epochs 0): after each
        step the surviving weights are set back to its values and trained from there (lottery
        tickets); fine-tune options then mean that training, and those not given are as in train
    state
        file of the reference state; each level then keeps its error measures, as in a study, and
        --until means measures against that state
    until
        measure that ends the path. With --state: kl, infidelity, energy_roe, energy_bias,
        abs_magnetization_roe, abs_magnetization_bias or correlation_mse; without it, against the
        shots: abs_magnetization_roe, or log_likelihood_loss (nat a shot, compared with the RBM)
    limit
        largest value of that measure to accept; if not given, the largest one in an ensemble of
        this RBM and others that are trained like it with other seeds
    others
        number of these other RBMs; 5 if not given
    no_bisect
        with --until: end with the last level within the limit
    json
        print one JSON object on standard output
    """
    from psiprune.io.run import refuse_busy

    refuse_busy(out)
    from psiprune.data.shots import check_sites, read_shots
    from psiprune.pruning.iterative import check_rewind, tuning_of
    from psiprune.pruning.schedule import truncate
    from psiprune.pruning.search import how_trained
    from psiprune.rbm.serialization import load_rbm

    if no_fine_tune and fine_tune is not None:
        raise InputError("--no-fine-tune: cannot stand with --fine-tune options; give one of them")
    for name, option in (
        ("--limit", limit),
        ("--others", others),
        ("--no-bisect", no_bisect or None),
    ):
        if until is None and option is not None:
            raise InputError(f"{name}: applies only with --until; give the measure to search by")
    if limit is not None and others is not None:
        raise InputError("--others: cannot be combined with --limit; give one of them")
    pruning = chosen_settings(PruneSettings, prune)
    dense, data = load_rbm(rbm), read_shots(shots)
    check_sites(data, dense.visible, "the RBM")
    early = None if rewind is None else load_rbm(rewind)
    given_method = "auto" if fine_tune is None else fine_tune.model_dump(exclude_unset=True)
    tuning = None if no_fine_tune else tuning_of(dense, given_method, early)
    check_rewind(early, dense, tuning)
    if until is not None and not {"levels", "density"} & pruning.model_fields_set:
        pruning = PruneSettings(**{**pruning.model_dump(), "levels": SEARCH_LEVELS})
    if until is None:
        pruning = truncate(pruning, dense.number_of_weights)
    ends: dict[str, Any] = {"limit": limit, "bisect": not no_bisect}
    if others is not None:
        ends["others"] = others
    chosen = PathSettings(
        rbm=_digest(rbm),
        shots=_digest(shots),
        seed=seed,
        prune=pruning,
        fine_tune=tuning,
        state=None if state is None else _digest(state),
        rewind=None if rewind is None else _digest(rewind),
        until=None if until is None else UntilSettings(measure=until, **ends),
    )
    if chosen.until is None:
        _path(chosen, dense, data, early, _describer(state, dense, seed), out, json)
        return
    gauge = _gauge(chosen.until, state, dense, data, seed)
    if limit is None:
        how_trained(dense)  # the ensemble that gives the limit takes that
    _search(chosen, dense, data, early, gauge, out, json)


def _path(
    chosen: PathSettings,
    dense: RBM,
    data: Shots,
    early: RBM | None,
    describe: Callable[[Level], xr.Dataset],
    out: Path,
    json: bool,
) -> None:
    """A path of a given length."""
    from psiprune.experiments.pruning_path import run_path
    from psiprune.io.run import open_run
    from psiprune.rbm.serialization import rbm_from_dataset

    epochs = chosen.prune.levels * (chosen.fine_tune.epochs if chosen.fine_tune else 0)
    with open_run(out, chosen) as folder, progress_bar(epochs) as bar:
        levels = run_path(
            folder,
            lambda _: dense,
            data,
            chosen.prune,
            chosen.fine_tune,
            chosen.seed,
            describe,
            lambda _: advance(bar),
            None if early is None else lambda: early,
        )
    kept = [rbm_from_dataset(level, out) for level in levels]
    numbers = [
        {"level": k, "weights": level.number_of_weights, "components": level.components}
        for k, level in enumerate(kept)
    ]
    show(
        {"folder": str(out), "levels": numbers, **_tuning_numbers(chosen.fine_tune)},
        f"{out}: {len(kept)} levels, {kept[0].number_of_weights} to {kept[-1].number_of_weights} "
        f"weights, the last graph in {kept[-1].components} parts\n"
        f"fine-tuning: {chosen.fine_tune or 'none'}",
        json,
    )


def _search(
    chosen: PathSettings,
    dense: RBM,
    data: Shots,
    early: RBM | None,
    gauge: Metric,
    out: Path,
    json: bool,
) -> None:
    """A path that ends where it hurts."""
    from psiprune.experiments.pruning_path import level_file
    from psiprune.experiments.search import run_until
    from psiprune.io.run import open_run
    from psiprune.pruning.search import check_within
    from psiprune.reporting.metric_tables import smallest_numbers, smallest_text

    assert chosen.until is not None
    if chosen.until.limit is not None and not level_file(out, 0).exists():
        # Before a folder is made, which would refuse the command with another limit.
        first = gauge(dense)
        check_within(first.value, chosen.until.limit)
        gauge = _known(gauge, dense, first)
    with open_run(out, chosen) as folder, progress_bar(None) as bar:
        found, best = run_until(
            folder,
            dense,
            data,
            gauge,
            chosen.until,
            chosen.prune,
            chosen.fine_tune,
            chosen.seed,
            lambda _: advance(bar),
            early,
        )
    name = chosen.until.measure
    measured_on = None if chosen.state is not None else len(data)
    numbers = {
        "folder": str(out),
        **smallest_numbers(found, name, best, measured_on),
        **_tuning_numbers(chosen.fine_tune),
    }
    text = smallest_text(found, name, best, measured_on)
    ending = f"{out}: smallest.nc\nfine-tuning: {chosen.fine_tune or 'none'}"
    show(numbers, f"{text}\n{ending}", json)


def _tuning_numbers(method: Method | None) -> dict[str, Any]:
    """The method of fine-tuning with every field, and no warning, for `--json`."""
    tuning = None if method is None else method.model_dump()
    return {"fine_tune": tuning, "training_warnings": []}


def _gauge(until: UntilSettings, state: Path | None, dense: RBM, data: Shots, seed: int) -> Metric:
    """The measure that ends a path: against the state, or without one against the shots."""
    from psiprune.metrics.selectors import shots_metric, state_metric

    if state is None:
        return shots_metric(until.measure, dense, data, draws=until.draws, seed=seed)
    from psiprune.metrics.against_state import check_reference, reference_of
    from psiprune.states.mps import load_mps

    reference = reference_of(load_mps(state))
    check_reference(dense, reference)
    return state_metric(until.measure, reference, draws=until.draws, seed=seed)


def _known(gauge: Metric, rbm: RBM, found: Measure) -> Metric:
    """The gauge, which has measured one RBM already."""
    return lambda other: found if other is rbm else gauge(other)


def _describer(state: Path | None, dense: RBM, seed: int) -> Callable[[Level], xr.Dataset]:
    """What is kept of a level: its RBM and, against a reference state, its measures."""
    if state is None:
        return lambda level: level.rbm.to_dataset()
    from psiprune.experiments.recording import measured_level
    from psiprune.metrics.against_state import check_reference, reference_of
    from psiprune.states.mps import load_mps

    reference = reference_of(load_mps(state))
    check_reference(dense, reference)
    return lambda level: measured_level(level, reference, MeasureSettings().draws, seed)


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
