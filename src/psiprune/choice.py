"""The smallest of several models that shots cannot tell from the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

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
