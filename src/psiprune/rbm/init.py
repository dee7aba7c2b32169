"""Initial RBMs: random weights, or one site and its correlated sites per hidden unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import RBM_WEIGHTS
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots
from psiprune.rbm.model import RBM

# At N = 50, h = J, strengths from 2 to 4 and widths from 0.7 to 2 sites all give the same KL.
_STRENGTH, _NOISE = 3.0, 0.05
# Signs of strength 1 to 3 all reach the W states of 4 to 12 sites from 10 of 10 seeds.
_CODED = 2.0
#: Added to the variances: a site that never changes has no partial correlation.
_RIDGE = 1e-3


def initial_rbm(visible: int, hidden: int, seed: int, mask: NDArray[np.bool_] | None = None) -> RBM:
    """Return an untrained RBM: weights ~ N(0, 1) / sqrt(N), biases 0 (as in QuCumber).

    All weights are drawn whatever the mask, so that a seed gives the same values for any mask.

    Raises:
        InputError: a layer has no unit or too many, or the mask has another shape.
    """
    visible = check_count("visible", visible, 1)
    hidden = check_hidden(visible, hidden)
    generator = generator_for(check_seed(seed), Stream.RANDOM_WEIGHTS)
    weights = generator.standard_normal((hidden, visible)) / np.sqrt(visible)
    biases = np.zeros(visible), np.zeros(hidden)
    return RBM(weights, *biases, mask, {"initial": "random"})  # type: ignore[arg-type]


def local_rbm(shots: Shots, hidden: int, seed: int, mask: NDArray[np.bool_] | None = None) -> RBM:
    """Return an untrained RBM, hidden unit j on site floor((j + 1/2) N / N_h) and correlated sites.

    W_ji = 3 rho_ji + noise of deviation 0.05, with rho_ji = -P_ji / sqrt(P_jj P_ii) the partial
    correlation of the data between that site and site i (1 for the site itself), P the inverse of
    the covariance matrix of the bits. Partial correlations are local even where correlations are
    not, for any geometry. Biases centre each unit: c_j = -sum_i W_ji <v_i> and
    b_i = logit <v_i> - sum_j W_ji / 2. With many sites, maximum-likelihood training reaches a much
    lower KL from here than from random weights (docs/training.md).

    Where the mask links the last units to all sites but not all others (`nearest_mask`), these
    belong to no site: they do not count in N_h, and their rho_ji is 1 / N. Of N units or more they
    are those beyond a multiple of N.

    Raises:
        InputError: no hidden unit or too many, or the mask has another shape.
    """
    hidden = check_hidden(shots.sites, hidden)
    generator = generator_for(check_seed(seed), Stream.LOCAL_WEIGHTS)
    bits, sites, mean = shots.bits, shots.sites, _means(shots)
    covariance = np.zeros((sites, sites))
    for first in range(0, len(bits), 1 << 14):  # float64 bits of all shots may not fit in memory
        centred = bits[first : first + (1 << 14)] - mean
        covariance += centred.T @ centred
    precision = np.linalg.inv(covariance / len(bits) + _RIDGE * np.eye(sites))
    scale = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(scale, scale)
    np.fill_diagonal(partial, 1.0)
    on_sites = hidden - _global_units(mask, hidden, sites)
    centre = ((np.arange(on_sites) + 0.5) * sites / on_sites).astype(int)
    middle = np.full((hidden - on_sites, sites), 1.0 / sites)
    weights = _STRENGTH * np.concatenate([partial[centre], middle])
    weights += _NOISE * generator.standard_normal((hidden, sites))
    return _centred_rbm(weights, mean, mask, "local")


def coded_rbm(shots: Shots, hidden: int, seed: int, mask: NDArray[np.bool_] | None = None) -> RBM:
    """Return an untrained RBM whose hidden units give each site a code of signs.

    W_ji = (2 s_ji + noise / 2) / sqrt(N), with s_ji = (-1)^(bit j of i) for the first log2 N
    hidden units and random signs for the others, so that no two sites look alike to all units.
    Biases as in `local_rbm`. Training reaches states whose configurations differ in pairs of
    sites, such as W states, from here; from other weights it ends in a local optimum.

    Raises:
        InputError: no hidden unit or far too many, or the mask has another shape.
    """
    hidden = check_hidden(shots.sites, hidden)
    generator = generator_for(check_seed(seed), Stream.CODED_WEIGHTS)
    sites = np.arange(shots.sites)
    signs = generator.choice([-1.0, 1.0], (hidden, len(sites)))
    coded = min(hidden, int(len(sites) - 1).bit_length())
    signs[:coded] = 1.0 - 2.0 * ((sites >> np.arange(coded)[:, None]) & 1)
    noise = generator.standard_normal(signs.shape)
    weights = (_CODED * signs + noise / 2.0) / np.sqrt(len(sites))
    return _centred_rbm(weights, _means(shots), mask, "coded")


def _global_units(mask: NDArray[np.bool_] | None, hidden: int, sites: int) -> int:
    """Return how many units belong to no site; see `local_rbm`."""
    if mask is None or np.shape(mask) != (hidden, sites):
        return 0
    others = np.flatnonzero(~np.asarray(mask).all(axis=1))
    if not others.size:
        return 0
    last = hidden - 1 - int(others[-1])
    if hidden < sites:
        return last
    return hidden % sites if hidden % sites <= last else 0


def check_hidden(visible: int, hidden: int) -> int:
    """Return the number of hidden units; raise InputError if there is none or too many weights."""
    hidden = check_count("hidden", hidden, 1)
    if hidden * visible > RBM_WEIGHTS:
        raise InputError(
            f"hidden: {hidden} units on {visible} sites have more than {RBM_WEIGHTS:,} weights; "
            f"use at most {RBM_WEIGHTS // visible:,} units"
        )
    return hidden


def _means(shots: Shots) -> NDArray[np.float64]:
    """Return <v_i> of the shots, strictly between 0 and 1, [site]."""
    ones: NDArray[np.float64] = shots.bits.sum(axis=0, dtype=np.float64)
    return (ones + 0.5) / (len(shots) + 1.0)


def _centred_rbm(
    weights: NDArray[np.float64],
    mean: NDArray[np.float64],
    mask: NDArray[np.bool_] | None,
    initial: str,
) -> RBM:
    """Return an RBM with the biases of `local_rbm`, for weights within the mask."""
    if mask is not None and np.shape(mask) == weights.shape:  # RBM rejects any other shape
        weights *= np.asarray(mask)
    visible_bias = np.log(mean / (1.0 - mean)) - weights.sum(axis=0) / 2.0
    new = {"initial": initial}
    return RBM(weights, visible_bias, -weights @ mean, mask, new)  # type: ignore[arg-type]
