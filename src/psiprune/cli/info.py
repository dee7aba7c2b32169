"""The command `info`, which describes a file or a run folder."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from psiprune.cli.app import Flat, chosen_format, command_line, show
from psiprune.cli.options import Observables, ReadoutOptions, with_readout
from psiprune.core.exceptions import InputError
from psiprune.data.formats.settings import ReadSettings

if TYPE_CHECKING:
    from psiprune.inspect.descriptions import RunDescription


def info_command(
    file: Path,
    other: Path | None = None,
    /,
    *,
    format: str | None = None,
    settings: Annotated[ReadSettings | None, Flat] = None,
    observable: Observables = (),
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: bool = False,
) -> None:
    """Describe a file or a run folder, and warn about possible problems.

    Shots are tested for dead and biased qubits, drift, repeated shots, a broken Z2 symmetry and a
    permuted register; run folders for missing and damaged files. Given two run folders, info
    reports whether their numbers agree to the bit or only statistically. Nothing is written.

    With --observable, also these observables of the shots, of letters that they were measured in,
    or of the state.

    Args:
        file: shots in any format, a state, an RBM, a dataset, or a run folder
        other: a second run folder to compare with
        format: format of the shots, as in psiprune import (default: detected)
        json: print one JSON object on standard output, with every site and every bond
    """
    from dataclasses import asdict

    from psiprune.data.shots import Shots, read_shots
    from psiprune.inspect.describe import describe
    from psiprune.inspect.tables import description_numbers, description_text
    from psiprune.io.netcdf import kind_of
    from psiprune.states.mps import MPS, load_mps

    if other is not None:
        from psiprune.inspect.compare import compare_runs, comparison_text

        if format is not None or settings is not None:
            raise InputError("--format: applies to shots, not to a pair of run folders; omit it")
        for name, option in (("--readout", readout), ("--observable", observable or None)):
            if option is not None:
                raise InputError(f"{name}: applies to shots, not to a pair of run folders; omit it")
        runs = compare_runs(file, other)
        numbers = {"what": "comparison", "verdict": runs.verdict, **asdict(runs)}
        show(numbers, comparison_text(runs), json)
        return
    form, given = chosen_format(format, settings)
    of: Shots | MPS | None = None
    if readout is not None or observable:
        if observable and readout is None and Path(file).is_file() and kind_of(file) == "mps":
            of = load_mps(file)
        else:
            of = with_readout(read_shots(file, form, **given), readout)
    description = describe(of) if isinstance(of, Shots) else describe(file, form, **given)
    numbers, text = description_numbers(description), description_text(description)
    if of is not None and observable:
        from psiprune.metrics.measured import measure_observables
        from psiprune.reporting.metric_tables import measured_numbers, measured_text

        with redirect_stdout(sys.stderr):  # functions of users may print
            measured = measure_observables(of, observable)
        numbers["observables"] = measured_numbers(measured)
        text += f"\n\n{measured_text(measured)}"
    plain = not given and readout is None
    show(numbers, text, json, _next(description, file, form) if plain else "")


def _next(description: object, file: Path, format: str | None) -> str:
    """Return the command that usually comes after a description."""
    from psiprune.core.limits import PHASE_SITES
    from psiprune.data.basis_diagnostics import BasesDescription
    from psiprune.data.diagnostics import ShotsDescription
    from psiprune.inspect.descriptions import RBMDescription, RunDescription, StateDescription

    if isinstance(description, RunDescription):
        return _after_run(description, file)
    warnings = {each.name for each in getattr(description, "warnings", ())}
    if "basis" in warnings or not Path(file).is_file():
        return ""  # no command takes such shots, and a pipe is read only once
    before = "see the warnings, then " if warnings else ""
    made = Path(file).with_suffix("")
    if format is not None:
        return before + command_line("import", format, file, "-o", f"{made}.nc")
    if isinstance(description, ShotsDescription):
        return before + command_line("reconstruct", file, "-o", "result")
    if isinstance(description, BasesDescription):
        return before + command_line("train", file, "-o", f"{made}-rbm.nc")
    if isinstance(description, StateDescription):
        # Signs and phases show in several bases alone; 3 sites are the fewest with 13 bases.
        several = "random:13" if 3 <= description.sites <= PHASE_SITES else "nearest-pairs"
        bases = ("--bases", several) if "signs" in warnings else ()
        return before + command_line("sample", file, *bases, "-o", f"{made}-shots.nc")
    if isinstance(description, RBMDescription):
        return before + command_line("evaluate", file, "SHOTS")
    return ""


def _after_run(run: RunDescription, folder: Path) -> str:
    """Return the command that shows more of a complete run; `resume` is among its properties."""
    if run.missing or run.damaged or run.command is None:
        return ""
    if run.command == "sweep":
        return command_line("report", folder)
    if run.command == "paper":
        return command_line("paper", "--judge", folder)
    file = "smallest.nc" if "smallest.nc" in run.done else run.done[-1]
    return command_line("info", folder / file) if file.endswith(".nc") else ""
