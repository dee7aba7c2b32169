"""Commands that run a whole experiment into one folder: `study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psiprune.cli.app import Flat, app, chosen_settings, show
from psiprune.config import StudySettings


@app.command(name="study")
def study_command(
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    settings: Annotated[StudySettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Run the paper's Fig. 2: train, prune, measure, in every phase; a second start goes on.

    Parameters
    ----------
    out
        folder of the run; runs/study-HASH of its configuration if not given
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    from psiprune.experiments.study import run_study
    from psiprune.figures import plot_study, save_figure
    from psiprune.runs import default_folder
    from psiprune.tables import study_numbers, study_text

    chosen = chosen_settings(StudySettings, settings, config)
    folder = out if out is not None else default_folder("study", chosen)
    study = run_study(chosen, folder)
    figures = save_figure(plot_study(study), folder / "figure")
    text = f"{study_text(study)}\n\n{folder}: study.nc, {', '.join(file.name for file in figures)}"
    show({"folder": str(folder), "levels": study_numbers(study)}, text, json)
