"""Small statistics over seeds: bands, paired ratios, threshold crossings, model selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from psiprune.core.exceptions import InputError


def crossing(levels: NDArray[np.float64], values: ArrayLike, limit: float) -> float:
    """The fraction pruned at which the values first exceed a limit, by linear interpolation.

    Infinite if they never do; the first fraction if they begin above it.
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


Float64 = NDArray[np.float64]


class Choice(NamedTuple):
    """Which model was chosen, and why.

    Attributes:
        chosen: index of the model chosen.
        best: index of the one with the highest likelihood.
        losses: mean over the shots of log p_best(v) - log p(v), nat a shot, [model].
        errors: their standard errors, shot by shot, [model].
        limits: the largest losses that count as none, [model].
    """

    chosen: int
    best: int
    losses: Float64
    errors: Float64
    limits: Float64


def choose(
    log_p: Float64, log_z_errors: Float64, sizes: Sequence[int], significance: float
) -> Choice:
    """The smallest model whose held-out likelihood cannot be told from that of the best.

    As the one-standard-error rule (Breiman et al. 1984; Hastie, Tibshirani & Friedman, section
    7.10) it prefers the simpler model where data do not decide. It differs in the error: that of
    the loss shot by shot, in which what all models find hard cancels; and in the number of errors:
    the one-sided normal quantile of significance / (models - 1), so that with probability at least
    1 - significance the smallest of models that are all the same is not passed over because
    another one is the best by chance. Of several models of the size found, the likeliest.

    Args:
        log_p: log p(v) of held-out shots, [model, shot], at least 2 shots.
        log_z_errors: standard error of each model's log Z, [model].
        sizes: hidden units of each model.
        significance: of the test.
    """
    means = log_p.mean(axis=1)
    best = int(np.argmax(means))
    apart = log_p[best] - log_p
    noise = apart.std(axis=1, ddof=1) / np.sqrt(log_p.shape[1])
    errors = np.hypot(noise, np.hypot(log_z_errors, log_z_errors[best]))
    errors[best] = 0.0
    limits = float(norm.isf(significance / max(1, len(sizes) - 1))) * errors
    losses = apart.mean(axis=1)
    least = min(
        size for size, loss, limit in zip(sizes, losses, limits, strict=True) if loss <= limit
    )
    chosen = max((k for k, size in enumerate(sizes) if size == least), key=lambda k: means[k])
    return Choice(chosen, best, losses, errors, limits)


#: A band holds the middle 68 % of the seeds, as one standard deviation to both sides would.
QUANTILES = (0.16, 0.5, 0.84)


class Band(NamedTuple):
    """Median over seeds, and where 16 and 84 % of the seeds lie."""

    low: xr.DataArray
    middle: xr.DataArray
    high: xr.DataArray


def band(values: xr.DataArray) -> Band:
    """Median and band over `seed`, which alone of the dimensions goes; seeds of NaN do not count.

    NaN where all seeds are.
    """
    # Where all seeds are NaN, numpy would warn.
    there = values.notnull().any("seed")
    known = values.where(there, 0.0)
    return Band(*(known.quantile(q, "seed").where(there) for q in QUANTILES))


def bands_of(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with a dimension `quantile` (0.16, 0.5, 0.84) in the place of its seeds.

    Numbers that are the same for all seeds stay as they are; `seeds` says how many there were.
    """
    found = {}
    for name, values in dataset.items():
        if "seed" in values.dims and values.dtype.kind in "fiub":
            bands = xr.concat(band(values.astype(float)), dim="quantile")
            found[name] = bands.astype("float32").assign_attrs(values.attrs)
        elif "seed" not in values.dims:
            found[name] = values
    whole = xr.Dataset(found).assign_coords(quantile=list(QUANTILES))
    return whole.assign(seeds=dataset.sizes["seed"]).assign_attrs(dataset.attrs)
