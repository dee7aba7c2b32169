"""Compare two kinds of RBM seed by seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.inputs import InputError


class Paired(NamedTuple):
    """Two sets of a measure, pair by pair.

    Attributes:
        ratio: median of value / other; NaN unless all are positive.
        lower: pairs in which the value is the lower one.
        pairs: number of pairs.
        p: two-sided p-value that the differences lie symmetrically about 0.
    """

    ratio: float
    lower: int
    pairs: int
    p: float


def paired(values: ArrayLike, others: ArrayLike) -> Paired:
    """Compare `values` with `others`, both [pair].

    p comes from the signed ranks of value - other (Wilcoxon 1945; exact up to 50 pairs without
    ties). With n pairs it cannot be below 2 / 2^n: 0.002 for 10. It is not corrected for the number
    of comparisons made.

    Raises:
        InputError: the shapes differ, there is no pair, or a number is not finite.
    """
    from scipy.stats import wilcoxon

    a, b = np.asarray(values, np.float64), np.asarray(others, np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise InputError(f"values: must be [pair] like others, found {a.shape} and {b.shape}")
    if not (np.isfinite(a) & np.isfinite(b)).all():
        raise InputError("values: must be finite, and others too")
    ratio = float(np.median(a / b)) if (a > 0).all() and (b > 0).all() else float("nan")
    p = float(wilcoxon(a, b).pvalue) if (a != b).any() else 1.0
    return Paired(ratio, int((a < b).sum()), a.size, p)
