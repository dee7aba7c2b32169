"""Whole runs as points of a sweep: one experiment of one configuration, all its fields and seeds.

Such a point is what its command makes, in a folder like any other run's, so that it goes on with
what is there after a kill:

    run/HASH/config.toml, ..., h=1/state.nc, ..., sparse.nc

Its ground states and shots are stages of the sweep that points share; their files stand in the run
a second time, under the names that a run gives them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psiprune.experiments.ablation import run_ablation
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.problem import phase_folder
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.experiments.sparse import run_sparse
from psiprune.experiments.study import run_study
from psiprune.io.netcdf import verify, write_bytes
from psiprune.io.run import open_run
from psiprune.sweeps.settings import EXPERIMENTS
from psiprune.sweeps.stages import Kind, Point, Stage, Step, make

RUN = "run"
_RUNNERS: Mapping[str, Callable[..., object]] = {
    "study": run_study,
    "sparse": run_sparse,
    "ablation": run_ablation,
    "frontier": run_frontier,
}
#: What runs share with one another, and with the points of studies.
_SHARED: tuple[Kind, ...] = ("state", "shots")


@dataclass(frozen=True)
class Run:
    """A whole run of an experiment.

    Attributes:
        settings: of the experiment.
    """

    settings: EnsembleSettings

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        (name,) = (name for name, model in EXPERIMENTS.items() if model is type(self.settings))
        return name

    @cached_property
    def config(self) -> dict[str, Any]:
        """All that the run's numbers depend on, as JSON has it."""
        values = self.settings.model_dump(mode="json")
        return {"psiprune": version("psiprune"), "experiment": self.experiment, **values}

    @property
    def columns(self) -> dict[str, Any]:
        """The settings as a table has them, where each field has rows of its own."""
        sized = self.settings.for_size().model_dump(mode="json", exclude={"fields"})
        # As a column beside until_measure, ... it would say nothing.
        if sized.get("until", ...) is None:
            del sized["until"]
        return {
            **sized,
            "hidden": self.settings.hidden_units,
            "psiprune": version("psiprune"),
        }

    @property
    def what(self) -> str:
        """The point in a few words."""
        fields = ", ".join(f"{field:g}" for field in self.settings.fields)
        seeds = f"{self.settings.seeds} seeds from {self.settings.seed}"
        return f"{self.experiment}, {self.settings.sites} sites, h = {fields}, {seeds}"

    @cached_property
    def problems(self) -> tuple[Point, ...]:
        """For each field a point of a study that has the same ground state and shots."""
        own = self.settings
        return tuple(
            Point(
                StudySettings(
                    sites=own.sites,
                    coupling=own.coupling,
                    fields=(field,),
                    shots=own.shots,
                    seed=own.seed,
                ),
                own.seed,
            )
            for field in own.fields
        )

    @property
    def lines(self) -> tuple[tuple[Stage, ...], ...]:
        """What the run needs, for each field one after the other."""
        return tuple(tuple(problem.stage(kind) for kind in _SHARED) for problem in self.problems)

    @property
    def last(self) -> RunStage:
        """The stage that is the run itself."""
        return RunStage(self)


@dataclass(frozen=True)
class RunStage(Step):
    """The run itself, after its ground states and shots."""

    run: Run
    kind = RUN

    @cached_property
    def inputs(self) -> bytes:
        """All that it depends on, as JSON in one order."""
        return (json.dumps(self.run.config, sort_keys=True, indent=1) + "\n").encode()

    @property
    def files(self) -> tuple[str, ...]:
        """The result of the run, which is written last."""
        return (f"{self.run.experiment}.nc",)

    def build(self, root: Path) -> None:
        """Make it, and what it needs.

        Raises:
            InputError: another process writes to the run, or a file is damaged.
        """
        folder, settings = self.folder(root), self.run.settings
        # Before anything else is there, or it would not be taken for a run.
        with open_run(folder, settings):
            write_bytes(folder / "inputs.json", self.inputs)
            for problem in self.run.problems:
                here = phase_folder(folder, problem.field)
                for stage in (problem.stage(kind) for kind in _SHARED):
                    _share(stage, root, here / stage.files[-1])
        _RUNNERS[self.run.experiment](settings, folder, progress=False)


def _share(stage: Stage, root: Path, file: Path) -> None:
    """The result of a stage under a second name, made before if need be."""
    if file.exists():
        return
    make(stage, root)
    result = stage.result(root)
    verify(result)  # else the copy would be told of, and be made again of the same
    try:
        with suppress(FileExistsError):
            os.link(result, file)
    except OSError:  # a disk that has no second names
        write_bytes(file, result.read_bytes())
