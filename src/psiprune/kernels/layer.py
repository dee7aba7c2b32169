"""Sample one layer of an RBM given the other, over all lanes of a tile, by loops over neighbours.

`tables` has functions of the same names for CPUs with AVX-512 or AVX2.
"""

from __future__ import annotations

import numpy as np
from numba import carray, uint32, uint64

from psiprune.kernels.layout import Layer, Parameters
from psiprune.kernels.simd import LANES_PER_VECTOR, exp32, inlined, row_key, stack_floats, uniform


@inlined
def lane_space(units, lanes):  # type: ignore[no-untyped-def]
    """Return zeros [unit, lane] aligned to a cache line, so that no vector load straddles two.

    At least two more follow, as groups of three lanes may reach beyond the last.
    """
    raw = np.zeros(units * lanes + 32, np.float32)
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
def unpack(layer, shots, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits of shots [word, lane]: site i is bit i % 32 of word i // 32."""
    for site in range(state.shape[0]):
        word, bit = uint64(site // 32), uint32(site % 32)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            state[site, lane] = np.float32(np.int32((shots[word, lane] >> bit) & uint32(1)))


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


@inlined
def gradient_space(graph, params, lanes):  # type: ignore[no-untyped-def]
    """Return what `add_gradient` adds to: the gradient, which is 0."""
    return Parameters(
        np.zeros_like(params.weights),
        np.zeros_like(params.visible_bias),
        np.zeros_like(params.hidden_bias),
    )


@inlined
def add_gradient(graph, layer, count, phases, gradient, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of data (v, p) minus model (w, q) to the gradient of each parameter."""
    v, p, w, q = phases
    hidden = gradient.hidden_bias.shape[0]
    counted = p[hidden]
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
    add_hidden(p, q, gradient, vectors)


@inlined
def add_hidden(p, q, gradient, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of p - q to the gradient of the hidden biases."""
    for j in range(gradient.hidden_bias.shape[0]):
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


@inlined
def ascend_biases(params, velocity, gradient, rates):  # type: ignore[no-untyped-def]
    """Take a step of the biases, without weight decay."""
    scale, rate, momentum, _ = rates
    decay = np.float32(0.0)
    x, speed, slope = params.visible_bias, velocity.visible_bias, gradient.visible_bias
    ascend(x, speed, slope, scale, rate, momentum, decay)
    x, speed, slope = params.hidden_bias, velocity.hidden_bias, gradient.hidden_bias
    ascend(x, speed, slope, scale, rate, momentum, decay)


@inlined
def take_step(  # type: ignore[no-untyped-def]
    graph, params, velocity, gradient, to_hidden, to_visible, rates
):
    """Change parameters and both directions along the gradient; then a new gradient begins."""
    scale, rate, momentum, decay = rates
    ascend(params.weights, velocity.weights, gradient.weights, scale, rate, momentum, decay)
    ascend_biases(params, velocity, gradient, rates)
    refill_visible(graph, params.weights, to_visible)
