"""The order parameter under pruning: Section III A and Fig. 3."""

from __future__ import annotations

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
    Number,
    number,
    verdict_on,
)
from psiprune.paper.claims.data import QCP, Float64, fractions, phase, series, whole
from psiprune.paper.claims.tests import (
    ALPHA,
    FEW,
    MATTERS,
    ONE_SIDED,
    band,
    band_numbers,
    p_above,
    p_text,
)

#: Half-width of a 99 % interval in standard errors.
CONFIDENCE = 2.576
#: What "most" seeds are, and from where on a rank correlation counts as a steady rise.
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


def _rises_at_once(datasets: Datasets) -> Finding:
    exact, sampled = "abs_magnetization_bias_exact", "abs_magnetization_roe"
    here = whole(phase(datasets, "study", QCP), ONE_SIDED, exact, sampled)
    level = fractions(here)[1]
    numbers: dict[str, Number] = {}
    told, ratios, ps = [], {}, {}
    for name, title in ((exact, "exact |m| bias"), (sampled, "mROE")):
        values = series(here, name, "level")
        ratios[name] = float(np.median(values[:, 1] / values[:, 0]))
        ps[name] = p_above(values[:, 1], values[:, 0])
        told.append(
            f"{title} {band(values[:, 0])} dense, {band(values[:, 1])} after the step, "
            f"{ratios[name]:.2f} times ({p_text(ps[name])}, one-sided)"
        )
        for level_of, when in enumerate(("dense", "first_step")):
            numbers |= band_numbers(
                f"{name}_{when}",
                values[:, level_of],
                f"over seeds, level {level_of}",
                f"study/{name}",
            )
        how = "median over seeds of level 1 over level 0"
        numbers[f"{name}_ratio"] = number(ratios[name], how, f"study/{name}")
        how = "signed ranks, one-sided, level 1 against level 0"
        numbers[f"{name}_p"] = number(ps[name], how, f"study/{name}")
    numbers["first_step"] = number(
        float(level), "median over seeds, level 1", "study/fraction_pruned"
    )
    verdict = FAILS
    if ps[exact] <= ALPHA and ratios[exact] >= MATTERS:
        verdict = HOLDS
    elif ps[exact] <= ALPHA or (ps[sampled] <= ALPHA and ratios[sampled] >= MATTERS):
        verdict = IN_PART
    seeds = here.sizes["seed"]
    measured = f"First step, {level:.1%} pruned, {seeds} seeds: {'; '.join(told)}."
    return Finding(verdict, measured, numbers, seeds)


def _one_peak(datasets: Datasets) -> Finding:
    name = "magnetization_distribution"
    here = whole(phase(datasets, "study", QCP), FEW, name, f"{name}_error")
    p, error = series(here, name, "level", "ones"), series(here, f"{name}_error", "level", "ones")
    dense, last = (peaks(p[:, level], error[:, level]) for level in (0, -1))
    begins = float(np.mean(two_peaked(dense)))
    ends = float(np.mean(~two_peaked(last) & (last.place <= 2 / here.attrs["sites"])))
    steady = float(np.median(_rises(here, p, error)))
    single = _first_single(p, error)
    turns = begins >= _MOST and ends >= 0.5
    verdict = verdict_on(turns, [ends >= _MOST, steady >= _STEADY])
    levels, seeds = fractions(here), here.sizes["seed"]
    turned = f"from {levels[single]:.0%} pruned on" if single < len(levels) else "at no level"
    measured = (
        f"Two peaks in {begins:.0%} of {seeds} dense RBMs; one at m = 0 in {ends:.0%} of them at "
        f"{levels[-1]:.0%} pruned, in most {turned}. P(m = 0) goes from {band(dense.centre)} to "
        f"{band(last.centre)}, its rank correlation with the level is {steady:.2f}."
    )
    both = (f"study/{name}", f"study/{name}_error")
    how = "share of seeds whose highest symmetrised value is above that at m = 0 by 2.576 errors, "
    numbers = {
        "two_peaks_dense": number(begins, how + "level 0", *both),
        "one_peak_last": number(ends, "share of the others at the last level", *both),
        "rise_at_zero": number(
            steady, "median of Spearman's correlation of P(m = 0) and level", both[0]
        ),
        "single_from": number(
            float(levels[single]) if single < len(levels) else float("inf"),
            "first fraction pruned from which on most seeds have no two peaks",
            *both,
        ),
        "last": number(
            float(levels[-1]), "median over seeds, the last level", "study/fraction_pruned"
        ),
        **band_numbers("zero_dense", dense.centre, "over seeds of P(m = 0), level 0", both[0]),
        **band_numbers("zero_last", last.centre, "over seeds of P(m = 0), the last level", both[0]),
    }
    return Finding(verdict, measured, numbers, seeds)


def _rises(here: xr.Dataset, p: Float64, error: Float64) -> Float64:
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
    level = len(single)
    while level > 0 and single[level - 1]:
        level -= 1
    return level


CLAIMS = (
    Claim(
        "order-rises-at-once",
        "III A",
        "At the critical point the error of the order parameter rises, if weakly, at the very "
        "first pruning step.",
        "The bias of <|m|> by sums over all states, since mROE holds the noise of its samples. "
        "Holds if it is higher at level 1 than at level 0 by signed ranks over seeds, one-sided "
        "p <= 0.05, and by at least 10 % in the median; in part if it is significantly higher by "
        "less, or if only the sampled mROE is significantly higher by 10 %.",
        ("study",),
        _rises_at_once,
    ),
    Claim(
        "two-peaks-to-one",
        "III A, Fig. 3",
        "At the critical point pruning turns the two peaks of the distribution of m into one at "
        "m = 0, more and more pronounced.",
        "(P(m) + P(-m)) / 2 from samples has two peaks if its highest value is above that at m = 0 "
        "by 2.576 standard errors. Holds if 80 % of the dense RBMs have two peaks, 80 % have one "
        "within a step of m = 0 at the last level, and P(m = 0) rises steadily (median rank "
        "correlation with the level at least 0.9); in part if the dense RBMs have two peaks and "
        "half of them one at the end.",
        ("study",),
        _one_peak,
    ),
)
