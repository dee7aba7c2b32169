"""Truncate a matrix product state to a bond dimension."""

from __future__ import annotations

import math

import numpy as np

from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.states.mps import MPS, mps_from_tensors

#: Largest deviation of parity on the states of a bond from an involution.
_PARITY_TOLERANCE = 1e-6


@single_blas_thread()
def parity_parameters(state: MPS) -> float:
    """Return the free parameters of a state with tensors that conserve prod X_i, without gauge.

    A bond has e even and o odd states. A tensor with parity, the physical index in the X basis, has
    half of its entries, (e + o)(e' + o'), and the gauge freedom of a bond is e^2 + o^2, so that

        sum_i chi_i chi_i+1 - sum over inner bonds (e^2 + o^2)

    numbers are free, with the norm. e - o is the trace of the parity of the sites right of the
    bond in the orthonormal states that the tensors to the right of it give. NaN for a state without
    parity.
    """
    parity, total = np.ones((1, 1)), 1.0  # for the gauge of the left end, which is no bond
    for tensor in state.tensors[::-1]:
        left, _, right = tensor.shape
        total += left * right
        parity = np.einsum("asb,bc,dsc->ad", tensor[:, ::-1], parity, tensor.conj(), optimize=True)
        if np.abs(parity @ parity - np.eye(left)).max() > _PARITY_TOLERANCE:
            return math.nan
        difference = round(float(parity.trace().real))
        total -= (left**2 + difference**2) / 2  # e^2 + o^2
    return total


@single_blas_thread()
def truncated_mps(state: MPS, max_bond: int) -> MPS:
    """Return a state cut to a bond dimension by successive SVDs from the left end, normalised.

    Each SVD is that of the whole state between two sites, as the tensors to the right of them are
    orthonormal, so each cut alone has the smallest error possible (Schollwoeck, Ann. Phys. 326, 96
    (2011), section 4.5). The result has no Hamiltonian.

    Raises:
        InputError: max_bond is not a positive integer.
    """
    most = check_count("max_bond", max_bond, 1)
    tensors = []
    rest = np.ones((1, 1))
    for tensor in state.tensors:
        centre = np.einsum("ab,bsc->asc", rest, tensor)
        u, s, vt = np.linalg.svd(centre.reshape(-1, centre.shape[2]), full_matrices=False)
        keep = min(most, len(s))
        tensors.append(u[:, :keep].reshape(len(centre), 2, keep))
        rest = s[:keep, None] * vt[:keep]
    return mps_from_tensors(tensors)
