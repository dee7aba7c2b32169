"""Settings of a sweep: an experiment over a grid of its settings, and the workers that run it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import Field, ValidationInfo, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_POINTS
from psiprune.core.settings import Settings, check_numbers, flat, is_settings
from psiprune.experiments.entanglement_settings import EntanglementSettings
from psiprune.experiments.masks_settings import MasksSettings
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.states.spin_models import MODEL_FIELDS, SpinModel
from psiprune.sweeps.grid import GridSettings
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, MethodBySize


def _tree(model: type[Settings], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all settings, including those that contain others."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in (field.annotation, *get_args(field.annotation)):
            if inner is Method:
                yield from (f"{prefix}{name}.{option}" for option in METHOD_FIELDS)
            elif inner is SpinModel:
                yield from (f"{prefix}{name}.{option}" for option in MODEL_FIELDS)
            elif inner is not MethodBySize and is_settings(inner):
                yield from _tree(inner, f"{prefix}{name}.")


#: Experiments that can be swept, by the name of the command and of the table in the file.
EXPERIMENTS: Mapping[str, type[EnsembleSettings]] = {
    "study": StudySettings,
    "sparse": SparseSettings,
    "ablation": AblationSettings,
    "frontier": FrontierSettings,
    "masks": MasksSettings,
    "entanglement": EntanglementSettings,
}
_KEYS = {name: tuple(_tree(model)) for name, model in EXPERIMENTS.items()}
_ONE_OF = {
    "study": "a study",
    "sparse": "a sparse run",
    "ablation": "an ablation",
    "frontier": "a frontier",
    "masks": "a comparison of masks",
    "entanglement": "an entanglement run",
}
#: Keys that select the other keys of their table.
_SELECTORS = ("method", "kind")
#: Settings whose values are lists; in a grid, a single number means a list of one.
_LISTS = ("fields", "shares", "rewired", "widths", "bonds", "weights_per_site", "kinds")


def _check_key(key: str, experiment: str, place: str = "") -> None:
    known = _KEYS[experiment]
    if key in known:
        return
    (nearest,) = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    others = [_ONE_OF[name] for name, keys in _KEYS.items() if key in keys]
    where = f", only of {' and '.join(others)}" if others else ""
    raise InputError(
        f"{place}{key}: no such setting of {_ONE_OF[experiment]}{where}; did you mean {nearest}?"
    )


#: [HH:]MM:SS, or D-HH[:MM[:SS]]. A bare number is ambiguous: minutes for Slurm, seconds for PBS.
_TIME = r"(\d+:)?\d+:\d+|\d+-\d+(:\d+){0,2}"
_MEMORY = r"(?i)(\d+(?:\.\d+)?)\s*([kmgtp])i?b?"


class LocalSettings(Settings):
    """Workers on this machine."""

    workers: int | None = Field(
        default=None,
        ge=1,
        description="number of workers (default: one per core available to this process)",
    )


class QueueSettings(Settings):
    """Workers as jobs of a batch system, one process per core."""

    queue: str | None = Field(
        default=None, description="queue or partition (default: that of the batch system)"
    )
    account: str | None = Field(default=None, description="account or project to charge")
    walltime: str = Field(
        default="01:00:00", description="time limit of a job, HH:MM:SS; D-HH:MM:SS for Slurm"
    )
    cores: int = Field(default=1, ge=1, description="cores per job, each with one worker")
    memory: str = Field(default="4GB", description="memory per job, such as 16GB")
    interface: str | None = Field(
        default=None, description="network interface of scheduler and workers, such as ib0"
    )
    jobs: int = Field(default=1, ge=1, description="number of jobs to submit")
    prologue: tuple[str, ...] = Field(
        default=(),
        description="shell commands to run before the workers start: modules, environments",
    )
    directives: tuple[str, ...] = Field(
        default=(), description="additional lines for the header of the job script"
    )

    @field_validator("walltime")
    @classmethod
    def _time(cls, walltime: str) -> str:
        if not re.fullmatch(_TIME, walltime) or not re.search("[1-9]", walltime):
            raise ValueError("must be a time such as 12:00:00, or 2-12:00:00 with days for Slurm")
        return walltime

    @field_validator("memory")
    @classmethod
    def _bytes(cls, memory: str) -> str:
        match = re.fullmatch(_MEMORY, memory.strip())
        # dask-jobqueue cannot request less than a megabyte from Slurm, and no worker fits in it.
        if not match or float(match[1]) * 1000.0 ** " kmgtp".index(match[2].lower()) < 1e6:
            raise ValueError(
                "must be a number with a unit, such as 16GB or 500MiB, and at least 1MB"
            )
        return memory

    @property
    def seconds(self) -> int:
        """The walltime in seconds."""
        days, _, clock = self.walltime.rpartition("-")
        parts = [int(part) for part in clock.split(":")]
        # With days, the clock begins with hours; without, it ends with seconds.
        rest = [0] * (3 - len(parts))
        hours, minutes, seconds = parts + rest if days else rest + parts
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


class SweepSettings(Settings):
    """An experiment over a grid, which may contain any setting of the experiment's command."""

    study: StudySettings = Field(default_factory=StudySettings)
    sparse: SparseSettings | None = None
    ablation: AblationSettings | None = None
    frontier: FrontierSettings | None = None
    masks: MasksSettings | None = None
    entanglement: EntanglementSettings | None = None
    grid: tuple[GridSettings, ...] | None = Field(
        default=None,
        description="list of blocks, whose points are joined (default: the experiment alone)",
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="how often to retry a failed task, unless the failure is certain to recur",
    )
    local: LocalSettings = Field(default_factory=LocalSettings)
    slurm: QueueSettings | None = Field(default=None, description="jobs of `--slurm`")
    pbs: QueueSettings | None = Field(default=None, description="jobs of `--pbs`")

    @field_validator(*EXPERIMENTS, mode="before")
    @classmethod
    def _settings(cls, table: Any, info: ValidationInfo) -> Any:
        if isinstance(table, dict):
            for key, _ in flat(table):  # to suggest the nearest name
                _check_key(key, str(info.field_name))
        return table

    @field_validator("grid", mode="before")
    @classmethod
    def _blocks(cls, grid: Any) -> Any:
        if isinstance(grid, dict):
            raise ValueError("must be a list of blocks; write [[grid]], with double brackets")
        return grid

    def _check_together(self) -> None:
        given = [name for name in EXPERIMENTS if self._gives(name)]
        if len(given) > 1:
            raise ValueError(
                f"{given[1]}: a sweep runs one experiment, found [{given[0]}] and [{given[1]}]; "
                "omit one of them"
            )
        if self.grid == ():
            raise ValueError(
                "grid: must have at least one block, found none; omit it for a single point"
            )
        for k, block in enumerate(self.grid or ()):
            for part, key in block.places():
                _check_key(key, self.experiment, f"grid.{k}.{part}.")
        points = sum(block.size for block in self.grid or ())
        if points > MOST_POINTS:
            raise ValueError(f"grid: may have at most {MOST_POINTS} points, found {points}")
        rbms = sum(len(each.fields) * each.seeds for each in self.configurations())
        if rbms > MOST_POINTS:
            raise ValueError(
                f"grid: may have at most {MOST_POINTS} RBMs, one for each field and seed of each "
                f"point, found {rbms}"
            )

    def _gives(self, name: str) -> bool:
        return name in self.model_fields_set and getattr(self, name) is not None

    @property
    def experiment(self) -> str:
        """The name of the experiment: that of the given table, by default study."""
        return next((name for name in EXPERIMENTS if self._gives(name)), "study")

    def configurations(self) -> list[EnsembleSettings]:
        """Return the settings of each point of the grid, in order, with all fields and seeds.

        Raises:
            InputError: a value, or a combination of values, is invalid for the experiment.
        """
        base: EnsembleSettings = getattr(self, self.experiment)
        if self.grid is None:
            return [base]
        values = base.model_dump(exclude_unset=True, exclude_none=True)
        return [
            _chosen(type(base), values, choice, f"grid.{k}")
            for k, block in enumerate(self.grid)
            for choice in block.choices()
        ]


def _chosen(
    model: type[EnsembleSettings],
    base: Mapping[str, Any],
    choice: list[tuple[str, str, Any]],
    block: str,
) -> EnsembleSettings:
    """Return the settings of a point; if they are invalid, the error names the value to blame."""
    try:
        return _changed(model, base, choice)
    except InputError as error:
        for where, key, value in choice:
            try:
                _changed(model, base, [(where, key, value)])
            except InputError as single_error:
                rule = str(single_error).removeprefix(f"{key}: ")
                raise InputError(f"{block}.{where}: {rule}") from None
        values = ", ".join(f"{key} = {value}" for _, key, value in choice)
        raise InputError(f"{block}: {values} cannot be combined: {error}") from None


def _changed(
    model: type[EnsembleSettings], base: Mapping[str, Any], choice: list[tuple[str, str, Any]]
) -> EnsembleSettings:
    values: dict[str, Any] = {}
    for key, value in flat(base):
        _put(values, key, value)
    # A method replaces the table of another one, so it goes before the fields it has.
    for _, key, value in sorted(choice, key=lambda part: not _selects(part[1])):
        single = key in _LISTS and not isinstance(value, list | tuple)
        _put(values, key, [value] if single else value)
    check_numbers(model, values)
    return model(**values)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; a table is merged into an existing one, unless method or kind differ."""
    if isinstance(value, dict):
        for inner, item in sorted(flat(value), key=lambda part: not _selects(part[0])):
            _put(values, f"{key}.{inner}", item)
        return
    *path, last = key.split(".")
    for name in path:
        if not isinstance(values.get(name), dict):  # not a table; validation reports it
            values[name] = {}
        values = values[name]
    if _selects(last) and values.get(last, value) != value:
        values.clear()
    values[last] = value


def _selects(key: str) -> bool:
    return key.rpartition(".")[2] in _SELECTORS
