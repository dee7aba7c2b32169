"""Readout errors in numbers: rates, their errors, and how far they weaken correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from psiprune.core.repr import one_line
from psiprune.data.readout_error import ASSUMED_UNCERTAINTY, ReadoutError

Float64 = NDArray[np.float64]
#: Assumed rates, in the mean of p(1|0) and p(0|1), whose uncertainty of 10 % would be no more than
#: one in 10^4.
_NEGLIGIBLE = 1e-3


@one_line
@dataclass(frozen=True, eq=False)
class ReadoutSummary:
    """The readout errors of shots.

    Attributes:
        source: the origin of the rates.
        measured: whether calibration shots give the error of all rates; otherwise rates are
            assumed, with a standard deviation of 10 % of their value.
        assumed: whether the rates of a site are assumed, [site].
        groups: sites that are read together, more than one each.
        rates: p(1 | 0) and p(0 | 1), [site, 2].
        rate_errors: their standard errors, [site, 2].
        attenuation: a_i = 1 - p(1|0) - p(0|1), [site]. The recorded bits have <Z_i> = a_i <Z_i> of
            the true bits + p(0|1) - p(1|0), and for sites read independently a_i a_j times their
            covariance.
    """

    source: str
    measured: bool
    assumed: NDArray[np.bool_]
    groups: tuple[tuple[int, ...], ...]
    rates: Float64
    rate_errors: Float64
    attenuation: Float64

    @property
    def origin(self) -> str:
        """Where the rates come from: measured, assumed, or some of each."""
        if self.measured:
            return f"calibrated ({self.source})"
        if not self.assumed.all():
            part = f"{self.assumed.sum()} of {len(self.assumed)} sites"
            return f"calibrated ({self.source}), but assumed at {part} ({listed(self.assumed)})"
        return f"assumed ({self.source}), not measured"

    @property
    def uncertainty(self) -> str:
        """What the errors of results allow for."""
        off = f"rates off by {ASSUMED_UNCERTAINTY:.0%}"
        if not (self.assumed & ~self.negligible).any():
            return "their statistical error"
        return off if self.assumed.all() else f"their statistical error, and assumed {off},"

    @property
    def negligible(self) -> NDArray[np.bool_]:
        """Whether the rates of a site are assumed, and so small that 10 % of them mean nothing."""
        return self.assumed & (self.rates.mean(axis=1) < _NEGLIGIBLE)

    @property
    def covariance_range(self) -> tuple[float, float] | None:
        """Smallest and largest a_i a_j over pairs of sites; None for a single site."""
        if len(self.attenuation) < 2:
            return None
        ordered = np.sort(self.attenuation)
        return float(ordered[0] * ordered[1]), float(ordered[-1] * ordered[-2])


def assumed_at_zero(chosen: NDArray[np.bool_]) -> str:
    """Return how many sites are chosen, [site], and which, as those assumed at about 0."""
    number = int(chosen.sum())
    return f"{number} site{'s' if number > 1 else ''} assumed at about 0 ({listed(chosen)})"


def listed(chosen: NDArray[np.bool_]) -> str:
    """Return the numbers of the chosen sites, [site], at most the first eight."""
    sites = np.flatnonzero(chosen)
    return ", ".join(map(str, sites[:8])) + (", ..." if len(sites) > 8 else "")


def summarize_readout(error: ReadoutError) -> ReadoutSummary:
    """Return the summary of an error model."""
    rates = error.rates
    assumed = np.ones(error.sites, bool)
    for group in error.groups:
        assumed[list(group.sites)] = group.prepared is None
    return ReadoutSummary(
        source=error.source,
        measured=error.is_measured,
        assumed=assumed,
        groups=tuple(group.sites for group in error.groups if len(group.sites) > 1),
        rates=rates,
        rate_errors=error.rate_errors,
        attenuation=1 - rates.sum(axis=1),
    )
