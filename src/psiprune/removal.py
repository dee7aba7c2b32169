"""Remove the weights of least saliency, all else as it is or the biases corrected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from psiprune.inputs import InputError, check_count
from psiprune.rbm import RBM


def keep_most_salient(
    mask: NDArray[np.bool_], saliency: NDArray[np.float64], count: int
) -> NDArray[np.bool_]:
    """The mask of the `count` weights of greatest saliency among those of `mask`.

    Ties go to the lower index (row by row), so the count is exact.

    Raises:
        InputError: the saliency has another shape than the mask or is NaN at a weight, or the count
            is no integer of at least 0.
    """
    count = check_count("count", count, 0)
    if np.shape(saliency) != np.shape(mask):
        raise InputError(
            f"saliency: must have shape [hidden, visible] = {list(np.shape(mask))} as the mask, "
            f"found {list(np.shape(saliency))}"
        )
    if np.isnan(saliency[mask]).any():
        raise InputError("saliency: must be a number at every weight of the mask, found nan")
    existing = np.flatnonzero(mask)
    order = np.argsort(-saliency.ravel()[existing], kind="stable")
    kept = np.zeros(mask.size, bool)
    kept[existing[order[:count]]] = True
    return kept.reshape(mask.shape)


def compensated(rbm: RBM, mask: NDArray[np.bool_]) -> RBM:
    """The RBM with only the weights of a mask, half of each removed W_ji added to b_i and c_j.

    In spins z = 1 - 2 v and t = 1 - 2 h a weight is W v h = W / 4 (z t - z - t + 1). This removes
    the z t alone and leaves the fields as they are, so an RBM with p(v) = p(1 - v) keeps that.
    """
    gone = np.where(mask, 0.0, rbm.weights) / 2.0
    return replace(
        rbm,
        mask=mask & rbm.mask,
        visible_bias=rbm.visible_bias + gone.sum(axis=0),
        hidden_bias=rbm.hidden_bias + gone.sum(axis=1),
    )
