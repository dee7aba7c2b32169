"""The compiled loops; the only file that knows how units are laid out in memory.

Units by lanes: the state of a layer is an array [unit, lane], one lane a Markov chain, float32 0
or 1. Every inner loop runs over the lanes of one unit and vectorises; the weights that exist are
walked one by one, as a list of neighbours, so a pruned weight is a vector operation less. Chains
come in tiles of 16 * len(vectors) lanes; the length of that tuple is known to the compiler.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import carray, uint32, uint64
from numpy.typing import NDArray

from psiprune.lanes import (
    LANES_PER_VECTOR,
    compiled,
    exp32,
    exp64,
    inlined,
    row_key,
    spread_lanes,
    stack_floats,
    uniform,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

#: SHA-256 of lanes.py, first 12 digits. numba's cache watches this file only, so a change of
#: lanes.py must show here, or the old code runs on; a test compares the two.
LANES_DIGEST = "589efe4ba701"
#: Two tiles: 7 vectors, as for 100 chains, and 4 vectors, for multiples of 64.
WIDE, NARROW = (0,) * 7, (0,) * 4


class Graph(NamedTuple):
    """The edges of an RBM: neighbours of each hidden unit (row) and each visible unit (column)."""

    row_start: Int32  # [hidden + 1] into row_index
    row_index: Int32  # [edge] the visible unit
    column_start: Int32  # [visible + 1] into column_index
    column_index: Int32  # [edge] the hidden unit
    column_edge: Int32  # [edge] where a column's edge stands in the order by rows


class Parameters(NamedTuple):
    """The numbers of an RBM on its graph; also their velocities and their gradients."""

    weights: Float32  # [edge], by rows
    visible_bias: Float32  # [visible]
    hidden_bias: Float32  # [hidden]


class Layer(NamedTuple):
    """One direction of an RBM: for each unit of a layer, its neighbours and their weights."""

    start: Int32
    unit: Int32
    weight: Float32
    bias: Float32


def graph_of(mask: NDArray[np.bool_]) -> Graph:
    """The graph of a mask [hidden, visible]."""
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(mask))
    by_column = np.lexsort((rows, columns)).astype(np.int32)
    hidden, visible = mask.shape
    return Graph(
        np.searchsorted(rows, np.arange(hidden + 1)).astype(np.int32),
        columns,
        np.searchsorted(columns[by_column], np.arange(visible + 1)).astype(np.int32),
        rows[by_column],
        by_column,
    )


def lanes_of(vectors: tuple[int, ...]) -> int:
    """Chains in one tile."""
    return LANES_PER_VECTOR * len(vectors)


def tile_shape(chains: int) -> tuple[int, ...]:
    """The tuple `vectors` for a number of chains: the tile that leaves fewer lanes idle."""

    def lanes(vectors: tuple[int, ...]) -> int:
        tile = lanes_of(vectors)
        return -(-chains // tile) * tile

    return min((WIDE, NARROW), key=lanes)


def pack(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Bits [shot, site] as words [site // 32, shot]; site i is bit i % 32 of its word."""
    shots, sites = bits.shape
    words = -(-sites // 32)
    padded = np.zeros((shots, 32 * words), np.uint8)
    padded[:, :sites] = bits
    bytes_ = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(bytes_.view("<u4").T.astype(np.uint32))


def stream_key(*words: int) -> np.uint64:
    """A 64-bit key for one stream of random numbers, from a seed and what tells streams apart."""
    return np.uint64(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


# --- one layer given the other ---------------------------------------------------------------


@inlined
def lane_space(units, lanes):  # type: ignore[no-untyped-def]
    """Zeros [unit, lane] aligned to a cache line, so that no vector load straddles two."""
    raw = np.zeros(units * lanes + 16, np.float32)
    offset = (-(raw.ctypes.data // 4)) % 16
    return raw[offset : offset + units * lanes].reshape(units, lanes)


@inlined
def activate(layer, j, x, total, vectors):  # type: ignore[no-untyped-def]
    """total[lane] = bias_j + sum_i w_ji x[i, lane]; `total` stays in registers throughout."""
    bias = layer.bias[j]
    for lane in range(LANES_PER_VECTOR * len(vectors)):
        total[lane] = bias
    for edge in range(uint64(layer.start[j]), uint64(layer.start[j + 1])):
        weight = layer.weight[edge]
        i = uint64(layer.unit[edge])
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            total[lane] += weight * x[i, lane]


@inlined
def draw(layer, x, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """y[j, lane] ~ Bernoulli(sigmoid(activation)), a row of the generator a unit; the next key.

    u < 1/(1 + e) is asked as u + u e < 1, which spares the division.
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
    """p[j, lane] = counted[lane] * sigmoid(activation)."""
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    for j in range(layer.bias.shape[0]):
        activate(layer, j, x, total, vectors)
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            p[j, lane] = counted[lane] / (np.float32(1.0) + exp32(-total[lane]))


@inlined
def bernoulli(p, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    """y[j, lane] ~ Bernoulli(p[j, lane]); the next key."""
    for j in range(p.shape[0]):
        mixed = row_key(key)
        low, high = uint32(mixed), uint32(mixed >> uint64(32))
        for lane in range(LANES_PER_VECTOR * len(vectors)):
            below = uniform(spread[lane], low, high) < p[j, lane]
            y[j, lane] = np.float32(1.0) if below else np.float32(0.0)
        key = uint64(key + uint64(1))
    return key


# --- training --------------------------------------------------------------------------------


@compiled
def shuffle(order: Int32, key: int) -> None:
    """Fisher-Yates in place, one 64-bit number an exchange (bias below n / 2^32)."""
    for last in range(order.shape[0] - 1, 0, -1):
        key = uint64(key + uint64(1))
        other = ((row_key(key) >> uint64(32)) * uint64(last + 1)) >> uint64(32)
        order[last], order[other] = order[other], order[last]


@inlined
def load_shots(data, order, first, count, shots, v, vectors):  # type: ignore[no-untyped-def]
    """v[site, lane] = bit of shot order[first + lane]: gather words, then unpack over lanes."""
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
def step(x, velocity, gradient, scale, rate, momentum, decay):  # type: ignore[no-untyped-def]
    """Momentum and weight decay, then one step up the likelihood; the gradient is used up."""
    for k in range(x.shape[0]):
        velocity[k] = momentum * velocity[k] + scale * gradient[k] - decay * x[k]
        x[k] += rate * velocity[k]
        gradient[k] = np.float32(0.0)


@compiled
def train_epoch(  # type: ignore[no-untyped-def]
    data, order, batch, cd_steps, chains, graph, at, velocity, rate, momentum, decay, key, vectors
):
    """One epoch of contrastive divergence, in place.

    data [word, shot] packed shots, order [shot]; `chains` [tile, visible, lane] are persistent
    chains (PCD) or, with no tile, stand for starting each negative phase at the data (CD).
    `at` and `velocity` are Parameters in float32, changed in place. The loop allocates nothing.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = at.visible_bias.shape[0], at.hidden_bias.shape[0]
    persistent = chains.shape[0] > 0
    gradient = Parameters(
        np.zeros_like(at.weights), np.zeros_like(at.visible_bias), np.zeros_like(at.hidden_bias)
    )
    by_column = at.weights[graph.column_edge]
    to_hidden = Layer(graph.row_start, graph.row_index, at.weights, at.hidden_bias)
    to_visible = Layer(graph.column_start, graph.column_index, by_column, at.visible_bias)
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
            # Every tile starts at the same key: its lanes have numbers of their own.
            if persistent:
                fantasy[:] = chains[tile]
                after = draw(to_hidden, fantasy, h, spread, key, vectors)
            else:
                after = bernoulli(p, h, spread, key, vectors)
            for _ in range(cd_steps - 1):
                after = draw(to_visible, h, fantasy, spread, after, vectors)
                after = draw(to_hidden, fantasy, h, spread, after, vectors)
            after = draw(to_visible, h, fantasy, spread, after, vectors)
            if persistent:
                chains[tile] = fantasy
            probabilities(to_hidden, fantasy, counted, q, vectors)
            add_gradient(graph, gradient, counted, v, p, fantasy, q, vectors)
        key = after
        scale = np.float32(1.0) / np.float32(size)
        step(at.weights, velocity.weights, gradient.weights, scale, rate, momentum, decay)
        for bias, speed, slope in (
            (at.visible_bias, velocity.visible_bias, gradient.visible_bias),
            (at.hidden_bias, velocity.hidden_bias, gradient.hidden_bias),
        ):
            step(bias, speed, slope, scale, rate, momentum, np.float32(0.0))
        for edge in range(by_column.shape[0]):
            by_column[edge] = at.weights[graph.column_edge[edge]]


# --- sampling --------------------------------------------------------------------------------


@compiled
def gibbs(chains, steps, graph, at, first_tile, key, vectors):  # type: ignore[no-untyped-def]
    """Advance chains [tile, visible, lane] by block Gibbs steps, in place.

    The numbers of a chain depend on its index and the key alone: tiles may be given one by one.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = at.visible_bias.shape[0], at.hidden_bias.shape[0]
    to_hidden = Layer(graph.row_start, graph.row_index, at.weights, at.hidden_bias)
    to_visible = Layer(
        graph.column_start, graph.column_index, at.weights[graph.column_edge], at.visible_bias
    )
    spread = np.zeros(lanes, np.uint32)
    space = lane_space(visible + hidden, lanes)
    v, h = space[:visible], space[visible:]
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        v[:] = chains[tile]
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            after = draw(to_hidden, v, h, spread, after, vectors)
            after = draw(to_visible, h, v, spread, after, vectors)
        chains[tile] = v


@compiled
def gibbs_with_flips(  # type: ignore[no-untyped-def]
    chains, steps, graph, at, first_tile, key, vectors
):
    """`gibbs`, and before each step a choice between v and 1 - v by their probabilities.

    1 - v is taken with probability p~(1 - v) / (p~(v) + p~(1 - v)). The activation of hidden unit j
    at 1 - v is 2 c_j + sum_i W_ji minus that at v, which the Gibbs step needs anyway, and of v it
    needs nothing else: so the choice costs no product with the weights, and v is never written.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = at.visible_bias.shape[0], at.hidden_bias.shape[0]
    to_hidden = Layer(graph.row_start, graph.row_index, at.weights, at.hidden_bias)
    to_visible = Layer(
        graph.column_start, graph.column_index, at.weights[graph.column_edge], at.visible_bias
    )
    both = np.empty(hidden, np.float32)  # activation at v plus that at 1 - v
    for j in range(hidden):
        total = 2.0 * np.float64(at.hidden_bias[j])
        for edge in range(graph.row_start[j], graph.row_start[j + 1]):
            total += at.weights[edge]
        both[j] = total
    spread = np.zeros(lanes, np.uint32)
    space = lane_space(visible + hidden, lanes)
    v, h = space[:visible], space[visible:]
    total = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    linear = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    factor = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    turned = carray(stack_floats(vectors), (LANES_PER_VECTOR * len(vectors),), np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        v[:] = chains[tile]
        spread_lanes(offset, lanes, spread)
        for _ in range(steps):
            # linear + log(factor) becomes log p~(1 - v) - log p~(v).
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                linear[lane] = zero
                factor[lane] = one
            for i in range(visible):
                bias = at.visible_bias[i]
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    linear[lane] += bias * (one - v[i, lane] - v[i, lane])
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
            after = draw(to_visible, h, v, spread, after, vectors)
        chains[tile] = v


# --- annealed importance sampling ------------------------------------------------------------


@compiled
def anneal(  # type: ignore[no-untyped-def]
    chains, log_weight, betas, graph, base, at, first_tile, key, vectors
):
    """Carry chains [tile, visible, lane] through the temperatures `betas`, in place.

    At beta the parameters are base + beta (at - base), the base without weights. Each change of
    beta adds log p~_new(v) - log p~_old(v) to log_weight [tile, lane] (float64) and is followed by
    one block Gibbs step at the new beta. With t_j = at.c_j - base.c_j + W_j.v the activation of
    hidden unit j is base.c_j + beta t_j, so one product with the weights serves both.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = at.visible_bias.shape[0], at.hidden_bias.shape[0]
    rise = Layer(graph.row_start, graph.row_index, at.weights, at.hidden_bias - base.hidden_bias)
    change = at.visible_bias - base.visible_bias
    by_column = at.weights[graph.column_edge]
    weights, bias = np.empty_like(by_column), np.empty_like(change)
    to_visible = Layer(graph.column_start, graph.column_index, weights, bias)
    space = lane_space(visible + 2 * hidden + 1, lanes)
    v, h, p = space[:visible], space[visible : visible + hidden], space[visible + hidden : -1]
    t = space[-1]
    spread = np.zeros(lanes, np.uint32)
    linear, above, below = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        v[:] = chains[tile]
        spread_lanes(offset, lanes, spread)
        for k in range(1, betas.shape[0]):
            new, old = betas[k], betas[k - 1]
            linear[:] = 0.0
            above[:] = 1.0
            below[:] = 1.0
            for i in range(visible):
                slope = np.float64(change[i]) * (new - old)
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    linear[lane] += slope * v[i, lane]
            for j in range(hidden):
                activate(rise, j, v, t, vectors)
                start = np.float64(base.hidden_bias[j])
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    x, y = start + new * t[lane], start + old * t[lane]
                    small = exp64(-abs(x))
                    larger = 1.0 / (1.0 + small)
                    linear[lane] += max(x, 0.0) - max(y, 0.0)
                    above[lane] *= 1.0 + small
                    below[lane] *= 1.0 + exp64(-abs(y))
                    p[j, lane] = np.float32(larger if x >= 0.0 else small * larger)
                if j % 512 == 511:  # before a product of factors up to 2 can overflow
                    for lane in range(LANES_PER_VECTOR * len(vectors)):
                        linear[lane] += np.log(above[lane] / below[lane])
                        above[lane] = 1.0
                        below[lane] = 1.0
            for lane in range(LANES_PER_VECTOR * len(vectors)):
                log_weight[tile, lane] += linear[lane] + np.log(above[lane] / below[lane])
            after = bernoulli(p, h, spread, after, vectors)
            for edge in range(weights.shape[0]):
                weights[edge] = np.float32(new) * by_column[edge]
            for i in range(visible):
                bias[i] = base.visible_bias[i] + np.float32(new) * change[i]
            after = draw(to_visible, h, v, spread, after, vectors)
        chains[tile] = v
