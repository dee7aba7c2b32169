"""The memory layout of the kernels, and the order of the shots."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

import plain
from psiprune.core.random import Stream, stream_key
from psiprune.kernels import cd, layout
from psiprune.kernels.layout import NARROW, WIDE
from psiprune.kernels.simd import LANES_PER_VECTOR

REJECT = 1e-4
"""A statistical test fails below this p-value. Seeds are fixed, so a passing test passes always."""


# --- layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("shots", [1, 7])
def test_packed_bits_unpack(sites: int, shots: int) -> None:
    bits = np.random.default_rng(sites).integers(0, 2, (shots, sites), dtype=np.uint8)
    words = layout.pack(bits)
    assert words.dtype == np.uint32
    assert words.shape == (-(-sites // 32), shots)
    for shot in range(shots):
        for site in range(sites):
            assert (int(words[site // 32, shot]) >> (site % 32)) & 1 == bits[shot, site]
    # The bits of no site are 0.
    assert sum(int(word).bit_count() for word in words.ravel()) == bits.sum()


@pytest.mark.parametrize("visible", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
def test_graphs_hold_exactly_the_mask(visible: int, density: float) -> None:
    hidden = 1 + visible // 2
    mask = np.random.default_rng(visible).random((hidden, visible)) < density
    graph = layout.graph_of(mask)
    assert all(axis.dtype == np.int32 for axis in graph[:-1])
    by_rows = [
        (j, int(graph.row_index[edge]))
        for j in range(hidden)
        for edge in range(graph.row_start[j], graph.row_start[j + 1])
    ]
    assert by_rows == [(j, i) for j in range(hidden) for i in range(visible) if mask[j, i]]
    by_columns = [
        (int(graph.column_index[edge]), i)
        for i in range(visible)
        for edge in range(graph.column_start[i], graph.column_start[i + 1])
    ]
    assert by_columns == [(j, i) for i in range(visible) for j in range(hidden) if mask[j, i]]
    assert [by_rows[edge] for edge in graph.column_edge] == by_columns


@pytest.mark.parametrize(
    ("chains", "tile"),
    [(1, NARROW), (64, NARROW), (65, WIDE), (100, WIDE), (112, WIDE), (113, NARROW), (300, NARROW)],
)
def test_the_tile_leaves_fewer_lanes_idle(chains: int, tile: tuple[int, ...]) -> None:
    assert layout.tile_shape(chains) == tile
    idle = [-chains % (LANES_PER_VECTOR * len(shape)) for shape in (tile, WIDE, NARROW)]
    assert idle[0] == min(idle)


# --- shuffle ---------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [2, 3, 4])
def test_shuffles_are_uniform(items: int) -> None:
    orders = {order: k for k, order in enumerate(itertools.permutations(range(items)))}
    counts = np.zeros(len(orders))
    for k in range(6000):
        order = np.arange(items, dtype=np.int32)
        cd.shuffle(order, stream_key(k, Stream.SHUFFLE, 3))
        counts[orders[tuple(order.tolist())]] += 1
    assert scipy.stats.chisquare(counts).pvalue > REJECT


@pytest.mark.parametrize("items", [0, 1, 2, 1000])
def test_shuffles_are_permutations(items: int) -> None:
    order = np.arange(items, dtype=np.int32)
    cd.shuffle(order, np.uint64(3))
    assert order.tolist() == plain.shuffled(items, 3)
    assert sorted(order.tolist()) == list(range(items))
