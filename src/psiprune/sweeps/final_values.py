"""What whole runs of a sweep have come to: medians over seeds at the end of each of their paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from psiprune.sweeps.dataset import variant_of, varied

#: Settings with a place of their own in an `End`.
_APART = ("sites", "field", "seed", "seeds")
#: What experiments put before the name of a measure.
_BEFORE = ("", "broken_", "forbidden_")
Row = Mapping[str, Any]


class End(NamedTuple):
    """One variant of a run at one field; numbers are medians over seeds, NaN where none has it.

    Attributes:
        settings: those that differ between runs, as text.
        sites: N.
        ratio: h/J.
        variant: of the experiment, "" if it has none.
        weights: that are left.
        kl: KL divergence, exact up to 20 sites.
        bias: of <|m|>, likewise.
        smallest: weights of the smallest RBM within the limit of `until`.
        seeds: how many.
    """

    settings: str
    sites: int
    ratio: float
    variant: str
    weights: float
    kl: float
    bias: float
    smallest: float
    seeds: int


def ends_of(rows: Sequence[Row]) -> list[End]:
    """The ends of all paths in the rows of whole runs: the last level, or the fewest weights."""
    names = varied(rows, _APART) if rows else []
    found: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in rows:
        if _measure(row, "kl") is None:  # of a history, or of no RBM
            continue
        seeds = found.setdefault((row["point"], row["field"], _variant(row)), {})
        last = seeds.setdefault(row["seed"], row)
        if _left(row) < _left(last):
            seeds[row["seed"]] = row
    return [_end(list(seeds.values()), names) for seeds in found.values()]


def _end(rows: Sequence[Row], names: Sequence[str]) -> End:
    first = rows[0]
    weights = ("weights_kept", "count", "forbidden_weights_kept")
    return End(
        variant_of(first, names),
        first["sites"],
        first["field"] / first["coupling"],
        _variant(first),
        _median(_first(row, weights) for row in rows),
        _median(_measure(row, "kl") for row in rows),
        _median(_measure(row, "abs_magnetization_bias") for row in rows),
        _median(row.get("smallest_weights") for row in rows),
        len(rows),
    )


def _variant(row: Row) -> str:
    if row.get("share") is not None:
        return f"broken by {row['share']:g}, from {row['start']}"
    return str(_first(row, ("variant", "model")) or "")


def _left(row: Row) -> float:
    """The less, the further a path has come."""
    return float(row["count"] if row.get("count") is not None else -(row.get("level") or 0))


def _measure(row: Row, name: str) -> Any:
    return _first(row, (f"{name}_exact", *(f"{before}{name}" for before in _BEFORE)))


def _first(row: Row, names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _median(values: Iterable[Any]) -> float:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
