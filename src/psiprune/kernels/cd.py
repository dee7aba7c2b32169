"""Contrastive divergence: one epoch of CD-k or PCD in one compiled loop."""

from __future__ import annotations

import numpy as np
from numba import uint64

from psiprune.kernels.either import compiled_with_either
from psiprune.kernels.groups import ROWS
from psiprune.kernels.layer import (
    add_gradient,
    bernoulli,
    gradient_space,
    hidden_layer,
    lane_space,
    load,
    probabilities,
    sample_layer,
    state_space,
    store,
    take_step,
    unpack,
    visible_layer,
)
from psiprune.kernels.layout import Int32
from psiprune.kernels.simd import LANES_PER_VECTOR, compiled, inlined, row_key, spread_lanes


@compiled
def shuffle(order: Int32, key: int) -> None:
    """Shuffle in place (Fisher-Yates), one 64-bit number per exchange (bias below n / 2^32)."""
    for last in range(order.shape[0] - 1, 0, -1):
        key = uint64(key + uint64(1))
        other = ((row_key(key) >> uint64(32)) * uint64(last + 1)) >> uint64(32)
        order[last], order[other] = order[other], order[last]


@inlined
def gather(data, order, first, count, shots):  # type: ignore[no-untyped-def]
    """Set shots[word, lane] to the words of shot order[first + lane]."""
    for word in range(data.shape[0]):
        for lane in range(count):
            shots[word, lane] = data[word, order[first + lane]]


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
    hidden = params.hidden_bias.shape[0]
    persistent = chains.shape[0] > 0
    to_hidden = hidden_layer(graph, params.weights, params.hidden_bias)
    to_visible = visible_layer(graph, params.weights, params.visible_bias)
    shots = np.zeros((data.shape[0], lanes), np.uint32)
    spread = np.zeros(lanes, np.uint32)
    v, fantasy = state_space(to_visible, lanes), state_space(to_visible, lanes)
    h = state_space(to_hidden, lanes)
    # Below the hidden units a row of 1 for the lanes that count: its gradient is that of a bias.
    rows = hidden + len(ROWS)
    p, q = lane_space(rows, lanes), lane_space(rows, lanes)
    counted = p[hidden]
    space = gradient_space(graph, params, lanes)
    for first in range(0, order.shape[0], batch):
        size = min(batch, order.shape[0] - first)
        after = key
        for tile in range((size + lanes - 1) // lanes):
            offset = tile * lanes
            count = min(lanes, size - offset)
            spread_lanes(offset, lanes, spread)
            for lane in range(lanes):
                counted[lane] = np.float32(1.0) if lane < count else np.float32(0.0)
                q[hidden, lane] = counted[lane]
            gather(data, order, first + offset, count, shots)
            unpack(to_visible, shots, v, vectors)
            probabilities(to_hidden, v, counted, p[:hidden], vectors)
            # Every tile starts at the same key: the lane numbers make its draws differ.
            if persistent:
                load(to_visible, chains[tile], fantasy, vectors)
                after = sample_layer(to_hidden, fantasy, h, spread, key, vectors)
            else:
                after = bernoulli(to_hidden, p[:hidden], h, spread, key, vectors)
            for _ in range(steps - 1):
                after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
                after = sample_layer(to_hidden, fantasy, h, spread, after, vectors)
            after = sample_layer(to_visible, h, fantasy, spread, after, vectors)
            if persistent:
                store(to_visible, fantasy, chains[tile], vectors)
            probabilities(to_hidden, fantasy, counted, q[:hidden], vectors)
            phases = (v, p, fantasy, q)
            add_gradient(graph, to_visible, count, phases, space, vectors)
        key = after
        rates = (np.float32(1.0) / np.float32(size), rate, momentum, decay)
        take_step(graph, params, velocity, space, to_hidden, to_visible, rates)
