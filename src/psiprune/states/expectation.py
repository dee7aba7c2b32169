"""Exact means of sums of Pauli strings in a complex state given by all its amplitudes."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Hamiltonian

_POWERS_OF_I = (1, 1j, -1, -1j)


def expectation(psi: NDArray[np.complex128], operator: Hamiltonian) -> float:
    """Return <psi|O|psi> = sum_v conj(psi(v xor f)) <v xor f|O|v> psi(v), psi [2^N] normalised.

    Strings that flip the same sites f share the products of amplitudes; see
    `psiprune.states.hamiltonian` for the matrix elements.

    Raises:
        InputError: there are other than 2^N amplitudes for the N sites of the operator.
    """
    if psi.shape != (2**operator.sites,):
        raise InputError(
            f"operator: is a sum on {operator.sites} sites, but the state has {psi.size:,} "
            "amplitudes, not 2^N"
        )
    index = np.arange(len(psi))
    total = 0.0
    for flips, terms in groupby(operator.terms, key=lambda term: term.flips):
        products = psi[index ^ flips].conj() * psi
        for term in terms:
            power = _POWERS_OF_I[(term.flips & term.signs).bit_count() % 4]
            signs = 1.0 - 2.0 * (np.bitwise_count(index & term.signs) & 1)
            total += term.coefficient * float((power * (signs @ products)).real)
    return total
