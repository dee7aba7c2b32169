"""The metric of steps on shots in bases that rotate few sites: what the shots tell, and what moves.

With F the Fisher information of the shots and S the quantum Fisher information, a step is
(F + lambda (S + 10^-3 1))^-1 gradient: with a small lambda one to the maximum as F sees it, with a
large one a short step along the natural gradient. S alone, F <= S, would need many more steps in
directions of which each basis tells little. Above 4,000 parameters it is S + lambda/100 1, by
products with vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from psiprune.core.lapack import solve
from psiprune.inference.fisher import damped_factor
from psiprune.inference.natural_direction import (
    Conjugate,
    conjugate_gradients,
    damped_fisher,
    sample_scores,
)
from psiprune.inference.phase_scores import draws_fisher, terms_fisher
from psiprune.inference.sparse_direction import sparse_damped_fisher
from psiprune.rbm.edges import is_sparse
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_terms import Terms
from psiprune.training.natural_metric import FIRST_PRODUCTS

Float64 = NDArray[np.float64]
#: Parameters up to which F is formed. Time: 4,000^2 * 8,192 multiply-adds, seconds in each step.
_FORMED = 4000
#: What is added to S, and to S alone, times lambda.
_ADDED, _ALONE = 1e-3, 1e-2


class PhaseMetric:
    """What solves for the steps at a state."""

    def __init__(self, rbm: PhaseRBM, draws: NDArray[np.uint8], terms: Sequence[Terms]) -> None:
        """Take draws of |psi|^2 in Z, uint8 [draw, site], and some of the shots."""
        self._rbm, self._draws = rbm, draws
        self._fisher: Float64 | None = None
        if rbm.number_of_parameters <= _FORMED:
            self._fisher = terms_fisher(rbm, terms)
            self._quantum = scipy.linalg.block_diag(*draws_fisher(rbm, draws))

    def solve(self, slope: Float64, damping: float) -> Float64:
        """Return the step, [parameter], for a gradient and lambda."""
        if self._fisher is not None:
            # The transpose of the symmetric matrix is in LAPACK's memory order.
            matrix = (self._fisher + damping * self._quantum).T
            return solve(damped_factor(matrix, damping * _ADDED)[0], slope)
        networks = self._rbm.amplitude, self._rbm.phase
        parts = np.split(slope, [networks[0].number_of_parameters])
        return np.concatenate(
            [
                self._searched(network, part, damping * _ALONE)
                for network, part in zip(networks, parts, strict=True)
            ]
        )

    def _searched(self, rbm: RBM, slope: Float64, damping: float) -> Float64:
        if is_sparse(rbm.number_of_weights, rbm.visible, rbm.hidden):
            matrix = sparse_damped_fisher(rbm, self._draws, damping)
        else:
            matrix = damped_fisher(rbm, sample_scores(rbm, self._draws), damping)
        return conjugate_gradients(matrix, slope, Conjugate.none(len(slope)), FIRST_PRODUCTS)[0]
