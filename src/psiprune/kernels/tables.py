"""Sample one layer given the other with tables of sums; the bits of a group share an int32.

Each function does what its namesake in `layer` does, with the same random numbers. Sums are
rounded in another order, so they differ in the last bits of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import int32, njit, uint32, uint64
from numpy.typing import NDArray

from psiprune.kernels import layer as loops
from psiprune.kernels import lookups
from psiprune.kernels.groups import LOOPS, MASKS, ROWS, TABLES
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


@called
def unpack(layer, shots, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits of shots [word, lane]: site i is bit i % 32 of word i // 32."""
    state[:] = 0
    for site in range(layer.place.shape[0]):
        word, bit = uint64(site // 32), uint32(site % 32)
        group, number = located(layer, site)
        shift = uint32(number)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            state[group, lane] |= int32(((shots[word, lane] >> bit) & uint32(1)) << shift)


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


@called
def probabilities(layer, x, counted, p, vectors):  # type: ignore[no-untyped-def]
    """Set p[j, lane] = counted[lane] * sigmoid(activation)."""
    groups = (layer.group, layer.weight, layer.units)
    for j in range(layer.place.shape[0]):
        first, last = layer.start[j], layer.start[j + 1]
        lookups.probability(x, groups, first, last, layer.bias[j], counted, p, j, vectors)


@called
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


@called
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
    sums: Float32  # as `groups.Sums` has them
    words: NDArray[np.uint32]  # [chain // 8 n, column], one bit a chain, for groups of n
    data: Int32  # [block, chain // n; column of the block]: n chains in each
    model: Int32
    bits: Float32  # [site, lane], twice


@inlined
def gradient_space(graph, params, lanes):  # type: ignore[no-untyped-def]
    """Return what `add_gradient` adds to."""
    way, size, width = graph.tables.sums.way, graph.tables.sums.size, graph.tables.sums.width
    units, block = graph.tables.sums.registers.units, columns_of(graph.tables.sums)
    columns = width if way == TABLES else 0
    entries = columns // block * shares(lanes, units)
    visible = params.visible_bias.shape[0] if way == LOOPS else 0
    return GradientSpace(
        loops.gradient_space(graph, params, lanes),
        lane_space(1, size)[0],
        lane_space((shares(lanes, units) + 7) // 8, columns).view(np.uint32),
        lane_space(entries, block).view(np.int32),
        lane_space(entries, block).view(np.int32),
        lane_space(2 * visible, lanes),
    )


@inlined
def columns_of(order):  # type: ignore[no-untyped-def]
    """Return the number of visible units whose sums are formed by tables at once."""
    return LANES_PER_VECTOR * len(order.registers.columns)


@inlined
def exchange(order, layer, state, words, out, vectors):  # type: ignore[no-untyped-def]
    """Set `out` [block, chain // n; column] to the bits of a state, n chains in each."""
    units, columns = order.registers.units, columns_of(order)
    for site in range(layer.place.shape[0]):
        lookups.gather_bits(state, layer.place[site], words, site, units, vectors)
    entries = shares(LANES_PER_VECTOR * len(vectors), units)
    for block in range(out.shape[0] // entries):
        for k in range(entries):  # of each only the n lowest bits are read
            chunk, shift = uint64(k // 8), uint32(len(units) * (k % 8))
            row, first = uint64(block * entries + k), uint64(block * columns)
            for column in range(columns):
                out[row, column] = int32(words[chunk, first + column] >> shift)


@inlined
def add_gradient(graph, layer, count, phases, space, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of data (v, p) minus model (w, q) to the gradient of each parameter."""
    if graph.tables.sums.way == LOOPS:
        v, p, w, q = phases
        visible = layer.place.shape[0]
        a, b = space.bits[:visible], space.bits[visible:]
        store(layer, v, a, vectors)
        store(layer, w, b, vectors)
        loops.add_gradient(graph, layer, count, (a, p, b, q), space.gradient, vectors)
    else:
        add_sums(graph.tables.sums, layer, count, phases, space, vectors)


@called
def add_sums(order, layer, count, phases, space, vectors):  # type: ignore[no-untyped-def]
    """Add to `space.sums` and to the gradient of the hidden biases."""
    v, p, w, q = phases
    rows, sums = p.shape[0], space.sums
    units, at_once, columns = order.registers
    loops.add_hidden(p, q, space.gradient, vectors)
    if order.way == MASKS:
        for group in range(v.shape[0]):
            for j in range(0, rows, ROWS):
                at = len(units) * (group * rows + j)
                lookups.add_few_products(v, w, p, q, group, j, sums, at, units, vectors)
    else:
        exchange(order, layer, v, space.words, space.data, vectors)
        exchange(order, layer, w, space.words, space.model, vectors)
        every, entries = shares(LANES_PER_VECTOR * len(vectors), units), shares(count, units)
        for block in range(space.data.shape[0] // every):
            x, y = space.data[block * every :], space.model[block * every :]
            for j in range(0, rows, len(at_once)):
                at = j * order.width + block * columns_of(order)
                lookups.add_products(
                    x, y, p, q, j, entries, sums, at, order.width, units, at_once, columns
                )


@called
def take_step(  # type: ignore[no-untyped-def]
    graph, params, velocity, space, to_hidden, to_visible, rates
):
    """Change parameters and both directions along the gradient; then a new gradient begins."""
    scale, rate, momentum, decay = rates
    order, sums, gradient = graph.tables.sums, space.sums, space.gradient
    slope, visible = gradient.weights, gradient.visible_bias.shape[0]
    if order.way == TABLES and order.full:
        for j in range(gradient.hidden_bias.shape[0]):
            for i in range(visible):
                slope[uint64(j * visible + i)] = sums[uint64(j * order.width + i)]
    elif order.way != LOOPS:
        for edge in range(slope.shape[0]):
            slope[edge] = sums[uint64(order.edge[edge])]
    if order.way != LOOPS:
        for i in range(visible):
            gradient.visible_bias[i] = sums[uint64(order.site[i])]
        for k in range(sums.shape[0]):
            sums[k] = np.float32(0.0)
    loops.ascend(params.weights, velocity.weights, slope, scale, rate, momentum, decay)
    loops.ascend_biases(params, velocity, gradient, rates)
    refill(graph.tables.to_hidden, params.weights, to_hidden.weight)
    refill(graph.tables.to_visible, params.weights, to_visible.weight)


def rebound(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a function that calls what is here in place of its namesakes in `layer`."""
    names = {
        name: globals()[name]
        for name, value in function.__globals__.items()
        if value is getattr(loops, name, None) and name in globals()
    }
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
