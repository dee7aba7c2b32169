"""Compare a power law and an exponential as fits to the decay of C(d) with distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count

#: Standard errors by which C(d) must exceed 0 for its logarithm to be used.
KNOWN = 3.0
#: Fewest distances of a comparison: two parameters and one degree of freedom.
FEWEST = 3


class Decay(NamedTuple):
    """Two fits to the same C(d), and which of them is better.

    Attributes:
        exponent: eta of A d^-eta.
        inverse_length: 1 / xi of A exp(-d / xi), per site.
        delta_aic: AIC of the power law minus that of the exponential: negative favours the power
            law, positive the exponential; below 2 in size neither.
        points: distances in the fits.
    """

    exponent: float
    inverse_length: float
    delta_aic: float
    points: int


def compare_decays(correlation: ArrayLike, error: ArrayLike, largest: int) -> Decay:
    """Fit ln C(d) over d = 1 .. largest with ln A - eta ln d and with ln A - d / xi.

    Both are least-squares fits with weights 1 / error^2 of ln C(d), that is (C(d) / error)^2, and
    one unknown scale, so that with n distances

        AIC(power law) - AIC(exponential) = n ln(RSS_power / RSS_exponential),

    RSS the weighted sum of squared residuals; both have as many parameters. Where errors are 0 all
    weights are equal. Distances are used up to the first at which C(d) is below 3 standard errors.
    On an open chain C(d) from the middle decays faster near the ends than in an infinite one, also
    at a critical point; `largest` = N/4 classifies the exact ground states of the Ising chain
    correctly (h = J: power law, eta 0.34, 0.33 and 0.32 at N = 18, 50 and 100; 2 J: exponential).

    Args:
        correlation: C(d) from d = 0 on, [distance].
        error: its standard errors, [distance] or a number; 0 where it is exact.
        largest: the last distance to use.

    Returns:
        The fits; NaN where fewer than three distances are usable.

    Raises:
        InputError: the shapes differ or are not [distance], or `largest` is out of range.
    """
    values = np.asarray(correlation, np.float64)
    errors = np.asarray(error, np.float64)
    if values.ndim != 1 or errors.shape not in ((), values.shape):
        raise InputError(
            f"correlation: must be [distance] with errors of the same shape or a number, found "
            f"{values.shape} and {errors.shape}"
        )
    if check_count("largest", largest, 1) >= len(values):
        raise InputError(f"largest: C(d) is given up to {len(values) - 1}, found {largest}")
    near = slice(1, largest + 1)
    c, noise = values[near], np.broadcast_to(errors, values.shape)[near]
    points = _first_unknown(c, noise)
    if points < FEWEST:
        return Decay(np.nan, np.nan, np.nan, points)
    c, noise = c[:points], noise[:points]
    weight = (c / noise) ** 2 if (noise > 0).all() else np.ones(points)
    d = np.arange(1.0, points + 1)
    slope, power = _line(np.log(d), np.log(c), weight)
    rate, exponential = _line(d, np.log(c), weight)
    return Decay(-slope, -rate, points * float(np.log(power / exponential)), points)


def _first_unknown(c: np.ndarray, error: np.ndarray) -> int:
    """Return the first place at which C is within 3 standard errors of 0, or how many there are."""
    known = c > KNOWN * error
    return len(c) if known.all() else int(np.argmin(known))


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return slope and weighted sum of squared residuals of the weighted least-squares line."""
    w = weight / weight.sum()
    x, y = x - w @ x, y - w @ y
    slope = float(w @ (x * y) / (w @ x**2))
    # Not 0, as the ratio of two sums is taken.
    return slope, max(float(w @ (y - slope * x) ** 2), float(np.finfo(float).tiny))
