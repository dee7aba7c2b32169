"""log p~ of an RBM at given states, and weighted sums of its gradient there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.kernels import enumeration
from psiprune.rbm.likelihood import Moments, flatten
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


class ScoredStates:
    """An RBM at some states: log p~, and sums of its gradient with weights of these states.

    Attributes:
        log_prob: log p~(s), [state].
    """

    def __init__(self, rbm: RBM, bits: Float64) -> None:
        """Take an RBM and states [site, state]."""
        self._mask, self._bits = rbm.mask, bits
        self._given = rbm.weights @ bits + rbm.hidden_bias[:, None]
        self.log_prob: Float64 = rbm.visible_bias @ bits
        enumeration.sigmoids_and_sums(self._given, self.log_prob)

    def slope(self, weight: Float64) -> Float64:
        """Return sum_s weight_s d log p~(s), [parameter]; only once."""
        self._given *= weight
        both = self._given @ self._bits.T
        return flatten(self._mask, Moments(both, self._bits @ weight, self._given.sum(axis=1)))
