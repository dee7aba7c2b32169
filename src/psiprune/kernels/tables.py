"""Sample one layer given the other with tables of sums; the bits of four units share an int32.

Each function does what its namesake in `layer` does, with the same random numbers. Sums are
rounded in another order, so they differ in the last bits of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import int32, njit, uint32, uint64

from psiprune.kernels import avx512
from psiprune.kernels import layer as loops
from psiprune.kernels.groups import GROUP
from psiprune.kernels.layer import lane_space
from psiprune.kernels.layout import Float32, Int32
from psiprune.kernels.simd import LANES_PER_VECTOR, OPTIONS, inlined, row_key, uniform

#: Compiled once, not into each caller.
called = njit(**OPTIONS)


class TableLayer(NamedTuple):
    """One direction of an RBM, as `Groups`, with parameters."""

    start: Int32
    group: Int32
    weight: Float32
    place: Int32
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
    places = np.zeros(GROUP * groups.group.shape[0], np.float32)
    refill(groups, weights, places)
    return TableLayer(groups.start, groups.group, places, groups.place, bias)


@called
def refill(groups, weights, places):  # type: ignore[no-untyped-def]
    """Put each weight in its place."""
    for edge in range(weights.shape[0]):
        places[groups.at[edge]] = weights[edge]


@inlined
def refill_hidden(graph, weights, layer):  # type: ignore[no-untyped-def]
    """Set the weights of the direction to the hidden units."""
    refill(graph.tables.to_hidden, weights, layer.weight)


@inlined
def refill_visible(graph, weights, layer):  # type: ignore[no-untyped-def]
    """Set the weights of the direction to the visible units."""
    refill(graph.tables.to_visible, weights, layer.weight)


@inlined
def state_space(layer, lanes):  # type: ignore[no-untyped-def]
    """Return the state of the units of a layer [group, lane], int32, all 0."""
    return lane_space((layer.place.shape[0] + GROUP - 1) // GROUP, lanes).view(np.int32)


@called
def load(layer, x, state, vectors):  # type: ignore[no-untyped-def]
    """Set a state to the bits x [unit, lane], floats."""
    state[:] = 0
    for i in range(x.shape[0]):
        place = uint64(layer.place[i])
        group, bit = place // uint64(GROUP), int32(place % uint64(GROUP))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            state[group, lane] |= int32(x[i, lane]) << bit


@called
def store(layer, state, x, vectors):  # type: ignore[no-untyped-def]
    """Set x [unit, lane] to the bits of a state."""
    for i in range(x.shape[0]):
        place = uint64(layer.place[i])
        group, bit = place // uint64(GROUP), int32(place % uint64(GROUP))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            x[i, lane] = np.float32(int32((state[group, lane] >> bit) & int32(1)))


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
    groups = (layer.group, layer.weight)
    avx512.look_up(x, groups, layer.start[j], layer.start[j + 1], layer.bias[j], total, vectors)


@called
def bernoulli(layer, p, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw unit j of y ~ Bernoulli(p[j, lane]); return the next key."""
    y[:] = 0
    for j in range(p.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        place = uint64(layer.place[j])
        group, bit = place // uint64(GROUP), int32(1) << int32(place % uint64(GROUP))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            below = uniform(spread[lane], low, high) < p[j, lane]
            y[group, lane] |= bit if below else int32(0)
        key = uint64(key + uint64(1))
    return key


@called
def sample_layer(layer, x, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """Draw y ~ Bernoulli(sigmoid(activation)), one key per unit; return the next key."""
    y[:] = 0
    groups = (layer.group, layer.weight)
    for j in range(layer.place.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        avx512.draw(
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


def rebound(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a copy of a function that calls what is here in place of its namesakes in `layer`."""
    names = {
        name: globals()[name]
        for name, value in function.__globals__.items()
        if value is getattr(loops, name, None) and name in globals()
    }
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)


probabilities = inlined(rebound(loops.probabilities.py_func))
