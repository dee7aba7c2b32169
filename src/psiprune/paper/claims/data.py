"""Datasets -> the arrays that a rule looks at, or `Undecided` where they are not there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.paper.claims.base import Datasets, InsufficientDataError

Float64 = NDArray[np.float64]
#: h/J of the quantum critical point and of the paramagnetic phase that the paper looks at.
QCP, PM = 1.0, 2.0
#: Both by their names in the paper.
PHASES = {"QCP": QCP, "PM": PM}
#: The paper's sizes: N and N_h of most of its results.
PAPER_SITES, PAPER_HIDDEN = 18, 9
#: The five measures of the paper's Fig. 2 and their names there.
MEASURES = {
    "kl": "KL",
    "infidelity": "1 - F",
    "energy_roe": "eROE",
    "abs_magnetization_roe": "mROE",
    "correlation_mse": "C_MSE",
}
#: The same without samples: sums over all states, where a run has them.
EXACT = {
    "kl_exact": "KL",
    "infidelity_exact": "1 - F",
    "energy_bias_exact": "energy bias",
    "abs_magnetization_bias_exact": "|m| bias",
    "correlation_mse_exact": "C_MSE",
}
#: How far from a stated fraction the level may lie that stands for it.
_NEAR = 0.05


def phase(datasets: Datasets, key: str, ratio: float) -> xr.Dataset:
    """The dataset at h/J = ratio, with its attributes.

    Raises:
        Undecided: it has no such field.
    """
    dataset = datasets[key]
    ratios = dataset["field"].values / _coupling(datasets, key)
    places = np.flatnonzero(np.isclose(ratios, ratio))
    if not len(places):
        raise InsufficientDataError(f"{key} has no field with h/J = {ratio:g}")
    return dataset.isel(field=int(places[0]))


def has_phase(datasets: Datasets, key: str, ratio: float) -> bool:
    """Whether the dataset has a field with h/J = ratio."""
    return bool(np.isclose(datasets[key]["field"].values / _coupling(datasets, key), ratio).any())


def _coupling(datasets: Datasets, key: str) -> float:
    """J of a dataset; derived ones do not say, and have that of the main study."""
    own = datasets[key].attrs
    main = datasets["study"].attrs if "study" in datasets else {}
    return float(own.get("coupling", main.get("coupling", 1.0)))


def whole(here: xr.Dataset, least: int, *names: str) -> xr.Dataset:
    """The seeds of which all these variables are known, [seed, ...] each; other dimensions as are.

    Raises:
        Undecided: a variable is not there, or fewer than `least` seeds are left.
    """
    for name in names:
        if name not in here:
            raise InsufficientDataError(f"the data has no {name}")
    known = np.ones(here.sizes["seed"], bool)
    for name in names:
        if "seed" in here[name].dims:
            values = here[name].transpose("seed", ...).values
            known &= np.isfinite(values).reshape(len(known), -1).all(axis=1)
    if known.sum() < least:
        raise InsufficientDataError(
            f"the rule needs at least {least} seeds, found {int(known.sum())}"
        )
    return here.isel(seed=np.flatnonzero(known))


def series(here: xr.Dataset, name: str, *dims: str) -> Float64:
    """A variable as an array over seed and these dimensions."""
    return np.asarray(here[name].transpose("seed", *dims).values, np.float64)


def fractions(here: xr.Dataset) -> Float64:
    """Fraction of the weights pruned, [level]."""
    return np.asarray(here["fraction_pruned"].median("seed").values, np.float64)


def nearest(levels: Float64, fraction: float) -> int:
    """The level that lies nearest to a fraction pruned; after the dense one.

    Raises:
        Undecided: none lies within 5 points.
    """
    if len(levels) > 1:
        level = 1 + int(np.argmin(np.abs(levels[1:] - fraction)))
        if abs(levels[level] - fraction) <= _NEAR:
            return level
    raise InsufficientDataError(f"no level within {_NEAR:.0%} of {fraction:.0%} pruned")


def connectable(here: xr.Dataset) -> NDArray[np.bool_]:
    """The levels after the dense one at which the graph can be connected, [level].

    A connected graph of n nodes has at least n - 1 edges, here N + N_h - 1 weights.
    """
    kept = here["weights_kept"].median("seed").values
    can = kept >= here.attrs["sites"] + here.attrs["hidden"] - 1
    can[0] = False
    if not can.any():
        raise InsufficientDataError("no level is pruned and can be connected")
    return can


def other_sizes(datasets: Datasets) -> list[str]:
    """The keys of the studies at other sizes, from the smallest on."""
    keys = [key for key in datasets if key.startswith("size-")]
    return sorted(keys, key=lambda key: int(datasets[key].attrs["sites"]))


def all_sizes(datasets: Datasets) -> Sequence[str]:
    """The keys of all studies, from the smallest size on."""
    keys = [*other_sizes(datasets), "study"]
    return sorted(keys, key=lambda key: int(datasets[key].attrs["sites"]))
