"""Masks from an untrained RBM: SNIP, GraSP and SynFlow, rivals of masks by construction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.data.shots import ShotsLike, as_shots, without_readout_error
from psiprune.pruning.criteria import top_k_mask
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    flatten,
    from_vector,
    log_likelihood,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
PretrainingCriterion = Literal["snip", "grasp", "synflow"]
#: Rounds of SynFlow, as in its paper.
ROUNDS = 100
_STEP = 1e-4  # largest change of a parameter in the difference for the Hessian


def pretraining_mask(
    start: RBM, shots: ShotsLike, *, weights: int, criterion: PretrainingCriterion
) -> NDArray[np.bool_]:
    """Return the mask of the weights of an untrained RBM that a criterion keeps.

    "snip" and "grasp" keep the weights of the largest `snip` and `grasp` at once. "synflow" takes
    100 rounds; round k keeps round(n (weights / n)^(k / 100)) of n weights by `synflow` of what is
    left, so that the scores follow the paths that remain.

    Args:
        start: untrained RBM, from which training under the mask then starts.
        shots: training shots (Shots, bits [shot, site], or counts); "synflow" ignores them.
        weights: number of weights to keep.
        criterion: "snip", "grasp" or "synflow".

    Returns:
        bool [hidden, visible].

    Raises:
        InputError: the RBM has fewer weights, the criterion is unknown, or as for `snip`.
    """
    total = start.number_of_weights
    weights = check_count("weights", weights, 0, total)
    if criterion == "synflow":
        share = weights / max(1, total)
        for step in range(1, ROUNDS + 1):
            count = round(total * share ** (step / ROUNDS))
            start = start.with_mask(top_k_mask(start.mask, synflow(start), count))
        return start.mask
    if criterion not in ("snip", "grasp"):
        raise InputError(f"criterion: must be snip, grasp or synflow, found {criterion!r}")
    saliency = (snip if criterion == "snip" else grasp)(start, shots)
    return top_k_mask(start.mask, saliency, weights)


@single_blas_thread()
def snip(rbm: RBM, shots: ShotsLike) -> Float64:
    """Return |W_ji dL/dW_ji|, L the mean log-likelihood of the shots, [hidden, visible].

    The first-order change of L when the weight is removed, with the exact gradient
    `dL/dW_ji = <v_i h_j>_data - <v_i h_j>_model`.
    Lee, Ajanthan & Torr, ICLR 2019, arXiv 1810.02340.

    Raises:
        InputError: the shots do not have the RBM's sites or carry readout errors, or both layers
            have more than 18 units.
    """
    _, gradient = log_likelihood(rbm, _data(rbm, shots))
    return np.abs(rbm.weights * gradient.visible_hidden)


@single_blas_thread()
def grasp(rbm: RBM, shots: ShotsLike) -> Float64:
    """Return W_ji (H g)_ji, g the gradient and H the Hessian of the log-likelihood.

    g has all parameters, biases too. W_ji (H g)_ji is the first-order loss of |g|^2 / 2, by which L
    rises at first, when the weight is removed: the score of Wang, Zhang & Grosse, ICLR 2020, arXiv
    2002.07376, with the opposite sign, so that the largest are kept. H g is a central difference of
    the exact gradient along g, [hidden, visible].

    Raises:
        InputError: as for `snip`.
    """
    data = _data(rbm, shots)

    def gradient(parameters: Float64) -> Float64:
        return flatten(rbm.mask, log_likelihood(from_vector(rbm, parameters), data)[1])

    at = to_vector(rbm)
    slope = gradient(at)
    saliency = np.zeros(rbm.mask.shape)
    if largest := np.abs(slope).max():
        step = _STEP / largest
        product = (gradient(at + step * slope) - gradient(at - step * slope)) / (2.0 * step)
        saliency[rbm.mask] = (at * product)[: rbm.number_of_weights]
    return saliency


def synflow(rbm: RBM) -> Float64:
    """Return |W_ji| (sum_k |W_jk| + sum_k |W_ki|), [hidden, visible].

    W dR/dW / 2 for R = sum_j (sum_i |W_ji|)^2 + sum_i (sum_j |W_ji|)^2, the absolute weights of all
    paths from layer to layer and back: an RBM is one layer used in both directions, and paths
    across it once would give |W_ji| alone. Needs no data. Tanaka, Kunin, Yamins & Ganguli, NeurIPS
    2020, arXiv 2006.05467.
    """
    size = np.abs(rbm.weights)
    return size * (size.sum(axis=1, keepdims=True) + size.sum(axis=0))


def _data(rbm: RBM, shots: ShotsLike) -> WeightedConfigurations:
    data = as_shots(shots)
    rbm.check_bits(data)
    return unique_configurations(without_readout_error(data, "a criterion before training"))
