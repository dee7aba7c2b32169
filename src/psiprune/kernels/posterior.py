"""Gibbs sampling of the true bits given recorded ones, p(v | y) of an RBM with readout errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import carray, int32, uint32, uint64
from numpy.typing import NDArray

from psiprune.kernels.layer import activate, lane_space, sample_layer
from psiprune.kernels.layout import Layer
from psiprune.kernels.simd import (
    LANES_PER_VECTOR,
    compiled,
    exp32,
    inlined,
    row_key,
    spread_lanes,
    stack_floats,
    uniform,
)


class Likelihood(NamedTuple):
    """log C(y | v) of the groups of sites that are read together, in tables.

    Group g has the sites `member[start[g] : start[g + 1]]`, k of them, and its table starts at
    `table[first[g]]`. For k = 1 it has the log odds log C(y | 1) - log C(y | 0) at y. For k > 1 it
    has log C(y | v) at 2^k y + v, with y and v the sums over members m of 2^m y_m and 2^m v_m.
    """

    first: NDArray[np.int32]  # [group] into table
    start: NDArray[np.int32]  # [group + 1] into member
    member: NDArray[np.int32]  # [site]
    table: NDArray[np.float32]


@compiled
def posterior_gibbs(  # type: ignore[no-untyped-def]
    chains, records, steps, graph, params, likelihood, first_tile, key, vectors
):
    """Advance chains [tile, visible, lane] by Gibbs steps of p(v, h | y), in place.

    Given h and the record y [tile, visible, lane], the true bits of different groups are
    independent, and those of a group are drawn together: p(v_g | h, y_g) is proportional to
    C_g(y_g | v_g) exp(v_g.a_g) with a = b + W^T h.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = params.visible_bias.shape[0], params.hidden_bias.shape[0]
    to_hidden = Layer(graph.row_start, graph.row_index, params.weights, params.hidden_bias)
    by_column = params.weights[graph.column_edge]
    to_visible = Layer(graph.column_start, graph.column_index, by_column, params.visible_bias)
    spread = np.zeros(lanes, np.uint32)
    space = lane_space(2 * visible + hidden, lanes)
    v, y, h = space[:visible], space[visible : 2 * visible], space[2 * visible :]
    start = likelihood.start
    cumulative = lane_space(1 << np.diff(start).max(), lanes)
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        v[:] = chains[tile]
        y[:] = records[tile]
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            after = sample_layer(to_hidden, v, h, spread, after, vectors)
            for g in range(likelihood.first.shape[0]):
                first, begin, end = likelihood.first[g], start[g], start[g + 1]
                mixed = row_key(after)
                low, high = uint32(mixed), uint32(mixed >> uint64(32))
                if end - begin == 1:
                    i = uint64(likelihood.member[begin])
                    activate(to_visible, i, h, total, vectors)
                    if_zero = likelihood.table[first]
                    more = likelihood.table[first + 1] - if_zero
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        total[lane] += if_zero + more * y[i, lane]
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        u = uniform(spread[lane], low, high)
                        v[i, lane] = one if u + u * exp32(-total[lane]) < one else zero
                else:
                    sites, table = likelihood.member[begin:end], likelihood.table[first:]
                    weigh(to_visible, sites, table, y, h, cumulative, vectors)
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        total[lane] = uniform(spread[lane], low, high)
                    choose(cumulative, total, sites, v, vectors)
                after = uint64(after + uint64(1))
        chains[tile] = v


@inlined
def weigh(to_visible, sites, table, y, h, cumulative, vectors):  # type: ignore[no-untyped-def]
    """Set cumulative[s, lane] to the sum over v <= s of C(y | v) exp(v.a), the largest term 1."""
    a = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    row = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    states = 1 << len(sites)
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        cumulative[0, lane] = np.float32(0.0)
        row[lane] = np.float32(0.0)
    for m in range(len(sites)):
        site, bit = uint64(sites[m]), 1 << m
        activate(to_visible, site, h, a, vectors)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            row[lane] += np.float32(bit * states) * y[site, lane]
        for s in range(bit):
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                cumulative[s + bit, lane] = cumulative[s, lane] + a[lane]
    largest = a
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        largest[lane] = np.float32(-np.inf)
    for s in range(states):
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            cumulative[s, lane] += table[int32(row[lane]) + s]
            largest[lane] = max(largest[lane], cumulative[s, lane])
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        cumulative[0, lane] = exp32(cumulative[0, lane] - largest[lane])
    for s in range(1, states):
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            weight = exp32(cumulative[s, lane] - largest[lane])
            cumulative[s, lane] = cumulative[s - 1, lane] + weight


@inlined
def choose(cumulative, u, sites, v, vectors):  # type: ignore[no-untyped-def]
    """Set v[site, lane] to the bits of the first s with cumulative[s] > u * cumulative[last]."""
    drawn = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    states = 1 << len(sites)
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        u[lane] *= cumulative[states - 1, lane]
        drawn[lane] = np.float32(0.0)
    for s in range(states):
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            drawn[lane] += np.float32(cumulative[s, lane] <= u[lane])
    for m in range(len(sites)):
        site = uint64(sites[m])
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            v[site, lane] = np.float32((int32(drawn[lane]) >> m) & 1)
