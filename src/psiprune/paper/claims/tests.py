"""The statistical tests that rules share, and their thresholds.

A difference counts if it is significant *and* large enough to matter. The thresholds were fixed
before any run was judged; no rule has its own idea of significance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.random import Stream, generator_for
from psiprune.core.statistics import paired
from psiprune.paper.claims.data import Float64

#: The largest significant p-value. The limit itself counts: three values above three others reach
#: p = 1/20 and no less.
ALPHA = 0.05
#: The smallest ratio that matters: 10 % more, or as much less.
MATTERS = 1.1
#: Up to this ratio two errors are of comparable size; beyond it, one is harmed.
COMPARABLE = 2.0
#: Confidence of the intervals that are reported with effects: one standard error.
_SURE = 0.6827
#: Fewest seeds of a rule on medians and ranges.
FEW = 3
#: Fewest seeds whose signed ranks can reach ALPHA: p is 2^-n at least, two-sided 2 / 2^n.
ONE_SIDED, TWO_SIDED = 5, 6


class Contrast(NamedTuple):
    """Paired comparison of two sets of a measure.

    Attributes:
        ratio: median of value / other; NaN unless all are positive.
        p: two-sided p-value that the differences lie symmetrically about 0.
        higher, lower: whether the value is significantly so, and by enough to matter.
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
    pairs = paired(values, others)
    clear = pairs.p <= ALPHA
    higher, lower = pairs.ratio >= MATTERS, pairs.ratio <= 1 / MATTERS
    return Contrast(pairs.ratio, pairs.p, bool(clear and higher), bool(clear and lower))


def p_above(values: ArrayLike, others: ArrayLike = 0.0) -> float:
    """One-sided p-value of signed ranks that the values are not above the others."""
    from scipy.stats import wilcoxon

    difference = np.asarray(values, np.float64) - np.asarray(others, np.float64)
    if not difference.any():
        return 1.0
    return float(wilcoxon(difference, alternative="greater").pvalue)


def p_larger(values: ArrayLike, others: ArrayLike) -> float:
    """One-sided p-value of rank sums that unpaired values are not larger than the others.

    A permutation test (Mann & Whitney 1947), exact up to 10,000 permutations even with ties, and
    over as many random ones beyond. Three against three reach 0.05 and no less.
    """
    from scipy.stats import PermutationMethod, mannwhitneyu

    dealt = PermutationMethod(n_resamples=10_000, rng=generator_for(0, Stream.CLAIM_PERMUTATIONS))
    return float(mannwhitneyu(values, others, alternative="greater", method=dealt).pvalue)


class Interval(NamedTuple):
    """A median or a share, and its 68 % confidence interval; NaN without one."""

    value: float
    low: float
    high: float


def interval_of(values: ArrayLike) -> Interval:
    """Return the median of values [seed], or the share of truths [seed], with its interval.

    Of a median by interpolated order statistics, which assume nothing of the distribution
    (Hettmansperger & Sheather, Stat. Probab. Lett. 4, 75 (1986)); of two values their range. Of a
    share by Wilson's score interval. A single value has none.
    """
    found = np.asarray(values)
    if found.size < 2:
        return Interval(float(found.item()), float("nan"), float("nan"))
    if found.dtype == bool:
        return _share(int(found.sum()), found.size)
    from scipy.stats import binom

    x, n = np.sort(found.astype(np.float64)), found.size
    # x[d - 1] to x[n - d] has the coverage 1 - 2 P(B < d) with B binomial(n, 1/2).
    depths = np.arange(1, n // 2 + 1)
    coverage = 1 - 2 * binom.cdf(depths - 1, n, 0.5)
    wide = np.flatnonzero(coverage >= _SURE)
    middle = float(np.median(x))
    if not len(wide):
        return Interval(middle, float(x[0]), float(x[-1]))
    d = int(depths[wide[-1]])
    inner = float(1 - 2 * binom.cdf(d, n, 0.5))
    over = (coverage[d - 1] - _SURE) / (coverage[d - 1] - inner)
    share = (n - d) * over / (d + (n - 2 * d) * over)
    low, high = (
        outer if outer == next_in else (1 - share) * outer + share * next_in
        for outer, next_in in ((x[d - 1], x[d]), (x[n - d], x[n - d - 1]))
    )
    return Interval(middle, float(low), float(high))


def _share(count: int, total: int) -> Interval:
    """A share with Wilson's interval of one standard error: (s + 1/2n -+ ...) / (1 + 1/n)."""
    share = count / total
    centre = (share + 0.5 / total) / (1 + 1 / total)
    half = np.sqrt(share * (1 - share) / total + 0.25 / total**2) / (1 + 1 / total)
    return Interval(share, float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def p_more_often(count: int, total: int, other: int, others: int) -> float:
    """One-sided p-value of Fisher's exact test that `count` of `total` is no larger a share."""
    from scipy.stats import fisher_exact

    table = [[count, total - count], [other, others - other]]
    return float(fisher_exact(table, alternative="greater").pvalue)


def p_text(p: float) -> str:
    """As "p = 0.002"."""
    return f"p = {p:.2g}"


def growth(values: Float64) -> Float64:
    """ln(value / dense value), averaged over pruned levels: [seed, level] -> [seed].

    So e^growth is the factor by which a measure exceeds that of the dense RBM, as a geometric mean
    over levels. It has no unit, and is NaN where a value is not positive.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        return np.mean(logs[:, 1:] - logs[:, :1], axis=1)
