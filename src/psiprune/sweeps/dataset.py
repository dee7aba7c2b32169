"""The table of a sweep -> one labelled dataset over size, field, seed and all else that varies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

#: Settings that are dimensions of their own, the seed of the shots as a part of that of points;
#: and how many seeds a whole run has.
_DIMENSIONS = ("sites", "field", "seed", "shots_seed", "seeds")
#: What is shown of each level, exact up to 20 sites.
MEASURES = ("kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
#: Most variants in a figure: as many as there are colours, and as fit beside one another.
MOST_VARIANTS = 6
#: Most columns of small multiples.
MOST_RATIOS = 6
#: Of fewer fields that all sizes have, small multiples would show hardly any change.
_FEWEST_COMMON = 3


def grid_of(rows: Sequence[Mapping[str, Any]]) -> xr.Dataset:
    """All points of a table as a grid; NaN where it has no such point.

    Returns:
        prunable and prunable_all (1 where KL never doubled, else 0) over variant, sites, ratio
        (h/J) and seed; fraction_pruned, kl_floor and the measures over level besides;
        correlation_length over ratio. `variant` says what else varies, as
        "surgeon, shots 1000", "" if nothing does. `seed` is that of the RBM; where its shots have
        several seeds too, a text of both, as "shots 1, RBM 0".
    """
    names = varied(rows)
    keys = [
        (
            variant_of(row, names),
            row["sites"],
            row["field"] / row["coupling"],
            (row["shots_seed"], row["seed"]),
        )
        for row in rows
    ]
    # Variants in the order of the grid, numbers in their own.
    variants = list(dict.fromkeys(key[0] for key in keys))
    axes: list[list[Any]] = [variants, *(sorted({key[k] for key in keys}) for k in (1, 2, 3))]
    places = [{value: k for k, value in enumerate(axis)} for axis in axes]
    levels = 1 + max(row["level"] for row in rows)
    shape = tuple(map(len, axes))
    whole = {name: np.full(shape, np.nan) for name in ("prunable", "prunable_all")}
    measures = ("fraction_pruned", "kl_floor", *MEASURES)
    measured = {name: np.full((*shape, levels), np.nan) for name in measures}
    lengths = np.full(shape[2], np.nan)
    for row, key in zip(rows, keys, strict=True):
        place = tuple(of[value] for of, value in zip(places, key, strict=True))
        for name, values in whole.items():
            values[place] = row[name]
        lengths[place[2]] = row["correlation_length"]
        for name, values in measured.items():
            exact = row.get(f"{name}_exact")
            values[(*place, row["level"])] = row[name] if exact is None else exact
    dims = ("variant", "sites", "ratio", "seed")
    labels = [*axes[:3], _seed_labels(axes[3])]
    return xr.Dataset(
        {
            **{name: (dims, values) for name, values in whole.items()},
            "correlation_length": ("ratio", lengths),
            **{name: ((*dims, "level"), values) for name, values in measured.items()},
        },
        dict(zip(dims, labels, strict=True)),
    )


def _seed_labels(pairs: Sequence[tuple[int, int]]) -> list[int] | list[str]:
    """The seeds of RBMs, with those of their shots where these have several."""
    if len({shots for shots, _ in pairs}) == 1:
        return [own for _, own in pairs]
    return [f"shots {shots}, RBM {own}" for shots, own in pairs]


def varied(rows: Sequence[Mapping[str, Any]], apart: Sequence[str] = _DIMENSIONS) -> list[str]:
    """The settings that differ between points, without those `apart` or that the size decides."""
    names = list(rows[0])
    end = names.index("level" if "level" in names else "field")
    own = [name for name in names[names.index("point") + 1 : end] if name not in apart]
    return differing(rows, own)


def differing(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """Those of the names whose values differ between rows of one size that have them."""
    found = []
    for name in names:
        by_size: dict[Any, set[str]] = {}
        for row in rows:
            if name in row:
                by_size.setdefault(row["sites"], set()).add(repr(row[name]))
        if any(len(values) > 1 for values in by_size.values()):
            found.append(name)
    return found


def variant_of(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """What varies, by name and value; a criterion or a method speaks for itself."""
    return ", ".join(_told(name, row[name]) for name in names)


def _told(name: str, value: object) -> str:
    if value is None:
        return f"no {name}"
    return str(value) if name == "prune_criterion" else f"{name} {value}"


def drawn_variants(grid: xr.Dataset) -> list[str]:
    """The variants that figures show: the first of the grid, as many as can be told apart."""
    return [str(variant) for variant in grid["variant"].values[:MOST_VARIANTS]]


def drawn_ratios(grid: xr.Dataset) -> list[float]:
    """The h/J that have a column in small multiples, at most `MOST_RATIOS`, in their order.

    The one nearest the critical 1; of those that every size has (of all, where every size has
    fewer than three) the least, the largest, and then always that which is furthest from all
    chosen, on a logarithmic scale.
    """
    ratios = grid["ratio"].values
    everywhere = grid["prunable"].notnull().any(("variant", "seed")).all("sites").values
    common = np.flatnonzero(everywhere)
    if len(common) < _FEWEST_COMMON:
        common = np.arange(len(ratios))
    # J may be negative, which changes the sign of h/J and no probability.
    places = np.log(np.abs(ratios))
    chosen = [
        int(np.abs(places).argmin()),
        int(common[places[common].argmin()]),
        int(common[places[common].argmax()]),
    ]
    while len(set(chosen)) < MOST_RATIOS:
        gaps = np.abs(places[common][:, None] - places[chosen]).min(1)
        if gaps.max() == 0:
            break
        chosen.append(int(common[gaps.argmax()]))
    return [float(ratios[k]) for k in sorted(set(chosen))]
