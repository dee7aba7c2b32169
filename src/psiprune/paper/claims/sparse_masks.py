"""What a mask is worth with other weights, and masks made by rules: Section III B, Discussion."""

from __future__ import annotations

import numpy as np

from psiprune.paper.claims.base import Datasets, UnresolvedError, listed
from psiprune.paper.claims.data import PHASES, Float64, require_seeds, resolution
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.readings import by_measure
from psiprune.paper.claims.sparse import (
    KINDS,
    SCALE_FREE,
    Kinds,
    control_of,
    of_kinds,
    values_of,
)
from psiprune.paper.claims.tests import ALPHA, COMPARABLE, FEW, MATTERS, p_above, p_text

#: The share that most seeds are, and the least share that is more than an exception.
_MOST, _SOME = 0.8, 0.2
#: Pairs of a one-sided test with two chances: 2^-6 < 0.05 / 2.
_PAIRS = 6


def _shares(
    evidence: Evidence, kind: str, which: str, measure: str
) -> tuple[list[float], list[bool]]:
    """Record in which seeds the measure is "within" or "above" twice the median of pruned.

    Returns:
        The share of the seeds by phase, and whether it is so for each RBM of both phases.
    """
    shares, all_seeds = [], []
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, FEW, measure, prefix=name)
        pruned = kinds.median("pruned")
        within = kinds.values(kind) <= COMPARABLE * pruned
        seeds = within if which == "within" else ~within
        of = f"of {kind} {which} twice the median of pruned"
        shares.append(kinds.evidence.note("share", seeds.mean(), f"share of seeds {of}"))
        count = kinds.evidence.note("count", seeds.sum(), f"seeds {of}")
        evidence.effect(f"seeds {of} at the {name}", seeds)
        all_seeds += seeds.tolist()
        evidence.case(
            f"{name}: {count:g} of {len(seeds)} seeds ({kinds.band(kind)}; pruned {pruned:.2g})"
        )
    return shares, all_seeds


@claim("masks-carry-over", "III B", "sparse")
@by_measure
def _carry_over(evidence: Evidence, measure: str) -> str:
    """A mask found with one seed works reasonably well with others.

    sp/os is at most twice the median of pruned. Holds if so in 80 % of the seeds in both phases; in
    part if in one phase, or in half of the seeds in both.
    """
    shares, _ = _shares(evidence, "sp/os", "within", measure)
    evidence.decide(min(shares) >= _MOST, min(shares) >= 0.5 or max(shares) >= _MOST)
    return f"sp/os within twice the median of pruned. {evidence.text}."


#: The pairs that separate the influence of the start from that of the mask.
_COMPARED = {
    "start": "mask of one seed: from its own initial weights and from those of the seed before",
    "mask": "initial weights of one seed: with its own mask and with that of the next seed",
    "dense": "no mask: from the initial weights of one seed and of the seed before",
}


@claim("start-matters", "IV", "sparse")
@by_measure
def _start_matters(evidence: Evidence, measure: str) -> str:
    """How good an RBM with a mask from pruning gets can depend strongly on its initial weights.

    One mask, two starts: sp/os of a seed against sp/ss of the next seed, which have the same mask,
    from the initial weights of the one and of the other. Compared with the dense RBMs of the same
    two seeds, which have the same two starts and no mask; reported next to it: one start with two
    masks, sp/os against sp/ss of the same seed. Holds if in some phase the two starts differ by
    more than twice for at least 20 % of the masks, and by more than without a mask (one-sided
    signed ranks of |ln ratio|, p <= 0.05 / 2); in part if significantly more, and by 10 % in the
    median.
    """
    strongly, at_all = [], []
    for name, ratio in PHASES.items():
        factors, far = {}, {}
        pairs = _pairs(evidence.datasets, ratio, measure)
        evidence.count_seeds(len(pairs["start"]))
        of = evidence.using(f"sparse/{measure}", prefix=name)
        for kind, how in _COMPARED.items():
            factor, share = (
                np.exp(np.median(pairs[kind])),
                np.mean(pairs[kind] > np.log(COMPARABLE)),
            )
            factors[kind] = of.note(kind, factor, f"median of the larger over the smaller, {how}")
            far[kind] = of.note(f"{kind}_far", share, f"share of more than twice, {how}")
        evidence.effect(f"two starts at the {name}, larger over smaller", np.exp(pairs["start"]))
        how = "one-sided signed-rank test of the logarithms, start against dense"
        p = of.note("p", p_above(pairs["start"], pairs["dense"]), how)
        # One phase suffices, so there are two chances.
        clear = p <= ALPHA / len(PHASES)
        strongly.append(clear and far["start"] >= _SOME)
        at_all.append(clear and float(np.median(pairs["start"])) >= np.log(MATTERS))
        evidence.case(
            f"{name}: one mask, two starts {factors['start']:.2f} times ({far['start']:.0%} beyond "
            f"twice); no mask, the same starts {factors['dense']:.2f} times ({p_text(p)}, "
            f"one-sided); one start, two masks {factors['mask']:.2f} times ({far['mask']:.0%})"
        )
    evidence.decide(any(strongly), any(at_all))
    return f"Larger over smaller of two RBMs, median over {evidence.seeds} pairs. {evidence.text}."


def _pairs(datasets: Datasets, ratio: float, measure: str) -> dict[str, Float64]:
    """|ln| of the ratio of both values of each pair of `_COMPARED`, [pair].

    sp/os of a seed has the mask of the next one (of the first for the last). So it shares the mask
    with sp/ss of that seed, and the start with sp/ss of its own.
    """
    # All seeds, since neighbours must stay neighbours; pairs with an unknown value are left out.
    here, least = of_kinds(datasets, ratio, KINDS), resolution(datasets, ratio, measure)
    own, other, dense = (
        np.log(np.maximum(values_of(here, kind, measure), least))
        for kind in ("sp/ss", "sp/os", "dense")
    )
    pairs = {
        "start": np.abs(other - np.roll(own, -1)),
        "mask": np.abs(other - own),
        "dense": np.abs(dense - np.roll(dense, -1)),
    }
    if least > 0 and min(map(np.nanmedian, (own, other, dense))) <= np.log(least):
        raise UnresolvedError(
            f"a median is not above the {least:.2g} that the training set resolves"
        )
    known = np.all([np.isfinite(each) for each in pairs.values()], axis=0)
    require_seeds(int(known.sum()), _PAIRS)
    return {kind: each[known] for kind, each in pairs.items()}


@claim("rules-often-poor", "IV", "sparse")
@by_measure
def _rules_poor(evidence: Evidence, measure: str) -> str:
    """Masks made by rules of spatial locality before training often give poor accuracy.

    Poor: sc above twice the median of pruned. Holds if so in half of the RBMs of both phases
    together; in part if in a quarter. Scale-free masks, which also have long links, are reported
    next to it; docs/masks.md compares them with SNIP, GraSP and SynFlow.
    """
    _, poor = _shares(evidence, "sc", "above", measure)
    evidence.decide(float(np.mean(poor)) >= 0.5, float(np.mean(poor)) >= 0.25)
    measured = f"sc at more than twice the median of pruned. {evidence.text}."
    beside = _long_links(evidence, measure)
    if beside:
        measured += f" Of sc, scale-free masks, which decide nothing, have {listed(beside)}."
    return measured


def _long_links(evidence: Evidence, measure: str) -> list[str]:
    """How a scale-free mask compares with sc by phase, as texts; none without such masks."""
    texts = []
    for name, ratio in PHASES.items():
        kinds = Kinds(evidence, ratio, FEW, measure, prefix=name)
        control = control_of(evidence, ratio, kinds.data["seed"], SCALE_FREE)
        if control is not None:
            free = np.maximum(values_of(control, SCALE_FREE, measure), kinds.least)
            of_sc = kinds.data.sel(seed=control["seed"])
            sc = np.maximum(values_of(of_sc, "sc", measure), kinds.least)
            against = kinds.evidence.compare("scale_free", free, sc, "scale-free over sc")
            texts.append(f"{against} times at the {name}")
    return texts
