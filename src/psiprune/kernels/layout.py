"""Memory layout of an RBM and its Markov chains: units by lanes.

The state of a layer is an array [unit, lane], one lane a Markov chain, float32 0 or 1. Every inner
loop runs over the lanes of one unit and vectorises; the outer loops visit the weights that exist,
as lists of neighbours, so a pruned weight saves a vector operation. Chains are grouped in tiles of
16 * len(vectors) lanes; the compiler knows the length of that tuple.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.hardware import gibbs_sums
from psiprune.kernels.groups import Tables, registers_of, tables_of
from psiprune.kernels.simd import LANES_PER_VECTOR

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
#: Two tiles: 7 vectors, as for 100 chains, and 4 vectors, for multiples of 64.
WIDE, NARROW = (0,) * 7, (0,) * 4


class Graph(NamedTuple):
    """The edges of an RBM: neighbours of each hidden unit (row) and each visible unit (column)."""

    row_start: Int32  # [hidden + 1] into row_index
    row_index: Int32  # [edge] the visible unit
    column_start: Int32  # [visible + 1] into column_index
    column_index: Int32  # [edge] the hidden unit
    column_edge: Int32  # [edge] index of a column's edge in the order by rows
    tables: Tables | tuple[()]  # where sums are looked up, else empty


class Parameters(NamedTuple):
    """Parameters of an RBM on its graph; also their velocities and gradients."""

    weights: Float32  # [edge], by rows
    visible_bias: Float32  # [visible]
    hidden_bias: Float32  # [hidden]


class Layer(NamedTuple):
    """One direction of an RBM: for each unit of a layer, its neighbours and their weights."""

    start: Int32
    unit: Int32
    weight: Float32
    bias: Float32


def graph_of(mask: NDArray[np.bool_]) -> Graph:
    """Return the graph of a mask [hidden, visible]."""
    return _graph_of(mask.tobytes(), mask.shape, gibbs_sums())


@lru_cache(maxsize=8)  # each step of a training has a new RBM with the same mask
def _graph_of(content: bytes, shape: tuple[int, int], way: str) -> Graph:
    mask = np.frombuffer(content, bool).reshape(shape)
    tables = tables_of(mask, registers_of(way, mask.shape[1])) if way != "loops" else ()
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(mask))
    by_column = np.lexsort((rows, columns)).astype(np.int32)
    hidden, visible = mask.shape
    return Graph(
        np.searchsorted(rows, np.arange(hidden + 1)).astype(np.int32),
        columns,
        np.searchsorted(columns[by_column], np.arange(visible + 1)).astype(np.int32),
        rows[by_column],
        by_column,
        tables,
    )


def lanes_of(vectors: tuple[int, ...]) -> int:
    """Return the number of chains in one tile."""
    return LANES_PER_VECTOR * len(vectors)


def tile_shape(chains: int) -> tuple[int, ...]:
    """Return the tuple `vectors` for a number of chains: the tile that leaves fewer lanes idle."""

    def lanes(vectors: tuple[int, ...]) -> int:
        tile = lanes_of(vectors)
        return -(-chains // tile) * tile

    return min((WIDE, NARROW), key=lanes)


def pack(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Pack bits [shot, site] into words [site // 32, shot]; site i is bit i % 32 of its word."""
    shots, sites = bits.shape
    words = -(-sites // 32)
    padded = np.zeros((shots, 32 * words), np.uint8)
    padded[:, :sites] = bits
    bytes_ = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(bytes_.view("<u4").T.astype(np.uint32))
