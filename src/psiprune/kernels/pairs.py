"""The gradient summed over chains for all pairs of units, by tables of sums over a few chains.

A sum over chains of p_j v_i is, for one hidden unit j, a sum of p_j over the chains whose bit v_i
is 1. Four chains have 16 such sums, and a look-up serves 16 visible units (three, 8 and 8 with
AVX2). Each function does what its namesake in `tables` does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from psiprune.kernels import layer as loops
from psiprune.kernels import lookups, tables
from psiprune.kernels.groups import ROWS
from psiprune.kernels.layer import lane_space
from psiprune.kernels.layout import Float32, Parameters
from psiprune.kernels.simd import LANES_PER_VECTOR, inlined


class GradientSpace(NamedTuple):
    """What `add_gradient` adds to, and its space."""

    gradient: Parameters
    sums: Float32  # as in `groups.Sums`
    data: NDArray[np.uint32]  # [chain // 8 n, site], one bit a chain, for groups of n
    model: NDArray[np.uint32]


@inlined
def gradient_space(graph, params, lanes):  # type: ignore[no-untyped-def]
    """Return what `add_gradient` adds to."""
    order = graph.tables.sums
    words = (tables.shares(lanes, order.registers.units) + 7) // 8
    return GradientSpace(
        loops.gradient_space(graph, params, lanes),
        lane_space(params.hidden_bias.shape[0] + len(ROWS), order.width),
        lane_space(words, order.width).view(np.uint32),
        lane_space(words, order.width).view(np.uint32),
    )


@tables.merged
def add_gradient(graph, layer, count, phases, space, vectors):  # type: ignore[no-untyped-def]
    """Add sum over lanes of data (v, p) minus model (w, q) to the sums, and to hidden biases."""
    v, p, w, q = phases
    order = graph.tables.sums
    units, columns = order.registers
    loops.add_hidden(p, q, space.gradient, vectors)
    for site in range(layer.place.shape[0]):
        place = layer.place[site]
        lookups.gather_bits(v, place, space.data, site, units, vectors)
        lookups.gather_bits(w, place, space.model, site, units, vectors)
    entries = tables.shares(count, units)
    for column in range(0, order.width, LANES_PER_VECTOR * len(columns)):
        for j in range(0, space.gradient.hidden_bias.shape[0] + 1, len(ROWS)):
            x, y = space.data, space.model
            lookups.add_products(x, y, p, q, entries, space.sums, j, column, units, ROWS, columns)


@tables.merged
def take_step(  # type: ignore[no-untyped-def]
    graph, params, velocity, space, to_hidden, to_visible, rates
):
    """Change parameters and both directions along the gradient; then a new gradient begins."""
    order, sums, gradient = graph.tables.sums, space.sums, space.gradient
    hidden, visible = gradient.hidden_bias.shape[0], gradient.visible_bias.shape[0]
    if order.full:
        for j in range(hidden):
            for i in range(visible):
                gradient.weights[uint64(j * visible + i)] = sums[j, i]
    else:
        flat = sums.reshape(-1)
        for edge in range(gradient.weights.shape[0]):
            gradient.weights[edge] = flat[uint64(order.edge[edge])]
    for i in range(visible):
        gradient.visible_bias[i] = sums[hidden, i]
    sums[:] = np.float32(0.0)
    tables.take_step(graph, params, velocity, space, to_hidden, to_visible, rates)
