"""Neighbours in groups of three or four, for the tables of `lookups`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.kernels.simd import LANES_PER_VECTOR

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
#: Hidden units whose sums over chains are formed together, at most.
ROWS = 4
#: How sums over chains for the gradient are formed: for each edge as in `layer`; for all pairs, by
#: multiply-adds with the bits of visible units; for all pairs, by tables of sums over four chains.
LOOPS, MASKS, TABLES = range(3)
#: From so many visible units on tables are faster, by the number of units in a group.
FEW_SITES = {4: 45, 3: 0}
#: Below this density of edges, loops are faster.
LEAST_DENSITY = 0.17


class Registers(NamedTuple):
    """What the registers of a CPU hold, as lengths of tuples, which the compiler knows."""

    units: tuple[int, ...]  # in a group: a register has the 2^units sums of their weights
    rows: tuple[int, ...]  # hidden units whose sums over chains are formed by tables at once
    columns: tuple[int, ...]  # visible units of these sums, 16 for each item


#: By the names of `gibbs_sums`.
REGISTERS = {
    "avx512": Registers((0,) * 4, (0,) * 2, (0,) * 7),
    "avx2": Registers((0,) * 3, (0,) * 2, (0,) * 3),
}


class Groups(NamedTuple):
    """One direction of an RBM: for each unit, the groups of the other layer with a neighbour.

    Entry e of a unit has the weights weight[n * e : n * (e + 1)] for groups of n units, 0 where
    there is no edge.
    """

    start: Int32  # [unit + 1] into group
    group: Int32  # [entry] the group of the other layer
    at: Int32  # [edge, in order of rows] where its weight lies
    place: Int32  # [unit] its own place among the groups of its layer
    units: tuple[int, ...]  # of `Registers`


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
    registers: Registers


class Tables(NamedTuple):
    """Both directions, and the gradient."""

    to_hidden: Groups
    to_visible: Groups
    sums: Sums


def tables_of(mask: Bool, registers: Registers) -> Tables:
    """Return the groups of a mask [hidden, visible]."""
    size = len(registers.units)
    hidden, visible = places(mask, size), places(mask.T, size)
    rows, columns = np.nonzero(mask)
    return Tables(
        _groups(rows, visible[columns], hidden, len(visible), registers),
        _groups(columns, hidden[rows], visible, len(hidden), registers),
        _sums(mask, visible, registers),
    )


def places(mask: Bool, size: int) -> Int32:
    """Return places of the units of a mask [unit, other], such that groups share neighbours.

    A group of `size` units costs the same however many of them are neighbours. Each group starts at
    the unit left with most neighbours; then the one is added that has most of them in common, of
    these the one that adds fewest others, until the group is full.
    """
    units, others = mask.shape
    if mask.all():
        return np.arange(units, dtype=np.int32)
    neighbours = mask.astype(np.float32)
    degree = neighbours.sum(axis=1)
    place = np.empty(units, np.int32)
    left = np.ones(units, bool)
    for k in range(units):
        if k % size == 0:
            score, union = degree, np.zeros(others, np.float32)
        else:
            score = (neighbours @ union) * (others + 1) - degree
        unit = int(np.argmax(np.where(left, score, -np.inf)))
        union = np.maximum(union, neighbours[unit])
        place[unit], left[unit] = k, False
    return place


def _groups(
    unit: NDArray[np.intp], other: Int32, place: Int32, others: int, registers: Registers
) -> Groups:
    """Return the groups for edges from `unit` to the place `other` of a unit of the other layer."""
    size = len(registers.units)
    groups = -(-others // size)
    entries, entry = np.unique(unit * groups + other // size, return_inverse=True)
    starts = np.searchsorted(entries, groups * np.arange(len(place) + 1))
    return Groups(
        starts.astype(np.int32),
        (entries % groups).astype(np.int32),
        (size * entry + other % size).astype(np.int32),
        place,
        registers.units,
    )


def _sums(mask: Bool, place: Int32, registers: Registers) -> Sums:
    """Return the fastest way for a mask, and the order of its sums.

    With masks, groups of visible units are in the order of their places, in each all hidden units,
    and for each of these four sums. With tables, each hidden unit has a row of all visible units.
    """
    hidden, visible = mask.shape
    rows = (hidden + ROWS) // ROWS * ROWS  # of one for each hidden unit and one more
    units, columns = len(registers.units), LANES_PER_VECTOR * len(registers.columns)
    way, width, size = LOOPS, 0, 0
    site = np.zeros(visible, np.int32)
    if mask.sum() >= LEAST_DENSITY * rows * visible:
        if visible < FEW_SITES[units]:
            way, width = MASKS, units
            size = -(-visible // units) * units * rows
            site = units * (place // units * rows + hidden) + place % units
        else:
            way, width = TABLES, -(-visible // columns) * columns
            size = rows * width
            site = hidden * width + np.arange(visible)
    j, i = np.nonzero(mask)
    edge = site[i] - (hidden - j) * width
    full = bool(mask.all())
    return Sums(way, full, size, width, edge.astype(np.int32), site.astype(np.int32), registers)
