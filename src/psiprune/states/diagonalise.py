"""The two lowest states of a Hamiltonian of up to 16 sites, by sparse diagonalisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for
from psiprune.states.hamiltonian import Hamiltonian

Float64 = NDArray[np.float64]
#: States up to which the matrix is diagonalised as a dense one.
_DENSE = 64


class Lowest(NamedTuple):
    """The lowest state; of even parity, `<prod X_i>` = +1, where H commutes with prod X_i.

    Attributes:
        energy: E_0.
        gap: E_1 - E_0 of the second state, also of even parity; 0 if the lowest is degenerate.
        vector: amplitudes [2^N], normalised, with a sum that is not negative.
    """

    energy: float
    gap: float
    vector: Float64


def lowest_states(model: Hamiltonian, *, odd: bool = False) -> Lowest:
    """Diagonalise a Hamiltonian, in the space of even parity if it conserves that.

    In its `positive_frame`, that space has the lowest state of all. With `odd` it is the space of
    odd parity, which a model that conserves it has.

    Raises:
        InputError: there are more than 16 sites, or H is complex.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    sign = -1 if odd else 1
    matrix, size = model.to_sparse(), 2 ** (model.sites - model.is_even)
    if model.is_even:
        # A state of even parity is fixed by the configurations whose last bit is 0; the complement
        # of configuration k is 2^N - 1 - k.
        matrix = matrix[:size, :size] + sign * matrix[:size, size:][:, ::-1]
    if size <= _DENSE:
        energies, vectors = np.linalg.eigh(matrix.toarray())
        energy, gap, ground = energies[0], energies[1] - energies[0], vectors[:, 0]
    else:
        # A fixed start makes the result reproducible.
        start = 1 + generator_for(0, Stream.DIAGONALISATION_START).random(size)
        (energy,), vectors = eigsh(matrix, k=1, which="SA", v0=start)
        ground = vectors[:, 0]
        # The ground state is moved above the spectrum. Lanczos would not see its multiplicity.
        above = 2 * sum(abs(term.coefficient) for term in model.terms)

        def deflated(vector: Float64) -> Float64:
            return matrix @ vector + above * (ground @ vector) * ground

        operator = LinearOperator(matrix.shape, matvec=deflated, dtype=np.float64)
        second = eigsh(operator, k=1, which="SA", v0=start, return_eigenvectors=False)
        gap = second[0] - energy
    if model.is_even:
        ground = np.concatenate([ground, sign * ground[::-1]])
    ground = ground * (1 if ground.sum() >= 0 else -1) / np.linalg.norm(ground)
    return Lowest(float(energy), float(gap), ground)
