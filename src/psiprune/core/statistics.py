"""Small statistics over seeds: bands, paired ratios, threshold crossings, model selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError

if TYPE_CHECKING:
    import xarray as xr

Float64 = NDArray[np.float64]
#: A band contains the middle 68 % of the seeds, like one standard deviation on both sides.
QUANTILES = (0.16, 0.5, 0.84)


def crossing(levels: Float64, values: ArrayLike, limit: float) -> float:
    """Return the fraction pruned at which values first exceed a limit, by linear interpolation.

    Infinite if they never do; the first fraction if they start above it.
    """
    y = np.asarray(values, np.float64)
    above = np.flatnonzero(y > limit)
    if not len(above):
        return float("inf")
    k = int(above[0])
    if k == 0:
        return float(levels[0])
    share = (limit - y[k - 1]) / (y[k] - y[k - 1])
    return float(levels[k - 1] + share * (levels[k] - levels[k - 1]))


class Paired(NamedTuple):
    """Comparison of two sets of values, pair by pair.

    Attributes:
        ratio: median of value / other; NaN unless all are positive.
        lower: number of pairs in which the value is lower.
        pairs: number of pairs.
        p: two-sided p-value that the differences lie symmetrically about 0.
    """

    ratio: float
    lower: int
    pairs: int
    p: float


def paired(values: ArrayLike, others: ArrayLike) -> Paired:
    """Compare `values` with `others`, both [pair].

    p is that of the signed ranks of value - other (Wilcoxon 1945; exact up to 50 pairs without
    ties). With n pairs it is at least 2 / 2^n: 0.002 for 10. It is not corrected for multiple
    comparisons.

    Raises:
        InputError: the shapes differ, there is no pair, or a number is not finite.
    """
    from scipy.stats import wilcoxon

    a, b = np.asarray(values, np.float64), np.asarray(others, np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise InputError(
            f"values: must have the shape [pair] of others, found {a.shape}, {b.shape}"
        )
    if not (np.isfinite(a) & np.isfinite(b)).all():
        raise InputError("values, others: must be finite, found NaN or infinity")
    ratio = float(np.median(a / b)) if (a > 0).all() and (b > 0).all() else float("nan")
    p = float(wilcoxon(a, b).pvalue) if (a != b).any() else 1.0
    return Paired(ratio, int((a < b).sum()), a.size, p)


def paired_if_known(values: ArrayLike, others: ArrayLike) -> Paired:
    """Compare as `paired`; without pairs and with NaN if a number is not finite."""
    if np.isfinite(values).all() and np.isfinite(others).all():
        return paired(values, others)
    return Paired(float("nan"), 0, 0, float("nan"))


class Choice(NamedTuple):
    """The model that `choose` selects, and why.

    Attributes:
        chosen: index of the selected model.
        best: index of the one with the highest likelihood.
        losses: mean over the shots of log p_best(v) - log p(v), nats per shot, [model].
        errors: their standard errors, over paired shots, [model]; the largest accepted losses.
    """

    chosen: int
    best: int
    losses: Float64
    errors: Float64


def choose(log_p: Float64, log_z_errors: Float64, sizes: Sequence[int]) -> Choice:
    """Return the smallest model whose likelihood is within one standard error of the best.

    The one-standard-error rule (Breiman et al. 1984; Hastie, Tibshirani & Friedman, section 7.10),
    with the error of the paired loss per shot, from which the common difficulty of a shot cancels.
    Of several models of the selected size, the one with the highest likelihood.

    Args:
        log_p: log p(v) of shots, without what models gain on shots that trained them, [model,
            shot], at least 2 shots.
        log_z_errors: standard error of each model's log Z, [model].
        sizes: number of parameters of each model.
    """
    means = log_p.mean(axis=1)
    best = int(np.argmax(means))
    loss = log_p[best] - log_p
    noise = loss.std(axis=1, ddof=1) / np.sqrt(log_p.shape[1])
    errors = np.hypot(noise, np.hypot(log_z_errors, log_z_errors[best]))
    errors[best] = 0.0
    losses = loss.mean(axis=1)
    smallest = min(size for size, good in zip(sizes, losses <= errors, strict=True) if good)
    chosen = max((k for k, size in enumerate(sizes) if size == smallest), key=lambda k: means[k])
    return Choice(chosen, best, losses, errors)


class Band(NamedTuple):
    """Median over seeds, and the 16 % and 84 % quantiles."""

    low: xr.DataArray
    middle: xr.DataArray
    high: xr.DataArray


def band(values: xr.DataArray) -> Band:
    """Return the median and the band over the dimension `seed`, without seeds that are NaN.

    NaN where all seeds are.
    """
    # NumPy would warn where all seeds are NaN.
    valid = values.notnull().any("seed")
    filled = values.where(valid, 0.0)
    return Band(*(filled.quantile(q, "seed").where(valid) for q in QUANTILES))
