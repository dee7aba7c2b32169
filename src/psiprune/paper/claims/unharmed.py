"""How far pruning does no harm: Section III A, the abstract and the Discussion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import (
    FAILS,
    HOLDS,
    IN_PART,
    Claim,
    Datasets,
    Finding,
    InsufficientDataError,
    Number,
    listed,
    number,
)
from psiprune.paper.claims.data import (
    MEASURES,
    PM,
    QCP,
    Float64,
    fractions,
    nearest,
    phase,
    series,
    whole,
)
from psiprune.paper.claims.tests import (
    ALPHA,
    COMPARABLE,
    MATTERS,
    ONE_SIDED,
    TWO_SIDED,
    contrast,
    p_above,
)

#: What the paper calls physical properties: all measures but KL.
_PHYSICAL = tuple(name for name in MEASURES if name != "kl")
_UNHARMED = (
    "A measure is harmed at a level if it is higher than in the dense RBMs of the same seeds by "
    "10 % or more (median ratio, one-sided signed ranks p <= 0.05), and its median is above twice "
    "the noise floor. {} "
)
_OF_ALL = (
    "Holds if none of KL, 1 - F, eROE, mROE and C_MSE, as the paper samples them, is harmed up to "
    "there; in part if KL and at least two of the others are not."
)
_OF_PHYSICAL = (
    "Holds if none of the physical properties, 1 - F, eROE, mROE and C_MSE as the paper samples "
    "them, is harmed up to there; in part if three of the four are not."
)


class Reach(NamedTuple):
    """How far a measure stays as it is in the dense RBMs.

    Attributes:
        leaves: the first fraction pruned at which it is harmed; infinite if it never is.
        level: the level of `leaves`; the number of levels if it never is.
        growth: median over seeds of its ratio to the dense RBM, [level].
    """

    leaves: float
    level: int
    growth: Float64


def reach(here: xr.Dataset, name: str) -> Reach:
    """How far a sampled measure is unharmed, with all seeds of a study at one field."""
    levels, values = fractions(here), series(here, name, "level")
    floor = np.nan_to_num(np.asarray(here[f"{name}_floor"].median("seed").values, np.float64))
    dense = values[:, 0]
    growth = np.median(values / dense[:, None], axis=0)
    matters = (growth >= MATTERS) & (np.median(values, axis=0) > 2 * floor)
    harmed = [k for k in np.flatnonzero(matters) if p_above(values[:, k], dense) <= ALPHA]
    first = int(harmed[0]) if harmed else len(levels)
    leaves = float(levels[first]) if harmed else float("inf")
    return Reach(leaves, first, growth)


def floors_known(here: xr.Dataset, least: int) -> xr.Dataset:
    """A study at one field with the five measures of the paper of at least so many seeds."""
    for name in MEASURES:
        if f"{name}_floor" not in here:
            raise InsufficientDataError(f"the data has no {name}_floor")
    return whole(here, least, *MEASURES)


def _reach_number(name: str, found: Reach) -> Number:
    how = (
        "first fraction pruned at which it is 10 % above dense or more (median ratio, one-sided "
        "signed ranks p <= 0.05) and its median above twice the noise floor"
    )
    return number(found.leaves, how, f"study/{name}", f"study/{name}_floor")


def _told(found: dict[str, Reach]) -> str:
    """Where each measure leaves: "KL at 77 %, ..."."""
    parts = [
        f"{title} {'never' if np.isinf(found[name].leaves) else f'at {found[name].leaves:.0%}'}"
        for name, title in MEASURES.items()
    ]
    return listed(parts)


def _up_to(fraction: float, levels: Float64) -> int:
    """The last level up to a fraction."""
    places = np.flatnonzero(levels <= fraction)
    if places[-1] == 0:
        raise InsufficientDataError(f"no pruned level up to {fraction:.0%} pruned")
    return int(places[-1])


def _beyond(fraction: float, levels: Float64) -> int:
    """The first level beyond a fraction."""
    places = np.flatnonzero(levels > fraction)
    if not len(places):
        raise InsufficientDataError(f"no level beyond {fraction:.0%} pruned")
    return int(places[0])


def _near(fraction: float, levels: Float64) -> int:
    return nearest(levels, fraction)


def _unharmed(
    ratio: float, last: Callable[[Float64], int], names: Sequence[str], datasets: Datasets
) -> Finding:
    """Whether these measures are unharmed at every level up to the last; KL decides if it is in."""
    here = floors_known(phase(datasets, "study", ratio), ONE_SIDED)
    levels = fractions(here)
    level = last(levels)
    found = {name: reach(here, name) for name in MEASURES}
    unharmed = [name for name in names if found[name].level > level]
    verdict = HOLDS
    if len(unharmed) < len(names):
        most = 2 * len(unharmed) > len(names) and ("kl" in unharmed or "kl" not in names)
        verdict = IN_PART if most else FAILS
    seeds = here.sizes["seed"]
    growth = {name: float(found[name].growth[level]) for name in MEASURES}
    grown = [f"{MEASURES[name]} {growth[name]:.2f}" for name in MEASURES]
    measured = (
        f"Unharmed at every level up to {levels[level]:.1%} pruned: "
        f"{listed([MEASURES[name] for name in unharmed])}. "
        f"First harmed: {_told(found)}. Over dense at {levels[level]:.1%}, median ratio of {seeds} "
        f"seeds: {listed(grown)}."
    )
    numbers = {f"{name}_leaves": _reach_number(name, found[name]) for name in MEASURES}
    how = f"median over seeds of level {level} over level 0"
    for name in MEASURES:
        numbers[f"{name}_growth"] = number(growth[name], how, f"study/{name}")
    how = "fraction pruned at the level that stands for the claim"
    numbers["up_to"] = number(float(levels[level]), how, "study/fraction_pruned")
    return Finding(verdict, measured, numbers, seeds)


def _damaged_beyond(datasets: Datasets) -> Finding:
    here = floors_known(phase(datasets, "study", QCP), TWO_SIDED)
    levels = fractions(here)
    level = nearest(levels, 0.5)
    found = {name: reach(here, name) for name in MEASURES}
    # What was harmed early may have come back.
    limits = {name: _above(here, name, level) for name in MEASURES}
    kl = series(here, "kl", "level")
    against = contrast(kl[:, level], kl[:, 0])
    doubled = against.higher and against.ratio >= COMPARABLE
    harmed = [MEASURES[name] for name in MEASURES if limits[name]]
    verdict = FAILS
    if doubled and limits["kl"]:
        if len(harmed) == len(MEASURES):
            verdict = HOLDS
        elif 2 * len(harmed) > len(MEASURES):
            verdict = IN_PART
    seeds = here.sizes["seed"]
    measured = (
        f"At {levels[level]:.1%} pruned KL is {against} times the dense one, median over {seeds} "
        f"seeds; harmed: {listed(harmed)}. First harmed: {_told(found)}."
    )
    numbers = {f"{name}_leaves": _reach_number(name, found[name]) for name in MEASURES}
    how = "fraction pruned at the level nearest to 50 %"
    numbers["at"] = number(float(levels[level]), how, "study/fraction_pruned")
    numbers["kl_ratio"] = number(
        against.ratio, f"median over seeds of level {level} over level 0", "study/kl"
    )
    numbers["kl_p"] = number(against.p, "signed ranks, two-sided, of the same", "study/kl")
    return Finding(verdict, measured, numbers, seeds)


def _above(here: xr.Dataset, name: str, level: int) -> bool:
    """Whether a measure is harmed at one level."""
    return reach(here.isel(level=[0, level]), name).level == 1


CLAIMS = (
    Claim(
        "pm-unharmed-75",
        "III A",
        "In the paramagnetic phase no error measure rises before about 75 % of the weights are "
        "pruned.",
        _UNHARMED.format("Looked at is every level up to the one nearest to 75 % pruned.")
        + _OF_ALL,
        ("study",),
        partial(_unharmed, PM, partial(_near, 0.75), tuple(MEASURES)),
    ),
    Claim(
        "pm-over-half",
        "Abstract",
        "In the gapped phase over half of the weights can go while physical observables are still "
        "reproduced accurately.",
        _UNHARMED.format("Looked at is every level up to the first beyond 50 % pruned.")
        + _OF_PHYSICAL,
        ("study",),
        partial(_unharmed, PM, partial(_beyond, 0.5), _PHYSICAL),
    ),
    Claim(
        "pm-up-to-50",
        "IV",
        "In the paramagnetic phase up to 50 % of the weights can go without significant loss of "
        "accuracy.",
        _UNHARMED.format("Looked at is every level up to 50 % pruned.") + _OF_PHYSICAL,
        ("study",),
        partial(_unharmed, PM, partial(_up_to, 0.5), _PHYSICAL),
    ),
    Claim(
        "qcp-unharmed-25",
        "III A",
        "At the critical point about 25 % of the weights can go.",
        _UNHARMED.format("Looked at is every level up to the one nearest to 25 % pruned.")
        + _OF_ALL,
        ("study",),
        partial(_unharmed, QCP, partial(_near, 0.25), tuple(MEASURES)),
    ),
    Claim(
        "qcp-damaged-beyond-25",
        "III A",
        "At the critical point pruning further than 25 % does significant damage.",
        "At the level nearest to 50 % pruned. Holds if KL is at least twice the dense one (median "
        "over seeds of the ratio, two-sided signed ranks p <= 0.05), and KL, 1 - F, eROE, mROE and "
        "C_MSE are all harmed there (as above); in part if KL is so and three of the five are "
        "harmed, KL among them.",
        ("study",),
        _damaged_beyond,
    ),
)
