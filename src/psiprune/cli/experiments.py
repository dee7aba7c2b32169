"""Commands that run one experiment into a folder: `study`, `sparse`, `ablation`, `frontier`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from psiprune.cli.app import Flat, app, chosen_settings, show
from psiprune.core.settings import Settings
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)

Folder = Annotated[Path | None, Parameter(name=["--out", "-o"])]
_HELP = """{summary}

Parameters
----------
out
    folder of the run; runs/{name}-HASH of its configuration if not given
config
    TOML file of the settings, such as a run's config.toml; options given here win
json
    print one JSON object on standard output
"""


class Experiment(NamedTuple):
    """An experiment as a command.

    Its code is imported when the command runs: `run_NAME` from experiments/NAME.py, the functions
    that draw its figures from experiments/figures/NAME.py, its table from experiments/tables.py.

    Attributes:
        name: name of the command, of its modules, and of the dataset NAME.nc.
        settings: class of its settings, which are the options.
        summary: first line of its help.
        figures: name of the file and of the function that draws it, for each figure.
    """

    name: str
    settings: type[EnsembleSettings]
    summary: str
    figures: Mapping[str, str]


def folder_of(out: Path | None, name: str, settings: Settings) -> Path:
    """Return the folder of a run: as given, else named after its configuration.

    Raises:
        InputError: another process writes to it.
    """
    from psiprune.io.run import default_folder, refuse_busy

    folder = out if out is not None else default_folder(name, settings)
    refuse_busy(folder)  # `open_run` would too, but after seconds of loading
    return folder


def register(experiment: Experiment) -> None:
    """Add the command that runs an experiment, saves its figures and prints its table."""
    name = experiment.name

    def command(
        *,
        out: Folder = None,
        settings: EnsembleSettings | None = None,
        config: Path | None = None,
        json: bool = False,
    ) -> None:
        chosen = chosen_settings(experiment.settings, settings, config)
        folder = folder_of(out, name, chosen)
        from psiprune.experiments.tables import table_numbers, table_text
        from psiprune.reporting.figures import save_figures

        run = getattr(import_module(f"psiprune.experiments.{name}"), f"run_{name}")
        drawing = import_module(f"psiprune.experiments.figures.{name}")
        dataset = run(chosen, folder)
        figures = {
            stem: getattr(drawing, draw)(dataset) for stem, draw in experiment.figures.items()
        }
        files = ", ".join(file.name for file in save_figures(figures, folder))
        show(
            {"folder": str(folder), **table_numbers(name, dataset)},
            f"{table_text(name, dataset)}\n\n{folder}: {name}.nc, {files}",
            json,
        )

    command.__doc__ = _HELP.format(summary=experiment.summary, name=name)
    command.__annotations__["settings"] = Annotated[experiment.settings | None, Flat]
    app.command(command, name=name)


EXPERIMENTS = (
    Experiment(
        "study",
        StudySettings,
        "Run the paper's Fig. 2: train, prune, measure, in every phase; rerun to resume.",
        {"figure": "plot_study"},
    ),
    Experiment(
        "sparse",
        SparseSettings,
        "Run the paper's Fig. 5: RBMs that are sparse from the start; rerun to resume.",
        {"figure": "plot_sparse"},
    ),
    Experiment(
        "ablation",
        AblationSettings,
        "Break the clusters of a pruned mask step by step, and forbid those of a dense RBM.",
        {"broken": "plot_broken", "forbidden": "plot_forbidden"},
    ),
    Experiment(
        "frontier",
        FrontierSettings,
        "Compare all methods by error against number of weights; rerun to resume.",
        {"figure": "plot_frontier"},
    ),
)
for _experiment in EXPERIMENTS:
    register(_experiment)
