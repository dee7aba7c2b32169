"""Which configurations lose by pruning: what the Discussion infers from classes of images."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.paper.claims.base import InsufficientDataError
from psiprune.paper.claims.data import (
    Float64,
    complete_seeds,
    connectable,
    fractions,
    nearest,
    series,
)
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, ONE_SIDED, p_above, p_text

#: Least probability of a class of configurations that is compared with the others.
_CLASS = 0.01


@claim("hard-configurations-lose-most", "IV", "study", "sums")
def _hard(evidence: Evidence) -> str:
    """Pruning damages most what is hard to learn, as it does for classes of images.

    Hard: the rare configurations, those of the smallest probability that together hold a tenth of
    it. Damage: their part of the increase of KL over the dense RBM, at the last level at which the
    graph can be connected, as a multiple of their share of the probability. Holds if it is at least
    2 in the median over seeds and above 1 by signed ranks (one-sided p <= 0.05), in both phases; in
    part if in one. Reported next to it: which class of configurations by number of domain walls,
    with at least 1 % of the probability, has lost most of it.
    """
    for name, study in evidence.phases("study", ONE_SIDED, "weights_kept"):
        sums = evidence.at(float(study["field"]) / study.attrs["coupling"], "sums", ONE_SIDED)
        sums = complete_seeds(sums, ONE_SIDED, "rare_kl", "kl", "rare_probability", "probability")
        level, half = int(np.flatnonzero(connectable(study))[-1]), nearest(fractions(study), 0.5)
        rare, kl = (
            series(sums, "rare_kl", "level"),
            series(sums, "kl", "level", "walls").sum(axis=2),
        )
        grown = kl[:, level] - kl[:, 0]
        if (grown <= 0).any():
            raise InsufficientDataError(f"KL does not grow up to level {level} at the {name}")
        held = float(sums["rare_reference"])
        times = (rare[:, level] - rare[:, 0]) / grown / held
        of = evidence.using("sums/rare_kl", "sums/kl", "sums/rare_reference", prefix=name)
        shown = of.band("times", times, f"over seeds, level {level} less level 0")
        p = of.note("p", p_above(times, 1.0), "one-sided signed-rank test of the same against 1")
        evidence.effect(f"damage of rare configurations at the {name} over their share", times)
        of = evidence.using("sums/rare_probability", "sums/rare_reference", prefix=name)
        ratios = np.median(series(sums, "rare_probability", "level"), axis=0) / held
        has = [
            of.note(f"probability_{k}", ratios[k], f"median over seeds, level {k}, over exact")
            for k in (0, half, level)
        ]
        of = evidence.using("study/fraction_pruned", prefix=name)
        ends = [of.note(f"pruned_{k}", fractions(study)[k], f"level {k}") for k in (half, level)]
        walls, lost = _most_lost(sums["probability_reference"].values, sums, level)
        of = evidence.using("sums/probability", "sums/probability_reference", prefix=name)
        of.note("walls", walls, f"domain walls of the class that has lost most at level {level}")
        left = of.note("left", lost, "what is left of its probability, median over seeds")
        evidence.case(
            f"{name}: {shown} times their share of the increase of KL ({p_text(p)}, one-sided), "
            f"with {has[0]:.3g} times their exact probability before pruning, {has[1]:.3g} at "
            f"{ends[0]:.0%} and {has[2]:.3g} at {ends[1]:.0%} pruned, where those of {walls} "
            f"domain walls have lost most and keep {left:.2g} of theirs",
            p <= ALPHA and float(np.median(times)) >= COMPARABLE,
        )
    return f"Rare configurations, {evidence.seeds} seeds. {evidence.text}."


def _most_lost(exact: Float64, sums: xr.Dataset, level: int) -> tuple[int, float]:
    """The number of domain walls of the class whose probability has fallen most, and its ratio."""
    found = np.median(series(sums, "probability", "level", "walls"), axis=0)[level]
    large = exact >= _CLASS
    ratio = np.where(large, found / np.where(large, exact, 1.0), np.inf)
    return int(ratio.argmin()), float(ratio.min())
