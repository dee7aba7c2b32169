"""Sample one layer of an RBM given the other, over all lanes of a tile, by loops over neighbours.

`tables` has functions of the same names for CPUs with AVX-512.
"""

from __future__ import annotations

import numpy as np
from numba import carray, uint32, uint64

from psiprune.kernels.layout import Layer
from psiprune.kernels.simd import LANES_PER_VECTOR, exp32, inlined, row_key, stack_floats, uniform


@inlined
def lane_space(units, lanes):  # type: ignore[no-untyped-def]
    """Return zeros [unit, lane] aligned to a cache line, so that no vector load straddles two."""
    raw = np.zeros(units * lanes + 16, np.float32)
    offset = (-(raw.ctypes.data // 4)) % 16
    return raw[offset : offset + units * lanes].reshape(units, lanes)


@inlined
def hidden_layer(graph, weights, bias):  # type: ignore[no-untyped-def]
    """Return the direction to the hidden units; `weights` [edge] by rows are not copied."""
    return Layer(graph.row_start, graph.row_index, weights, bias)


@inlined
def visible_layer(graph, weights, bias):  # type: ignore[no-untyped-def]
    """Return the direction to the visible units."""
    return Layer(graph.column_start, graph.column_index, weights[graph.column_edge], bias)


@inlined
def refill_hidden(graph, weights, layer):  # type: ignore[no-untyped-def]
    """Set the weights of the direction to the hidden units, which has them without a copy."""


@inlined
def refill_visible(graph, weights, layer):  # type: ignore[no-untyped-def]
    """Set the weights of the direction to the visible units."""
    for edge in range(layer.weight.shape[0]):
        layer.weight[edge] = weights[graph.column_edge[edge]]


@inlined
def state_space(layer, lanes):  # type: ignore[no-untyped-def]
    """Return the state of the units of a layer, all 0."""
    return lane_space(layer.bias.shape[0], lanes)


@inlined
def load(layer, x, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits x [unit, lane], floats."""
    state[:] = x


@inlined
def store(layer, state, x, vectors):  # type: ignore[no-untyped-def]
    """Set x [unit, lane] to the bits of a state."""
    x[:] = state


@inlined
def loaded(layer, x, space, vectors):  # type: ignore[no-untyped-def]
    """Return the state of the bits x [unit, lane]; `space` may hold it."""
    return x


@inlined
def stored(layer, state, space, vectors):  # type: ignore[no-untyped-def]
    """Return the bits [unit, lane] of a state as floats; `space` may hold them."""
    return state


@inlined
def activate(layer, j, x, total, vectors):  # type: ignore[no-untyped-def]
    """Set total[lane] = bias_j + sum_i w_ji x[i, lane]; `total` stays in registers."""
    bias = layer.bias[j]
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        total[lane] = bias
    for edge in range(uint64(layer.start[j]), uint64(layer.start[j + 1])):
        weight = layer.weight[edge]
        i = uint64(layer.unit[edge])
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            total[lane] += weight * x[i, lane]


@inlined
def sample_layer(layer, x, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw y[j, lane] ~ Bernoulli(sigmoid(activation)), one key per unit; return the next key.

    u < 1/(1 + e) is tested as u + u e < 1, without a division.
    """
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    for j in range(layer.bias.shape[0]):
        activate(layer, j, x, total, vectors)
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            u = uniform(spread[lane], low, high)
            below = u + u * exp32(-total[lane]) < np.float32(1.0)
            y[j, lane] = np.float32(1.0) if below else np.float32(0.0)
        key = uint64(key + uint64(1))
    return key


@inlined
def probabilities(layer, x, counted, p, vectors):  # type: ignore[no-untyped-def]
    """Set p[j, lane] = counted[lane] * sigmoid(activation)."""
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    for j in range(layer.bias.shape[0]):
        activate(layer, j, x, total, vectors)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            p[j, lane] = counted[lane] / (np.float32(1.0) + exp32(-total[lane]))


@inlined
def bernoulli(layer, p, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw y[j, lane] ~ Bernoulli(p[j, lane]); return the next key."""
    for j in range(p.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            below = uniform(spread[lane], low, high) < p[j, lane]
            y[j, lane] = np.float32(1.0) if below else np.float32(0.0)
        key = uint64(key + uint64(1))
    return key
