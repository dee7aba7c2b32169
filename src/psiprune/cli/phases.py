"""What `train`, `evaluate` and `prune` do with shots in several bases and states with phases."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from psiprune.cli.app import chosen_settings, new_dataset, show
from psiprune.cli.experiments import folder_of
from psiprune.cli.options import ReadoutOptions, readout_digest, with_readout
from psiprune.cli.streams import tell
from psiprune.core.exceptions import InputError
from psiprune.core.progress import progress_bar
from psiprune.core.text import counted
from psiprune.core.validation import check_count
from psiprune.reporting.tables import Column, table

if TYPE_CHECKING:
    from psiprune.data.shots import Shots
    from psiprune.pruning.settings import PruneSettings
    from psiprune.states.mps import MPS
    from psiprune.training.phase_starts import PhaseUnits

_LEVELS: tuple[Column, ...] = (
    ("level", "level", "d"),
    ("weights", "weights", "d"),
    ("amplitude", "amplitude_weights", "d"),
    ("phase", "phase_weights", "d"),
    ("nats per shot", "log_likelihood", ".6f"),
    ("F with level 0", "fidelity_with_first", ".4f"),
)


def train_on_bases(
    data: Shots,
    out: Path,
    units: PhaseUnits,
    starts: int | None,
    method: BaseModel | None,
    seed: int,
    others: Mapping[str, object],
    limit: float,
    json: bool,
) -> None:
    """Train a state with phases and print the result.

    Of the options of a method it takes `epochs` and `weight_decay`.

    Raises:
        InputError: one of the other options is given, the training takes more than `limit` seconds
            or the free memory, or as in `train_phases`.
    """
    from psiprune.io.checkpoint import Checkpoints
    from psiprune.reconstruction.bases.estimate import check_training
    from psiprune.training.limits import OPTIONS
    from psiprune.training.phases import EPOCHS, STARTS, train_phases

    given = {} if method is None else method.model_dump(exclude_unset=True)
    taken: dict[str, Any] = {
        name: given.pop(name) for name in ("epochs", "weight_decay") if name in given
    }
    if starts is not None:
        taken["starts"] = starts
    unused = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    _refuse({**others, **unused}, f"{data.source} has shots in {len(data.bases)} bases")
    fits = check_count("starts", taken.get("starts", STARTS), 1), taken.get("epochs", EPOCHS)
    check_training(
        data,
        units,
        *fits,
        limit=limit,
        announce=lambda line: tell(f"psiprune: note: {line}"),
        spell=OPTIONS,
    )
    with new_dataset(out), Checkpoints(out) as checkpoints:
        rbm = train_phases(data, **units._asdict(), **taken, seed=seed, checkpoints=checkpoints)
        rbm.save(out)
    made = rbm.provenance
    numbers = {
        "file": str(out),
        "visible": rbm.visible,
        "hidden": rbm.amplitude.hidden,
        "phase_hidden": rbm.phase.hidden,
        "weights": rbm.number_of_weights,
        "bases": made["bases"],
        "epochs": made["epochs_done"],
        "converged": bool(made["converged"]),
        "log_likelihood": made["log_likelihood"],
        "starts": made["starts"],
        "equally_likely": made["equally_likely"],
        "agreement": made["agreement"],
        "training_warnings": [],
    }
    ending = ", converged" if made["converged"] else ", not converged"
    which = "least" if float(made["equally_likely"]) > 1 else "with another one at most"
    agreement = ""
    if float(made["starts"]) > 1:
        agreement = (
            f"\n{made['equally_likely']} of {made['starts']} fits equally likely, {which} fidelity "
            f"{made['agreement']:.4f}"
        )
    show(
        numbers,
        f"{out}: {counted(rbm.visible, 'site')}, {counted(rbm.amplitude.hidden, 'hidden unit')} "
        f"for the amplitudes and {rbm.phase.hidden} for the phases, "
        f"{counted(rbm.number_of_weights, 'weight')}\n"
        f"{counted(int(made['epochs_done']), 'step')} over {counted(len(data), 'shot')} in "
        f"{made['bases']} bases{ending}; log-likelihood {made['log_likelihood']:.6g} nats per shot"
        f"{agreement}",
        json,
    )


def evaluate_phase_rbm(
    rbm: Path,
    reference: Path,
    observables: tuple[str, ...],
    readout: ReadoutOptions | None,
    others: Mapping[str, object],
    json: bool,
) -> None:
    """Compare a state with phases with a state or with shots, and print the result.

    Raises:
        InputError: one of the other options is given, or a file is invalid.
    """
    from psiprune.io.netcdf import kind_of
    from psiprune.rbm.phase import load_phase_rbm

    _refuse(others, f"{rbm} is a state with phases, evaluated exactly or by 20,000 draws")
    machine = load_phase_rbm(rbm)
    if kind_of(reference) == "mps":
        if readout is not None:
            raise InputError("--readout: applies to shots, but the reference is a state; omit it")
        from psiprune.metrics.phase_report import evaluate_phases
        from psiprune.states.mps import load_mps

        with redirect_stdout(sys.stderr):  # functions of users may print
            report = evaluate_phases(machine, load_mps(reference), observables)
        spread = {name: f" +- {error:.1g}" for name, error in report.errors.items()}
        lines = [
            f"fidelity  {report.fidelity:.6f}{spread.get('fidelity', '')}",
            f"KL in Z   {report.kl:.6g}{spread.get('kl', '')} nats",
        ]
        numbers: dict[str, Any] = {"fidelity": report.fidelity, "kl": report.kl}
        if report.entropy is not None:
            of_rbm, of_state = report.entropy
            lines.append(f"entropy   {of_rbm:.6g} nats between halves, of the state {of_state:.6g}")
            numbers["entropy"] = {"rbm": of_rbm, "state": of_state}
        lines += [
            f"{name}: {mean:.6g}{spread.get(name, '')}, of the state {exact:.6g}"
            for name, (mean, exact) in report.observables.items()
        ]
        means = {
            name: {"rbm": mean, "state": exact}
            for name, (mean, exact) in report.observables.items()
        }
        numbers["observables"] = means
        if report.errors:
            numbers["errors"] = dict(report.errors)
        show(numbers, "\n".join(lines), json)
        return
    from psiprune.data.read_shots import read_shots
    from psiprune.metrics.phase_held_out import held_out_by_basis
    from psiprune.metrics.rates_error import readout_warning
    from psiprune.reconstruction.identifiability import BASES

    if observables:
        raise InputError("--observable: is compared with a state, found shots; omit it")
    shots = with_readout(read_shots(reference), readout)
    if warning := readout_warning(machine, shots):
        tell(f"psiprune: warning: {rbm}: {warning}")
    fits = held_out_by_basis(machine, shots)
    mean = sum(fit.log_likelihood * fit.shots for fit in fits) / len(shots)
    rows = [fit._asdict() for fit in fits]
    show(
        {"log_likelihood": mean, "shots": len(shots), "bases": rows},
        f"log-likelihood {mean:.6g} nats per shot, {counted(len(shots), 'shot')}\n"
        f"{table(BASES, rows)}",
        json,
    )


def reconstruct_on_bases(
    data: Shots,
    out: Path | None,
    settings: BaseModel | None,
    more: Mapping[str, object],
    config: Path | None,
    reading: Mapping[str, Any],
    state: Path | None,
    limit: float,
    json: bool,
) -> None:
    """Reconstruct a state with phases and print the answer.

    `settings` are the options given of those for any shots, `more` those for several bases.

    Raises:
        InputError: an option does not apply to shots in several bases, or as in `run_bases`.
    """
    from psiprune.reconstruction.bases.answer import bases_numbers, bases_text
    from psiprune.reconstruction.bases.api import reconstruct_bases
    from psiprune.reconstruction.bases.estimate import begin_bases
    from psiprune.reconstruction.bases.inputs import resolve_settings
    from psiprune.reconstruction.bases.settings import BasesSettings
    from psiprune.training.limits import OPTIONS

    given = {} if settings is None else settings.model_dump(exclude_unset=True)
    given |= {name: value for name, value in more.items() if value is not None}
    for name in given:
        if name not in BasesSettings.model_fields:
            raise InputError(
                f"--{name.replace('_', '-')}: cannot be used here: {data.source} has shots in "
                f"{len(data.bases)} bases; omit it (--config takes a file with the most steps, "
                "epochs)"
            )
    chosen = chosen_settings(BasesSettings, None, config, more=given)
    reference = None if state is None else _reference(state, data)
    folder = folder_of(out, "reconstruct", resolve_settings(chosen, data))
    begin = partial(
        begin_bases,
        limit=limit,
        announce=lambda line: tell(f"psiprune: note: {line}"),
        spell=OPTIONS,
    )
    result = reconstruct_bases(data, folder, chosen, None, reading, begin)
    text = bases_text(result.dataset, result.request)
    numbers: dict[str, Any] = {"folder": str(folder), "report": str(result.report)}
    if reference is not None:
        fidelity = result.rbm.fidelity(reference)
        numbers["fidelity"] = fidelity
        text += f"\n\nfidelity with {state}: {fidelity:.6f}"
    text += f"\n\n{folder}: report.html, smallest.nc"
    show({**numbers, **bases_numbers(result.dataset, result.request)}, text, json)


def _reference(state: Path, data: Shots) -> MPS:
    from psiprune.states.mps import load_mps

    loaded = load_mps(state)
    if loaded.sites != data.sites:
        raise InputError(
            f"{state}: has {counted(loaded.sites, 'site')}, but the shots have {data.sites}"
        )
    return loaded


def prune_phase_rbm(
    rbm: Path,
    shots: Path,
    out: Path,
    pruning: PruneSettings,
    no_fine_tune: bool,
    readout: ReadoutOptions | None,
    digests: Mapping[str, str],
    others: Mapping[str, object],
    json: bool,
) -> None:
    """Prune both networks of a state, a file for each level, and print the levels.

    `digests` are those of both files, for the configuration of the run.

    Raises:
        InputError: one of the other options is given, a file is invalid, or the folder is of
            another run.
    """
    from psiprune.data.read_shots import read_shots
    from psiprune.experiments.path_settings import PathSettings
    from psiprune.experiments.pruning_path import level_names
    from psiprune.inference.phase_draws import fidelity
    from psiprune.io.run import open_run
    from psiprune.pruning import phases
    from psiprune.pruning.iterative import check_readout
    from psiprune.pruning.schedule import truncate
    from psiprune.rbm.phase import load_phase_rbm
    from psiprune.training.exact_natural_gradient import ExactNaturalGradient
    from psiprune.training.phase_data import log_likelihood, phase_data

    if pruning.compensate:
        others = {**others, "--compensate": True}
    _refuse(others, f"{rbm} is a state with phases")
    if "criterion" not in pruning.model_fields_set:
        pruning = pruning.model_copy(update={"criterion": "surgeon"})
    phases.check_phase_criterion(pruning.criterion)
    dense = load_phase_rbm(rbm)
    record = with_readout(read_shots(shots), readout)
    check_readout(dense, record)
    data = phase_data(record, dense)
    pruning = truncate(pruning, dense.number_of_weights)
    epochs = 0 if no_fine_tune else phases.FINE_TUNING
    tuning = ExactNaturalGradient(epochs=epochs)
    fine_tune = None if no_fine_tune else tuning
    settings = PathSettings(
        **dict[str, Any](digests),
        readout_sha256=readout_digest(readout, record),
        prune=pruning,
        fine_tune=fine_tune,
    )
    decays = phases.decays_of(None, epochs)
    steps = len(decays) * pruning.levels * epochs

    def path(folder: Path, decay: float) -> list[phases.PhaseLevel]:
        """Return the levels by one weight decay, with a file for each in the folder."""
        folder.mkdir(exist_ok=True)
        levels: list[phases.PhaseLevel] = []
        for number, name in enumerate(level_names(pruning.levels)):
            file = folder / name
            if file.exists():
                made = load_phase_rbm(file)
                level = phases.PhaseLevel(number, made, log_likelihood(made, data))
            elif number == 0:
                level = phases.first_phase_level(dense, data)
            else:
                level = phases.next_phase_level(levels[-1], levels[0], pruning, data, epochs, decay)
            levels.append(level)
            if not file.exists():
                level.rbm.save(file)
        return levels

    with open_run(out, settings) as folder, progress_bar(steps, "pruning"):
        paths = [path(folder / f"decay-{decay:g}", decay) for decay in decays]
        levels = phases.best_path(paths, data)
        for level, name in zip(levels, level_names(pruning.levels), strict=True):
            if not (folder / name).exists():
                level.rbm.save(folder / name)
    numbers = [
        {
            "level": level.step,
            "weights": level.rbm.number_of_weights,
            "amplitude_weights": level.rbm.amplitude.number_of_weights,
            "phase_weights": level.rbm.phase.number_of_weights,
            "log_likelihood": level.log_likelihood,
            "fidelity_with_first": fidelity(level.rbm, dense),
        }
        for level in levels
    ]
    decay = float(levels[-1].rbm.provenance.get("fine_tuning_decay", 0.0))
    text = (
        f"{table(_LEVELS, numbers)}\n{out}: {counted(len(levels), 'level')} by {pruning.criterion}"
    )
    if not no_fine_tune:
        text += f", weight decay {decay:g} nats per shot (of {', '.join(f'{x:g}' for x in decays)})"
    show({"folder": str(out), "weight_decay": decay, "levels": numbers}, text, json)


def _refuse(options: Mapping[str, object], reason: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}: cannot be used here: {reason}; omit it")
