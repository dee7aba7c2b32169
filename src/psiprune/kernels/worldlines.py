"""Path-integral Monte Carlo of Ising models in transverse and longitudinal fields."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from psiprune.kernels.qmc import SLICES
from psiprune.kernels.simd import compiled, inlined, row_key

#: Cells of the grid of times that finds the interval of a time.
_CELLS = 256


class IsingTerms(NamedTuple):
    """H = -sum_i h_i X_i - sum_i g_i Z_i - sum_{i<j} J_ij Z_i Z_j.

    Couplings of site i are items `begin[i]` to `begin[i + 1]` of `other` and `coupling`, so each
    pair is there twice.
    """

    transverse: NDArray[np.float64]  # h, above 0, [site]
    longitudinal: NDArray[np.float64]  # g, [site]
    begin: NDArray[np.int64]  # [site + 1]
    other: NDArray[np.int64]  # [item]
    coupling: NDArray[np.float64]  # [item]


@inlined
def _uniform(key):  # type: ignore[no-untyped-def]
    """Return a uniform number above 0 and below 1."""
    return (np.float64(row_key(key) >> uint64(11)) + 0.5) * 2.0**-53


@compiled
def worldline_sweeps(  # type: ignore[no-untyped-def]
    start, flips, count, terms, duration, thin, key, slices, energies
):
    """Sweep over the paths of all sites in imaginary time between two states |+...+>, in place.

    A path has the weight prod_flips h_i dt exp(-int D dt), with D the terms along Z. A sweep draws
    the path of each site given the others: intervals are those between its flips and events of a
    Poisson process of rate h_i, and each interval has a bit of its own, as an event is as likely
    as a flip. After every `thin` sweeps three slices are shots.

    Args:
        start: uint8 [site], bits at time 0.
        flips: [site, room], times of flips, in order.
        count: int64 [site], number of flips.
        terms: `IsingTerms`.
        duration: of the paths, twice the projection.
        thin: number of sweeps for each shot.
        key: of the random numbers.
        slices: uint8 [shot, slice, site].
        energies: [sweep], the mean of H over time and over the bits of each site given the others.

    Returns:
        `flips`, with more room where that was needed.
    """
    sites = start.shape[0]
    bounds, field = np.empty(2 * flips.shape[1]), np.empty(2 * flips.shape[1])
    jump = np.empty(2 * flips.shape[1])
    interval = np.empty(_CELLS, np.int64)
    cell_time, cells_per_time = duration / _CELLS, _CELLS / duration
    after = key
    for sweep in range(energies.shape[0]):
        energy = 0.0
        for i in range(sites):
            rate = terms.transverse[i]
            bounds[0] = 0.0
            events, k = 1, 0
            time = -np.log(_uniform(after)) / rate
            after = uint64(after + uint64(1))
            while k < count[i] or time < duration:
                if events + 1 == bounds.shape[0]:
                    bounds = np.concatenate((bounds, bounds))
                    field, jump = np.empty_like(bounds), np.empty_like(bounds)
                if k < count[i] and flips[i, k] < time:
                    bounds[events] = flips[i, k]
                    k += 1
                else:
                    bounds[events] = time
                    time -= np.log(_uniform(after)) / rate
                    after = uint64(after + uint64(1))
                events += 1
            bounds[events] = duration
            k = 0
            for cell in range(_CELLS):
                while bounds[k + 1] <= cell * cell_time:
                    k += 1
                interval[cell] = k
            # `field` is the integral of the field along Z over an interval. A flip of another site
            # changes that of its interval, and by `jump` all later ones.
            field[:events] = 0.0
            jump[: events + 1] = 0.0
            level = 0.0
            for item in range(terms.begin[i], terms.begin[i + 1]):
                j = terms.other[item]
                strength = terms.coupling[item] * (1.0 - 2.0 * start[j])
                level += strength
                for flip in range(count[j]):
                    time = flips[j, flip]
                    k = interval[min(int(time * cells_per_time), _CELLS - 1)]
                    while bounds[k + 1] < time:
                        k += 1
                    strength = -strength
                    field[k] += 2.0 * strength * (bounds[k + 1] - time)
                    jump[k + 1] += 2.0 * strength
            number, before, likely_before = 0, np.uint8(0), 0.0
            for k in range(events):
                own = terms.longitudinal[i] * (bounds[k + 1] - bounds[k])
                level += jump[k]
                total = field[k] + level * (bounds[k + 1] - bounds[k]) + own
                likely = 1.0 / (1.0 + np.exp(2.0 * total))
                bit = np.uint8(_uniform(after) < likely)
                after = uint64(after + uint64(1))
                # Each coupling is counted for both of its sites.
                energy -= 0.5 * (total + own) * (1.0 - 2.0 * likely)
                if k == 0:
                    start[i] = bit
                else:
                    energy -= likely * (1.0 - likely_before) + (1.0 - likely) * likely_before
                    if bit != before:
                        if number == flips.shape[1]:
                            flips = np.concatenate((flips, flips), axis=1)
                        flips[i, number] = bounds[k]
                        number += 1
                before, likely_before = bit, likely
            count[i] = number
        energies[sweep] = energy / duration
        if sweep % thin == thin - 1:
            for i in range(sites):
                bit, k = start[i], 0
                for piece in range(SLICES):
                    while k < count[i] and flips[i, k] < duration * (piece + 1) / (SLICES + 1):
                        bit ^= 1
                        k += 1
                    slices[sweep // thin, piece, i] = bit
    return flips
