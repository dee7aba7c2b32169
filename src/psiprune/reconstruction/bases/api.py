"""`reconstruct` on shots in several bases: run the pipeline, then make figures and the report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.metrics.observable_text import GivenObservables
from psiprune.reconstruction.bases.estimate import Begin
from psiprune.reconstruction.bases.pipeline import run_bases
from psiprune.reconstruction.bases.result import PhaseReconstruction, assemble_bases
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.reporting.figures import save_figures


def reconstruct_bases(
    data: Shots,
    folder: Path | None,
    settings: BasesSettings,
    observables: GivenObservables | None = None,
    reading: Mapping[str, Any] | None = None,
    begin: Begin | None = None,
) -> PhaseReconstruction:
    """Reconstruct a state with phases; with a folder also write figures and report.

    Args:
        data: shots in several bases.
        folder: of the run; if None, nothing stays on disk.
        settings: of the run.
        observables: sums of Pauli strings by name.
        reading: options that the file of the shots was read with.
        begin: see `run_bases`.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="psiprune-") as temporary:
            run = Path(temporary)
            return assemble_bases(
                run, run_bases(settings, data, run, observables, begin=begin), None, {}
            )
    dataset = run_bases(settings, data, folder, observables, begin=begin)
    result = assemble_bases(folder, dataset, folder, reading or {})
    figures = result.figures()
    save_figures(figures, folder / "figures")
    result.write_report(folder / "report.html", figures)
    return result


def bases_settings(
    shots: Shots, values: Mapping[str, Any], base: BasesSettings | None = None
) -> BasesSettings:
    """Return settings from values given for any shots.

    Raises:
        InputError: a value is not one of `BasesSettings`, or invalid.
    """
    for name in values:
        if name not in BasesSettings.model_fields:
            raise InputError(
                f"{name}: cannot be used here: {shots.source} has shots in {len(shots.bases)} "
                f"bases; omit it, or give one of {', '.join(BasesSettings.model_fields)}"
            )
    before = {} if base is None else {x: getattr(base, x) for x in base.model_fields_set}
    return BasesSettings(**{**before, **values})
