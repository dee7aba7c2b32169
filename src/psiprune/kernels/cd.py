"""Contrastive divergence: one epoch of CD-k or PCD in one compiled loop."""

from __future__ import annotations

import numpy as np
from numba import carray, uint32, uint64

from psiprune.kernels.either import compiled_with_either
from psiprune.kernels.layer import (
    bernoulli,
    hidden_layer,
    lane_space,
    load,
    loaded,
    probabilities,
    refill_hidden,
    refill_visible,
    sample_layer,
    state_space,
    store,
    stored,
    visible_layer,
)
from psiprune.kernels.layout import Int32, Parameters
from psiprune.kernels.simd import (
    LANES_PER_VECTOR,
    compiled,
    inlined,
    row_key,
    spread_lanes,
    stack_floats,
)


@compiled
def shuffle(order: Int32, key: int) -> None:
    """Shuffle in place (Fisher-Yates), one 64-bit number per exchange (bias below n / 2^32)."""
    for last in range(order.shape[0] - 1, 0, -1):
        key = uint64(key + uint64(1))
        other = ((row_key(key) >> uint64(32)) * uint64(last + 1)) >> uint64(32)
        order[last], order[other] = order[other], order[last]


@inlined
def load_shots(data, order, first, count, shots, v, vectors):  # type: ignore[no-untyped-def]
    """Set v[site, lane] to the bit of shot order[first + lane]: gather words, unpack over lanes."""
    for word in range(data.shape[0]):
        for lane in range(count):
            shots[lane] = data[word, order[first + lane]]
        for site in range(32 * word, min(v.shape[0], 32 * word + 32)):
            bit = uint32(site - 32 * word)
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                v[site, lane] = np.float32(np.int32((shots[lane] >> bit) & uint32(1)))


@inlined
def add_gradient(graph, gradient, counted, v, p, w, q, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of data (v, p) minus model (w, q) to the gradient of each parameter."""
    # By columns: v and w of one site stay in registers, and the smaller p and q in the cache.
    a = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    b = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    for i in range(v.shape[0]):
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            a[lane] = v[i, lane]
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            b[lane] = w[i, lane]
        for edge in range(uint64(graph.column_start[i]), uint64(graph.column_start[i + 1])):
            j = uint64(graph.column_index[edge])
            total = np.float32(0.0)
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                total += p[j, lane] * a[lane] - q[j, lane] * b[lane]
            gradient.weights[graph.column_edge[edge]] += total
        total = np.float32(0.0)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            total += counted[lane] * (a[lane] - b[lane])
        gradient.visible_bias[i] += total
    for j in range(p.shape[0]):
        total = np.float32(0.0)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            total += p[j, lane] - q[j, lane]
        gradient.hidden_bias[j] += total


@inlined
def ascend(x, velocity, gradient, scale, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """Take one gradient-ascent step with momentum and weight decay, and reset the gradient to 0."""
    for k in range(x.shape[0]):
        velocity[k] = momentum * velocity[k] + scale * gradient[k] - decay * x[k]
        x[k] += rate * velocity[k]
        gradient[k] = np.float32(0.0)


@compiled_with_either
def train_epoch(  # type: ignore[no-untyped-def]
    data, order, batch, steps, chains, graph, params, velocity, rate, momentum, decay, key, vectors
):
    """Run one epoch of contrastive divergence, in place.

    data [word, shot] are packed shots, order [shot]; `chains` [tile, visible, lane] are persistent
    chains (PCD); without any tile each negative phase starts at the data (CD).
    `params` and `velocity` are Parameters in float32, changed in place. The loop allocates nothing.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = params.visible_bias.shape[0], params.hidden_bias.shape[0]
    persistent = chains.shape[0] > 0
    gradient = Parameters(
        np.zeros_like(params.weights),
        np.zeros_like(params.visible_bias),
        np.zeros_like(params.hidden_bias),
    )
    to_hidden = hidden_layer(graph, params.weights, params.hidden_bias)
    to_visible = visible_layer(graph, params.weights, params.visible_bias)
    shots = np.zeros(lanes, np.uint32)
    spread = np.zeros(lanes, np.uint32)
    fantasy, h = state_space(to_visible, lanes), state_space(to_hidden, lanes)
    space = lane_space(2 * visible + 2 * hidden + 1, lanes)
    v, w_space = space[:visible], space[visible : 2 * visible]
    p, q = space[2 * visible : 2 * visible + hidden], space[2 * visible + hidden : -1]
    counted = space[-1]
    for first in range(0, order.shape[0], batch):
        size = min(batch, order.shape[0] - first)
        after = key
        for tile in range((size + lanes - 1) // lanes):
            offset = tile * lanes
            count = min(lanes, size - offset)
            spread_lanes(offset, lanes, spread)
            for lane in range(lanes):
                counted[lane] = np.float32(1.0) if lane < count else np.float32(0.0)
            load_shots(data, order, first + offset, count, shots, v, vectors)
            data_state = loaded(to_visible, v, fantasy, vectors)
            probabilities(to_hidden, data_state, counted, p, vectors)
            # Every tile starts at the same key: the lane numbers make its draws differ.
            if persistent:
                load(to_visible, chains[tile], fantasy, vectors)
                after = sample_layer(to_hidden, fantasy, h, spread, key, vectors)
            else:
                after = bernoulli(to_hidden, p, h, spread, key, vectors)
            for _ in range(steps - 1):
                after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
                after = sample_layer(to_hidden, fantasy, h, spread, after, vectors)
            after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
            if persistent:
                store(to_visible, fantasy, chains[tile], vectors)
            probabilities(to_hidden, fantasy, counted, q, vectors)
            w = stored(to_visible, fantasy, w_space, vectors)
            add_gradient(graph, gradient, counted, v, p, w, q, vectors)
        key = after
        scale = np.float32(1.0) / np.float32(size)
        ascend(params.weights, velocity.weights, gradient.weights, scale, rate, momentum, decay)
        for bias, speed, slope in (
            (params.visible_bias, velocity.visible_bias, gradient.visible_bias),
            (params.hidden_bias, velocity.hidden_bias, gradient.hidden_bias),
        ):
            ascend(bias, speed, slope, scale, rate, momentum, np.float32(0.0))
        refill_hidden(graph, params.weights, to_hidden)
        refill_visible(graph, params.weights, to_visible)
