"""The quantum Fisher information of a `PhaseRBM` over draws, with a block for each network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.lapack import solve
from psiprune.inference.fisher import damped_factor, sample_fisher
from psiprune.inference.natural_direction import (
    Conjugate,
    conjugate_gradients,
    damped_fisher,
    sample_scores,
)
from psiprune.inference.sparse_direction import sparse_damped_fisher
from psiprune.rbm.edges import is_sparse, product_work
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.training.natural_metric import FIRST_PRODUCTS, forms_fisher

Float64 = NDArray[np.float64]


class PhaseMetric:
    """S over draws of |psi|^2; a small block is formed, of a large one products are taken."""

    def __init__(self, rbm: PhaseRBM, draws: NDArray[np.uint8]) -> None:
        """Take draws, uint8 [draw, site]."""
        self._blocks = [_Block(network, draws) for network in (rbm.amplitude, rbm.phase)]

    def solve(self, slope: Float64, damping: float) -> Float64:
        """Return (S + lambda 1)^-1 slope, [parameter], approximately for large blocks."""
        parts = np.split(slope, [self._blocks[0].size])
        solved = [
            block.solve(part, damping) for block, part in zip(self._blocks, parts, strict=True)
        ]
        return np.concatenate(solved)


class _Block:
    """S of a network."""

    def __init__(self, rbm: RBM, draws: NDArray[np.uint8]) -> None:
        self.size = rbm.number_of_parameters
        self._rbm, self._draws = rbm, draws
        self._sizes = rbm.number_of_weights, rbm.visible, rbm.hidden
        self._matrix: Float64 | None = None
        if forms_fisher(self.size, product_work(*self._sizes)):
            self._matrix = sample_fisher(rbm, unique_configurations(draws))

    def solve(self, slope: Float64, damping: float) -> Float64:
        if self._matrix is not None:
            # The transpose of the symmetric matrix is in LAPACK's memory order.
            factor, _ = damped_factor(self._matrix.copy().T, damping)
            return solve(factor, slope)
        if is_sparse(*self._sizes):
            matrix = sparse_damped_fisher(self._rbm, self._draws, damping)
        else:
            matrix = damped_fisher(self._rbm, sample_scores(self._rbm, self._draws), damping)
        none = Conjugate(*(np.empty((0, self.size)) for _ in range(2)))
        return conjugate_gradients(matrix, slope, none, FIRST_PRODUCTS)[0]
