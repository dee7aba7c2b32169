"""Neighbours in groups of four, for the tables of `avx512`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
#: Units whose bits select one of the 16 sums of a table.
GROUP = 4
#: How sums over chains for the gradient are formed: for each edge as in `layer`; for all pairs, by
#: multiply-adds with the bits of visible units; for all pairs, by tables of sums over four chains.
LOOPS, MASKS, TABLES = range(3)
#: From so many visible units on tables are faster.
FEW_SITES = 45
#: Below this density of edges, loops are faster.
LEAST_DENSITY = 0.17
#: Visible units in a block of the tables of sums over chains.
COLUMNS = 112


class Groups(NamedTuple):
    """One direction of an RBM: for each unit, the groups of the other layer with a neighbour.

    Entry e of a unit has the weights `weight[4 * e : 4 * e + 4]`, 0 where there is no edge.
    """

    start: Int32  # [unit + 1] into group
    group: Int32  # [entry] the group of the other layer
    at: Int32  # [edge, in order of rows] where its weight lies
    place: Int32  # [unit] its own place among the groups of its layer


class Sums(NamedTuple):
    """How sums over chains for the gradient are formed, and where they are found.

    One sum belongs to each pair of a hidden and a visible unit, and one to each visible bias.
    """

    way: int  # one of LOOPS, MASKS, TABLES
    full: bool  # whether each pair has an edge
    size: int  # number of sums, also unused ones
    width: int  # from those of one hidden unit to those of the next
    edge: Int32  # [edge] the sum
    site: Int32  # [visible unit] the sum for its bias


class Tables(NamedTuple):
    """Both directions, and the gradient."""

    to_hidden: Groups
    to_visible: Groups
    sums: Sums


def tables_of(mask: Bool) -> Tables:
    """Return the groups of a mask [hidden, visible]."""
    hidden, visible = places(mask), places(mask.T)
    rows, columns = np.nonzero(mask)
    return Tables(
        _groups(rows, visible[columns], hidden, len(visible)),
        _groups(columns, hidden[rows], visible, len(hidden)),
        _sums(mask, visible),
    )


def places(mask: Bool) -> Int32:
    """Return places of the units of a mask [unit, other], such that groups share neighbours.

    A group costs the same for one neighbour as for four. Each group starts at the unit left with
    most neighbours; three times the one is added that has most of them in common, of these the one
    that adds fewest others.
    """
    units, others = mask.shape
    if mask.all():
        return np.arange(units, dtype=np.int32)
    neighbours = mask.astype(np.float32)
    degree = neighbours.sum(axis=1)
    place = np.empty(units, np.int32)
    left = np.ones(units, bool)
    for k in range(units):
        if k % GROUP == 0:
            score, union = degree, np.zeros(others, np.float32)
        else:
            score = (neighbours @ union) * (others + 1) - degree
        unit = int(np.argmax(np.where(left, score, -np.inf)))
        union = np.maximum(union, neighbours[unit])
        place[unit], left[unit] = k, False
    return place


def _groups(unit: NDArray[np.intp], other: Int32, place: Int32, others: int) -> Groups:
    """Return the groups for edges from `unit` to the place `other` of a unit of the other layer."""
    groups = -(-others // GROUP)
    entries, entry = np.unique(unit * groups + other // GROUP, return_inverse=True)
    starts = np.searchsorted(entries, groups * np.arange(len(place) + 1))
    return Groups(
        starts.astype(np.int32),
        (entries % groups).astype(np.int32),
        (GROUP * entry + other % GROUP).astype(np.int32),
        place,
    )


def _sums(mask: Bool, place: Int32) -> Sums:
    """Return the fastest way for a mask, and the order of its sums.

    With masks, groups of visible units are in the order of their places, in each all hidden units,
    and for each of these four sums. With tables, each hidden unit has a row of all visible units.
    """
    hidden, visible = mask.shape
    rows = (hidden + GROUP) // GROUP * GROUP  # of one for each hidden unit and one more
    way, width, size = LOOPS, 0, 0
    site = np.zeros(visible, np.int32)
    if mask.sum() >= LEAST_DENSITY * rows * visible:
        if visible < FEW_SITES:
            way, width = MASKS, GROUP
            size = -(-visible // GROUP) * GROUP * rows
            site = GROUP * (place // GROUP * rows + hidden) + place % GROUP
        else:
            way, width = TABLES, -(-visible // COLUMNS) * COLUMNS
            size = rows * width
            site = hidden * width + np.arange(visible)
    j, i = np.nonzero(mask)
    edge = site[i] - (hidden - j) * width
    full = bool(mask.all())
    return Sums(way, full, size, width, edge.astype(np.int32), site.astype(np.int32))
