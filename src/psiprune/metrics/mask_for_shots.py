"""A mask for measured shots: scale-free, and no wider than the correlations that they show."""

from __future__ import annotations

import numpy as np

from psiprune.core.validation import check_count
from psiprune.data.shots import ShotsLike, as_shots
from psiprune.metrics.correlation_decay import reach_of
from psiprune.metrics.observables import data_observables
from psiprune.rbm.masks import Mask
from psiprune.rbm.scale_free import scale_free_mask


def mask_for_shots(shots: ShotsLike, hidden: int | None = None) -> Mask:
    """Return the scale-free mask of a chain with links as far as its shots show correlations.

    With r the largest distance up to which all C(d) of the shots exceed 3 standard errors, a unit
    gets 2 r + 1 links, as many as there are sites within r of it, or those of `scale_free_mask` by
    default if these are fewer. More links would fit noise: they cost weights / (2 shots) in KL, and
    correlations that the shots do not show cannot repay it. At a critical point r reaches through
    the chain. Sites must be numbered along the chain.

    Args:
        shots: Shots, bits [shot, site] or counts {"0101": 12}.
        hidden: number of hidden units (default: as many as sites).

    Returns:
        bool [hidden, site].

    Raises:
        InputError: fewer than two shots or sites, or `hidden` is out of range.
    """
    data = as_shots(shots)
    sites = check_count("sites of the shots", data.sites, 2)
    check_count("number of shots", len(data), 2)
    found = data_observables(data.bits)["correlation"]
    mask = scale_free_mask(sites, hidden)
    weights = len(mask) * (2 * reach_of(found.value, found.error) + 1)
    if weights >= np.count_nonzero(mask):
        return mask
    return scale_free_mask(sites, len(mask), weights=max(weights, sites + len(mask) - 1))
