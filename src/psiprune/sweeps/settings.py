"""An experiment over a grid of its settings, and the machines that run it."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any, get_args

from pydantic import Field, ValidationInfo, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings, check_numbers
from psiprune.experiments.settings import (
    AblationSettings,
    EnsembleSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, MethodBySize


def _tree(model: type[Settings], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, those that hold others included."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in (field.annotation, *get_args(field.annotation)):
            if inner is Method:
                yield from (f"{prefix}{name}.{each}" for each in METHOD_FIELDS)
            elif inner is not MethodBySize and _is_settings(inner):
                yield from _tree(inner, f"{prefix}{name}.")


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


#: What a sweep may be of: by the name of its command and of its table in the file.
EXPERIMENTS: Mapping[str, type[EnsembleSettings]] = {
    "study": StudySettings,
    "sparse": SparseSettings,
    "ablation": AblationSettings,
    "frontier": FrontierSettings,
}
_KEYS = {name: tuple(_tree(model)) for name, model in EXPERIMENTS.items()}
_ONE_OF = {
    "study": "a study",
    "sparse": "a sparse run",
    "ablation": "an ablation",
    "frontier": "a frontier",
}
#: Settings that are lists themselves: a number stands for a list of one.
_LISTS = ("fields", "shares", "rewired", "widths", "bonds")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """TOML's nested tables as dotted keys: {prune: {levels: [3]}} -> ("prune.levels", [3])."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _keyed(table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ValueError("must be a table of settings")
    return {key: _plain(key, value) for key, value in _flat(table)}


def _check_key(key: str, experiment: str, place: str = "") -> None:
    known = _KEYS[experiment]
    if key in known:
        return
    (nearest,) = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    others = [_ONE_OF[name] for name, keys in _KEYS.items() if key in keys]
    where = f", but of {' and '.join(others)}" if others else ""
    raise InputError(
        f"{place}{key}: no such setting of {_ONE_OF[experiment]}{where}; the nearest is {nearest}"
    )


def _plain(key: str, value: Any) -> Any:
    """The value as TOML has it: NumPy's numbers and arrays, ranges and settings of ours turned."""
    if isinstance(value, Settings):
        value = value.model_dump(exclude_unset=True)
    elif isinstance(value, range):
        value = list(value)
    elif hasattr(value, "tolist"):  # without NumPy, which no option of a command needs
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(f"{key}.{name}", each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{key}.{k}", each) for k, each in enumerate(value)]
    if value is not None and not isinstance(value, _SCALARS):
        raise InputError(f"{key}: must be a number, a text, a list or a table, found {value!r}")
    return value


#: Dates are of TOML too, and refused by the setting that they are for.
_SCALARS = (bool, int, float, str, date, time)


class GridSettings(Settings):
    """A block of a grid: all combinations of its product, its zip and its points."""

    product: dict[str, tuple[Any, ...]] = Field(
        default={}, description="settings with their values, of which every combination is taken"
    )
    zip: dict[str, tuple[Any, ...]] = Field(
        default={}, description="settings with their values, all first ones together and so on"
    )
    points: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="tables of settings with one value each"
    )

    @field_validator("product", "zip", mode="before")
    @classmethod
    def _lists(cls, table: Any) -> dict[str, Any]:
        flat = _keyed(table)
        for key, values in flat.items():
            if not isinstance(values, list | tuple):
                raise InputError(f"{key}: must be a list of values, found {values!r}")
            if not values:
                raise InputError(f"{key}: holds no value, so the grid would be empty")
            if None in values:
                raise InputError(f"{key}.{values.index(None)}: must be a value, found None")
        return flat

    @field_validator("points", mode="before")
    @classmethod
    def _tables(cls, tables: Any) -> list[dict[str, Any]]:
        if not isinstance(tables, list | tuple) or not tables:
            raise ValueError("must be a list of tables, at least one, or the grid would be empty")
        return [_keyed(table) for table in tables]

    def _check_together(self) -> None:
        if not (self.product or self.zip or self.points):
            raise ValueError("product: must be given, or zip or points; the grid is empty")
        lengths = {key: len(values) for key, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            raise ValueError(f"zip: all must have as many values, but {told}")
        named = [*self.product, *self.zip, *{key for point in self.points or () for key in point}]
        for key in named:
            if named.count(key) > 1:
                raise ValueError(f"{key}: stands in two of product, zip and points; choose one")
            for other in named:
                if other.startswith(f"{key}."):
                    raise ValueError(
                        f"{key}: stands in a block with {other}, and one would undo the other; "
                        f"give {other} in the tables of {key}, or leave one out"
                    )

    def places(self) -> Iterator[tuple[str, str]]:
        """Each setting that the block names, after the part of the block where it stands."""
        yield from (("product", key) for key in self.product)
        yield from (("zip", key) for key in self.zip)
        yield from (("points", key) for point in self.points or () for key in point)

    def choices(self) -> Iterator[list[tuple[str, str, Any]]]:
        """Each combination as (where it stands in the block, setting, value)."""
        factors = [
            [[(f"product.{key}.{k}", key, value)] for k, value in enumerate(values)]
            for key, values in self.product.items()
        ]
        if self.zip:
            rows = zip(*self.zip.values(), strict=True)
            factors.append(
                [
                    [(f"zip.{key}.{k}", key, v) for key, v in zip(self.zip, row, strict=True)]
                    for k, row in enumerate(rows)
                ]
            )
        if self.points:
            factors.append(
                [
                    [(f"points.{k}.{key}", key, value) for key, value in point.items()]
                    for k, point in enumerate(self.points)
                ]
            )
        for chosen in itertools.product(*factors):
            yield list(itertools.chain.from_iterable(chosen))


#: [HH:]MM:SS, or D-HH[:MM[:SS]]. Not a number alone, minutes for Slurm and seconds for PBS.
_TIME = r"(\d+:)?\d+:\d+|\d+-\d+(:\d+){0,2}"
_MEMORY = r"(?i)(\d+(?:\.\d+)?)\s*([kmgtp])i?b?"


class LocalSettings(Settings):
    """Workers on this machine."""

    workers: int | None = Field(
        default=None, ge=1, description="one a core that this process may use if not given"
    )


class QueueSettings(Settings):
    """Workers as jobs of a queueing system, one process a core."""

    queue: str | None = Field(default=None, description="queue or partition; the system's own")
    account: str | None = Field(default=None, description="account or project that pays")
    walltime: str = Field(
        default="01:00:00", description="longest time of a job, HH:MM:SS; D-HH:MM:SS for Slurm"
    )
    cores: int = Field(default=1, ge=1, description="cores of a job, each with one worker")
    memory: str = Field(default="4GB", description="memory of a job, such as 16GB")
    interface: str | None = Field(
        default=None, description="network interface of scheduler and workers, such as ib0"
    )
    jobs: int = Field(default=1, ge=1, description="jobs to submit")
    prologue: tuple[str, ...] = Field(
        default=(), description="lines of shell before the workers start: modules, environments"
    )
    directives: tuple[str, ...] = Field(
        default=(), description="further lines for the head of the job's script"
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
        found = re.fullmatch(_MEMORY, memory.strip())
        # A megabyte: dask-jobqueue cannot tell Slurm of a few bytes, and nothing runs in them.
        if not found or float(found[1]) * 1000.0 ** " kmgtp".index(found[2].lower()) < 1e6:
            raise ValueError(
                "must be a number with a unit, such as 16GB or 500MiB, and at least 1MB"
            )
        return memory

    @property
    def seconds(self) -> int:
        """The walltime in seconds."""
        days, _, clock = self.walltime.rpartition("-")
        parts = [int(part) for part in clock.split(":")]
        # After days come hours first, else seconds are last.
        rest = [0] * (3 - len(parts))
        hours, minutes, seconds = parts + rest if days else rest + parts
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


class SweepSettings(Settings):
    """An experiment over a grid: every setting of its command may be in it."""

    study: StudySettings = Field(default_factory=StudySettings)
    sparse: SparseSettings | None = None
    ablation: AblationSettings | None = None
    frontier: FrontierSettings | None = None
    grid: tuple[GridSettings, ...] | None = Field(
        default=None,
        description="blocks, whose points are joined; the experiment alone if not given",
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="times that workers try again what fails, unless it would for ever",
    )
    local: LocalSettings = Field(default_factory=LocalSettings)
    slurm: QueueSettings | None = Field(default=None, description="jobs of `--slurm`")
    pbs: QueueSettings | None = Field(default=None, description="jobs of `--pbs`")

    @field_validator(*EXPERIMENTS, mode="before")
    @classmethod
    def _settings(cls, table: Any, info: ValidationInfo) -> Any:
        if isinstance(table, dict):
            for key, _ in _flat(table):  # for the name of the nearest
                _check_key(key, str(info.field_name))
        return table

    @field_validator("grid", mode="before")
    @classmethod
    def _blocks(cls, grid: Any) -> Any:
        if isinstance(grid, dict):
            raise ValueError("must be a list of blocks; write [[grid]], in two pairs of brackets")
        return grid

    def _check_together(self) -> None:
        given = [name for name in EXPERIMENTS if self._gives(name)]
        if len(given) > 1:
            raise ValueError(
                f"{given[1]}: a sweep is of one experiment, found [{given[0]}] and [{given[1]}]; "
                "leave one of them out"
            )
        if self.grid == ():
            raise ValueError("grid: is empty; give a block, or leave it out for one point")
        for k, block in enumerate(self.grid or ()):
            for part, key in block.places():
                _check_key(key, self.experiment, f"grid.{k}.{part}.")
        self.configurations()

    def _gives(self, name: str) -> bool:
        return name in self.model_fields_set and getattr(self, name) is not None

    @property
    def experiment(self) -> str:
        """The name of the experiment: that of the table which is given, else study."""
        return next((name for name in EXPERIMENTS if self._gives(name)), "study")

    def configurations(self) -> list[EnsembleSettings]:
        """The experiments of the grid in its order, each with all its fields and seeds.

        Raises:
            InputError: a value or a combination of values that the experiment does not take.
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
    """The experiment with some settings changed; if that fails, the error says by which value."""
    try:
        return _changed(model, base, choice)
    except InputError as error:
        for where, key, value in choice:
            try:
                _changed(model, base, [(where, key, value)])
            except InputError as own:
                rule = str(own).removeprefix(f"{key}: ")
                raise InputError(f"{block}.{where}: {rule}") from None
        told = ", ".join(f"{key} = {value}" for _, key, value in choice)
        raise InputError(f"{block}: {told} do not go together: {error}") from None


def _changed(
    model: type[EnsembleSettings], base: Mapping[str, Any], choice: list[tuple[str, str, Any]]
) -> EnsembleSettings:
    values: dict[str, Any] = {}
    for key, value in _flat(base):
        _put(values, key, value)
    # A method replaces the table of another one, so it goes before the fields it has.
    for _, key, value in sorted(choice, key=lambda part: not part[1].endswith(".method")):
        single = key in _LISTS and not isinstance(value, list | tuple)
        _put(values, key, [value] if single else value)
    check_numbers(model, values)
    return model(**values)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; a table is laid over what is there, unless it has another method."""
    if isinstance(value, dict):
        for inner, each in sorted(_flat(value), key=lambda part: part[0] != "method"):
            _put(values, f"{key}.{inner}", each)
        return
    *path, last = key.split(".")
    for name in path:
        if not isinstance(values.get(name), dict):  # a number, which this refuses by its rule
            values[name] = {}
        values = values[name]
    if last == "method" and values.get("method", value) != value:
        values.clear()
    values[last] = value
