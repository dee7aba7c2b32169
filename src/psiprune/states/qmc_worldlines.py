"""Monte Carlo by paths in continuous imaginary time, with fields along Z, as of Rydberg arrays.

    |psi|^2(v) = lim_T <+| e^(-T H) |v> <v| e^(-T H) |+> / <+| e^(-2 T H) |+>

is a sum over paths of all sites, of weight prod_flips h_i dt exp(-int D dt), with D the terms
along Z. Where D competes with itself, as a detuning with repulsion, clusters freeze; here the whole
path of a site is drawn at once from its exact distribution given the others, which takes its
interactions with all of them. There is no time step; the error of a finite T falls as
exp(-T (E_1 - E_0)).

Source: F. Krzakala, A. Rosso, G. Semerjian and F. Zamponi, Phys. Rev. B 78, 134428 (2008), and for
paths drawn by events V. Rao and Y. W. Teh, J. Mach. Learn. Res. 14, 3295 (2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for, stream_key
from psiprune.core.validation import check_number
from psiprune.kernels.qmc import SLICES
from psiprune.kernels.worldlines import IsingTerms, worldline_sweeps
from psiprune.states.ising_terms import Ising

Float64 = NDArray[np.float64]


class Worldlines:
    """Updates of paths of one model. A projection is the imaginary time T on either side."""

    #: Largest mean number of events of all paths. Memory: about 20 bytes each, for each chain.
    _MOST_EVENTS = 1 << 24

    def __init__(self, terms: Ising):
        """Prepare the terms."""
        self._terms = _kernel_terms(terms)
        self._mirror = _is_symmetric(terms)
        self.least = float(1.0 / terms.transverse.max())
        self.largest = float(self._MOST_EVENTS / (2.0 * terms.transverse.sum()))

    def checked(self, projection: float) -> float:
        """Return a given projection, or raise `InputError`."""
        rule = f"above 0 and at most {self.largest:g}"
        return check_number("projection", projection, rule, lambda x: 0 < x <= self.largest)

    def chain(self, projection: float, seed: int, number: int) -> WorldlineChain:
        """Start one of several chains."""
        return WorldlineChain(self._terms, projection, seed, number, self._mirror)

    def energy(self, projection: float, energies: Float64, error: float) -> tuple[float, float]:
        """Return the energy without constants, and its error."""
        return float(energies.mean()), error


class WorldlineChain:
    """Paths of all sites, which sweeps change in place.

    Chains start from different orders, so that one which they do not leave shows up as a difference
    between them.
    """

    def __init__(self, terms: IsingTerms, projection: float, seed: int, number: int, mirror: bool):
        """Start with paths without flips: 0101..., 1010..., 0000... or 1111..."""
        self.terms, self.duration, self.mirror = terms, 2.0 * projection, mirror
        self.seed, self.number, self.calls = seed, number, 0
        sites = np.arange(len(terms.transverse))
        self.start = (((sites if number % 4 < 2 else 0 * sites) + number) % 2).astype(np.uint8)
        self.count = np.zeros(len(sites), np.int64)
        self.flips = np.empty((len(sites), 8))

    def sweep(self, shots: int, thin: int) -> tuple[NDArray[np.uint8], Float64]:
        """Sweep `thin` times for each shot.

        Where H is the same with its sites in reverse order, half of the shots are reversed.

        Returns:
            Bits [shot, slice, site], and energies [sweep].
        """
        words = (int(np.float64(self.duration).view(np.uint64)), self.number, self.calls)
        key = stream_key(self.seed, Stream.WORLDLINES, *words)
        self.calls += 1
        slices = np.empty((shots, SLICES, len(self.start)), np.uint8)
        energies = np.empty(shots * thin)
        self.flips = worldline_sweeps(
            *(self.start, self.flips, self.count, self.terms, self.duration),
            *(thin, key, slices, energies),
        )
        if self.mirror:
            rng = generator_for(self.seed, Stream.WORLDLINE_MIRRORS, *words)
            turned = rng.random(shots) < 0.5
            slices[turned] = slices[turned, :, ::-1]
        return slices, energies


def _kernel_terms(terms: Ising) -> IsingTerms:
    """Return the terms with the neighbours of each site."""
    ends = np.concatenate([terms.pairs, terms.pairs[:, ::-1]])
    order = np.lexsort(ends.T[::-1])
    begin = np.searchsorted(ends[order, 0], np.arange(terms.sites + 1))
    return IsingTerms(
        terms.transverse,
        terms.longitudinal,
        begin.astype(np.int64),
        ends[order, 1].astype(np.int64),
        np.tile(terms.couplings, 2)[order],
    )


def _is_symmetric(terms: Ising) -> bool:
    """Return whether H stays the same, to rounding errors, with its sites in reverse order."""

    def ordered(pairs: NDArray[np.int32]) -> tuple[NDArray[np.int32], Float64]:
        pairs = np.sort(pairs)
        order = np.lexsort(pairs.T)
        return pairs[order], terms.couplings[order]

    pairs, couplings = ordered(terms.pairs)
    mirrored, same = ordered(terms.sites - 1 - terms.pairs)
    fields = np.stack([terms.transverse, terms.longitudinal])
    return (
        np.array_equal(pairs, mirrored)
        and np.allclose(couplings, same, rtol=1e-9, atol=0.0)
        and np.allclose(fields, fields[:, ::-1], rtol=1e-9, atol=0.0)
    )
