"""How C(d) falls off with distance: as a power law or exponentially."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.validation import check_count

#: Standard errors above 0 that a C(d) must be to have a logarithm that means anything.
KNOWN = 3.0
#: Fewest distances of a comparison: two parameters and one left over.
FEWEST = 3


class Decay(NamedTuple):
    """Two fits to the same C(d), and which describes it better.

    Attributes:
        exponent: eta of A d^-eta.
        inverse_length: 1 / xi of A exp(-d / xi), per site.
        delta_aic: Akaike's criterion of the power law less that of the exponential: below 0 the
            power law describes C(d) better, above 0 the exponential; beyond 2 that says something.
        points: distances in the fits.
    """

    exponent: float
    inverse_length: float
    delta_aic: float
    points: int


def compare_decays(correlation: ArrayLike, error: ArrayLike, largest: int) -> Decay:
    """Fit ln C(d) over d = 1 .. largest by ln A - eta ln d and by ln A - d / xi.

    Both fits are by least squares with weights 1 / error^2 of ln C(d), that is (C(d) / error)^2,
    and one unknown scale, so that with n distances

        AIC(power law) - AIC(exponential) = n ln(RSS_power / RSS_exponential),

    RSS the weighted sum of squared residuals; both have as many parameters. Where errors are 0 all
    weights are equal. Distances count up to the first at which C(d) is below 3 standard errors. On
    an open chain C(d) from the middle falls faster near the ends than in an endless one, at a
    critical point too; with `largest` = N/4 the exact ground states of the Ising chain come out as
    they are (h = J: eta 0.34, 0.33 and 0.32 at N = 18, 50 and 100, and a power law; 2 J:
    exponential).

    Args:
        correlation: C(d) from d = 0 on, [distance].
        error: its standard errors, [distance] or a number; 0 where it is exact.
        largest: the last distance to count.

    Returns:
        The fits; NaN where fewer than three distances count.

    Raises:
        InputError: not [distance] with `largest` in it, or shapes that differ.
    """
    values = np.asarray(correlation, np.float64)
    errors = np.asarray(error, np.float64)
    if values.ndim != 1 or errors.shape not in ((), values.shape):
        raise InputError(
            f"correlation: must be [distance] with its errors, found {values.shape} and "
            f"{errors.shape}"
        )
    if check_count("largest", largest, 1) >= len(values):
        raise InputError(f"largest: C(d) is known up to {len(values) - 1}, found {largest}")
    near = slice(1, largest + 1)
    c, noise = values[near], np.broadcast_to(errors, values.shape)[near]
    known = (c > 0) & (c > KNOWN * noise)
    points = len(c) if known.all() else int(np.argmin(known))
    if points < FEWEST:
        return Decay(np.nan, np.nan, np.nan, points)
    c, noise = c[:points], noise[:points]
    weight = (c / noise) ** 2 if (noise > 0).all() else np.ones(points)
    d = np.arange(1.0, points + 1)
    slope, power = _line(np.log(d), np.log(c), weight)
    rate, exponential = _line(d, np.log(c), weight)
    return Decay(-slope, -rate, points * float(np.log(power / exponential)), points)


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope of the line by weighted least squares, and the weighted sum of squared residuals."""
    w = weight / weight.sum()
    x, y = x - w @ x, y - w @ y
    slope = float(w @ (x * y) / (w @ x**2))
    # A perfect fit must not divide by 0.
    return slope, max(float(w @ (y - slope * x) ** 2), float(np.finfo(float).tiny))
