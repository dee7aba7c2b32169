"""The command `prune`: a path of fixed length, or a search for the smallest RBM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from psiprune.cli.app import Flat, Out, chosen_settings, command_line, no_callback, show
from psiprune.cli.options import (
    Int,
    Json,
    Observables,
    ReadoutOptions,
    readout_digest,
    with_method_options,
    with_readout,
)
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.progress import progress_bar
from psiprune.core.text import counted
from psiprune.experiments.path_settings import PathSettings, UntilSettings
from psiprune.io.bytes import read_bytes
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import SEARCH_LEVELS, PruneSettings
from psiprune.training.methods import AnyMethod

if TYPE_CHECKING:
    import xarray as xr

    from psiprune.data.shots import Shots
    from psiprune.metrics.measure import Measure
    from psiprune.metrics.reference import Reference
    from psiprune.metrics.selectors import Metric
    from psiprune.pruning.iterative import Level
    from psiprune.rbm.model import RBM
    from psiprune.training.method import Method


@with_method_options
def prune_command(
    rbm: Path,
    shots: Path,
    /,
    *,
    out: Out,
    seed: Int = 0,
    prune: Annotated[PruneSettings | None, Flat] = None,
    fine_tune: AnyMethod | None = None,
    no_fine_tune: bool = False,
    rewind: Path | None = None,
    folds: Int | None = None,
    state: Path | None = None,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    until: str | None = None,
    limit: float | None = None,
    others: Int | None = None,
    no_bisect: bool = False,
    observable: Observables = (),
    json: Json = False,
) -> None:
    """Prune an RBM step by step, with fine-tuning after each step; rerun to resume.

    With --until, prune until a metric exceeds a limit, then bisect between the last two levels to
    find the smallest RBM within the limit. Of a state with phases both networks are pruned with
    one budget, by default by surgeon, up to 16 sites.

    Args:
        rbm: file of the trained RBM
        shots: file of the training set
        out: folder to write level-00.nc, level-01.nc, ... to, and with --until smallest.nc
        seed: random seed of fine-tuning, of random pruning and of samples
        no_fine_tune: only remove weights, without fine-tuning
        rewind: file of the same RBM, untrained or at an early epoch (psiprune train --keep-epochs):
            after each step reset the remaining parameters to its values and train from there
            (lottery tickets); the --fine-tune options then set this training, with the defaults of
            train
        folds: number of parts of the shots for a cross-validation of the number of steps of
            fine-tuning after each pruning step, which ends it before it fits noise; the RBM is
            trained again without each part. 0: take all steps (default: --folds of its training)
        state: file of the reference state: measure the metrics of each level against it; --until
            then takes these metrics
        until: metric to limit. With --state: kl, infidelity, energy_roe, energy_bias,
            abs_magnetization_roe, abs_magnetization_bias, correlation_mse, or entropy_loss and
            renyi2_loss, of either sign, of half the sites. Without it, from the shots:
            abs_magnetization_roe, or log_likelihood_loss (nats per shot, against the RBM given).
            Also the name of an observable of --observable: its largest distance from that of the
            state or the shots
        limit: largest value of that metric to accept (default: the largest value in an ensemble of
            this RBM and others trained in the same way with other seeds)
        others: number of other RBMs to train for that ensemble (default: 5)
        no_bisect: with --until: stop at the last level within the limit, without bisection
    """
    from psiprune.io.netcdf import kind_of
    from psiprune.io.run import refuse_busy

    refuse_busy(out)
    from psiprune.pruning.held_out import folds_for, how_trained
    from psiprune.pruning.iterative import check_readout, check_rewind
    from psiprune.pruning.schedule import truncate
    from psiprune.rbm.serialization import load_rbm

    if no_fine_tune and fine_tune is not None:
        raise InputError(
            "--no-fine-tune: cannot be combined with --fine-tune options; omit one of them"
        )
    for name, option in (
        ("--limit", limit),
        ("--others", others),
        ("--no-bisect", no_bisect or None),
    ):
        if until is None and option is not None:
            raise InputError(f"{name}: requires --until; add the metric to limit, or omit {name}")
    if limit is not None and others is not None:
        raise InputError(
            "--others: cannot be combined with --limit, which replaces the ensemble; omit one of "
            "them"
        )
    if observable and state is None and until is None:
        raise InputError(
            "--observable: is measured against a state, or limited with --until; add --state or "
            "--until, or omit it"
        )
    pruning = chosen_settings(PruneSettings, prune)
    if kind_of(rbm) == "phase_rbm":
        from psiprune.cli.phases import prune_phase_rbm

        options: dict[str, object] = {
            "--fine-tune": fine_tune,
            "--rewind": rewind,
            "--folds": folds,
            "--state": state,
            "--until": until,
        }
        files = digests(rbm=rbm, shots=shots)
        prune_phase_rbm(rbm, shots, out, pruning, no_fine_tune, readout, files, options, json)
        return
    dense, data = load_inputs(rbm, shots, readout)
    check_readout(dense, data)
    early = None if rewind is None else load_rbm(rewind)
    tuning = None if no_fine_tune else chosen_tuning(fine_tune, dense, data, early)
    check_rewind(early, dense, tuning)
    parts = folds_for(dense, folds, data, tuning, early)
    if parts and folds is None:
        tell(
            f"psiprune: note: fine-tuning ends by cross-validation over {parts} parts of the "
            "shots, as the training of the RBM did; --folds 0 takes all steps"
        )
    if until is not None and not {"levels", "density"} & pruning.model_fields_set:
        pruning = PruneSettings(**{**pruning.model_dump(), "levels": SEARCH_LEVELS})
    if until is None:
        pruning = truncate(pruning, dense.number_of_weights)
    search: dict[str, Any] = {"limit": limit, "bisect": not no_bisect}
    if others is not None:
        search["others"] = others
    chosen = PathSettings(
        **digests(rbm=rbm, shots=shots, state=state, rewind=rewind),
        readout_sha256=readout_digest(readout, data),
        seed=seed,
        prune=pruning,
        fine_tune=tuning,
        folds=parts,
        until=None if until is None else UntilSettings(measure=until, **search),
        observable=observable or None,
    )
    if chosen.until is None:
        writer = level_writer(state, dense, seed, observable)
        _path(chosen, dense, data, early, writer, out, json)
        return
    metric = _metric(chosen.until, state, dense, data, seed, observable)
    if limit is None:
        how_trained(dense)  # fail before pruning if no ensemble can be trained
    _search(chosen, dense, data, early, metric, out, json)


def _path(
    chosen: PathSettings,
    dense: RBM,
    data: Shots,
    early: RBM | None,
    describe: Callable[[Level], xr.Dataset],
    out: Path,
    json: bool,
) -> None:
    """Prune for a given number of levels, and print the result."""
    from psiprune.experiments.path_table import path_rows, path_text
    from psiprune.experiments.pruning_path import level_file, run_path
    from psiprune.io.run import open_run
    from psiprune.rbm.serialization import rbm_from_dataset

    epochs = chosen.prune.levels * (chosen.fine_tune.epochs if chosen.fine_tune else 0)
    with open_run(out, chosen) as folder, progress_bar(epochs, "pruning"):
        levels = run_path(
            folder,
            lambda _: dense,
            data,
            chosen.prune,
            chosen.fine_tune,
            chosen.seed,
            describe,
            no_callback,
            None if early is None else lambda: early,
            chosen.folds,
        )
    rbms = [rbm_from_dataset(level, out) for level in levels]
    numbers = path_rows(rbms, levels)
    measured = f"\n{path_text(numbers)}\n\n" if chosen.state is not None else ""
    parts, last = rbms[-1].components, level_file(out, len(rbms) - 1)
    suggested = len(rbms) - 1
    if chosen.state is not None:  # the fewest weights that keep KL within twice its first value
        kl = [float(each["kl"]) for each in numbers]
        suggested = max((k for k in range(len(kl)) if kl[k] <= 2 * kl[0]), default=0)
    show(
        {"folder": str(out), "levels": numbers, **_tuning_numbers(chosen)},
        f"{len(rbms)} levels, {rbms[0].number_of_weights} to {rbms[-1].number_of_weights} weights; "
        f"the last RBM has {counted(parts, 'connected component')}\n{_tuning_text(chosen)}\n"
        f"{measured}{out}: {level_file(out, 0).name} to {last.name}",
        json,
        command_line("evaluate", level_file(out, suggested), "HELD_OUT_SHOTS"),
    )


def _search(
    chosen: PathSettings,
    dense: RBM,
    data: Shots,
    early: RBM | None,
    metric: Metric,
    out: Path,
    json: bool,
) -> None:
    """Search for the smallest RBM within the limit, and print the result."""
    from psiprune.experiments.pruning_path import level_file
    from psiprune.experiments.search import run_until
    from psiprune.io.run import open_run
    from psiprune.pruning.search import check_within
    from psiprune.reporting.metric_tables import smallest_numbers, smallest_text

    assert chosen.until is not None
    if chosen.until.limit is not None and not level_file(out, 0).exists():
        # Before the folder is created: it would refuse the same command with another limit.
        first = metric(dense)
        check_within(first.value, chosen.until.limit)
        metric = _with_known_value(metric, dense, first)
    with open_run(out, chosen) as folder, progress_bar(None, "pruning"):
        smallest, best = run_until(
            folder,
            dense,
            data,
            metric,
            chosen.until,
            chosen.prune,
            chosen.fine_tune,
            chosen.seed,
            no_callback,
            early,
            folds=chosen.folds,
        )
    name = chosen.until.measure
    measured_on = None if chosen.state is not None else len(data)
    numbers = {
        "folder": str(out),
        **smallest_numbers(smallest, name, best, measured_on),
        **_tuning_numbers(chosen),
    }
    if chosen.until.limit is None:  # others were trained, and checked
        numbers["training_warnings"] = []
    text = smallest_text(smallest, name, best, measured_on)
    then = command_line("evaluate", out / "smallest.nc", "HELD_OUT_SHOTS")
    show(numbers, f"{text}\n{_tuning_text(chosen)}\n{out}: smallest.nc", json, then)


def _tuning_numbers(chosen: PathSettings) -> dict[str, Any]:
    return {**tuning_numbers(chosen.fine_tune), "folds": chosen.folds}


def _tuning_text(chosen: PathSettings) -> str:
    ending = ""
    if chosen.folds:
        ending = f", ended by cross-validation over {chosen.folds} parts of the shots"
    return f"fine-tuning: {chosen.fine_tune or 'none'}{ending}"


def _metric(
    until: UntilSettings,
    state: Path | None,
    dense: RBM,
    data: Shots,
    seed: int,
    texts: Sequence[str] = (),
) -> Metric:
    """Return the metric to limit: against the state, or without one against the shots."""
    from psiprune.metrics.observable_text import read_observables
    from psiprune.metrics.selectors import shots_metric, state_metric
    from psiprune.states.hamiltonian import positions_of

    if state is None:
        places = positions_of(data)
        further = read_observables(texts, dense.visible, recorded=True, positions=places)
        how: dict[str, Any] = {"draws": until.draws, "seed": seed, "observables": further}
        return shots_metric(until.measure, dense, data, **how)
    reference = _load_reference(state, dense, texts)
    return state_metric(until.measure, reference, draws=until.draws, seed=seed)


def _with_known_value(metric: Metric, rbm: RBM, value: Measure) -> Metric:
    """Return the metric without computing it again for one RBM."""
    return lambda other: value if other is rbm else metric(other)


def level_writer(
    state: Path | None, dense: RBM, seed: int, texts: Sequence[str] = ()
) -> Callable[[Level], xr.Dataset]:
    """Return the function that gives the dataset of a level: RBM and, with a state, metrics."""
    if state is None:
        return lambda level: level.rbm.to_dataset()
    from psiprune.experiments.recording import measured_level

    reference = _load_reference(state, dense, texts)
    return lambda level: measured_level(level, reference, MeasureSettings().draws, seed)


def _load_reference(state: Path, dense: RBM, texts: Sequence[str] = ()) -> Reference:
    from psiprune.metrics.against_state import check_reference
    from psiprune.metrics.observable_text import read_observables
    from psiprune.metrics.reference import reference_of
    from psiprune.states.hamiltonian import positions_of
    from psiprune.states.mps import load_mps

    loaded = load_mps(state)
    positions = positions_of(loaded.model)
    given = read_observables(texts, loaded.sites, recorded=True, positions=positions)
    reference = reference_of(loaded, given)
    check_reference(dense, reference)
    return reference


def load_inputs(rbm: Path, shots: Path, readout: ReadoutOptions | None = None) -> tuple[RBM, Shots]:
    """Read an RBM and its training set, and check that they have the same number of sites."""
    from psiprune.data.read_shots import read_shots
    from psiprune.data.shots import check_sites
    from psiprune.rbm.serialization import load_rbm

    model = load_rbm(rbm)
    return model, with_readout(check_sites(read_shots(shots), model.visible, "the RBM"), readout)


def chosen_tuning(
    given: Method | None, rbm: RBM, shots: Shots, rewind: RBM | None = None
) -> Method:
    """Return the method of fine-tuning that the options choose, by default the best for the size.

    With a rewind its defaults are those of training.
    """
    from psiprune.pruning.iterative import tuning_of

    method = "auto" if given is None else given.model_dump(exclude_unset=True)
    tuning = tuning_of(rbm, method, rewind, readout=shots.readout is not None)
    assert tuning is not None  # as `method` is not
    return tuning


def tuning_numbers(method: Method | None) -> dict[str, Any]:
    """Return the method of fine-tuning with every field for `--json`."""
    return {"fine_tune": None if method is None else method.model_dump()}


def digests(**files: Path | None) -> dict[str, str]:
    """Return the SHA-256 of each file that is given."""
    return {name: _digest(file) for name, file in files.items() if file is not None}


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
