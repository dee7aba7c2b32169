"""The command `info`, which describes a file or a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, chosen_format, show
from psiprune.cli.options import ReadoutOptions, with_readout
from psiprune.core.exceptions import InputError
from psiprune.data.formats.settings import ReadSettings


def info_command(
    file: Path,
    other: Path | None = None,
    /,
    *,
    format: str | None = None,
    settings: Annotated[ReadSettings | None, Flat] = None,
    readout: Annotated[ReadoutOptions | None, Flat] = None,
    json: bool = False,
) -> None:
    """Describe a file or a run folder, and warn about possible problems.

    Shots are tested for dead and biased qubits, drift, repeated shots, a broken Z2 symmetry and a
    permuted register; run folders for missing and damaged files. Given two run folders, info
    reports whether their numbers agree to the bit or only statistically. Nothing is written.

    Args:
        file: shots in any format, a state, an RBM, a dataset, or a run folder
        other: a second run folder to compare with
        format: format of the shots, as in psiprune import (default: detected)
        json: print one JSON object on standard output, with every site and every bond
    """
    from dataclasses import asdict

    from psiprune.data.shots import read_shots
    from psiprune.inspect.compare import compare_runs, comparison_text
    from psiprune.inspect.describe import describe
    from psiprune.inspect.tables import description_numbers, description_text

    if other is not None:
        if format is not None or settings is not None:
            raise InputError("--format: applies to shots, not to a pair of run folders; omit it")
        if readout is not None:
            raise InputError("--readout: applies to shots, not to a pair of run folders; omit it")
        runs = compare_runs(file, other)
        numbers = {"what": "comparison", "verdict": runs.verdict, **asdict(runs)}
        show(numbers, comparison_text(runs), json)
        return
    form, given = chosen_format(format, settings)
    if readout is None:
        description = describe(file, form, **given)
    else:
        description = describe(with_readout(read_shots(file, form, **given), readout))
    show(description_numbers(description), description_text(description), json)
