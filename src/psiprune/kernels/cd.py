"""Contrastive divergence: one epoch of CD-k or PCD in one compiled loop."""

from __future__ import annotations

import numpy as np
from numba import carray, uint32, uint64

from psiprune.kernels.layer import bernoulli, lane_space, probabilities, sample_layer
from psiprune.kernels.layout import Int32, Layer, Parameters
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


@compiled
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
    by_column = params.weights[graph.column_edge]
    to_hidden = Layer(graph.row_start, graph.row_index, params.weights, params.hidden_bias)
    to_visible = Layer(graph.column_start, graph.column_index, by_column, params.visible_bias)
    shots = np.zeros(lanes, np.uint32)
    spread = np.zeros(lanes, np.uint32)
    space = lane_space(2 * visible + 3 * hidden + 1, lanes)
    v, fantasy = space[:visible], space[visible : 2 * visible]
    h, p, q = (
        space[2 * visible : 2 * visible + hidden],
        space[2 * visible + hidden : 2 * visible + 2 * hidden],
        space[2 * visible + 2 * hidden : 2 * visible + 3 * hidden],
    )
    counted = space[2 * visible + 3 * hidden]
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
            probabilities(to_hidden, v, counted, p, vectors)
            # Every tile starts at the same key: the lane numbers make its draws differ.
            if persistent:
                fantasy[:] = chains[tile]
                after = sample_layer(to_hidden, fantasy, h, spread, key, vectors)
            else:
                after = bernoulli(p, h, spread, key, vectors)
            for _ in range(steps - 1):
                after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
                after = sample_layer(to_hidden, fantasy, h, spread, after, vectors)
            after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
            if persistent:
                chains[tile] = fantasy
            probabilities(to_hidden, fantasy, counted, q, vectors)
            add_gradient(graph, gradient, counted, v, p, fantasy, q, vectors)
        key = after
        scale = np.float32(1.0) / np.float32(size)
        ascend(params.weights, velocity.weights, gradient.weights, scale, rate, momentum, decay)
        for bias, speed, slope in (
            (params.visible_bias, velocity.visible_bias, gradient.visible_bias),
            (params.hidden_bias, velocity.hidden_bias, gradient.hidden_bias),
        ):
            ascend(bias, speed, slope, scale, rate, momentum, np.float32(0.0))
        for edge in range(by_column.shape[0]):
            by_column[edge] = params.weights[graph.column_edge[edge]]
