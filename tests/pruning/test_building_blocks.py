"""What the building blocks for own criteria take, and the line they answer anything else with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from psiprune.core.exceptions import InputError
from psiprune.pruning import criteria
from psiprune.pruning.criteria import top_k_mask
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.clusters import find_clusters
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import break_clusters

RBM = initial_rbm(6, 3, seed=0)
WORTH = criteria.magnitude(RBM)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: top_k_mask(RBM.mask, WORTH.T, 6), "saliency: must have shape .*, found"),
        (lambda: top_k_mask(RBM.mask, np.tile(WORTH, (2, 1)), 6), "saliency: must have sh"),
        (lambda: top_k_mask(RBM.mask, WORTH[:2], 6), "saliency: must have shape"),
        (lambda: top_k_mask(RBM.mask, WORTH * np.nan, 6), "saliency: must be a number at"),
        (lambda: top_k_mask(RBM.mask, WORTH, -1), "count: must be an integer of at least 0"),
        (lambda: prune_obs(RBM, -3), "count: must be an integer of at least 0, found -3"),
        (lambda: prune_obs(RBM, 2.5), r"count: must be an integer of at least 0, found 2\.5"),  # type: ignore[arg-type]
        (lambda: prune_obs(RBM, 5, seed=-1), "seed: must be an integer from 0"),
        (lambda: prune_obs(RBM, 5, draws=0), "draws: must be an integer of at least 1"),
        (lambda: criteria.random_saliency(RBM, -1), "seed: must be an integer from 0"),
        (lambda: criteria.damage(RBM, seed=-1), "seed: must be an integer from 0"),
        (lambda: criteria.damage(RBM, draws=-3), "draws: must be an integer of at least 1"),
        (lambda: criteria.surgeon(RBM, damping=-1), "damping: must be a number of at least 0"),
        (lambda: criteria.surgeon(RBM, damping=np.nan), "damping: must be a number of at least 0"),
        (lambda: criteria.surgeon(RBM, damping=np.inf), "damping: must be a number of at least 0"),
        (lambda: weights_kept(10, 2.0, 1), r"fraction: must be a number above 0 .*, found 2\.0"),
        (lambda: weights_kept(10, 0.1, -1), "step: must be an integer of at least 0"),
        (lambda: weights_kept(10, 0.1, 1, density=1.5), "density: must be a number above 0"),
        (lambda: break_clusters(RBM.mask, "half", 0), "share: must be from 0 to 1, found 'half'"),  # type: ignore[arg-type]
        (lambda: find_clusters(RBM, threshold="a"), "threshold: must be above 0 .*, found 'a'"),  # type: ignore[arg-type]
    ],
)
def test_each_rule(call: Callable[[], Any], line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        call()


def test_what_is_right_stays() -> None:
    partial = RBM.with_mask(top_k_mask(RBM.mask, WORTH, 9))
    worth = np.where(partial.mask, WORTH, np.nan)  # where no weight is, nothing is asked
    assert top_k_mask(partial.mask, worth, np.int64(4)).sum() == 4  # type: ignore[arg-type]
    assert top_k_mask(partial.mask, worth, 99).sum() == partial.number_of_weights
    assert break_clusters(RBM.mask, 1, 0).sum() == 18
    assert weights_kept(162, 0.1, 5) == 96
