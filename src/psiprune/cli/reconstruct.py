"""`psiprune reconstruct`: a lab's own shots in, a small RBM and a report out."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, app, chosen_format, chosen_settings, show
from psiprune.cli.experiments import Folder, folder_of
from psiprune.data.formats.settings import ReadSettings
from psiprune.reconstruction.settings import ReconstructSettings


@app.command(name="reconstruct")
def reconstruct_command(
    shots: Path,
    *,
    out: Folder = None,
    settings: Annotated[ReconstructSettings | None, Flat] = None,
    format: str | None = None,
    reading: Annotated[ReadSettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """From your own shots to the smallest RBM that describes them; a second start goes on.

    Chooses the number of hidden units, trains an ensemble, prunes until held-out shots show the
    loss, and says how small, at what cost, and whether to trust it: report.html.

    Parameters
    ----------
    shots
        file of shots, of any format that `psiprune import` reads
    out
        folder of the run; runs/reconstruct-HASH of its configuration if not given
    format
        format of the shots, as in import, where the content does not tell it
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    from psiprune.data.shots import read_shots
    from psiprune.reconstruction.api import reconstruct_and_report
    from psiprune.reconstruction.pipeline import resolve_settings
    from psiprune.reconstruction.summary import reconstruct_numbers, reconstruct_text

    chosen = chosen_settings(ReconstructSettings, settings, config)
    form, given = chosen_format(format, reading)
    data = read_shots(shots, form, **given)
    folder = folder_of(out, "reconstruct", resolve_settings(chosen, data))
    with redirect_stdout(sys.stderr):  # what a user's own observables print
        found = reconstruct_and_report(data, folder, chosen, {}, {"format": form, **given})
    text = f"{reconstruct_text(found.dataset)}\n\n{found.report}; beside it smallest.nc"
    numbers = {"folder": str(folder), "report": str(found.report)}
    show({**numbers, **reconstruct_numbers(found.dataset)}, text, json)
