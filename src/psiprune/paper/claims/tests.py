"""The tests that rules are made of, and the thresholds that all of them share.

A difference counts if it is significant *and* large enough to matter. The thresholds were fixed
before any run was judged; no rule has its own idea of significance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.random import Stream, generator_for
from psiprune.core.statistics import QUANTILES, paired
from psiprune.paper.claims.base import Number, number
from psiprune.paper.claims.data import Float64

#: The largest p-value that counts as significant: it itself does, as three values above three
#: others reach 1/20 and no less.
ALPHA = 0.05
#: The least ratio that matters: 10 % more, or as much less.
MATTERS = 1.1
#: Up to this ratio two errors are of comparable size; beyond it, one is harmed.
COMPARABLE = 2.0
#: Fewest seeds of a rule on medians and ranges.
FEW = 3
#: Fewest seeds whose signed ranks can reach ALPHA: p is 2^-n at least, two-sided 2 / 2^n.
ONE_SIDED, TWO_SIDED = 5, 6


class Contrast(NamedTuple):
    """Two sets of a measure, pair by pair.

    Attributes:
        ratio: median of value / other; NaN unless all are positive.
        p: two-sided, that the differences lie symmetrically about 0.
        higher, lower: the value is significantly so, and by enough to matter.
    """

    ratio: float
    p: float
    higher: bool
    lower: bool

    def __str__(self) -> str:
        """As "1.26 (p = 0.002)"."""
        return f"{self.ratio:.2f} ({p_text(self.p)})"


def contrast(values: ArrayLike, others: ArrayLike) -> Contrast:
    """Compare pair by pair, by signed ranks (`paired`)."""
    found = paired(values, others)
    counts = found.p <= ALPHA
    higher = bool(counts and found.ratio >= MATTERS)
    return Contrast(found.ratio, found.p, higher, bool(counts and found.ratio <= 1 / MATTERS))


def p_above(values: ArrayLike, others: ArrayLike = 0.0) -> float:
    """One-sided p-value of signed ranks that the values are not above the others."""
    from scipy.stats import wilcoxon

    difference = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, alternative="greater").pvalue)


def p_larger(values: ArrayLike, others: ArrayLike) -> float:
    """One-sided p-value of rank sums that unpaired values are not larger than the others.

    (Mann & Whitney 1947. Over all ways to deal the values out up to 10,000, so exact with ties too,
    else over as many random ones. Three against three reach 0.05 and no less.)
    """
    from scipy.stats import PermutationMethod, mannwhitneyu

    dealt = PermutationMethod(n_resamples=10_000, rng=generator_for(0, Stream.CLAIM_PERMUTATIONS))
    found = mannwhitneyu(values, others, alternative="greater", method=dealt)
    return float(found.pvalue)


def band(values: ArrayLike, form: str = ".2g") -> str:
    """Median, and where 16 and 84 % lie: "0.0025 (0.0024 to 0.0026)"."""
    low, middle, high = np.quantile(np.asarray(values, np.float64), QUANTILES)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def band_numbers(label: str, values: ArrayLike, of: str, *variables: str) -> dict[str, Number]:
    """What `band` tells, as numbers LABEL, LABEL_low and LABEL_high; of: "over seeds, sc"."""
    low, middle, high = np.quantile(np.asarray(values, np.float64), QUANTILES)
    return {
        label: number(middle, f"median {of}", *variables),
        f"{label}_low": number(low, f"16 % quantile {of}", *variables),
        f"{label}_high": number(high, f"84 % quantile {of}", *variables),
    }


def p_text(p: float) -> str:
    """As "p = 0.002"."""
    return f"p = {p:.2g}"


def growth(values: Float64) -> Float64:
    """ln(value / dense value), averaged over levels after the dense one: [seed, level] -> [seed].

    So e^growth is the factor by which a measure is larger than at the dense RBM, in the geometric
    mean over levels. It has no unit, and is NaN where a value is not positive.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        return np.mean(logs[:, 1:] - logs[:, :1], axis=1)
