"""Symmetries of a lattice: permutations of sites, and of hidden units that are on sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Sites = NDArray[np.intp]
#: Distances that differ by less are equal, in spacings: positions may be rounded.
_EQUAL = 1e-5


def isometries(positions: ArrayLike) -> Sites:
    """Return the permutations of sites that preserve all distances, [isometry, site].

    These are the rotations and reflections that map the set of positions onto itself: 8 for a
    square, 4 for a rectangle, 2 for a chain, and for a ring or a cylinder in space also the turns
    around its axis. Isometry k maps site i to site `result[k, i]`; the first is the identity.

    The distances from d + 1 sites that span the d dimensions determine a site, so an isometry is
    given by the images of these sites, which are found one after the other.

    Args:
        positions: [site, axis], all different.
    """
    table = np.asarray(positions, np.float64)
    kind = _kinds(table)
    chosen = _spanning(table, kind)
    rows = np.sort(kind, axis=1)
    images = [[site] for site in np.flatnonzero((rows == rows[chosen[0]]).all(axis=1))]
    for k, site in enumerate(chosen[1:], 1):
        images = [
            [*image, other]
            for image in images
            for other in np.flatnonzero((kind[:, image] == kind[site, chosen[:k]]).all(axis=1))
        ]
    found = list[list[int]]()
    for image in images:
        place = {row: site for site, row in enumerate(map(tuple, kind[:, image].tolist()))}
        mapped = [place.get(row, -1) for row in map(tuple, kind[:, chosen].tolist())]
        if (kind[np.ix_(mapped, mapped)] == kind).all():
            found.append(mapped)
    return np.array(sorted(found), np.intp)


def unit_images(sites: Sites, hidden: int) -> Sites:
    """Return the permutation of hidden units of each isometry [isometry, site].

    With N_h = m N units the m units of a site move with it: j = m i + k, k < m. Any N_h - m N
    further ones are their own images.
    """
    number = sites.shape[1]
    each, rest = divmod(hidden, number)
    within = each * sites[:, :, None] + np.arange(each)
    fixed = np.broadcast_to(np.arange(each * number, hidden), (len(sites), rest))
    return np.hstack([within.reshape(len(sites), each * number), fixed])


def _kinds(table: NDArray[np.float64]) -> Sites:
    """Return a number for each distance of two sites, the same for equal ones, [site, site]."""
    from scipy.spatial.distance import cdist

    distance = cdist(table, table)
    spacing = np.sort(distance, axis=1)[:, 1:2]
    values, inverse = np.unique(distance, return_inverse=True)
    apart = np.diff(values, prepend=0.0) > _EQUAL * np.median(spacing) if len(table) > 1 else [0]
    return np.cumsum(apart)[inverse].reshape(distance.shape)


def _spanning(table: NDArray[np.float64], kind: Sites) -> list[int]:
    """Return sites that span the positions, the first of which has the fewest possible images."""
    _, inverse, alike = np.unique(
        np.sort(kind, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    first = int(np.argmin(alike[inverse.ravel()]))
    chosen, directions = [first], table - table[first]
    rank, most = 0, np.linalg.matrix_rank(directions)
    for site in np.argsort(kind[first], kind="stable"):
        if rank == most:
            break
        if np.linalg.matrix_rank(directions[[*chosen, site]]) > rank:
            chosen, rank = [*chosen, int(site)], rank + 1
    return chosen
