"""Readout errors in numbers: rates, their errors, and how far they weaken correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psiprune.core.repr import one_line
from psiprune.data.readout_error import ReadoutError

Float64 = NDArray[np.float64]


@one_line
@dataclass(frozen=True, eq=False)
class ReadoutSummary:
    """The readout errors of shots.

    Attributes:
        source: the origin of the rates.
        measured: whether calibration shots give the error of all rates; otherwise rates are
            assumed, with a standard deviation of 10 % of their value.
        groups: sites that are read together, more than one each.
        rates: p(1 | 0) and p(0 | 1), [site, 2].
        rate_errors: their standard errors, [site, 2].
        attenuation: a_i = 1 - p(1|0) - p(0|1), [site]. The recorded bits have <Z_i> = a_i <Z_i> of
            the true bits + p(0|1) - p(1|0), and for sites read independently a_i a_j times their
            covariance.
    """

    source: str
    measured: bool
    groups: tuple[tuple[int, ...], ...]
    rates: Float64
    rate_errors: Float64
    attenuation: Float64

    @property
    def covariance_range(self) -> tuple[float, float] | None:
        """Smallest and largest a_i a_j over pairs of sites; None for a single site."""
        if len(self.attenuation) < 2:
            return None
        ordered = np.sort(self.attenuation)
        return float(ordered[0] * ordered[1]), float(ordered[-1] * ordered[-2])


def summarize_readout(error: ReadoutError) -> ReadoutSummary:
    """Return the summary of an error model."""
    rates = error.rates
    return ReadoutSummary(
        source=error.source,
        measured=error.is_measured,
        groups=tuple(group.sites for group in error.groups if len(group.sites) > 1),
        rates=rates,
        rate_errors=error.rate_errors,
        attenuation=1 - rates.sum(axis=1),
    )
