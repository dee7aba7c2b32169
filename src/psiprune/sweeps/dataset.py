"""Turn the rows of a sweep's table into one labelled dataset, and into final values of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from psiprune.experiments.tables import observable_losses

Row = Mapping[str, Any]
#: Settings that are no variant, as they are dimensions or belong to one.
_DIMENSIONS = ("sites", "field", "seed", "shots_seed", "seeds")
#: Measures of each level, exact up to 20 sites.
MEASURES = ("kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
#: Most variants in a figure: as many as there are line styles.
MOST_VARIANTS = 6
#: Stands for h/J = 0 on a logarithmic scale.
_NO_FIELD = 1e-6
#: Most columns of small multiples, and the fewest that show a trend.
MOST_RATIOS, _FEWEST_RATIOS = 6, 3


def grid_of(rows: Sequence[Row]) -> xr.Dataset:
    """Arrange the rows of single RBMs as a grid, NaN where it has no such point.

    Returns:
        prunable and prunable_all (1 where KL never doubled, else 0) over variant, sites, ratio
        (h/J) and seed; fraction_pruned, kl_floor and the measures, with `observable_NAME_loss` of
        further observables, also over level; correlation_length over ratio. `variant` names other
        settings that differ, such as "surgeon, shots 1000", "" if none does. `seed` is that of the
        RBM, or if there are several training sets a text such as "shots 1, RBM 0".
    """
    names = varied(rows)
    variants = [variant_of(row, names) for row in rows]
    pairs = [(row["shots_seed"], row["seed"]) for row in rows]
    several = len({shots for shots, _ in pairs}) > 1
    seeds = {pair: f"shots {pair[0]}, RBM {pair[1]}" if several else pair[1] for pair in pairs}
    frame = pd.DataFrame(rows).assign(variant=variants, seed=[seeds[pair] for pair in pairs])
    frame["ratio"] = frame["field"] / frame["coupling"]
    whole = ["prunable", "prunable_all", "correlation_length"]
    losses = [name for _, name, _ in observable_losses(frame)]
    measures = ["fraction_pruned", "kl_floor", *MEASURES, *losses]
    for name in measures:
        if f"{name}_exact" in frame:
            frame[name] = frame[f"{name}_exact"].astype(float).fillna(frame[name])
    dims = ["variant", "sites", "ratio", "seed", "level"]
    unique = frame.drop_duplicates(dims, keep="last").set_index(dims)
    coords: dict[str, Any] = {
        "variant": list(dict.fromkeys(variants)),
        "seed": [seeds[p] for p in sorted(seeds)],
    }
    grid = xr.Dataset.from_dataframe(unique[whole + measures].astype(float)).sortby(dims[1:3])
    grid = grid.reindex({**coords, "level": range(int(frame["level"].max()) + 1)})
    grid = grid.assign_coords(coords).drop_vars("level")
    # The same at all levels; the length depends on h/J alone.
    per_rbm = grid[["prunable", "prunable_all"]].max("level")
    length = grid["correlation_length"].max(("variant", "sites", "seed", "level"))
    return grid.assign(per_rbm).assign(correlation_length=length)


def varied(rows: Sequence[Row], ignored: Sequence[str] = _DIMENSIONS) -> list[str]:
    """Return the settings that differ between points of one size, without those ignored."""
    names = list(rows[0])
    end = names.index("level" if "level" in names else "field")
    settings = names[names.index("point") + 1 : end]
    return differing(rows, [name for name in settings if name not in ignored])


def differing(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    """Return the names whose values differ between rows of one size that have them."""
    values: dict[str, dict[int, set[str]]] = {name: {} for name in names}
    for row in rows:
        for name in values.keys() & row.keys():
            values[name].setdefault(row["sites"], set()).add(repr(row[name]))
    return [name for name, sizes in values.items() if any(len(v) > 1 for v in sizes.values())]


def variant_of(row: Row, names: Sequence[str]) -> str:
    """Return these settings with their values as a label; a criterion needs no name."""
    return ", ".join(
        f"no {name}"
        if row[name] is None
        else f"{name} {row[name]}".removeprefix("prune_criterion ")
        for name in names
    )


def drawn_variants(grid: xr.Dataset) -> list[str]:
    """Return the variants that figures show: the first `MOST_VARIANTS` of the grid."""
    return [str(variant) for variant in grid["variant"].values[:MOST_VARIANTS]]


def drawn_ratios(grid: xr.Dataset) -> list[float]:
    """Return the h/J with a column in small multiples, ascending, at most `MOST_RATIOS`.

    These are the one nearest to the critical 1, the least and the largest that every size has, and
    then repeatedly the one furthest from all chosen on a logarithmic scale. If fewer than three are
    common to all sizes, any may be chosen.
    """
    ratios = grid["ratio"].values
    everywhere = grid["prunable"].notnull().any(("variant", "seed")).all("sites").values
    common = np.flatnonzero(everywhere)
    if len(common) < _FEWEST_RATIOS:
        common = np.arange(len(ratios))
    # A negative J changes the sign of h/J, but no probability.
    places = np.log(np.maximum(np.abs(ratios), _NO_FIELD))
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


class FinalValues(NamedTuple):
    """Values at the end of the paths of one variant of a run at one field.

    Numbers are medians over seeds, NaN where no seed has one.

    Attributes:
        settings: those that differ between runs, as a label.
        sites: N.
        ratio: h/J.
        variant: of the experiment, "" if it has none.
        weights: number of weights left.
        kl: KL divergence, exact up to 20 sites.
        bias: of <|m|>, exact up to 20 sites.
        smallest: weights of the smallest RBM within the limit of `until`.
        seeds: number of seeds.
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


def final_values(rows: Sequence[Row]) -> list[FinalValues]:
    """Return the final values of all paths: of the last level, or of the fewest weights."""
    names = varied(rows, ("sites", "field", "seed", "seeds")) if rows else []
    paths: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in rows:
        if _measure(row, "kl") is not None:  # not of a history, nor of an MPS
            seeds = paths.setdefault((row["point"], row["field"], _variant(row)), {})
            seeds[row["seed"]] = min(seeds.get(row["seed"], row), row, key=_remaining)
    return [
        FinalValues(
            variant_of(first, names),
            first["sites"],
            first["field"] / first["coupling"],
            _variant(first),
            _median(_first(row, _WEIGHTS) for row in seeds.values()),
            _median(_measure(row, "kl") for row in seeds.values()),
            _median(_measure(row, "abs_magnetization_bias") for row in seeds.values()),
            _median(row.get("smallest_weights") for row in seeds.values()),
            len(seeds),
        )
        for seeds in paths.values()
        for first in [next(iter(seeds.values()))]
    ]


_WEIGHTS = ("weights_kept", "count", "forbidden_weights_kept")


def _variant(row: Row) -> str:
    if row.get("share") is not None:
        return f"broken by {row['share']:g}, from {row['start']}"
    return str(_first(row, ("variant", "model")) or "")


def _remaining(row: Row) -> float:
    """Return a number that falls along a path."""
    return float(row["count"] if row.get("count") is not None else -(row.get("level") or 0))


def _measure(row: Row, name: str) -> Any:
    return _first(row, (f"{name}_exact", name, f"broken_{name}", f"forbidden_{name}"))


def _first(row: Row, names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _median(values: Iterable[Any]) -> float:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
