"""The command `info`: a look at a file or a run folder before anything is done with it."""

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
    """Tell what a file or a run folder holds, and warn of what is doubtful about it.

    Shots are searched for dead and biased qubits, drift, repeats, a broken symmetry and a permuted
    register; run folders for missing and damaged files. Nothing is written. See docs/info.md.

    Parameters
    ----------
    file
        shots of any format, a state, an RBM, a dataset, or the folder of a run
    format
        format of the shots, as in import, where the content does not tell it
    json
        print one JSON object on standard output, with every site and every bond
    """
    from psiprune.inspect.describe import describe
    from psiprune.inspect.tables import description_numbers, description_text

    form, given = chosen_format(format, settings)
    found = describe(file, form, **given)
    show(description_numbers(found), description_text(found), json)
