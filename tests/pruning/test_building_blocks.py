"""What the building blocks for own criteria take, and the line they answer anything else with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from psiprune.pruning import criteria
from psiprune.pruning.criteria import top_k_mask
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.clusters import find_clusters
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import break_clusters
from refusals import refuses

RBM = initial_rbm(6, 3, seed=0)
WORTH = criteria.magnitude(RBM)


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        (lambda: top_k_mask(RBM.mask, WORTH.T, 6), ("saliency", "[3, 6]", "[6, 3]")),
        (lambda: top_k_mask(RBM.mask, np.tile(WORTH, (2, 1)), 6), ("saliency", "[3, 6]", "[6, 6]")),
        (lambda: top_k_mask(RBM.mask, WORTH[:2], 6), ("saliency", "[3, 6]", "[2, 6]")),
        (
            lambda: top_k_mask(RBM.mask, np.where(WORTH.max() == WORTH, np.nan, WORTH), 6),
            ("saliency", "nan"),
        ),
        (lambda: top_k_mask(RBM.mask, WORTH, -1), ("count", 0, -1)),
        (lambda: prune_obs(RBM, -3), ("count", 0, -3)),
        (lambda: prune_obs(RBM, 2.5), ("count", 0, 2.5)),  # type: ignore[arg-type]
        (lambda: prune_obs(RBM, 5, seed=-1), ("seed", 0, "2^63 - 1", -1)),
        (lambda: prune_obs(RBM, 5, draws=0), ("draws", 1, 0)),
        (lambda: criteria.random_saliency(RBM, -1), ("seed", 0, "2^63 - 1", -1)),
        (lambda: criteria.damage(RBM, seed=-1), ("seed", 0, "2^63 - 1", -1)),
        (lambda: criteria.damage(RBM, draws=-3), ("draws", 1, -3)),
        (lambda: criteria.surgeon(RBM, draws=0), ("draws", 1, 0)),
        (lambda: criteria.surgeon(RBM, damping=-1), ("damping", 0, -1)),
        (lambda: criteria.surgeon(RBM, damping=np.nan), ("damping", 0, np.nan)),
        (lambda: criteria.surgeon(RBM, damping=np.inf), ("damping", 0, np.inf)),
        (lambda: weights_kept(10, 0.0, 1), ("fraction", 0, 1, 0.0)),
        (lambda: weights_kept(10, 1.0, 1), ("fraction", 0, 1, 1.0)),
        (lambda: weights_kept(10, 0.1, -1), ("step", 0, -1)),
        (lambda: weights_kept(10, 0.1, 1, density=1.5), ("density", 0, 1, 1.5)),
        (lambda: break_clusters(RBM.mask, "half", 0), ("share", 0, 1, "'half'")),  # type: ignore[arg-type]
        (lambda: find_clusters(RBM, threshold="a"), ("threshold", 0, 1, "'a'")),  # type: ignore[arg-type]
    ],
)
def test_each_rule(call: Callable[[], Any], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        call()


def test_what_is_right_stays() -> None:
    partial = RBM.with_mask(top_k_mask(RBM.mask, WORTH, 9))
    worth = np.where(partial.mask, WORTH, np.nan)  # where no weight is, nothing is asked
    assert top_k_mask(partial.mask, worth, np.int64(4)).sum() == 4  # type: ignore[arg-type]
    assert top_k_mask(partial.mask, worth, 99).sum() == partial.number_of_weights
    assert break_clusters(RBM.mask, 1, 0).sum() == 18
    assert weights_kept(162, 0.1, 5) == 96
