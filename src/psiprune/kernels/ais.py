"""Annealed importance sampling: one pass over all temperatures."""

from __future__ import annotations

import numpy as np

from psiprune.kernels.either import compiled_with_either
from psiprune.kernels.layer import (
    activate,
    bernoulli,
    hidden_layer,
    lane_space,
    load,
    sample_layer,
    state_space,
    store,
    stored,
    visible_layer,
)
from psiprune.kernels.simd import LANES_PER_VECTOR, exp64, spread_lanes


@compiled_with_either
def anneal_tiles(  # type: ignore[no-untyped-def]
    chains, log_weight, betas, graph, base, params, first_tile, key, vectors
):
    """Carry chains [tile, visible, lane] through the temperatures `betas`, in place.

    At beta the parameters are base + beta (params - base), the base without weights. Each change of
    beta adds log p~_new(v) - log p~_old(v) to log_weight [tile, lane] (float64) and is followed by
    one block Gibbs step at the new beta. With t_j = params.c_j - base.c_j + W_j.v the activation of
    hidden unit j is base.c_j + beta t_j, so one product with the weights serves both betas.
    """
    lanes = LANES_PER_VECTOR * len(vectors)
    visible, hidden = params.visible_bias.shape[0], params.hidden_bias.shape[0]
    rise = hidden_layer(graph, params.weights, params.hidden_bias - base.hidden_bias)
    change = params.visible_bias - base.visible_bias
    full = visible_layer(graph, params.weights, change)
    to_visible = visible_layer(graph, params.weights, np.empty_like(change))
    v, h = state_space(to_visible, lanes), state_space(rise, lanes)
    space = lane_space(visible + hidden + 1, lanes)
    p, t = space[visible:-1], space[-1]
    spread = np.zeros(lanes, np.uint32)
    linear, above, below = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    for tile in range(chains.shape[0]):
        offset = (first_tile + tile) * lanes
        after = key
        load(to_visible, chains[tile], v, vectors)
        spread_lanes(offset, lanes, spread)
        for k in range(1, betas.shape[0]):
            new, old = betas[k], betas[k - 1]
            linear[:] = 0.0
            above[:] = 1.0
            below[:] = 1.0
            bits = stored(to_visible, v, space[:visible], vectors)
            for i in range(visible):
                slope = np.float64(change[i]) * (new - old)
                for lane in range(LANES_PER_VECTOR * len(vectors)):
                    linear[lane] += slope * bits[i, lane]
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
            after = bernoulli(rise, p, h, spread, after, vectors)
            for edge in range(full.weight.shape[0]):
                to_visible.weight[edge] = np.float32(new) * full.weight[edge]
            for i in range(visible):
                to_visible.bias[i] = base.visible_bias[i] + np.float32(new) * change[i]
            after = sample_layer(to_visible, h, v, spread, after, vectors)
        store(to_visible, v, chains[tile], vectors)
