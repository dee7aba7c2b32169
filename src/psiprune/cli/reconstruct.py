"""The command `reconstruct`: from measured shots to a small RBM and a report."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

from psiprune.cli.app import Flat, app, chosen_format, chosen_settings, show
from psiprune.cli.experiments import folder_of
from psiprune.cli.options import Json, OutOption, with_method_options
from psiprune.data.formats.settings import ReadSettings
from psiprune.reconstruction.settings import ReconstructSettings


@app.command(name="reconstruct")
@with_method_options
def reconstruct_command(
    shots: Path,
    *,
    out: OutOption = None,
    settings: Annotated[ReconstructSettings | None, Flat] = None,
    format: str | None = None,
    reading: Annotated[ReadSettings | None, Flat] = None,
    config: Path | None = None,
    json: Json = False,
) -> None:
    """Find the smallest RBM that describes your shots; no reference state is needed.

    Selects the number of hidden units, trains an ensemble, prunes until the loss on validation
    shots is significant, tests the result and writes report.html. Rerun the same command to resume.

    Args:
        shots: file of shots, in any format that `psiprune import` reads
        out: folder of the run (default: runs/reconstruct-HASH, with the hash of its settings)
        format: format of the shots, as in psiprune import (default: detected)
        config: TOML file of settings, such as a run's config.toml; options given here take
            precedence
    """
    from psiprune.data.shots import read_shots
    from psiprune.reconstruction.api import reconstruct_and_report
    from psiprune.reconstruction.inputs import resolve_settings
    from psiprune.reconstruction.summary import methods_text, reconstruct_numbers, reconstruct_text

    chosen = chosen_settings(ReconstructSettings, settings, config)
    form, options = chosen_format(format, reading)
    data = read_shots(shots, form, **options)
    folder = folder_of(out, "reconstruct", resolve_settings(chosen, data))
    with redirect_stdout(sys.stderr):  # custom observables may print
        result = reconstruct_and_report(data, folder, chosen, {}, {"format": form, **options})
    methods = methods_text(result.dataset)
    text = f"{reconstruct_text(result.dataset)}\n\n{methods}\n{folder}: report.html, smallest.nc"
    numbers = {"folder": str(folder), "report": str(result.report)}
    show({**numbers, **reconstruct_numbers(result.dataset)}, text, json)
