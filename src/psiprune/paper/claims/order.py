"""The order parameter under pruning: Section III A and Fig. 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from psiprune.paper.claims.data import QCP, Float64, fractions, phase, series
from psiprune.paper.claims.evidence import Evidence, claim
from psiprune.paper.claims.tests import ALPHA, FEW, MATTERS, ONE_SIDED, p_text

#: Half-width of a 99 % interval in standard errors.
CONFIDENCE = 2.576
#: The share that "most" seeds are, and the least rank correlation of a steady rise.
_MOST, _STEADY = 0.8, 0.9


class Peaks(NamedTuple):
    """The shape of P(m), symmetrised: [RBM] each.

    Attributes:
        place: |m| of the highest value.
        excess: that value less the one nearest to m = 0.
        error: standard error of the excess.
        centre: the value nearest to m = 0.
    """

    place: Float64
    excess: Float64
    error: Float64
    centre: Float64


def peaks(p: Float64, error: Float64) -> Peaks:
    """The highest value of (P(m) + P(-m)) / 2 against that nearest to m = 0, [RBM, ones] both."""
    sites = p.shape[1] - 1
    half = sites // 2
    # By |m|, from m = 0 (or the two values beside it) outwards.
    even = ((p + p[:, ::-1]) / 2)[:, half::-1]
    noise = (np.hypot(error, error[:, ::-1]) / 2)[:, half::-1]
    place = 1 - 2 * np.arange(half, -1, -1) / sites
    best = even.argmax(axis=1)
    rows = np.arange(len(p))
    both = np.hypot(noise[rows, best], noise[:, 0])
    return Peaks(place[best], even[rows, best] - even[:, 0], both, even[:, 0])


def two_peaked(found: Peaks) -> np.ndarray:
    """Whether the highest value lies away from m = 0 and is above that there, by 99 %; [RBM]."""
    return found.excess > CONFIDENCE * found.error


@claim("order-rises-at-once", "III A", "study")
def _rises_at_once(evidence: Evidence) -> str:
    """At the critical point the error of the order parameter rises, if weakly, at the very first
    pruning step.

    The bias of <|m|> by sums over all states, since mROE contains the noise of its samples. Holds
    if it is higher than in the dense RBM by signed ranks over seeds, one-sided p <= 0.05, and by at
    least 10 % in the median; in part if it is significantly higher by less, or if only the sampled
    mROE is significantly higher by 10 %. After the whole first step, and before its fine-tuning,
    when only weights are removed (exact alone). Where both agree that is the verdict, else it holds
    in part.
    """
    here = evidence.at(QCP, "study", ONE_SIDED, _ORDER, _SAMPLED)
    how = "median over seeds, level 1"
    first = evidence.note("first_step", fractions(here)[1], how, "study/fraction_pruned")
    dense = {name: series(here, name, "level")[:, 0] for name in (_ORDER, _SAMPLED)}
    tuned = {name: series(here, name, "level")[:, 1] for name in (_ORDER, _SAMPLED)}
    removed = _removed(evidence, here)
    ways = {("", "after fine-tuning"): (dense, tuned, "study")}
    if removed is not None:
        ways["removed", "before fine-tuning"] = ({_ORDER: dense[_ORDER]}, {_ORDER: removed}, "sums")
    measured = evidence.each(ways, _rises)
    return f"First step, {first:.1%} pruned, {evidence.seeds} seeds. {measured}"


#: The |m| bias by sums over all states, and mROE.
_ORDER, _SAMPLED = "abs_magnetization_bias_exact", "abs_magnetization_roe"
#: The values of a measure, [seed], by its name.
_Values = Mapping[str, Float64]


def _removed(evidence: Evidence, here: xr.Dataset) -> Float64 | None:
    """The exact |m| bias once the first step has removed weights, [seed]; None if not known."""
    name = "removed_abs_magnetization_bias"
    if "sums" not in evidence.datasets or name not in evidence.datasets["sums"]:
        return None
    sums = phase(evidence.datasets, "sums", QCP)
    return np.asarray(sums[name].sel(seed=here["seed"]).values, np.float64)


def _rises(evidence: Evidence, way: tuple[_Values, _Values, str]) -> str:
    """Whether |m| is further off after a step than before it."""
    dense, pruned, key = way
    significant, matters = {}, {}
    for name, after in pruned.items():
        title = "exact |m| bias" if name == _ORDER else "mROE"
        source = f"study/{name}" if key == "study" else "sums/removed_abs_magnetization_bias"
        of = evidence.using(f"study/{name}", source)
        shown = of.band(f"{name}_dense", dense[name], "over seeds, level 0")
        then = of.band(f"{name}_first_step", after, "over seeds, after the first step")
        ratio, p = of.compare_above(name, after, dense[name], "after the first step over level 0")
        significant[name], matters[name] = p <= ALPHA, ratio >= MATTERS
        if name == _ORDER:
            evidence.effect("exact |m| bias over dense", after / dense[name])
        evidence.case(
            f"{title} {shown} dense, {then} then, {ratio:.2f} times ({p_text(p)}, one-sided)"
        )
    sampled = significant.get(_SAMPLED, False) and matters.get(_SAMPLED, False)
    evidence.decide(significant[_ORDER] and matters[_ORDER], significant[_ORDER] or sampled)
    return f"{evidence.text}."


@claim("two-peaks-to-one", "III A, Fig. 3", "study")
def _one_peak(evidence: Evidence) -> str:
    """At the critical point pruning turns the two peaks of the distribution of m into one at m = 0,
    more and more pronounced.

    (P(m) + P(-m)) / 2 from samples has two peaks if its highest value is above that at m = 0 by
    2.576 standard errors. Holds if 80 % of the dense RBMs have two peaks, 80 % have one within a
    step of m = 0 at the last level, and P(m = 0) rises steadily (median rank correlation with the
    level at least 0.9); in part if the dense RBMs have two peaks and half of them one at the end.
    """
    name = "magnetization_distribution"
    here = evidence.at(QCP, "study", FEW, name, f"{name}_error")
    p, error = (series(here, each, "level", "ones") for each in (name, f"{name}_error"))
    dense, last = (peaks(p[:, level], error[:, level]) for level in (0, -1))
    single, levels = _first_single(p, error), np.append(fractions(here), np.inf)

    both = evidence.using(f"study/{name}", f"study/{name}_error")
    of = evidence.using(f"study/{name}")
    how = "share of seeds whose highest symmetrised value is above that at m = 0 by 2.576 errors, "
    begins = both.note("two_peaks_dense", two_peaked(dense).mean(), how + "level 0")
    single_at_0 = ~two_peaked(last) & (last.place <= 2 / here.attrs["sites"])
    ends = both.note("one_peak_last", single_at_0.mean(), "share of the others at the last level")
    how = "median of Spearman's correlation of P(m = 0) and level"
    steady = of.note("rise_at_zero", np.median(_centres_rise(here, p, error)), how)
    how = "first fraction pruned from which on most seeds do not have two peaks"
    turns = both.note("single_from", levels[single], how)
    how = "median over seeds, the last level"
    end = evidence.note("last", levels[-2], how, "study/fraction_pruned")
    before = of.band("zero_dense", dense.centre, "over seeds of P(m = 0), level 0")
    after = of.band("zero_last", last.centre, "over seeds of P(m = 0), the last level")
    evidence.effect("dense RBMs with two peaks", two_peaked(dense))
    evidence.effect("RBMs with one peak at m = 0 at the last level", single_at_0)
    turned = f"from {turns:.0%} pruned on" if np.isfinite(turns) else "at no level"
    two_to_one = begins >= _MOST and ends >= 0.5
    evidence.decide(two_to_one and ends >= _MOST and steady >= _STEADY, two_to_one)
    return (
        f"Two peaks in {begins:.0%} of {evidence.seeds} dense RBMs; one at m = 0 in {ends:.0%} of "
        f"them at {end:.0%} pruned, in most {turned}. P(m = 0) goes from {before} to {after}, its "
        f"rank correlation with the level is {steady:.2f}."
    )


def _centres_rise(here: xr.Dataset, p: Float64, error: Float64) -> Float64:
    """Spearman's correlation of P(m = 0) with the level, [seed]."""
    from scipy.stats import spearmanr

    levels = np.arange(here.sizes["level"])
    centres = [peaks(each, noise).centre for each, noise in zip(p, error, strict=True)]
    # A constant has no rank correlation, and does not rise.
    return np.array([spearmanr(levels, c).statistic if np.ptp(c) > 0 else 0.0 for c in centres])


def _first_single(p: Float64, error: Float64) -> int:
    """The level from which on most seeds have no two peaks; the number of levels if none is."""
    single = [
        float(np.mean(~two_peaked(peaks(p[:, level], error[:, level])))) >= _MOST
        for level in range(p.shape[1])
    ]
    return 1 + max((level for level, each in enumerate(single) if not each), default=-1)
