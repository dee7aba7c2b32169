"""One measured quantity with its error and noise floor, and the paper's relative error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psiprune.core.repr import one_line
from psiprune.metrics.observables import Estimate

#: Half-width of the paper's 99 % confidence interval in standard errors, its c.
CONFIDENCE = 2.576


@one_line
@dataclass(frozen=True)
class Measure:
    """One metric of an RBM.

    Attributes:
        value: the value of the metric.
        error: its standard error; 0 where nothing is sampled.
        floor: what a perfect model would show with the same number of draws or training shots.
        method: how the value was computed.
        warning: why value and error cannot be trusted; empty if no problem was detected.
        effective_sample_size: how many independent draws would give the same error; None where
            nothing is sampled. For weighted draws (sum w)^2 / sum w^2.
    """

    value: float
    error: float
    floor: float
    method: str
    warning: str = ""
    effective_sample_size: float | None = None


def relative_error(reference: Estimate, estimate: Estimate) -> tuple[float, float]:
    """Return (ROE, bias) of an observable: the paper's Eq. (6), with and without the interval.

    NaN where the reference is 0.
    """
    scale = abs(float(reference.value)) or float("nan")
    bias = abs(float(estimate.value - reference.value))
    return (bias + CONFIDENCE * float(estimate.error)) / scale, bias / scale


def effective_draws(estimate: Estimate, count: int, length: int) -> float:
    """Return how many independent draws have this error, for `count` draws in chains of `length`.

    (deviation / error)^2, the smallest over an array. At most `count`, and exactly that for
    independent draws (length 1).
    """
    error, deviation = np.atleast_1d(estimate.error), np.atleast_1d(estimate.deviation)
    noisy = (error > 0) & (deviation > 0)
    if length == 1 or not noisy.any():
        return float(count)
    return float(min(count, ((deviation[noisy] / error[noisy]) ** 2).min()))
