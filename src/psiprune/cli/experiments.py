"""Commands that run a whole experiment into one folder: `study`, `sparse` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psiprune.cli.app import Flat, app, chosen_settings, show
from psiprune.config import AblationSettings, FrontierSettings, SparseSettings, StudySettings


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


@app.command(name="sparse")
def sparse_command(
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
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
    from psiprune.experiments.sparse import run_sparse
    from psiprune.figures import save_figure
    from psiprune.figures_sparse import plot_sparse
    from psiprune.runs import default_folder
    from psiprune.tables_sparse import sparse_numbers, sparse_text

    chosen = chosen_settings(SparseSettings, settings, config)
    folder = out if out is not None else default_folder("sparse", chosen)
    sparse = run_sparse(chosen, folder)
    figures = save_figure(plot_sparse(sparse), folder / "figure")
    names = ", ".join(file.name for file in figures)
    text = f"{sparse_text(sparse)}\n\n{folder}: sparse.nc, {names}"
    show({"folder": str(folder), "variants": sparse_numbers(sparse)}, text, json)


@app.command(name="ablation")
def ablation_command(
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
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
    from psiprune.experiments.ablation import run_ablation
    from psiprune.figures import save_figure
    from psiprune.figures_sparse import plot_broken, plot_forbidden
    from psiprune.runs import default_folder
    from psiprune.tables_sparse import ablation_numbers, ablation_text

    chosen = chosen_settings(AblationSettings, settings, config)
    folder = out if out is not None else default_folder("ablation", chosen)
    ablation = run_ablation(chosen, folder)
    figures = [
        *save_figure(plot_broken(ablation), folder / "broken"),
        *save_figure(plot_forbidden(ablation), folder / "forbidden"),
    ]
    names = ", ".join(file.name for file in figures)
    text = f"{ablation_text(ablation)}\n\n{folder}: ablation.nc, {names}"
    show({"folder": str(folder), "ablation": ablation_numbers(ablation)}, text, json)


@app.command(name="frontier")
def frontier_command(
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
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
    from psiprune.experiments.frontier import run_frontier
    from psiprune.figures import save_figure
    from psiprune.figures_frontier import plot_frontier
    from psiprune.runs import default_folder
    from psiprune.tables_frontier import frontier_numbers, frontier_text

    chosen = chosen_settings(FrontierSettings, settings, config)
    folder = out if out is not None else default_folder("frontier", chosen)
    frontier = run_frontier(chosen, folder)
    figures = save_figure(plot_frontier(frontier), folder / "figure")
    names = ", ".join(file.name for file in figures)
    text = f"{frontier_text(frontier)}\n\n{folder}: frontier.nc, {names}"
    show({"folder": str(folder), "frontier": frontier_numbers(frontier)}, text, json)
