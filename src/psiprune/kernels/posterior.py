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
    row_key,
    spread_lanes,
    stack_floats,
    uniform,
)


class LogOdds(NamedTuple):
    """log C(y | v_i = 1, others) - log C(y | v_i = 0, others) of each site i, in tables.

    The sites of a group with correlated errors are `member[start[i] : start[i + 1]]`, k of them;
    the number for y and v of the group is `table[first[i] + code]` with code = sum over members m
    of 2^m y_m + 2^(k + m) v_m.
    """

    first: NDArray[np.int32]  # [site] into table
    start: NDArray[np.int32]  # [site + 1] into member
    member: NDArray[np.int32]
    table: NDArray[np.float32]


@compiled
def posterior_gibbs(  # type: ignore[no-untyped-def]
    chains, records, steps, graph, params, odds, first_tile, key, vectors
):
    """Advance chains [tile, visible, lane] by Gibbs steps of p(v, h | y), in place.

    p(v, h | y) is the RBM with the log odds of the record y [tile, visible, lane] added to its
    visible biases. Sites that share a confusion matrix are drawn one after the other, each given
    the current bits of the others.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = params.visible_bias.shape[0], params.hidden_bias.shape[0]
    to_hidden = Layer(graph.row_start, graph.row_index, params.weights, params.hidden_bias)
    by_column = params.weights[graph.column_edge]
    to_visible = Layer(graph.column_start, graph.column_index, by_column, params.visible_bias)
    spread = np.zeros(lanes, np.uint32)
    space = lane_space(2 * visible + hidden, lanes)
    v, y, h = space[:visible], space[visible : 2 * visible], space[2 * visible :]
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    code = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        v[:] = chains[tile]
        y[:] = records[tile]
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            after = sample_layer(to_hidden, v, h, spread, after, vectors)
            for i in range(visible):
                activate(to_visible, i, h, total, vectors)
                place, begin, end = odds.first[i], odds.start[i], odds.start[i + 1]
                if end - begin == 1:
                    if_zero = odds.table[place]
                    more = odds.table[place + 1] - if_zero
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        total[lane] += if_zero + more * y[i, lane]
                else:
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        code[lane] = zero
                    bit = one
                    for m in range(begin, end):
                        site = uint64(odds.member[m])
                        for lane in range(LANES_PER_VECTOR * len(vectors)):
                            code[lane] += bit * y[site, lane]
                        bit += bit
                    for m in range(begin, end):
                        site = uint64(odds.member[m])
                        for lane in range(LANES_PER_VECTOR * len(vectors)):
                            code[lane] += bit * v[site, lane]
                        bit += bit
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        total[lane] += odds.table[place + int32(code[lane])]
                mixed = row_key(after)
                low, high = uint32(mixed), uint32(mixed >> uint64(32))
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    u = uniform(spread[lane], low, high)
                    v[i, lane] = one if u + u * exp32(-total[lane]) < one else zero
                after = uint64(after + uint64(1))
        chains[tile] = v
