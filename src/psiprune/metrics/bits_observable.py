"""An observable that is the mean of a function of bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class BitsObservable:
    """A function of bits whose mean is the observable.

    Attributes:
        function: bits [shot, site] and the mean of each bit [site] -> [shot] or [shot, value].
        dimension: what distinguishes the values, such as k; empty for a scalar.
        coordinates: of the values.
        of_pairs: <Z_i Z_j> [site, site] and <Z_i> [site] -> the observable, if these determine it.
    """

    function: Callable[[Bits, Float64], Float64]
    dimension: str = ""
    coordinates: tuple[float, ...] = ()
    of_pairs: Callable[[Float64, Float64], Float64] | None = None

    def __call__(self, bits: Bits) -> Float64:
        """Return the values of shots, bits [shot, site] -> [shot] or [shot, value]."""
        return self.function(bits, bits.mean(axis=0))
