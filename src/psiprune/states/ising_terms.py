"""The Ising models that Monte Carlo samples: fields along X and Z, and couplings Z Z."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Hamiltonian

Float64 = NDArray[np.float64]


class Ising(NamedTuple):
    """H = -sum_i h_i X_i - sum_i g_i Z_i - sum_b J_b Z Z, of either sign."""

    transverse: Float64  # h, [site]
    longitudinal: Float64  # g, [site]
    pairs: NDArray[np.int32]  # [bond, end]
    couplings: Float64  # J, [bond]

    @property
    def sites(self) -> int:
        """The number of sites."""
        return len(self.transverse)

    def diagonal(self, bits: NDArray[np.uint8]) -> Float64:
        """Return the energy along Z of configurations [..., site]."""
        from scipy.sparse import coo_array

        z = 1.0 - 2.0 * bits.reshape(-1, self.sites)
        shape = (self.sites, self.sites)
        matrix = coo_array((self.couplings, (*self.pairs.T,)), shape).tocsr()
        energy: Float64 = -((matrix @ z.T).T * z).sum(axis=1) - z @ self.longitudinal
        return energy.reshape(bits.shape[:-1])


def ising_terms(model: Hamiltonian) -> Ising:
    """Return the fields and couplings of a Hamiltonian, without its constant.

    Raises:
        InputError: there is another term, or a site without a field along X.
    """
    transverse, longitudinal = np.zeros(model.sites), np.zeros(model.sites)
    pairs, couplings = [], []
    for term in model.terms:
        sites = list(term.letters)
        if len(sites) == 1 and term.signs == 0:
            transverse[sites[0]] = -term.coefficient
        elif len(sites) == 1 and term.flips == 0:
            longitudinal[sites[0]] = -term.coefficient
        elif len(sites) == 2 and term.flips == 0:
            pairs.append(sites)
            couplings.append(-term.coefficient)
        elif sites:
            raise InputError(
                "hamiltonian: quantum Monte Carlo takes fields along X and Z and couplings Z Z of "
                f"pairs, found {term.string}; use ground_state and sample"
            )
    if not transverse.all():
        raise InputError(
            f"hamiltonian: quantum Monte Carlo needs a field along X on each site, found none on "
            f"site {int((transverse == 0).argmax())}; use ground_state and sample"
        )
    table = np.array(pairs, np.int32).reshape(-1, 2)
    return Ising(transverse, longitudinal, table, np.array(couplings, np.float64))
