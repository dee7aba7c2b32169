"""Kinds of masks made before training, by the names that they have in experiments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.rbm.masks import NARROWEST, Mask, cluster_mask, random_mask
from psiprune.rbm.near_masks import FAR, nearest_mask
from psiprune.rbm.scale_free import power_law_mask, scale_free_mask

CLUSTER, RANDOM, SCALE_FREE, POWER_LAW = "cluster", "random", "scale-free", "power-law-"
NEAREST, TAILS = "nearest", "tails"


def constructed_mask(
    kind: str,
    hidden: int,
    sites: int,
    count: int,
    seed: int,
    positions: NDArray[np.float64] | None = None,
) -> Mask:
    """Return a mask of a kind with `count` weights, bool [hidden, visible].

    "cluster" and "scale-free" do not depend on the seed, the others do. "tails" links two fifths of
    the sites of a unit with probability 1/d^3. All but "cluster" and "random" use the positions of
    sites, if there are any.

    Raises:
        InputError: no mask of that kind has so many weights.
    """
    if kind == CLUSTER:
        return cluster_mask(hidden, sites, count)
    if kind == SCALE_FREE:
        return scale_free_mask(sites, hidden, weights=count, positions=positions)
    if kind == RANDOM:
        return random_mask(hidden, sites, count, seed)
    if kind in (NEAREST, TAILS):
        far = round(FAR * count / hidden) if kind == TAILS else 0
        return nearest_mask(sites, hidden, weights=count, far=far, seed=seed, positions=positions)
    exponent = float(kind.removeprefix(POWER_LAW))
    return power_law_mask(
        sites, hidden, weights=count, exponent=exponent, seed=seed, positions=positions
    )


def least_weights(kind: str, hidden: int, sites: int) -> int:
    """Return the fewest weights that connect all units, with clusters of three sites or more."""
    tree = hidden + sites - 1
    return max(NARROWEST * hidden, tree) if kind == CLUSTER else tree
