"""The table of the entanglement of pruned RBMs: entropies, and what notices pruning first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.statistics import crossing, paired_if_known
from psiprune.reporting.labels import seeds_text
from psiprune.reporting.tables import Column, band_numbers, number, table, wrap

Numbers = dict[str, Any]
#: What pruning changes, and the heading: a measure has changed where it is beyond all dense RBMs.
CHANGES = (
    ("entropy", "entropy"),
    ("kl", "KL"),
    ("abs_magnetization", "|m|"),
    ("graph", "graph"),
)


def _entropy_text(band: Mapping[str, float]) -> str:
    """Format a band as `band_text`, with the digits in which entropies differ."""
    return f"{band['median']:.4f} ({band['low']:.4f} to {band['high']:.4f})"


_ROWS: tuple[Column, ...] = (
    ("pruned", "fraction_pruned", ".0%"),
    ("weights", "count", "d"),
    ("mask", "variant", ""),
    ("S (nat)", "entropy", _entropy_text),
    ("lost", "lost", ".1%"),
    ("KL (nat)", "kl", ".2g"),
    ("|m| bias", "abs_magnetization_bias", ".2g"),
    ("bond", "bond_dimension", ".3g"),
    ("units", "separating_units", ".3g"),
    ("sites", "separating_sites", ".3g"),
)


def entropy_name(dataset: xr.Dataset) -> str:
    """Return "entropy" where it is known, else "renyi2"."""
    return "entropy" if bool(dataset["entropy"].notnull().any()) else "renyi2"


def entanglement_numbers(one: xr.Dataset) -> Numbers:
    """Return medians of each RBM, and where each measure changes, for RBMs of one field."""
    name = entropy_name(one)
    truth = float(one[f"{name}_reference"])
    rows, changes = [], []
    for width in one["width"].values:
        here = one.sel(width=width)
        for variant in one["variant"].values:
            for count, rbms in _there(here.sel(variant=variant)):
                row: Numbers = {
                    "width": int(width),
                    "variant": str(variant),
                    "count": count,
                    "fraction_pruned": 1.0 - count / (one.attrs["sites"] * int(width)),
                    "entropy": band_numbers(rbms[name]),
                    "lost": 1.0 - float(rbms[name].median()) / truth,
                }
                for _, key, form in _ROWS[5:]:
                    assert isinstance(form, str)
                    row[key] = float(rbms[key].median())
                rows.append(row)
            if str(variant) != "dense":
                changes.append({"width": int(width), **_changes(here, str(variant))})
    return {
        "entanglement": {
            "measure": name,
            "cut": int(one.attrs["cut"]),
            "reference": truth,
            "bond_dimension_reference": float(one["bond_dimension_reference"]),
            "rows": sorted(rows, key=lambda row: (row["width"], -row["count"])),
            "changes": changes,
        }
    }


def deviations(one: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return how far each RBM of one field is from the exact state, or from a dense graph.

    By the names of `CHANGES`: |S_ref - S|, KL, the relative bias of <|m|>, and the number of
    separating units that dense RBMs have more.
    """
    name = entropy_name(one)
    units = one["separating_units"]
    return {
        "entropy": abs(one[f"{name}_reference"] - one[name]),
        "kl": one["kl"],
        "abs_magnetization": one["abs_magnetization_bias"],
        "graph": units.sel(variant="dense").max() - units,
    }


def _changes(here: xr.Dataset, variant: str) -> Numbers:
    """Return the fraction pruned at which each measure is beyond all dense RBMs, over seeds.

    By linear interpolation between levels, 1 where it never is, NaN where it is undefined. With the
    p-value (Wilcoxon) that the entropy changes with the measure, by seed.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for key, values in deviations(here).items():
        if not values.notnull().any():
            found[key] = np.full(here.sizes["seed"], np.nan)
            continue
        dense = values.sel(variant="dense").dropna("count", how="all")
        path = values.sel(variant=variant).dropna("count", how="all")
        # A number of units changes by 1, halfway between two levels.
        limit = float(dense.max()) + (0.5 if key == "graph" else 0.0)
        # From the dense RBMs on, in order of the fraction pruned.
        counts = np.concatenate([dense["count"].values, path["count"].values[::-1]])
        levels = 1.0 - counts / counts[0]
        series = np.concatenate([dense.values, path.values[:, ::-1]], axis=1)
        first = [crossing(levels, each, limit) for each in series]
        found[key] = np.minimum(first, 1.0)
    return {
        "variant": variant,
        "pruned": {key: float(np.median(first)) for key, first in found.items()},
        "seeds": {key: first.tolist() for key, first in found.items()},
        "against": {
            key: paired_if_known(found["entropy"], first)._asdict()
            for key, first in found.items()
            if key != "entropy"
        },
    }


def _there(rbms: xr.Dataset) -> Iterable[tuple[int, xr.Dataset]]:
    """Yield each number of weights of which there are RBMs, and these over `seed`."""
    for count in rbms["count"].values:
        here = rbms.sel(count=count)
        if bool(here["kl"].notnull().all()):
            yield int(count), here


def entanglement_blocks(label: str, one: xr.Dataset, numbers: Mapping[str, Any]) -> Iterable[str]:
    """Return a table of all RBMs, and one of where each measure changes."""
    numbers = numbers["entanglement"]
    kind = "von Neumann" if numbers["measure"] == "entropy" else "Renyi-2"
    bond = number(numbers["bond_dimension_reference"], ".3g")
    for width in one["width"].values:
        rows = [row for row in numbers["rows"] if row["width"] == width]
        yield "\n".join(
            [
                wrap(
                    f"{label}, {width} hidden units: {kind} entropy S of the first "
                    f"{numbers['cut']} of {one.attrs['sites']} sites, medians of {seeds_text(one)} "
                    f"(16 to 84 %); exact {numbers['reference']:.4g}, bond {bond}. bond: Schmidt "
                    "values that leave out a weight of 1e-6; 2^units bounds the bond of p, 2^sites "
                    "that of sqrt(p)"
                ),
                table(_ROWS, rows, keys=3),
            ]
        )
        changes = [
            {"variant": row["variant"], **{key: row for key, _ in CHANGES}}
            for row in numbers["changes"]
            if row["width"] == width
        ]
        yield "\n".join(
            [
                wrap(
                    f"{label}, {width} hidden units: fraction pruned at which each differs by more "
                    "than in any dense RBM (graph: fewer units separate the sides), medians; in "
                    "brackets seeds in which the entropy changes first, and Wilcoxon p"
                ),
                table(
                    [("mask", "variant", ""), *((each, key, _text(key)) for key, each in CHANGES)],
                    changes,
                ),
            ]
        )


def _text(key: str) -> Callable[[Any], str]:
    def text(row: Mapping[str, Any]) -> str:
        if np.isnan(row["pruned"][key]):
            return "-"
        median = f"{row['pruned'][key]:.0%}" if row["pruned"][key] < 1 else "never"
        if key == "entropy":
            return median
        against = row["against"][key]
        return f"{median} ({against['lower']} of {against['pairs']}, {against['p']:.2g})"

    return text
