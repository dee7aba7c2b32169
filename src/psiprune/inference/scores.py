"""Scores of an RBM over samples, d log p~(v) / d theta, as the two factors they are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.rbm.likelihood import WeightedConfigurations, hidden_means
from psiprune.rbm.model import RBM

Float32 = NDArray[np.float32]


class Scores(NamedTuple):
    """Factors s_a and v_b of the scores, with s_j = p(h_j = 1 | v) and s_0 = v_0 = 1.

    A score is the mean over repeats of s_a v_b, with a and b from `fisher.factors_of_parameters`.
    With readout errors repeats are draws of the true bits of a record, else there is one.

    Attributes:
        hidden: s, float32 [repeat, 1 + unit, sample].
        bits: v, float32 [repeat, 1 + site, sample].
    """

    hidden: Float32
    bits: Float32


def sample_scores(rbm: RBM, bits: NDArray[np.uint8]) -> Scores:
    """Return the scores of configurations [sample, site], one repeat."""
    data = WeightedConfigurations(bits.T.astype(np.float64), np.ones(len(bits)))
    given, _softplus = hidden_means(rbm, data)
    ones = np.ones((1, len(bits)))
    return Scores(*(np.concatenate([ones, x]).astype(np.float32)[None] for x in (given, data.bits)))
