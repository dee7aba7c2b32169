"""Readout errors against the shots: frequencies of bits that no state can produce."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_pairs import excluded_pairs
from psiprune.data.shots import Shots

Float64 = NDArray[np.float64]
#: The warning appears in at most this fraction of the sets of shots with correct rates; half of it
#: is for tests of sites and half for tests of pairs.
LEVEL = 1e-4
_WAY_OUT = "the readout error rates are too large for these shots; check them, or calibrate again"


def frequency_range(error: ReadoutError) -> tuple[Float64, Float64]:
    """Return the least and the largest probability of recording 1 over all states, [site] each.

    p(1 | 0) and 1 - p(0 | 1); in a group the extremes over the true bits of all its sites.
    """
    least, most, _, _ = _extremes(error)
    return least, most


def contradicted_rates(shots: Shots, shots_per_independent: float = 1.0) -> str:
    """Return a line about sites or pairs whose frequencies their readout errors exclude, or "".

    One-sided tests of both ends of the range of p(1) at each site, at the level 5e-5 over all of
    them: exact binomial tests for rates that were given; Fisher's exact test against the
    calibration shots where there are some. If all pass, the joint frequencies of two bits, at the
    same level over all pairs of sites; see `excluded_pairs`.

    Args:
        shots: records, with readout errors or without.
        shots_per_independent: records for each independent one.
    """
    if shots.readout is None:
        return ""
    line = _excluded_site(shots, shots.readout, shots_per_independent)
    if line:
        return line
    number = len(shots) / shots_per_independent
    found = excluded_pairs(shots.bits, shots.readout, number, LEVEL / 2)
    if found is None:
        return ""
    more = f" (and {found.pairs - 1} more pairs)" if found.pairs > 1 else ""
    return (
        f"sites {found.sites[0]} and {found.sites[1]}{more}: without readout errors bits "
        f"{found.state} would have a probability of {found.probability:.4g}, below 0 by more than "
        f"chance: {_WAY_OUT}"
    )


def _excluded_site(shots: Shots, error: ReadoutError, shots_per_independent: float) -> str:
    least, most, of_zero, of_one = _extremes(error)
    number = max(1, round(len(shots) / shots_per_independent))
    share = shots.bits.mean(axis=0)
    ones = np.rint(share * number).astype(np.int64)
    chance = np.stack(
        [_chance(ones, number, least, of_zero), _chance(number - ones, number, 1 - most, of_one)]
    )
    excluded = chance < LEVEL / 2 / chance.size
    if not excluded.any():
        return ""
    distance = np.where(excluded, np.stack([least - share, share - most]), -np.inf)
    end, site = np.unravel_index(np.argmax(distance), distance.shape)
    count = int(excluded.any(axis=0).sum())
    more = f" (and {count - 1} more)" if count > 1 else ""
    limit = f"below p(1|0) = {least[site]:.4g}, the least"
    if end == 1:
        limit = f"above 1 - p(0|1) = {most[site]:.4g}, the most"
    return (
        f"site {site}{more}: a share of {share[site]:.4g} ones is {limit} that any state can show: "
        f"{_WAY_OUT}"
    )


def _chance(
    seen: NDArray[np.int64], number: int, rate: Float64, prepared: NDArray[np.int64]
) -> Float64:
    """Return the probability of at most so many records of a value that has at least this rate."""
    from scipy.stats import binom, hypergeom  # imported where used: it takes half a second

    flips = np.rint(rate * prepared).astype(np.int64)
    against_rate = binom.cdf(seen, number, rate)
    against_shots = hypergeom.cdf(seen, number + prepared, flips + seen, number)
    return np.asarray(np.where(prepared > 0, against_shots, against_rate))


def _extremes(
    error: ReadoutError,
) -> tuple[Float64, Float64, NDArray[np.int64], NDArray[np.int64]]:
    """Return the ends of `frequency_range` and the calibration shots of each, 0 if there are none.

    All [site].
    """
    least, most = np.empty((2, error.sites))
    shots = np.zeros((2, error.sites), np.int64)
    for group in error.groups:
        states = np.arange(len(group.matrix))
        for position, site in enumerate(group.sites):
            ones = group.matrix @ ((states >> position) & 1)
            rows = int(ones.argmin()), int(ones.argmax())
            least[site], most[site] = ones[list(rows)]
            if group.prepared is not None:
                shots[:, site] = group.prepared[list(rows)]
    return least, most, shots[0], shots[1]
