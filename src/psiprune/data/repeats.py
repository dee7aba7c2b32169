"""Equal neighbours in a sequence of shots, compared with all orders of the same shots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


class Repeats(NamedTuple):
    """How often a value equals that of the preceding shot; numbers, or arrays [site].

    Attributes:
        observed: pairs of consecutive shots with equal values.
        expected: their mean over random orders of the same shots.
        p_value: the probability of at least as many pairs in a random order.
    """

    observed: NDArray[np.int64]
    expected: Float64
    p_value: Float64


def count_repeats(counts: Sequence[ArrayLike], observed: Sequence[int], number: int) -> Repeats:
    """Compare pairs of equal neighbours in a sequence of `number` items with random orders of it.

    counts[k] are the sizes of the classes of equal items; other items equal no item.
    """
    expected, spread = np.array([repeats_in_random_order(sizes, number) for sizes in counts]).T
    return compare_repeats(np.array(observed), expected, spread)


def compare_repeats(pairs: NDArray[np.int64], expected: Float64, spread: Float64) -> Repeats:
    """Return repeats with p-values, from mean and standard deviation over random orders."""
    from scipy.special import gammainc, gammaincc

    possible = (expected > 0) & (spread > 0)
    mean, sd = np.where(possible, [expected, spread], 1.0)
    # Few pairs follow a Poisson law, many a normal law with a skewness of at most sd / mean.
    # That is a gamma law of shape a, and at least k Poisson events are one below the mean.
    a = (2 * mean / sd) ** 2
    p = gammaincc(a, np.maximum(a + 2 * mean / sd**2 * (pairs - 0.5 - mean), 0.0))
    p = np.where(mean < 30, np.maximum(p, gammainc(pairs, mean)), p)
    return Repeats(pairs, expected, np.where(possible, p, 1.0))


def repeats_in_random_order(counts: ArrayLike, number: int) -> tuple[float, float]:
    """Return mean and standard deviation of the equal neighbours over all orders, exactly."""
    if number < 2:
        return 0.0, 0.0
    two = three = four = same = 0
    sizes, multiplicity = np.unique(counts, return_counts=True)
    for c, times in zip(sizes.tolist(), multiplicity.tolist(), strict=True):
        pairs = c * (c - 1)
        two += times * pairs
        three += times * pairs * (c - 2)
        four += times * pairs * (c - 2) * (c - 3)
        same += times * pairs**2
    mean = Fraction(two, number)
    # Two overlapping pairs hold three items; two disjoint ones four, of one class or of two.
    square = mean + Fraction(2 * three + four + two**2 - same, number * (number - 1))
    return float(mean), math.sqrt(square - mean**2)
