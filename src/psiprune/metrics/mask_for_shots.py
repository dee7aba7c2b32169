"""A mask for measured shots: scale-free, and no wider than the correlations that they show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.validation import check_count
from psiprune.data.shots import ShotsLike, as_shots
from psiprune.rbm.masks import Mask
from psiprune.rbm.scale_free import scale_free_mask

#: Probability that independent bits show a correlation at any pair: that of 3 standard errors.
_CHANCE = 0.0027
_BATCH = 16_384


def mask_for_shots(shots: ShotsLike, hidden: int | None = None) -> Mask:
    """Return the scale-free mask of a chain with links as far as its shots show correlations.

    With r the largest distance of two sites whose bits are correlated, a unit gets 2 r + 1 links,
    as many as there are sites within r of it, or those of `scale_free_mask` by default if these are
    fewer. Bits are correlated if twice their mutual information in the shots,

        2 n I_ij = 2 sum_ab n_ab ln(n n_ab / (n_a n_b)),

    chi^2 with one degree of freedom for independent bits, exceeds what one of all pairs would by
    chance in 0.27 % of sets of n independent shots (Bonferroni). Correlations at a distance without
    significant ones in between count, and constant bits have none. Links beyond r have nothing to
    express but noise. The number of weights is not adapted to the number of shots: at a critical
    point r reaches through the chain, the mask is the default, and with few shots a smaller one has
    a lower KL. Sites must be numbered along the chain.

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
    mask = scale_free_mask(sites, hidden)
    weights = len(mask) * (2 * _reach(data.bits) + 1)
    if weights >= np.count_nonzero(mask):
        return mask
    return scale_free_mask(sites, len(mask), weights=max(weights, sites + len(mask) - 1))


def _reach(bits: NDArray[np.uint8]) -> int:
    """Return the largest distance of two sites with correlated bits [shot, site]; 0 without any."""
    from scipy.special import ndtri, xlogy

    shots, sites = bits.shape
    both = np.zeros((sites, sites))
    for first in range(0, shots, _BATCH):
        batch = bits[first : first + _BATCH].astype(np.float64)
        both += batch.T @ batch
    ones = np.diag(both)
    row = np.stack([ones, shots - ones])[:, None, :, None]  # [bit, other bit, site, other site]
    column = np.stack([ones, shots - ones])[None, :, None, :]
    one_only = ones[:, None] - both
    neither = shots - both - one_only - one_only.T
    counts = np.stack([np.stack([both, one_only]), np.stack([one_only.T, neither])])
    # A count is 0 where a bit never has that value, and so is its term.
    terms = xlogy(counts, shots * counts / np.maximum(row * column, 1.0))
    information = terms.sum(axis=(0, 1))
    left, right = np.triu_indices(sites, 1)
    threshold = ndtri(_CHANCE / 2.0 / len(left)) ** 2
    found = 2.0 * information[left, right] > threshold
    return int((right - left)[found].max(initial=0))
