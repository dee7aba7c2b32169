"""Sample one layer given the other with tables of sums; the bits of a group share an int32.

Each function does what its namesake in `layer` does, with the same random numbers. Sums are
rounded in another order, so they differ in the last bits of float32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int32, njit, uint32, uint64

from psiprune.kernels import layer as loops
from psiprune.kernels import lookups
from psiprune.kernels.layer import lane_space
from psiprune.kernels.layout import Float32, Int32, Parameters
from psiprune.kernels.simd import (
    LANES_PER_VECTOR,
    OPTIONS,
    inlined,
    row_key,
    uniform,
)

#: Compiled once, not into each caller.
called = njit(**OPTIONS, _nrt=False)
#: Compiled into each caller by LLVM, as a call passes all fields of its arguments, such as a graph.
#: Unlike what numba inlines, this counts no references to their arrays.
merged = njit(**OPTIONS, _nrt=False, forceinline=True)


class TableLayer(NamedTuple):
    """One direction of an RBM, as `Groups`, with parameters."""

    start: Int32
    group: Int32
    weight: Float32
    place: Int32
    units: tuple[int, ...]
    bias: Float32


@inlined
def hidden_layer(graph, weights, bias):  # type: ignore[no-untyped-def]
    """Return the direction to the hidden units, with a copy of the weights [edge] by rows."""
    return filled(graph.tables.to_hidden, weights, bias)


@inlined
def visible_layer(graph, weights, bias):  # type: ignore[no-untyped-def]
    """Return the direction to the visible units, with a copy of the weights [edge] by rows."""
    return filled(graph.tables.to_visible, weights, bias)


@inlined
def filled(groups, weights, bias):  # type: ignore[no-untyped-def]
    """Return one direction with the weights [edge] by rows."""
    places = np.zeros(len(groups.units) * groups.group.shape[0], np.float32)
    refill(groups, weights, places)
    return TableLayer(groups.start, groups.group, places, groups.place, groups.units, bias)


@called
def refill(groups, weights, places):  # type: ignore[no-untyped-def]
    """Put each weight in its place."""
    for edge in range(weights.shape[0]):
        places[uint64(groups.at[edge])] = weights[edge]


@inlined
def state_space(layer, lanes):  # type: ignore[no-untyped-def]
    """Return the state of the units of a layer [group, lane], int32, all 0."""
    return lane_space(shares(layer.place.shape[0], layer.units), lanes).view(np.int32)


@inlined
def shares(count, units):  # type: ignore[no-untyped-def]
    """Return the number of groups of `count` units or lanes, the last of which may be smaller."""
    return (count + len(units) - 1) // len(units)


@inlined
def located(layer, unit):  # type: ignore[no-untyped-def]
    """Return the group of a unit, and its number there."""
    place, size = uint64(layer.place[unit]), uint64(len(layer.units))
    return place // size, place % size


@called
def load(layer, x, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits x [unit, lane], floats."""
    state[:] = 0
    for i in range(x.shape[0]):
        group, number = located(layer, i)
        bit = int32(number)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            state[group, lane] |= int32(x[i, lane]) << bit


@called
def store(layer, state, x, vectors):  # type: ignore[no-untyped-def]
    """Set x [unit, lane] to the bits of a state."""
    for i in range(x.shape[0]):
        group, number = located(layer, i)
        bit = int32(number)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            x[i, lane] = np.float32(int32((state[group, lane] >> bit) & int32(1)))


@merged
def unpack(layer, shots, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits of shots [word, lane]: site i is bit i % 32 of word i // 32."""
    state[:] = 0
    for site in range(layer.place.shape[0]):
        # Numbers that LLVM sees to be below 32, so that it shifts 32 bits.
        word, bit = uint64(site) // uint64(32), uint64(site) % uint64(32)
        group, shift = located(layer, site)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            state[group, lane] |= int32(((shots[word, lane] >> bit) & uint64(1)) << shift)


@inlined
def loaded(layer, x, space, vectors):  # type: ignore[no-untyped-def]
    """Return the state of the bits x [unit, lane], in `space`."""
    load(layer, x, space, vectors)
    return space


@inlined
def stored(layer, state, space, vectors):  # type: ignore[no-untyped-def]
    """Return the bits [unit, lane] of a state as floats, in `space`."""
    store(layer, state, space, vectors)
    return space


@inlined
def activate(layer, j, x, total, vectors):  # type: ignore[no-untyped-def]
    """Set total[lane] = bias_j + sum_i w_ji x_i."""
    groups = (layer.group, layer.weight, layer.units)
    lookups.look_up(x, groups, layer.start[j], layer.start[j + 1], layer.bias[j], total, vectors)


@merged
def probabilities(layer, x, counted, p, vectors):  # type: ignore[no-untyped-def]
    """Set p[j, lane] = counted[lane] * sigmoid(activation)."""
    groups = (layer.group, layer.weight, layer.units)
    for j in range(layer.place.shape[0]):
        first, last = layer.start[j], layer.start[j + 1]
        lookups.probability(x, groups, first, last, layer.bias[j], counted, p, j, vectors)


@merged
def bernoulli(layer, p, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw unit j of y ~ Bernoulli(p[j, lane]); return the next key."""
    y[:] = 0
    for j in range(p.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        group, number = located(layer, j)
        bit = int32(1) << int32(number)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            below = uniform(spread[lane], low, high) < p[j, lane]
            y[group, lane] |= bit if below else int32(0)
        key = uint64(key + uint64(1))
    return key


@merged
def sample_layer(layer, x, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw y ~ Bernoulli(sigmoid(activation)), one key per unit; return the next key."""
    y[:] = 0
    groups = (layer.group, layer.weight, layer.units)
    for j in range(layer.place.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        lookups.draw(
            x,
            groups,
            layer.start[j],
            layer.start[j + 1],
            layer.bias[j],
            spread,
            low,
            high,
            y,
            layer.place[j],
            vectors,
        )
        key = uint64(key + uint64(1))
    return key


class GradientSpace(NamedTuple):
    """What `add_gradient` adds to, and its space."""

    gradient: Parameters
    bits: Float32  # [site, lane], twice


@inlined
def gradient_space(graph, params, lanes):  # type: ignore[no-untyped-def]
    """Return what `add_gradient` adds to."""
    space = lane_space(2 * params.visible_bias.shape[0], lanes)
    return GradientSpace(loops.gradient_space(graph, params, lanes), space)


@inlined
def add_gradient(graph, layer, count, phases, space, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of data (v, p) minus model (w, q) to the gradient of each parameter."""
    v, p, w, q = phases
    visible = layer.place.shape[0]
    a, b = space.bits[:visible], space.bits[visible:]
    store(layer, v, a, vectors)
    store(layer, w, b, vectors)
    loops.add_gradient(graph, layer, count, (a, p, b, q), space.gradient, vectors)


@merged
def take_step(  # type: ignore[no-untyped-def]
    graph, params, velocity, space, to_hidden, to_visible, rates
):
    """Change parameters and both directions along the gradient; then a new gradient begins."""
    scale, rate, momentum, decay = rates
    slope = space.gradient
    loops.ascend(params.weights, velocity.weights, slope.weights, scale, rate, momentum, decay)
    loops.ascend_biases(params, velocity, slope, rates)
    refill(graph.tables.to_hidden, params.weights, to_hidden.weight)
    refill(graph.tables.to_visible, params.weights, to_visible.weight)
