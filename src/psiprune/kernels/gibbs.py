"""Block Gibbs sampling, with and without global flips."""

from __future__ import annotations

import numpy as np
from numba import carray, uint32, uint64

from psiprune.kernels.either import compiled_with_either
from psiprune.kernels.layer import (
    activate,
    hidden_layer,
    lane_space,
    load,
    loaded,
    sample_layer,
    state_space,
    store,
    stored,
    visible_layer,
)
from psiprune.kernels.simd import (
    LANES_PER_VECTOR,
    exp32,
    exp64,
    row_key,
    spread_lanes,
    stack_floats,
    uniform,
)


@compiled_with_either
def gibbs(chains, steps, graph, params, first_tile, key, vectors):  # type: ignore[no-untyped-def]
    """Advance chains [tile, visible, lane] by block Gibbs steps, in place.

    Random numbers of a chain depend on its index and the key only: tiles may be passed separately.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    to_hidden = hidden_layer(graph, params.weights, params.hidden_bias)
    to_visible = visible_layer(graph, params.weights, params.visible_bias)
    spread = np.zeros(lanes, np.uint32)
    v, h = state_space(to_visible, lanes), state_space(to_hidden, lanes)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        load(to_visible, chains[tile], v, vectors)
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            after = sample_layer(to_hidden, v, h, spread, after, vectors)
            after = sample_layer(to_visible, h, v, spread, after, vectors)
        store(to_visible, v, chains[tile], vectors)


@compiled_with_either
def gibbs_with_flips(  # type: ignore[no-untyped-def]
    chains, steps, graph, params, first_tile, key, vectors
):
    """Advance chains as `gibbs`, and before each step choose v or 1 - v by their probabilities.

    1 - v is taken with probability p~(1 - v) / (p~(v) + p~(1 - v)). The activation of hidden unit j
    at 1 - v is 2 c_j + sum_i W_ji minus that at v. The Gibbs step needs the latter anyway, and
    nothing else of v: the choice costs no product with the weights, and v is not written.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = params.visible_bias.shape[0], params.hidden_bias.shape[0]
    to_hidden = hidden_layer(graph, params.weights, params.hidden_bias)
    to_visible = visible_layer(graph, params.weights, params.visible_bias)
    both = np.empty(hidden, np.float32)  # activation at v plus that at 1 - v
    for j in range(hidden):
        total = 2.0 * np.float64(params.hidden_bias[j])
        for edge in range(graph.row_start[j], graph.row_start[j + 1]):
            total += params.weights[edge]
        both[j] = total
    spread = np.zeros(lanes, np.uint32)
    v, state = state_space(to_visible, lanes), state_space(to_hidden, lanes)
    space = lane_space(visible + hidden, lanes)
    h = space[visible:]
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    linear = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    factor = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    turned = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        load(to_visible, chains[tile], v, vectors)
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            # linear + log(factor) becomes log p~(1 - v) - log p~(v).
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                linear[lane] = zero
                factor[lane] = one
            bits = stored(to_visible, v, space[:visible], vectors)
            for i in range(visible):
                bias = params.visible_bias[i]
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    linear[lane] += bias * (one - bits[i, lane] - bits[i, lane])
            for j in range(hidden):
                activate(to_hidden, j, v, total, vectors)
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    y = total[lane]
                    h[j, lane] = y
                    x = both[j] - y
                    linear[lane] += max(x, zero) - max(y, zero)
                    factor[lane] *= (one + exp32(-abs(x))) / (one + exp32(-abs(y)))
                if j % 64 == 63:  # before a product of factors 1/2 to 2 leaves the range of floats
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        linear[lane] += np.log(factor[lane])
                        factor[lane] = one
            mixed = row_key(after)
            low, high = uint32(mixed), uint32(mixed >> uint64(32))
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                u = uniform(spread[lane], low, high)
                down = exp64(-np.float64(linear[lane])) / np.float64(factor[lane])
                turned[lane] = one if u + u * down < 1.0 else zero
            after = uint64(after + uint64(1))
            for j in range(hidden):
                mixed = row_key(after)
                low, high = uint32(mixed), uint32(mixed >> uint64(32))
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    y = h[j, lane]
                    x = y + turned[lane] * (both[j] - y - y)
                    u = uniform(spread[lane], low, high)
                    h[j, lane] = one if u + u * exp32(-x) < one else zero
                after = uint64(after + uint64(1))
            drawn = loaded(to_hidden, h, state, vectors)
            after = sample_layer(to_visible, drawn, v, spread, after, vectors)
        store(to_visible, v, chains[tile], vectors)
