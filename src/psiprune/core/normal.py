"""Tails of the normal distribution, as `scipy.stats.norm`, which takes half a second to import."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sf(sigmas: ArrayLike) -> NDArray[np.float64]:
    """Return the probability of more than so many standard deviations above the mean."""
    from scipy.special import ndtr

    return np.asarray(ndtr(-np.asarray(sigmas)))


def isf(probability: float) -> float:
    """Return the inverse of `sf`."""
    return -NormalDist().inv_cdf(probability)
