"""Monte Carlo by clusters of operator strings, without fields along Z.

All terms of H' = sum_i h_i (1 + X_i) + sum_b |J_b| (1 + s_b Z Z) have elements that are not
negative, so

    |psi|^2(v) = lim_M <+| H'^M |v> <v| H'^M |+> / <+| H'^(2M) |+>

is a sum of positive weights of strings of 2 M terms, which are sampled by cluster updates. There is
no discretisation error; that of a finite M falls as (lambda_1 / lambda_0)^M, with the two largest
eigenvalues of H' of even parity. Constants h_i make up the share sum_i h_i / lambda_0 of all terms,
up to an error of (lambda_1 / lambda_0)^(2 M): this gives the energy.

Source: A. W. Sandvik, Phys. Rev. E 68, 056701 (2003), and with projection S. Inglis and
R. G. Melko, New J. Phys. 15, 073048 (2013).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, stream_key
from psiprune.core.validation import check_number
from psiprune.kernels.qmc import SLICES, Operators, projector_sweeps
from psiprune.states.ising_terms import Ising

Float64 = NDArray[np.float64]


class Clusters:
    """Cluster updates of one model. A projection is the number M of terms on either side."""

    #: Largest number of terms of a string. Memory: 20 bytes each, for each chain.
    _MOST_TERMS = 1 << 26
    largest = _MOST_TERMS // 2

    def __init__(self, terms: Ising):
        """Prepare the terms."""
        self._terms, self._operators = terms, _operators(terms)
        bonds = np.abs(terms.couplings).sum()
        self._total = terms.transverse.sum() + bonds
        self.least = int(np.ceil((self._total + bonds) / terms.transverse.max()))

    def checked(self, projection: float) -> int:
        """Return a given projection, or raise `InputError`."""
        most = self.largest
        rule = f"a whole number of terms from 1 to {most:,}"
        return int(
            check_number("projection", projection, rule, lambda x: x == int(x) and 1 <= x <= most)
        )

    def chain(self, projection: float, seed: int, number: int) -> ClusterChain:
        """Start one of several chains."""
        return ClusterChain(self._operators, self._terms.sites, int(projection), seed, number)

    def energy(self, projection: float, constants: Float64, error: float) -> tuple[float, float]:
        """Return the energy without constants, and its error, from the mean number of constants."""
        largest = self._terms.transverse.sum() * 2 * projection / constants.mean()  # lambda_0
        return float(self._total - largest), float(largest * error / constants.mean())


class ClusterChain:
    """A string of operators and the bits before it, which sweeps change in place."""

    def __init__(self, operators: Operators, sites: int, projection: int, seed: int, number: int):
        """Start with all bits 0 and constants in turn."""
        self.operators, self.seed, self.number, self.calls = operators, seed, number, 0
        self.start = np.zeros(sites, np.uint8)
        self.string = (np.arange(2 * projection) % sites).astype(np.int32)

    def sweep(self, shots: int, thin: int) -> tuple[NDArray[np.uint8], Float64]:
        """Sweep `thin` times for each shot.

        Returns:
            Bits [shot, slice, site], and the mean number of constants [sweep].
        """
        key = stream_key(self.seed, Stream.QMC, len(self.string), self.number, self.calls)
        self.calls += 1
        slices = np.empty((shots, SLICES, len(self.start)), np.uint8)
        constants = np.empty(shots * thin)
        projector_sweeps(self.start, self.string, self.operators, thin, key, slices, constants)
        return slices, constants


def _operators(terms: Ising) -> Operators:
    """Return the terms, with Walker's alias table of their weights h_i and 2 |J_b|."""
    weights = np.concatenate([terms.transverse, 2 * np.abs(terms.couplings)])
    cells = len(weights)
    share, other = weights * (cells / weights.sum()), np.arange(cells, dtype=np.int32)
    small, large = ([*np.flatnonzero(some)] for some in (share < 1, share >= 1))
    while small and large:
        less, more = small.pop(), large[-1]
        other[less] = more
        share[more] -= 1 - share[less]
        if share[more] < 1:
            small.append(large.pop())
    threshold = np.minimum(share * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    threshold[other == np.arange(cells)] = 2**32 - 1
    first, second = np.ascontiguousarray(terms.pairs.T)
    return Operators(threshold, other, first, second, (terms.couplings < 0).astype(np.uint8))
