"""Lattices: where sites are, and which pairs of them are neighbours."""

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHAIN_SITES
from psiprune.core.validation import check_count

Kind = Literal["square", "triangular"]
#: Largest distance of neighbours, in units of the smallest; the second neighbours of a square
#: lattice are 1.41 apart, those of a triangular one 1.73.
REACH = 1.1
_ROUNDING = 1e-9  # relative; distances that are equal but for rounding errors are neighbours alike


def snake_site(width: int, x: int, y: int) -> int:
    """Return the number of the site in column x and row y: every other column counts downwards."""
    return x * width + (width - 1 - y if x % 2 else y)


def lattice_positions(
    kind: Kind, length: int, width: int, *, cylinder: bool = False
) -> NDArray[np.float64]:
    """Return the positions of `length` columns of `width` sites in snake order, [site, axis].

    Neighbours are 1 apart. Columns of a triangular lattice are sqrt(3)/2 apart, every other one
    shifted by half a site. On a cylinder each column is a ring: positions are then those in space,
    [site, 3], the sites of a column corners of a regular polygon with sides of 1.

    Args:
        kind: "square" or "triangular".
        length: number of columns, 1 or more.
        width: number of sites in a column, 1 or more; 3 or more on a cylinder.
        cylinder: whether the last site of a column is next to the first.

    Raises:
        InputError: there is no such kind, or a number is out of range.

    Examples:
        >>> lattice_positions("square", 2, 2).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """
    if kind not in ("square", "triangular"):
        raise InputError(f"kind: must be 'square' or 'triangular', found {kind!r}")
    length = check_count("length", length, 1, CHAIN_SITES)
    width = check_count("width", width, 3 if cylinder else 1, CHAIN_SITES)
    if length * width > CHAIN_SITES:
        raise InputError(f"length, width: at most {CHAIN_SITES:,} sites, found {length * width:,}")
    shift, apart = 0.0, 1.0
    if kind == "triangular":
        shift, apart = 0.5, sqrt(0.75)
        if cylinder:  # the chord over half a side is longer than half of it
            apart = sqrt(1.0 - (sin(pi / (2 * width)) / sin(pi / width)) ** 2)
    positions = np.empty((length * width, 3 if cylinder else 2))
    for x in range(length):
        for y in range(width):
            along = y + shift * (x % 2)
            place = [x * apart, along]
            if cylinder:
                angle, radius = 2 * pi * along / width, 0.5 / sin(pi / width)
                place = [x * apart, radius * cos(angle), radius * sin(angle)]
            positions[snake_site(width, x, y)] = place
    return positions


def neighbours(positions: ArrayLike, reach: float = REACH) -> list[tuple[int, int]]:
    """Return the pairs of sites that are at most `reach` times the smallest distance apart, sorted.

    Args:
        positions: [site, axis], two sites or more.
        reach: 1 or more.

    Raises:
        InputError: two sites are in the same place, or a site has no neighbour.
    """
    from scipy.spatial import KDTree

    table = np.asarray(positions, np.float64)
    tree = KDTree(table)
    nearest = tree.query(table, k=[2])[0][:, 0]
    if not nearest.all():
        site = int((nearest == 0).argmax())
        raise InputError(
            f"positions: must all differ, found {table[site].tolist()} for site {site} and another"
        )
    limit = reach * nearest.min() * (1.0 + _ROUNDING)
    if nearest.max() > limit:
        site = int(nearest.argmax())
        raise InputError(
            f"positions: site {site} has no neighbour, as the nearest is {nearest[site]:.6g} away "
            f"and neighbours are at most {limit:.6g} apart; give a reach of at least "
            f"{np.ceil(1e4 * nearest[site] / nearest.min()) / 1e4:g}"
        )
    return sorted(tree.query_pairs(limit))
