"""Serial correlation of shots: how many consecutive shots say as much as one independent shot.

The error of a mean over n correlated shots is that over n/g independent ones, with the statistical
inefficiency g = 1 + 2 sum_l rho(l), twice the integrated autocorrelation time (Sokal 1997).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
#: Shots so many inefficiencies apart are independent: a correlation that falls exponentially is
#: below exp(-6) there.
FAR_APART = 3
#: The sum over l ends at so many autocorrelation times, g/2 each (Sokal).
_WINDOW = 4
#: Values that fewer shots have show no correlation, unless there are no others.
_RARE = 50


def inefficiency(bits: NDArray[np.uint8]) -> float:
    """Return g, the largest over Z of the sites, Z Z of neighbours, and |m|; at least 1.

    Means are those of each half of the shots, so that a drift between them is no correlation. The
    sum over l ends at 1/20 of the record at the latest. One g over s shots with the window W has
    the relative error sqrt((4 W + 2) / s).
    """
    ones = bits.sum(axis=0, dtype=np.int64)
    rarer = np.minimum(ones, len(bits) - ones)
    usable = rarer >= min(_RARE, int(rarer.max()))
    return max(1.0, *(_of_series(x) for x in _series(bits, usable)))


def _series(bits: NDArray[np.uint8], usable: NDArray[np.bool_]) -> Iterator[Float64]:
    number = len(bits)
    for site in np.flatnonzero(usable):
        yield bits[:, site].astype(np.float64)
    for site in np.flatnonzero(usable[1:] & usable[:-1]):
        wall = (bits[:, site] ^ bits[:, site + 1]).astype(np.float64)
        if _RARE <= wall.sum() <= number - _RARE:
            yield wall
    yield np.abs(1 - 2 * bits.mean(axis=1))


def _of_series(x: Float64) -> float:
    from scipy.fft import irfft, next_fast_len, rfft

    number = len(x)
    half = number // 2
    x = np.concatenate([x[:half] - x[:half].mean(), x[half:] - x[half:].mean()])
    if not (x**2).sum() > 1e-9:
        return 1.0
    longest = max(1, number // 20)
    power = np.abs(rfft(x, next_fast_len(number + longest))) ** 2
    covariance = irfft(power, next_fast_len(number + longest))[: longest + 1]
    sums = 2 * np.cumsum(covariance / covariance[0]) - 1
    enough = np.arange(longest + 1) >= _WINDOW * sums / 2
    enough[0] = False
    return float(sums[np.argmax(enough) if enough.any() else longest])
