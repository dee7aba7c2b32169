"""Masks of a few links for each hidden unit: to near sites, or to those correlated with its own.

On a lattice a hidden unit that sees its neighbourhood captures most of a ground state with a number
of weights proportional to the number of sites; a few far links carry what decays as a power law.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import ShotsLike, as_shots, without_readout_error
from psiprune.rbm.geometry import geometry_of
from psiprune.rbm.isometries import isometries, unit_images
from psiprune.rbm.masks import Mask, check_connected_weights, mask_of, sorted_links

#: Fraction of the links of a unit that are far ones, where a caller gives their total only.
FAR = 0.4
#: Of a table [unit, site].
Index = tuple[NDArray[np.intp], ...]
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
    global_units: int = 0,
    seed: int = 0,
    periodic: bool = False,
    positions: ArrayLike | None = None,
) -> Mask:
    """Return a mask that links each hidden unit to the nearest sites, and to some farther ones.

    Of sites at the same distance as the last one, a random choice is taken; with `shells` all are.
    Where these links do not connect all units, the shortest that do so are added. With `weights`
    the mask has exactly that number, besides those of `global_units`: the longest links are left
    out, or the shortest missing ones are added.

    The mask is the same under all isometries of the positions with N hidden units or a multiple
    (`psiprune.rbm.isometries`), and on a chain with sites and hidden units reversed, except for
    links that are left out or added to reach `weights`. So the images of a chosen link are chosen,
    too: a unit that an isometry maps onto itself has one link more where its last choice has an
    image, and one in the middle of a lattice up to seven more.

    Args:
        visible: N, number of sites.
        hidden: N_h, number of hidden units with near sites (default: N).
        links: number of nearest sites of each of these.
        weights: number of their weights, in place of `links`, which is then weights // N_h - far.
        far: number of further sites of each unit, drawn one after another with probabilities
            proportional to max(d, 1)^-exponent at a distance d.
        exponent: of the power law, 0 or more.
        shells: whether to include all sites as near as the last one.
        global_units: number of further units that are linked to all sites, the last rows. They
            carry an order of the whole lattice, which many far links would take.
        seed: of the choices.
        periodic: as in `scale_free_mask`.
        positions: as in `scale_free_mask`.

    Returns:
        bool [hidden + global_units, visible].

    Raises:
        InputError: links and far are not from 1 and 0 up to `visible` together, both or none of
            links and weights are given, or another argument is out of range.
    """
    distance, images = _with_images(visible, hidden, periodic, positions)
    far = check_count("far", far, 0, visible - 1)
    links = _links(links, weights, distance.shape, far)
    check_count("far", far, 0, visible - links)
    exponent = check_number("exponent", exponent, "a number of at least 0", lambda x: x >= 0)
    generator = generator_for(check_seed(seed), Stream.NEAREST_MASK)
    mask = _least(distance, _alike(generator.random(distance.shape), images), links)
    if shells:
        mask = distance <= np.where(mask, distance, 0.0).max(axis=1, keepdims=True)
    # The k smallest of E / p, E exponential, are k draws without replacement (Efraimidis 2006).
    draws = np.log(_alike(generator.exponential(size=distance.shape), images))
    draws += exponent * np.log(np.maximum(distance, 1.0))
    draws[mask] = np.inf
    mask |= _least(draws, draws, far) & ~mask
    further = check_count("global_units", global_units, 0, visible - 1)
    mask = _connected(mask, distance, weights, images)
    return np.concatenate([mask, np.ones((further, visible), bool)])


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
    place = np.broadcast_to(np.arange(data.sites, dtype=float), strength.shape)
    return _connected(_least(-strength, place, links), -strength, weights)


def _correlations(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return |C| [site, site]; 0 for sites that never change."""
    centred = bits - bits.mean(axis=0)
    covariance = centred.T @ centred / len(bits)
    sigma = np.sqrt(covariance.diagonal())
    scale = np.where(sigma > 0, sigma, np.inf)
    correlations: NDArray[np.float64] = np.abs(covariance / np.outer(scale, scale))
    return correlations.round(_DECIMALS)


def _with_images(
    visible: int, hidden: int | None, periodic: bool, positions: ArrayLike | None
) -> tuple[NDArray[np.float64], Sequence[Index]]:
    """Return distances [unit, site], and the indices of such a table that leave them the same."""
    place = geometry_of(visible, hidden, periodic, positions)
    distance = place.distance
    units, sites = (np.arange(number)[None] for number in distance.shape)
    if positions is not None and len(distance) % visible == 0:
        sites = isometries(place.sites)
        units = unit_images(sites, len(distance))
    elif (distance == distance[::-1, ::-1]).all():
        units, sites = (np.concatenate([each, each[:, ::-1]]) for each in (units, sites))
    images = list(starmap(np.ix_, zip(units, sites, strict=True)))
    # Positions may be rounded.
    return _alike(distance, images), images


def _alike(draws: NDArray[np.float64], images: Sequence[Index]) -> NDArray[np.float64]:
    """Return the smallest of the images of each value, the same for all of them.

    The smallest of exponential draws is one again, of a smaller mean, which does not matter.
    """
    least = draws
    for image in images:
        least = np.minimum(least, draws[image])
    return least


def _least(keys: NDArray[np.float64], ties: NDArray[np.float64], number: int) -> Mask:
    """Return where each row has its smallest keys, of equal ones by `ties`, and equal to those."""
    if number == 0:
        return np.zeros(keys.shape, bool)
    last = np.lexsort((ties, keys))[:, number - 1 : number]
    key, tie = (np.take_along_axis(each, last, axis=1) for each in (keys, ties))
    mask: Mask = (keys < key) | ((keys == key) & (ties <= tie))
    return mask


def _links(links: int | None, weights: int | None, shape: tuple[int, ...], far: int) -> int:
    """Return the number of near sites of each unit, as given or as it follows from the weights."""
    hidden, visible = shape
    if (links is None) == (weights is None):
        raise InputError("links, weights: give one of them")
    if weights is None:
        return check_count("links", links or 0, 1, visible)
    return max(1, check_connected_weights(weights, hidden, visible) // hidden - far)


def _connected(
    mask: Mask,
    distance: NDArray[np.float64],
    weights: int | None,
    images: Sequence[Index] = (),
) -> Mask:
    """Return the mask with the shortest links that connect its parts, and as many as given."""
    orbit = None
    if len(images) > 1:
        orbit = _alike(np.arange(mask.size, dtype=float).reshape(mask.shape), images).ravel()
    tree, others = sorted_links(distance, ~mask, lowest=orbit)
    if weights is None:
        added = mask_of(tree, mask.shape)
        return mask | np.any([added, *(added[image] for image in images)], axis=0)
    order = np.concatenate([tree, others])
    if orbit is not None:
        order = _whole(order, orbit, np.isin(orbit, orbit[tree]), weights)
    return mask_of(order[:weights], mask.shape)


def _whole(
    order: NDArray[np.intp],
    orbit: NDArray[np.float64],
    needed: NDArray[np.bool_],
    number: int,
) -> NDArray[np.intp]:
    """Return links in an order whose first ones, so many, are whole orbits if that is possible.

    Args:
        order: the links, those of an orbit one after the other except for those of the tree.
        orbit: a number for each link, the same for all its images.
        needed: whether an orbit is that of a link of the tree.
        number: of links.
    """
    if np.count_nonzero(needed) > number:
        return order
    order = order[np.argsort(~needed[order], kind="stable")]
    _, first, inverse, size = np.unique(
        orbit[order], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.argsort(first)  # of orbits, by their first link
    ends = np.cumsum(size[rank])
    taken = int(np.searchsorted(ends, number, side="right"))
    chosen = [*range(taken)]
    left = number - int(ends[taken - 1] if taken else 0)
    for k in range(taken, len(rank)):
        if left == 0:
            break
        if size[rank[k]] <= left:
            chosen.append(k)
            left -= int(size[rank[k]])
    later = np.ones(len(rank), bool)
    later[rank[chosen]] = False
    return order[np.lexsort((first[inverse], later[inverse]))]
