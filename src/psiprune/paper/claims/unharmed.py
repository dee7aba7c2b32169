"""How much pruning does no harm: Section III A, the abstract and the Discussion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import InsufficientDataError, listed
from psiprune.paper.claims.data import (
    MEASURES,
    PM,
    QCP,
    Float64,
    fractions,
    nearest,
    phase,
    require,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import as_printed
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, MATTERS, ONE_SIDED, TWO_SIDED, p_above

#: What the paper calls physical properties: all measures but KL.
_PHYSICAL = tuple(name for name in MEASURES if name != "kl")
_HARMED = (
    "A measure is harmed at a level if it exceeds that of the dense RBMs of the same seeds by 10 % "
    "or more (median ratio, one-sided signed ranks p <= 0.05), and its median is above twice the "
    "noise floor."
)


class Reach(NamedTuple):
    """How far a measure can be pruned without harm.

    Attributes:
        fraction: the first fraction pruned at which it is harmed; infinite if it never is.
        level: the level of `fraction`; the number of levels if it is never harmed.
        growth: median over seeds of its ratio to the dense RBM, [level].
    """

    fraction: float
    level: int
    growth: Float64


def reach(here: xr.Dataset, name: str) -> Reach:
    """Return how far a sampled measure is unharmed, over all seeds of a study at one field."""
    levels, values = fractions(here), series(here, name, "level")
    floor = np.nan_to_num(np.asarray(here[f"{name}_floor"].median("seed").values, np.float64))
    dense = values[:, 0]
    growth = np.median(values / dense[:, None], axis=0)
    matters = (growth >= MATTERS) & (np.median(values, axis=0) > 2 * floor)
    harmed = [k for k in np.flatnonzero(matters) if p_above(values[:, k], dense) <= ALPHA]
    if not harmed:
        return Reach(float("inf"), len(levels), growth)
    return Reach(float(levels[harmed[0]]), int(harmed[0]), growth)


def _study(evidence: Evidence, ratio: float, least: int) -> xr.Dataset:
    """The study at one field, for the seeds with all five measures of the paper."""
    require(phase(evidence.datasets, "study", ratio), *(f"{name}_floor" for name in MEASURES))
    return evidence.at(ratio, "study", least, *MEASURES)


def _reaches(evidence: Evidence, here: xr.Dataset) -> tuple[dict[str, Reach], str]:
    """How far each measure is unharmed, recorded, and as text: "KL at 77 %, ..."."""
    reaches, texts = {}, []
    how = (
        "first fraction pruned at which it is 10 % above dense or more (median ratio, one-sided "
        "signed ranks p <= 0.05) and its median above twice the noise floor"
    )
    for name, title in MEASURES.items():
        reaches[name] = reach(here, name)
        both = f"study/{name}", f"study/{name}_floor"
        harmed_at = evidence.note(f"{name}_leaves", reaches[name].fraction, how, *both)
        texts.append(f"{title} {'never' if np.isinf(harmed_at) else f'at {harmed_at:.0%}'}")
    return reaches, f"First harmed: {listed(texts)}."


def _up_to(levels: Float64, fraction: float) -> int:
    """The last level up to a fraction."""
    level = int(np.searchsorted(levels, fraction, side="right")) - 1
    if level == 0:
        raise InsufficientDataError(f"no pruned level up to {fraction:.0%} pruned")
    return level


def _beyond(levels: Float64, fraction: float) -> int:
    """The first level beyond a fraction."""
    level = int(np.searchsorted(levels, fraction, side="right"))
    if level == len(levels):
        raise InsufficientDataError(f"no level beyond {fraction:.0%} pruned")
    return level


def _unharmed(
    evidence: Evidence,
    ratio: float,
    last: Callable[[Float64, float], int],
    fraction: float,
    names: Iterable[str],
) -> str:
    """Whether these measures are unharmed at every level up to the last; KL decides if included."""
    here = _study(evidence, ratio, ONE_SIDED)
    levels, names = fractions(here), list(names)
    level = last(levels, fraction)
    reaches, first_harmed = _reaches(evidence, here)
    unharmed = [name for name in names if reaches[name].level > level]
    grown = []
    for name, title in MEASURES.items():
        how = f"median over seeds of level {level} over level 0"
        ratio = evidence.note(f"{name}_growth", reaches[name].growth[level], how, f"study/{name}")
        grown.append(f"{title} {ratio:.2f}")
    worst = max(names, key=lambda name: float(reaches[name].growth[level]))
    values = series(here, worst, "level")
    what = f"{MEASURES[worst]} at {levels[level]:.1%} pruned over dense"
    evidence.effect(what, values[:, level] / values[:, 0])
    how = "fraction pruned at the level that stands for the claim"
    pruned = evidence.note("up_to", levels[level], how, "study/fraction_pruned")
    evidence.decide(
        len(unharmed) == len(names),
        2 * len(unharmed) > len(names) and ("kl" in unharmed or "kl" not in names),
    )
    return (
        f"Unharmed at every level up to {pruned:.1%} pruned: "
        f"{listed([MEASURES[name] for name in unharmed])}. {first_harmed} Ratio to dense at "
        f"{pruned:.1%}, median of {evidence.seeds} seeds: {listed(grown)}."
    )


@claim("pm-unharmed-75", "III A", "study", terms=_HARMED)
@as_printed
def _pm_unharmed_75(evidence: Evidence) -> str:
    """In the paramagnetic phase no error measure rises before about 75 % of the weights are pruned.

    Holds if none of KL, 1 - F, eROE, mROE and C_MSE, as the paper samples them, is harmed at any
    level up to the one nearest to 75 % pruned; in part if KL and at least two of the others are
    not.
    """
    return _unharmed(evidence, PM, nearest, 0.75, MEASURES)


@claim("pm-over-half", "Abstract", "study", terms=_HARMED)
@as_printed
def _pm_over_half(evidence: Evidence) -> str:
    """In the gapped phase more than half of the weights can be pruned while physical observables
    are still reproduced accurately.

    Holds if none of the physical properties, 1 - F, eROE, mROE and C_MSE as the paper samples them,
    is harmed at any level up to the first beyond 50 % pruned; in part if three of the four are not.
    """
    return _unharmed(evidence, PM, _beyond, 0.5, _PHYSICAL)


@claim("pm-up-to-50", "IV", "study", terms=_HARMED)
@as_printed
def _pm_up_to_50(evidence: Evidence) -> str:
    """In the paramagnetic phase up to 50 % of the weights can be pruned without significant loss of
    accuracy.

    Holds if none of the physical properties, 1 - F, eROE, mROE and C_MSE as the paper samples them,
    is harmed at any level up to 50 % pruned; in part if three of the four are not.
    """
    return _unharmed(evidence, PM, _up_to, 0.5, _PHYSICAL)


@claim("qcp-unharmed-25", "III A", "study", terms=_HARMED)
@as_printed
def _qcp_unharmed_25(evidence: Evidence) -> str:
    """At the critical point about 25 % of the weights can be pruned.

    Holds if none of KL, 1 - F, eROE, mROE and C_MSE, as the paper samples them, is harmed at any
    level up to the one nearest to 25 % pruned; in part if KL and at least two of the others are
    not.
    """
    return _unharmed(evidence, QCP, nearest, 0.25, MEASURES)


@claim("qcp-damaged-beyond-25", "III A", "study", terms=_HARMED)
@as_printed
def _qcp_damaged_beyond_25(evidence: Evidence) -> str:
    """At the critical point pruning further than 25 % does significant damage.

    At the level nearest to 50 % pruned. Holds if KL is at least twice the dense one (median over
    seeds of the ratio, two-sided signed ranks p <= 0.05), and KL, 1 - F, eROE, mROE and C_MSE are
    all harmed there; in part if KL is so and three of the five are harmed, KL among them.
    """
    here = _study(evidence, QCP, TWO_SIDED)
    levels = fractions(here)
    level = nearest(levels, 0.5)
    _, first_harmed = _reaches(evidence, here)
    # A measure that was harmed earlier may have recovered, so this level alone counts.
    alone = here.isel(level=[0, level])
    harmed = [name for name in MEASURES if reach(alone, name).level == 1]
    how = "fraction pruned at the level nearest to 50 %"
    pruned = evidence.note("at", levels[level], how, "study/fraction_pruned")
    kl, of = series(here, "kl", "level"), f"level {level} over level 0"
    against = evidence.compare("kl", kl[:, level], kl[:, 0], of, "study/kl")
    evidence.effect(f"KL at {levels[level]:.1%} pruned over dense", kl[:, level] / kl[:, 0])
    damaged = against.higher and against.ratio >= COMPARABLE and "kl" in harmed
    evidence.decide(
        damaged and len(harmed) == len(MEASURES), damaged and 2 * len(harmed) > len(MEASURES)
    )
    return (
        f"At {pruned:.1%} pruned KL is {against} times the dense one, median over "
        f"{evidence.seeds} seeds; harmed: {listed([MEASURES[name] for name in harmed])}. "
        f"{first_harmed}"
    )
