"""Where a measure crosses a limit as weights go."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
