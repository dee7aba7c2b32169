"""Settings of a block of a sweep's grid: which combinations of which values to run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from pydantic import Field, field_validator

from psiprune.core.exceptions import InputError
from psiprune.core.settings import Settings, flat
from psiprune.training.method import Method

#: TOML has dates too; the setting that receives one refuses it.
_SCALARS = (bool, int, float, str, date, time)


class GridSettings(Settings):
    """A block of a grid: all combinations of its product, its zip and its points."""

    product: dict[str, tuple[Any, ...]] = Field(
        default={}, description="settings with lists of values; all combinations are run"
    )
    zip: dict[str, tuple[Any, ...]] = Field(
        default={},
        description="settings with lists of values of equal length; the k-th values are run "
        "together",
    )
    points: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="list of tables of settings with one value each"
    )

    @field_validator("product", "zip", mode="before")
    @classmethod
    def _lists(cls, table: Any) -> dict[str, Any]:
        flat = _keyed(table)
        for key, values in flat.items():
            if not isinstance(values, list | tuple):
                raise InputError(f"{key}: must be a list of values, found {values!r}")
            if not values:
                raise InputError(f"{key}: must have at least one value, found an empty list")
            if None in values:
                raise InputError(f"{key}.{values.index(None)}: must be a value, found None")
        return flat

    @field_validator("points", mode="before")
    @classmethod
    def _tables(cls, tables: Any) -> list[dict[str, Any]]:
        if not isinstance(tables, list | tuple) or not tables:
            raise ValueError("must be a list of at least one table")
        return [_keyed(table) for table in tables]

    def _check_together(self) -> None:
        if not (self.product or self.zip or self.points):
            raise ValueError("product: is missing, and so are zip and points; give one of them")
        lengths = {key: len(values) for key, values in self.zip.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{key} with {length}" for key, length in lengths.items())
            raise ValueError(f"zip: lists must have the same length, found {counts}")
        named = [*self.product, *self.zip, *{key for point in self.points or () for key in point}]
        for key in named:
            if named.count(key) > 1:
                raise ValueError(
                    f"{key}: found in two of product, zip and points; give it in one of them"
                )
            for other in named:
                if other.startswith(f"{key}."):
                    raise ValueError(
                        f"{key}: cannot be in the same block as {other}, which is part of it; "
                        f"give {other} in the tables of {key}, or omit one of them"
                    )

    def places(self) -> Iterator[tuple[str, str]]:
        """Yield (part of the block, setting) for each setting that the block names."""
        yield from (("product", key) for key in self.product)
        yield from (("zip", key) for key in self.zip)
        yield from (("points", key) for point in self.points or () for key in point)

    @property
    def size(self) -> int:
        """Number of combinations."""
        zipped = max(map(len, self.zip.values()), default=1)
        return math.prod(map(len, self.product.values())) * zipped * len(self.points or (None,))

    def choices(self) -> Iterator[list[tuple[str, str, Any]]]:
        """Yield each combination as a list of (place in the block, setting, value)."""
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


def _keyed(table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ValueError("must be a table of settings")
    return {key: _plain(key, value) for key, value in flat(table)}


def _plain(key: str, value: Any) -> Any:
    """Convert NumPy numbers and arrays, ranges and settings to the types of TOML."""
    if isinstance(value, Settings):
        value = value.model_dump(exclude_unset=not isinstance(value, Method))
    elif isinstance(value, range):
        value = list(value)
    elif hasattr(value, "tolist"):  # avoids importing NumPy, which slows every --help
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{key}.{k}", item) for k, item in enumerate(value)]
    if value is not None and not isinstance(value, _SCALARS):
        raise InputError(f"{key}: must be a number, a string, a list or a table, found {value!r}")
    return value
