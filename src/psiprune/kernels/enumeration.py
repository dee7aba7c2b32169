"""Sums over the states of a layer and over single-site flips, in float64.

The inner loops run over states or shots and vectorise, with `exp64` and one logarithm per product
of factors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import map_threads
from psiprune.kernels.simd import compiled, exp64

Float64 = NDArray[np.float64]
#: Low bits of a basis index that the inner loop of `log_marginals` runs over.
LOW_BITS = 6
#: |b_i| + sum_j |W_ji| up to which a flip of site i is a product of floats; exp(700) is a float.
STEEPEST_PRODUCT = 600.0


# --- sums over all states of a layer ---------------------------------------------------------


@compiled
def log_marginals(weights, bias, other_bias, first, out):  # type: ignore[no-untyped-def]
    """Fill `out` with the log of the unnormalised marginal of consecutive states of one layer.

    out[s] = bias . x + sum_i log(1 + exp(other_bias_i + sum_k weights[i, k] x_k)) where bit k of
    first + s is x_k. `first` and the length of `out` are multiples of 2^LOW_BITS, or the length
    is that of all states of a smaller layer. The loop over the low bits vectorises; the product of
    the factors 1 + exp(-|a|) <= 2 needs one logarithm per state.
    """
    others, units = weights.shape
    low_bits = min(LOW_BITS, units)
    block = 1 << low_bits
    low = np.zeros((others, block))
    low_bias = np.zeros(block)
    for s in range(block):
        for k in range(low_bits):
            if (s >> k) & 1:
                low_bias[s] += bias[k]
                for i in range(others):
                    low[i, s] += weights[i, k]
    product, linear = np.empty(block), np.empty(block)
    for start in range(0, out.shape[0], block):
        state = first + start
        base = 0.0
        for k in range(low_bits, units):
            if (state >> k) & 1:
                base += bias[k]
        product[:] = 1.0
        linear[:] = low_bias + base
        for i in range(others):
            high = other_bias[i]
            for k in range(low_bits, units):
                if (state >> k) & 1:
                    high += weights[i, k]
            for s in range(block):
                a = high + low[i, s]
                linear[s] += max(a, 0.0)
                product[s] *= 1.0 + exp64(-abs(a))
            if i % 512 == 511:  # before a product of factors up to 2 can overflow
                for s in range(block):
                    linear[s] += np.log(product[s])
                    product[s] = 1.0
        for s in range(block):
            out[start + s] = linear[s] + np.log(product[s])


@compiled
def log_marginals_sum(weights, bias, other_bias, first, count):  # type: ignore[no-untyped-def]
    """Return (largest, sum of exp(x - largest)) over the `log_marginals` x of `count` states."""
    piece = min(count, 1 << 12)
    values = np.empty(piece)
    largest, total = -np.inf, 0.0
    for start in range(0, count, piece):
        log_marginals(weights, bias, other_bias, first + start, values)
        top = values.max()
        if top > largest:
            total *= np.exp(largest - top)
            largest = top
        for s in range(piece):
            total += np.exp(values[s] - largest)
    return largest, total


def log_marginals_all(weights: Float64, bias: Float64, other_bias: Float64) -> Float64:
    """Return `log_marginals` of all states of a layer, in threads: [other, unit] -> [2^units]."""
    weights = np.ascontiguousarray(weights)
    out = np.empty(1 << len(bias))
    piece = min(len(out), 1 << 16)
    map_threads(
        lambda first: log_marginals(weights, bias, other_bias, first, out[first : first + piece]),
        range(0, len(out), piece),
    )
    return out


@compiled
def sigmoid_in_place(a, weight):  # type: ignore[no-untyped-def]
    """Replace a [unit, state] by sigmoid(a); return the sum of weight * log(1 + exp(a)).

    log(1 + exp(a)) = max(a, 0) - log(sigmoid(|a|)); the logarithm is taken of a product over units.
    """
    units, states = a.shape
    total = 0.0
    block = 256
    product, linear = np.empty(block), np.empty(block)
    for first in range(0, states, block):
        size = min(block, states - first)
        product[:] = 1.0
        linear[:] = 0.0
        for j in range(units):
            for s in range(size):
                x = a[j, first + s]
                small = exp64(-abs(x))
                larger = 1.0 / (1.0 + small)
                linear[s] += max(x, 0.0)
                product[s] *= 1.0 + small
                a[j, first + s] = larger if x >= 0.0 else small * larger
            if j % 512 == 511:  # before a product of factors up to 2 can overflow
                for s in range(size):
                    linear[s] += np.log(product[s])
                    product[s] = 1.0
        for s in range(size):
            total += weight[first + s] * (linear[s] + np.log(product[s]))
    return total


@compiled
def sigmoids_and_sums(a, sums):  # type: ignore[no-untyped-def]
    """Replace a [unit, state] by sigmoid(a); add sum_j log(1 + exp(a_j)) to `sums` [state]."""
    units, states = a.shape
    block = 256
    product, linear = np.empty(block), np.empty(block)
    for first in range(0, states, block):
        size = min(block, states - first)
        product[:] = 1.0
        linear[:] = 0.0
        for j in range(units):
            for s in range(size):
                x = a[j, first + s]
                small = exp64(-abs(x))
                larger = 1.0 / (1.0 + small)
                linear[s] += max(x, 0.0)
                product[s] *= 1.0 + small
                a[j, first + s] = larger if x >= 0.0 else small * larger
            if j % 512 == 511:  # before a product of factors up to 2 can overflow
                for s in range(size):
                    linear[s] += np.log(product[s])
                    product[s] = 1.0
        for s in range(size):
            sums[first + s] += linear[s] + np.log(product[s])


@compiled
def sum_unit(zero, one):  # type: ignore[no-untyped-def]
    """Sum out a unit: zero <- log(e^zero + e^one), one <- e^one / (e^zero + e^one), in place."""
    for s in range(zero.shape[0]):
        gap = one[s] - zero[s]
        small = exp64(-abs(gap))
        larger = 1.0 / (1.0 + small)
        zero[s] = max(zero[s], one[s]) + np.log1p(small)
        one[s] = larger if gap >= 0.0 else small * larger


# --- one flipped site ------------------------------------------------------------------------


@compiled
def local_energy_flips(v, weights, visible_bias, hidden_bias, out):  # type: ignore[no-untyped-def]
    """Set out[shot] = sum_i psi(v with site i flipped) / psi(v), psi = sqrt(p), v [shot, site].

    With p_j = sigmoid(a_j), flipping site i by s = +-1 changes p(v) by the factor
    exp(s b_i) prod_j (1 - p_j + p_j exp(s W_ji)): no exponential in the inner loop. All terms are
    positive, with 1 - p_j = sigmoid(-a_j) stored next to p_j: large weights cause no cancellation.
    Where such a product could leave the range of floats, its logarithm is used,
    s b_i + sum_j [max(a_j + s W_ji, 0) - max(a_j, 0)] + log prod_j of factors 1/2 to 2.
    """
    shots, visible = v.shape
    hidden = weights.shape[0]
    lanes = 64
    on, off = np.exp(weights), np.exp(-weights)
    bias_on, bias_off = np.exp(visible_bias), np.exp(-visible_bias)
    x, p, rest = np.zeros((visible, lanes)), np.empty((hidden, lanes)), np.empty((hidden, lanes))
    activation = np.empty((hidden, lanes))
    ratio, linear, total = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    steepness = np.abs(visible_bias)
    for j in range(hidden):
        for i in range(visible):
            steepness[i] += abs(weights[j, i])
    any_steep = not steepness.max() <= STEEPEST_PRODUCT
    for first in range(0, shots, lanes):
        count = min(lanes, shots - first)
        for lane in range(count):
            for i in range(visible):
                x[i, lane] = v[first + lane, i]
        for j in range(hidden):
            p[j, :] = hidden_bias[j]
            for i in range(visible):
                weight = weights[j, i]
                if weight != 0.0:
                    for lane in range(lanes):
                        p[j, lane] += weight * x[i, lane]
            if any_steep:
                activation[j, :] = p[j]
            for lane in range(lanes):
                down = exp64(-p[j, lane])
                p[j, lane] = 1.0 / (1.0 + down)
                rest[j, lane] = down / (1.0 + down)
        total[:] = 0.0
        for i in range(visible):
            if not steepness[i] <= STEEPEST_PRODUCT:
                for lane in range(lanes):
                    linear[lane] = visible_bias[i] * (1.0 - 2.0 * x[i, lane])
                    ratio[lane] = 1.0
                for j in range(hidden):
                    weight = weights[j, i]
                    if weight != 0.0:
                        for lane in range(lanes):
                            old = activation[j, lane]
                            new = old + weight * (1.0 - 2.0 * x[i, lane])
                            linear[lane] += max(new, 0.0) - max(old, 0.0)
                            # The larger of p and 1 - p is 1 / (1 + exp(-|old|)).
                            ratio[lane] *= (1.0 + exp64(-abs(new))) * max(p[j, lane], rest[j, lane])
                    if j % 512 == 511:  # before a product of factors up to 2 can overflow
                        for lane in range(lanes):
                            linear[lane] += np.log(ratio[lane])
                            ratio[lane] = 1.0
                for lane in range(lanes):
                    total[lane] += np.exp(0.5 * (linear[lane] + np.log(ratio[lane])))
                continue
            for lane in range(lanes):
                ratio[lane] = bias_off[i] if x[i, lane] > 0.5 else bias_on[i]
            for j in range(hidden):
                if weights[j, i] != 0.0:
                    up, down = on[j, i], off[j, i]
                    for lane in range(lanes):
                        factor = down if x[i, lane] > 0.5 else up
                        ratio[lane] *= rest[j, lane] + p[j, lane] * factor
            for lane in range(lanes):
                total[lane] += np.sqrt(ratio[lane])
        out[first : first + count] = total[:count]
