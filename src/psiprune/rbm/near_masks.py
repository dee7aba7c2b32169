"""Masks of a few links for each hidden unit: to near sites, or to those correlated with its own.

On a lattice a hidden unit that sees its neighbourhood captures most of a ground state with a number
of weights proportional to the number of sites; a few far links carry what decays as a power law.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import ShotsLike, as_shots, without_readout_error
from psiprune.rbm.geometry import geometry_of
from psiprune.rbm.masks import Mask, check_connected_weights, mask_of, sorted_links

#: Fraction of the links of a unit that are far ones, where a caller gives their total only.
FAR = 0.4
_DECIMALS = 12  # correlations that are equal but for rounding errors must tie


def nearest_mask(
    visible: int,
    hidden: int | None = None,
    *,
    links: int | None = None,
    weights: int | None = None,
    far: int = 0,
    exponent: float = 3.0,
    shells: bool = False,
    seed: int = 0,
    periodic: bool = False,
    positions: ArrayLike | None = None,
) -> Mask:
    """Return a mask that links each hidden unit to the nearest sites, and to some farther ones.

    Of sites at the same distance as the last one, a random choice is taken; with `shells` all are.
    Where distances stay the same with sites and hidden units reversed, as on a chain and on a
    lattice in snake order with N hidden units, the random choices do, too.
    Where these links do not connect all units, the shortest that do so are added. With `weights`
    the mask has exactly that number: the longest links are left out, or the shortest missing ones
    are added.

    Args:
        visible: N, number of sites.
        hidden: N_h, number of hidden units (default: N).
        links: number of nearest sites of each unit.
        weights: number of weights, in place of `links`, which is then weights // N_h - far.
        far: number of further sites of each unit, drawn one after another with probabilities
            proportional to max(d, 1)^-exponent at a distance d.
        exponent: of the power law, 0 or more.
        shells: whether to include all sites as near as the last one.
        seed: of the choices.
        periodic: as in `scale_free_mask`.
        positions: as in `scale_free_mask`.

    Returns:
        bool [hidden, visible].

    Raises:
        InputError: links and far are not from 1 and 0 up to `visible` together, both or none of
            links and weights are given, or another argument is out of range.
    """
    distance = geometry_of(visible, hidden, periodic, positions).distance
    far = check_count("far", far, 0, visible - 1)
    links = _links(links, weights, distance.shape, far)
    check_count("far", far, 0, visible - links)
    exponent = check_number("exponent", exponent, "a number of at least 0", lambda x: x >= 0)
    generator = generator_for(check_seed(seed), Stream.NEAREST_MASK)
    mask = _least(distance, _mirrored(generator.random(distance.shape), distance), links)
    if shells:
        mask = distance <= np.where(mask, distance, 0.0).max(axis=1, keepdims=True)
    # The k smallest of E / p, E exponential, are k draws without replacement (Efraimidis 2006).
    draws = np.log(_mirrored(generator.exponential(size=distance.shape), distance))
    draws += exponent * np.log(np.maximum(distance, 1.0))
    draws[mask] = np.inf
    mask |= _least(draws, draws, far) & ~mask
    return _connected(mask, distance, weights)


def correlation_mask(
    shots: ShotsLike,
    hidden: int | None = None,
    *,
    links: int | None = None,
    weights: int | None = None,
) -> Mask:
    """Return a mask that links each hidden unit to the sites most correlated with its own.

    Unit j belongs to site s = floor((j + 1/2) N / N_h), and has the `links` sites i, among them s
    itself, of the largest |C_si|, `C_si = (<z_s z_i> - <z_s><z_i>) / (sigma_s sigma_i)`
    over the shots. No positions are needed. Where these links do not connect all units, those of
    the largest |C_si| that do so are added.

    Args:
        shots: N sites, measured in the Z basis.
        hidden: N_h, number of hidden units (default: N).
        links: number of sites of each unit.
        weights: number of weights, in place of `links`, as in `nearest_mask`.

    Returns:
        bool [hidden, visible].

    Raises:
        InputError: `links` is not from 1 to N, both or none of links and weights are given, or
            shots have readout errors.
    """
    data = without_readout_error(as_shots(shots), "the correlations of a mask")
    middles = geometry_of(data.sites, hidden, False, np.arange(data.sites)).middles[:, 0]
    links = _links(links, weights, (len(middles), data.sites), 0)
    strength = _correlations(data.bits)[middles.astype(int)]
    strength[np.arange(len(middles)), middles.astype(int)] = np.inf  # also where it never changes
    return _connected(_least(-strength, -strength, links), -strength, weights)


def _correlations(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return |C| [site, site]; 0 for sites that never change."""
    centred = bits - bits.mean(axis=0)
    covariance = centred.T @ centred / len(bits)
    sigma = np.sqrt(covariance.diagonal())
    scale = np.where(sigma > 0, sigma, np.inf)
    correlations: NDArray[np.float64] = np.abs(covariance / np.outer(scale, scale))
    return correlations.round(_DECIMALS)


def _mirrored(draws: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return draws that are the same reversed, if the distances are [unit, site].

    The smaller of two exponential draws is one again, of half the mean, which does not matter.
    """
    if (distance != distance[::-1, ::-1]).any():
        return draws
    return np.minimum(draws, draws[::-1, ::-1])


def _least(keys: NDArray[np.float64], ties: NDArray[np.float64], number: int) -> Mask:
    """Return where each row has its smallest keys; equal ones by `ties`, then from the left."""
    mask = np.zeros(keys.shape, bool)
    np.put_along_axis(mask, np.lexsort((ties, keys))[:, :number], True, axis=1)
    return mask


def _links(links: int | None, weights: int | None, shape: tuple[int, ...], far: int) -> int:
    """Return the number of near sites of each unit, as given or as it follows from the weights."""
    hidden, visible = shape
    if (links is None) == (weights is None):
        raise InputError("links, weights: give one of them")
    if weights is None:
        return check_count("links", links or 0, 1, visible)
    return max(1, check_connected_weights(weights, hidden, visible) // hidden - far)


def _connected(mask: Mask, distance: NDArray[np.float64], weights: int | None) -> Mask:
    """Return the mask with the shortest links that connect its parts, and as many as given."""
    tree, others = sorted_links(distance, ~mask)
    if weights is None:
        return mask | mask_of(tree, mask.shape)
    return mask_of(np.concatenate([tree, others])[:weights], mask.shape)
