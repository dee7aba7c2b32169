"""Commands that run one experiment into a folder: `study`, `sparse`, `ablation`, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from psiprune.cli.app import Chosen, Flat, chosen_settings, command_line, show
from psiprune.cli.models import model_table, with_model_options
from psiprune.cli.options import Json, OutOption, with_method_options
from psiprune.core.settings import Settings
from psiprune.experiments.entanglement_settings import EntanglementSettings
from psiprune.experiments.masks_settings import MasksSettings
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)

_HELP = """{summary}

Rerun the same command to resume.

Args:
    out: folder of the run (default: runs/{name}-HASH, with the hash of its settings)
    config: TOML file of settings, such as a run's config.toml; options given here take precedence
"""


def folder_of(out: Path | None, name: str, settings: Settings) -> Path:
    """Return the folder of a run: as given, else named after its configuration.

    Raises:
        InputError: another process writes to it.
    """
    from psiprune.io.run import default_folder, refuse_busy

    folder = out if out is not None else default_folder(name, settings)
    refuse_busy(folder)  # `open_run` would too, but after seconds of loading
    return folder


def run_experiment(
    name: str,
    chosen: EnsembleSettings,
    out: Path | None,
    draw: Callable[[Any, Any], Mapping[str, Any]],
    json: bool,
) -> None:
    """Run an experiment, save its figures and print its table.

    The code is imported here: run_NAME from experiments/NAME.py, the table NAME from
    experiments/tables.py, and the figures from experiments/figures/NAME.py.

    Args:
        name: of the command.
        chosen: its settings.
        out: folder of the run, or None for the default.
        draw: takes the module of the figures and the dataset to figures by the names of their
            files.
        json: whether to print one JSON object.
    """
    chosen = chosen.for_size()
    folder = folder_of(out, name, chosen)
    from psiprune.experiments.answers import answer_text
    from psiprune.experiments.ensemble import methods_of
    from psiprune.experiments.tables import table_numbers, table_text
    from psiprune.reporting.figures import save_figures

    run = getattr(import_module(f"psiprune.experiments.{name}"), f"run_{name}")
    dataset = run(chosen, folder)
    drawn = draw(import_module(f"psiprune.experiments.figures.{name}"), dataset)
    files = ", ".join(file.name for file in save_figures(drawn, folder))
    methods = methods_of(chosen)
    show(
        {
            "folder": str(folder),
            **table_numbers(name, dataset),
            "methods": {field: method.model_dump() for field, method in methods.items()},
            "training_warnings": [],
        },
        "\n".join(
            [
                answer_text(name, dataset),
                "",
                table_text(name, dataset),
                "",
                *(f"{field}: {method}" for field, method in methods.items()),
                f"{folder}: {name}.nc, {files}",
            ]
        ),
        json,
        command_line("info", folder),
    )


def command_of(name: str, kind: type[EnsembleSettings], **figures: str) -> Callable[..., None]:
    """Return the command of an experiment.

    Args:
        name: of the command.
        kind: class of its settings, whose docstring begins the help and whose fields are options.
        figures: for each file of a figure the name of the function that draws it.
    """

    def command(
        *,
        out: OutOption = None,
        settings: EnsembleSettings | None = None,
        model: BaseModel | None = None,
        config: Path | None = None,
        json: Json = False,
    ) -> None:
        def draw(module: Any, dataset: Any) -> Mapping[str, Any]:
            return {stem: getattr(module, name)(dataset) for stem, name in figures.items()}

        run_experiment(name, _chosen(kind, settings, model, config), out, draw, json)

    command.__doc__ = _HELP.format(summary=kind.__doc__, name=name)
    command.__annotations__["settings"] = Annotated[kind | None, Flat]
    return with_model_options(with_method_options(command), kind.model_fields)


def _chosen(
    kind: type[Chosen], settings: Any, model: BaseModel | None, config: Path | None
) -> Chosen:
    """Return the settings of an experiment, with the Hamiltonian of the options for models."""
    table = model_table(model, updates=config is not None)
    return chosen_settings(kind, settings, config, more={"model": table} if table else None)


study_command = command_of("study", StudySettings, figure="study_figure")
sparse_command = command_of("sparse", SparseSettings, figure="plot_sparse")
ablation_command = command_of(
    "ablation", AblationSettings, broken="plot_broken", forbidden="plot_forbidden"
)
frontier_command = command_of("frontier", FrontierSettings, figure="plot_frontier")
entanglement_command = command_of("entanglement", EntanglementSettings, figure="plot_entanglement")


@partial(with_model_options, without=MasksSettings.model_fields)
@with_method_options
def masks_command(
    *,
    out: OutOption = None,
    settings: Annotated[MasksSettings | None, Flat] = None,
    model: BaseModel | None = None,
    config: Path | None = None,
    others: tuple[Path, ...] = (),
    json: Json = False,
) -> None:
    """Compare masks made before training, at equal numbers of weights and of hidden units.

    Rerun the same command to resume.

    Args:
        out: folder of the run (default: runs/masks-HASH, with the hash of its settings)
        config: TOML file of settings, such as a run's config.toml; options given here take
            precedence
        others: folders of finished runs, of other sizes, shots or epochs for example, to draw in
            scaling.png and times.png too, in needed.png, the parameters needed for a KL of 10^-4
            per site, and in learnability.png, the weights needed against the number of sites; with
            other numbers of shots also in shots.png
    """
    chosen = _chosen(MasksSettings, settings, model, config)
    from psiprune.io.netcdf import read_dataset

    finished = [read_dataset(folder / "masks.nc", "masks") for folder in others]

    def draw(module: Any, masks: Any) -> Mapping[str, Any]:
        from psiprune.experiments.figures.masks_by_shots import plot_shots
        from psiprune.experiments.figures.masks_by_size import plot_learnability, plot_needed
        from psiprune.experiments.figures.masks_by_time import plot_times

        runs = [masks, *finished]
        of_sizes = {"needed": plot_needed, "learnability": plot_learnability}
        by_shots = len({run.attrs["shots"] for run in runs}) > 1
        return {
            "budget": module.plot_budget(masks),
            "scaling": module.plot_scaling(runs),
            "times": plot_times(runs),
            "correlations": module.plot_correlations(masks),
            "links": module.plot_links(masks),
            "masks": module.plot_masks(masks),
            **({name: plot(runs) for name, plot in of_sizes.items()} if finished else {}),
            **({"shots": plot_shots(runs)} if by_shots else {}),
        }

    run_experiment("masks", chosen, out, draw, json)
