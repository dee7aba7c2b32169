"""The command `info`, which describes a file or a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, app, chosen_format, show
from psiprune.data.formats.settings import ReadSettings


@app.command(name="info")
def info_command(
    file: Path,
    /,
    *,
    format: str | None = None,
    settings: Annotated[ReadSettings | None, Flat] = None,
    json: bool = False,
) -> None:
    """Describe a file or a run folder, and warn about possible problems.

    Shots are tested for dead and biased qubits, drift, repeated shots, a broken Z2 symmetry and a
    permuted register; run folders for missing and damaged files. Nothing is written.

    Args:
        file: shots in any format, a state, an RBM, a dataset, or a run folder
        format: format of the shots, as in psiprune import (default: detected)
        json: print one JSON object on standard output, with every site and every bond
    """
    from psiprune.inspect.describe import describe
    from psiprune.inspect.tables import description_numbers, description_text

    form, given = chosen_format(format, settings)
    description = describe(file, form, **given)
    show(description_numbers(description), description_text(description), json)
