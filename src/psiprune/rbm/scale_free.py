"""Masks with links over all distances: in geometric steps, or drawn from a power law.

At a critical point correlations decay as a power of the distance and have no scale of their own.
These masks give each hidden unit a few links at each scale. Barton et al., arXiv 2505.22734, find
that connectivity determines what a sparse neural quantum state can represent, whatever its initial
weights; Sehayek et al., PRB 100, 195125, that the weights needed near criticality grow as N^2.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.rbm.geometry import Geometry, geometry_of
from psiprune.rbm.masks import Mask, check_connected_weights, mask_of, sorted_links

#: With these, N_h = N units on 50 and 100 critical sites reach half the KL of a dense RBM.
NEAR, RATIO = 8, 1.4
#: (ratio - 1) * near of the best pairs measured: near 4 with ratio 2, 6 with 1.6, 10 with 1.3.
_STEP = 3.5
_OUTWARD = 1.0 + 1e-9  # a radius halfway between two sites takes the farther one, on either side
#: Distances in steps, for each site; a chain has at most one.
_MOST_RADII = 10


def scale_free_mask(
    visible: int,
    hidden: int | None = None,
    *,
    near: int | None = None,
    ratio: float | None = None,
    weights: int | None = None,
    periodic: bool = False,
    positions: ArrayLike | None = None,
) -> Mask:
    """Return a mask that links each hidden unit to near sites and to others in geometric steps.

    Unit j has its middle at m_j = (j + 1/2) N / N_h - 1/2 on the chain of sites 0 .. N - 1, and
    links to

    - the `near` nearest sites, and those as close as the last of them;
    - the sites nearest to m_j - r and m_j + r, for r = 1 and then r -> max(ratio r, r + 1), as far
      as the chain reaches.

    So it has about near + 2 log(N / near) / log(ratio) links. Five of 33 units, near 4, ratio 2:

        unit  0   #####...#.......#...............#
        unit  8   #...#.#####.#...#.......#........
        unit 16   #.......#...#.#####.#...#.......#
        unit 24   ........#.......#...#.#####.#...#
        unit 32   #...............#.......#...#####

    Where these links do not connect all units, the shortest that do so are added. With `weights`
    the mask has exactly that number. Its ratio is the smallest of 1 + 3.5 / k for which the links
    above are not too many, with k = near = 2, 4, 6, ..., or with few weights near = 2 and k = 1,
    1/2, 1/4, ...; the rest is filled with the shortest missing links. Where not even the links to
    adjacent sites fit, the longest of those are left out, down to the N + N_h - 1 that connect all
    units. A given ratio goes with near = 2; a mask then contains those of fewer weights.

    A mask is symmetric under reversal of sites and hidden units, except for links that connect its
    parts and one link of an odd number of weights.

    Args:
        visible: N, number of sites.
        hidden: N_h, number of hidden units (default: N).
        near: number of nearest sites (default: 8).
        ratio: of successive distances, above 1 (default: 1.4; with weights: by the rule above).
        weights: number of weights; takes the place of near.
        periodic: whether site N - 1 is next to site 0; distances are then at most N / 2.
        positions: coordinates of sites not on a chain, [site] or [site, axis]. Distances are
            Euclidean and in units of the median distance between nearest neighbours; unit j has its
            middle on site floor((j + 1/2) N / N_h), and links in both directions of each axis to
            sites closer than half a diagonal of a cell to m_j - r and m_j + r.

    Returns:
        bool [hidden, visible].

    Raises:
        InputError: an argument is out of range, near is given with weights, periodic with
            positions, or no connected mask has that number of weights; the message gives the range.
    """
    place = geometry_of(visible, hidden, periodic, positions)
    units, sites = place.distance.shape
    if ratio is not None:
        ratio = check_number("ratio", ratio, "a number above 1", lambda x: x > 1)
    if weights is None:
        near = min(NEAR, sites) if near is None else check_count("near", near, 1, sites)
        mask = _pattern(place, near, RATIO if ratio is None else ratio)
        tree, _ = sorted_links(place.distance, ~mask)
        return mask | mask_of(tree, mask.shape)
    weights = check_connected_weights(weights, units, sites)
    if near is not None:
        raise InputError(
            f"near: follows from weights = {weights}, found {near}; give near or weights, not both"
        )
    near = 2
    if ratio is None:
        larger = range(4, weights // units + 1, 2)
        near += 2 * bisect_right(
            larger, weights, key=lambda near: _pattern(place, near, _ratio_of(near)).sum()
        )
        ratio = _ratio_of(near)
        while ratio < len(place.sites) and _pattern(place, near, ratio).sum() > weights:
            ratio = 2.0 * ratio - 1.0  # half of k
    mask = _pattern(place, near, ratio)
    return mask_of(np.concatenate(sorted_links(place.distance, ~mask))[:weights], mask.shape)


def power_law_mask(
    visible: int,
    hidden: int | None = None,
    *,
    weights: int,
    exponent: float = 2.0,
    seed: int = 0,
    periodic: bool = False,
    positions: ArrayLike | None = None,
) -> Mask:
    """Draw a mask in which links over a distance d have a probability proportional to d^-exponent.

    Each unit draws its sites one after another, without replacement, with probabilities
    proportional to max(d, 1)^-exponent, d the distance from its middle as in `scale_free_mask`.
    Units have the same number of links, give or take one. The N + N_h - 1 shortest links that
    connect all units are always there, and count; with few weights a unit may have one or two more
    for this reason. For one seed a mask contains those of fewer weights. Exponent 0 is uniform, 1
    has as many links in each interval [d, 2 d] of a chain.

    Args:
        visible: N, number of sites.
        hidden: N_h, number of hidden units (default: N).
        weights: number of weights.
        exponent: of the power law, 0 or more.
        seed: of the draws.
        periodic: as in `scale_free_mask`.
        positions: as in `scale_free_mask`.

    Returns:
        bool [hidden, visible].

    Raises:
        InputError: an argument is out of range, periodic is given with positions, or no connected
            mask has that number of weights; the message gives the range.
    """
    distance = geometry_of(visible, hidden, periodic, positions).distance
    units, sites = distance.shape
    weights = check_connected_weights(weights, units, sites)
    exponent = check_number("exponent", exponent, "a number of at least 0", lambda x: x >= 0)
    generator = generator_for(check_seed(seed), Stream.POWER_LAW_MASK)
    # The k smallest of E / p, E exponential, are k draws without replacement (Efraimidis 2006).
    draws = np.log(generator.exponential(size=distance.shape))
    draws += exponent * np.log(np.maximum(distance, 1.0))
    connecting, _ = sorted_links(distance)
    tree = mask_of(connecting, distance.shape)
    draws[tree] = -np.inf
    turn = np.lexsort((draws,)).argsort()  # of each site of a unit; stable where draws are equal
    units_shuffled = np.broadcast_to(generator.permutation(units)[:, None], distance.shape)
    order = np.lexsort((units_shuffled.ravel(), turn.ravel(), ~tree.ravel()))
    return mask_of(order[:weights], distance.shape)


def _ratio_of(near: int) -> float:
    """Return the ratio that goes with a number of nearest sites."""
    return 1.0 + _STEP / near


def _pattern(place: Geometry, near: int, ratio: float) -> Mask:
    """Return the links to near sites and in geometric steps."""
    from scipy.spatial import KDTree

    sites, middles, distance, periodic = place
    last = min(near, distance.shape[1]) - 1
    mask: Mask = distance <= np.partition(distance, last)[:, last, None]
    if periodic:
        sites = np.concatenate([sites - len(sites), sites, sites + len(sites)])
    tree, axes = KDTree(sites), sites.shape[1]
    half_cell = np.sqrt(axes) / 2
    farthest = float(distance.max()) + (0.0 if periodic else half_cell)
    for radius in _radii(ratio, farthest, _MOST_RADII * max(1000, distance.shape[1])):
        step = np.eye(axes)[:, None] * radius * _OUTWARD  # [axis, 1, axis]
        off, site = tree.query([middles - step, middles + step])  # [side, axis, unit]
        inside = off <= half_cell
        *_, unit = np.nonzero(inside)
        mask[unit, site[inside] % mask.shape[1]] = True
    return mask


def _radii(ratio: float, farthest: float, most: int) -> list[float]:
    """Return 1 and its successors max(ratio r, r + 1) up to the distance of the farthest site."""
    radii: list[float] = []
    radius = 1.0
    while radius <= farthest:
        if len(radii) == most:
            raise InputError(
                f"ratio: must give at most {most:,} distances from 1 to {farthest:.4g} times the "
                f"spacing of the sites, found {ratio!r}; give a larger ratio"
            )
        radii.append(radius)
        radius = max(ratio * radius, radius + 1.0)
    return radii
