"""Tests of stated rates: how many repeats see a rate that is off by a factor, and the limits.

A test takes a statement such as "a 95 % interval misses 5 % of the time" or "at most 5 % of sound
records raise an alarm", counts events in as many repeats as `repeats` says, and calls `check`. A
rate that is off by the factor is refused with a probability of at least `POWER`, the stated rate
itself with at most `FALSE_ALARM` at each limit: of the 230 limits of the default run one fails by
chance with a probability below 10^-3. These are exact binomial tails.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import binom, norm

FALSE_ALARM, POWER = 2.5e-6, 0.95
#: The default run sees a rate that is off by a factor of 3, `make test-all` one of 1.5.
factors = pytest.mark.parametrize("factor", [3.0, pytest.param(1.5, marks=pytest.mark.slow)])


def limits(repeats: int, stated: float, at_most: bool = False) -> tuple[int, int]:
    """Return the fewest and the most events that do not speak against the rate `stated`."""
    high = int(binom.isf(FALSE_ALARM, repeats, stated))
    low = 0 if at_most else int(binom.ppf(FALSE_ALARM, repeats, stated))
    return low, high


def power(repeats: int, stated: float, factor: float, at_most: bool = False) -> float:
    """Return the lower of the probabilities that `factor` times as many or as few are refused."""
    low, high = limits(repeats, stated, at_most)
    above = float(binom.sf(high, repeats, min(1.0, factor * stated)))
    return above if at_most else min(above, float(binom.cdf(low - 1, repeats, stated / factor)))


@cache
def repeats(stated: float, factor: float, at_most: bool = False) -> int:
    """Return the number of repeats, to 2 %, that see a rate off by the factor."""
    number = 10
    while power(number, stated, factor, at_most) < POWER:
        number += 1 + number // 50
    return number


def check(
    events: ArrayLike, stated: float, factor: float, at_most: bool = False, what: str = ""
) -> None:
    """Assert that events [repeat, ...] occur at the rate `stated`, or at most so often.

    Each column is a statement of its own.
    """
    happened = np.asarray(events)
    assert happened.dtype == bool
    number = len(happened)
    assert power(number, stated, factor, at_most) >= POWER, "too few repeats"
    low, high = limits(number, stated, at_most)
    counts = happened.sum(axis=0)
    assert ((low <= counts) & (counts <= high)).all(), (
        f"{what}: {counts} of {number}, not {low} to {high}"
    )


def misses(value: ArrayLike, error: ArrayLike, truth: ArrayLike, rate: float = 0.05) -> np.ndarray:
    """Return which intervals miss the truth, of those that miss at `rate` if errors are normal."""
    return np.abs(np.subtract(value, truth)) > norm.isf(rate / 2) * np.asarray(error)


def intervals(factor: float) -> int:
    """Return the number of repeats for `check_intervals`."""
    return max(repeats(0.05, factor, at_most=True), repeats(0.2, factor))


def check_intervals(
    value: ArrayLike, error: ArrayLike, truth: ArrayLike, factor: float, what: str = ""
) -> None:
    """Assert that errors of values [repeat, ...] are neither too small nor too large.

    95 % intervals miss at most 5 % of the time and 80 % intervals miss 20 %: too large errors are
    seen with a quarter of the repeats that the few misses of 95 % intervals would take.
    """
    check(misses(value, error, truth), 0.05, factor, at_most=True, what=f"{what} 95 %")
    check(misses(value, error, truth, 0.2), 0.2, factor, what=f"{what} 80 %")
