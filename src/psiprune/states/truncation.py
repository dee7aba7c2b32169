"""Truncate a matrix product state to a bond dimension."""

from __future__ import annotations

import numpy as np

from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.states.mps import MPS, mps_from_tensors


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
