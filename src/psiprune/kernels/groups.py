"""Neighbours in groups of three or four, for the tables of `lookups`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.kernels.simd import LANES_PER_VECTOR

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
#: As many items as hidden units in `add_products`.
ROWS = (0,) * 2
#: Below this density of edges, sums for each edge are faster; by the number of units in a group.
LEAST_DENSITY = {4: 0.17, 3: 0.54}


class Registers(NamedTuple):
    """What the registers of a CPU hold, as lengths of tuples, which the compiler knows."""

    units: tuple[int, ...]  # in a group: a register has the 2^units sums of their weights
    columns: tuple[int, ...]  # visible units in `add_products`, 16 for each item


def registers_of(way: str, visible: int) -> Registers:
    """Return what the registers hold for a name of `gibbs_sums`."""
    if way == "avx2":
        return Registers((0,) * 3, (0,) * 2)
    columns = 2 if visible <= 32 else 7
    return Registers((0,) * 4, (0,) * columns)


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
    """Where sums over chains for the gradient of all pairs of units are found.

    One sum belongs to each pair of a hidden and a visible unit, and one to each visible bias: sum
    width * j + i to hidden unit j and visible unit i, and the row below to the biases.
    """

    full: bool  # whether each pair has an edge
    width: int
    edge: Int32  # [edge] the sum
    registers: Registers


class Tables(NamedTuple):
    """Both directions, and the gradient."""

    to_hidden: Groups
    to_visible: Groups
    sums: Sums | tuple[()]  # empty: the gradient is summed for each edge, which is faster


def tables_of(mask: Bool, registers: Registers) -> Tables:
    """Return the groups of a mask [hidden, visible]."""
    size = len(registers.units)
    hidden, visible = places(mask, size), places(mask.T, size)
    rows, columns = np.nonzero(mask)
    return Tables(
        _groups(rows, visible[columns], hidden, len(visible), registers),
        _groups(columns, hidden[rows], visible, len(hidden), registers),
        _sums(mask, registers),
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


def _sums(mask: Bool, registers: Registers) -> Sums | tuple[()]:
    """Return the order of the sums of all pairs, if there are edges enough."""
    if mask.mean() < LEAST_DENSITY[len(registers.units)]:
        return ()
    columns = LANES_PER_VECTOR * len(registers.columns)
    width = -(-mask.shape[1] // columns) * columns
    j, i = np.nonzero(mask)
    return Sums(bool(mask.all()), width, (j * width + i).astype(np.int32), registers)
