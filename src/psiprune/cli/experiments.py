"""Commands that run a whole experiment into one folder: `study`, `sparse` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from psiprune.cli.app import Flat, app, chosen_settings, show
from psiprune.cli.options import with_method_options
from psiprune.core.settings import Settings
from psiprune.experiments.settings import (
    AblationSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Folder = Annotated[Path | None, Parameter(name=["--out", "-o"])]


def folder_of(out: Path | None, name: str, settings: Settings) -> Path:
    """The folder of a run: as given, else named by its configuration; not if it is in use."""
    from psiprune.io.run import default_folder, refuse_busy

    folder = out if out is not None else default_folder(name, settings)
    refuse_busy(folder)  # `open_run` would too, but after seconds of loading
    return folder


def _finish(
    folder: Path,
    name: str,
    table: str,
    numbers: dict[str, Any],
    figures: dict[str, Figure],
    json: bool,
) -> None:
    """Save the figures of a run beside NAME.nc, and print its table or its numbers."""
    from psiprune.reporting.figures import save_figures

    drawn = save_figures(figures, folder)
    text = f"{table}\n\n{folder}: {name}.nc, {', '.join(file.name for file in drawn)}"
    show({"folder": str(folder), **numbers}, text, json)


@app.command(name="study")
@with_method_options
def study_command(
    *,
    out: Folder = None,
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
    chosen = chosen_settings(StudySettings, settings, config)
    folder = folder_of(out, "study", chosen)
    from psiprune.experiments.figures.study import plot_study
    from psiprune.experiments.study import run_study
    from psiprune.experiments.tables import smallest_of_study, study_numbers, study_text

    study = run_study(chosen, folder)
    figures = {"figure": plot_study(study)}
    numbers = {"levels": study_numbers(study)}
    if chosen.until is not None:
        numbers["smallest"] = smallest_of_study(study)
    _finish(folder, "study", study_text(study), numbers, figures, json)


@app.command(name="sparse")
@with_method_options
def sparse_command(
    *,
    out: Folder = None,
    settings: Annotated[SparseSettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Run the paper's Fig. 5: RBMs that are sparse from the start; a second start goes on.

    Parameters
    ----------
    out
        folder of the run; runs/sparse-HASH of its configuration if not given
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    chosen = chosen_settings(SparseSettings, settings, config)
    folder = folder_of(out, "sparse", chosen)
    from psiprune.experiments.figures.sparse import plot_sparse
    from psiprune.experiments.sparse import run_sparse
    from psiprune.experiments.tables import sparse_numbers, sparse_text

    sparse = run_sparse(chosen, folder)
    figures = {"figure": plot_sparse(sparse)}
    numbers = {"variants": sparse_numbers(sparse)}
    _finish(folder, "sparse", sparse_text(sparse), numbers, figures, json)


@app.command(name="ablation")
@with_method_options
def ablation_command(
    *,
    out: Folder = None,
    settings: Annotated[AblationSettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Break the clusters of a pruned mask step by step, and forbid those that a dense RBM forms.

    Parameters
    ----------
    out
        folder of the run; runs/ablation-HASH of its configuration if not given
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    chosen = chosen_settings(AblationSettings, settings, config)
    folder = folder_of(out, "ablation", chosen)
    from psiprune.experiments.ablation import run_ablation
    from psiprune.experiments.figures.ablation import plot_broken, plot_forbidden
    from psiprune.experiments.tables import ablation_numbers, ablation_text

    ablation = run_ablation(chosen, folder)
    figures = {"broken": plot_broken(ablation), "forbidden": plot_forbidden(ablation)}
    numbers = {"ablation": ablation_numbers(ablation)}
    _finish(folder, "ablation", ablation_text(ablation), numbers, figures, json)


@app.command(name="frontier")
@with_method_options
def frontier_command(
    *,
    out: Folder = None,
    settings: Annotated[FrontierSettings | None, Flat] = None,
    config: Path | None = None,
    json: bool = False,
) -> None:
    """Compare all methods by error against number of weights; a second start goes on.

    Parameters
    ----------
    out
        folder of the run; runs/frontier-HASH of its configuration if not given
    config
        TOML file of the settings, such as a run's config.toml; options given here win
    json
        print one JSON object on standard output
    """
    chosen = chosen_settings(FrontierSettings, settings, config)
    folder = folder_of(out, "frontier", chosen)
    from psiprune.experiments.figures.frontier import plot_frontier
    from psiprune.experiments.frontier import run_frontier
    from psiprune.experiments.tables import frontier_numbers, frontier_text

    frontier = run_frontier(chosen, folder)
    figures = {"figure": plot_frontier(frontier)}
    numbers = {"frontier": frontier_numbers(frontier)}
    _finish(folder, "frontier", frontier_text(frontier), numbers, figures, json)
