"""The compiled chains and the training epoch, written plainly in NumPy: [chain, unit], float64.

The random number of a row and a chain is a hash, so both draw the same bits. A draw nearer to its
threshold than `MARGIN` could round differently in float32; there is an assertion against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from psiprune.rbm.model import RBM
from psiprune.training.contrastive_divergence import ContrastiveDivergence

Float64 = NDArray[np.float64]
MARGIN = 1e-6


def row_keys(key: int, rows: int) -> NDArray[np.uint64]:
    """SplitMix64 of the counters key, key + 1, ..."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.arange(rows, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniforms(key: int, chains: int, rows: int) -> Float64:
    """The numbers [chain, row] of a key: lowbias32 of the chain, keyed by the row."""
    keys = row_keys(key, rows)
    low, high = keys.astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    x = np.arange(chains, dtype=np.uint32)[:, None] * np.uint32(0x9E3779B9) + low
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15)) ^ high) * np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return np.asarray(((x >> np.uint32(9)) + 0.5) / 2**23)


def shuffled(items: int, key: int) -> list[int]:
    """0, 1, ..., items - 1 after Fisher and Yates' exchanges from the last item on."""
    order = list(range(items))
    numbers = row_keys(key + 1, max(0, items - 1)) >> np.uint64(32)
    for last, number in zip(range(items - 1, 0, -1), numbers.tolist(), strict=True):
        other = number * (last + 1) >> 32
        order[last], order[other] = order[other], order[last]
    return order


@dataclass
class Numbers:
    """Random numbers of chains, a row for each unit that is drawn."""

    key: int

    def draw(self, prob: Float64) -> Float64:
        """0 or 1 [chain, unit], 1 with a probability [chain, unit]."""
        u = uniforms(self.key, *prob.shape)
        self.key += prob.shape[1]
        assert np.abs(u - prob).min() > MARGIN
        return (u < prob).astype(float)

    def hidden(self, rbm: RBM, v: Float64) -> Float64:
        """Hidden units given the visible ones."""
        return self.draw(expit(v @ rbm.weights.T + rbm.hidden_bias))

    def visible(self, rbm: RBM, h: Float64) -> Float64:
        """Visible units given the hidden ones."""
        return self.draw(expit(h @ rbm.weights + rbm.visible_bias))

    def gibbs(self, rbm: RBM, v: Float64, steps: int) -> Float64:
        """The chains after some block Gibbs steps."""
        for _ in range(steps):
            v = self.visible(rbm, self.hidden(rbm, v))
        return v


def theta(rbm: RBM) -> Float64:
    """Weights of the mask row by row, visible biases, hidden biases."""
    return np.concatenate([rbm.weights[rbm.mask], rbm.visible_bias, rbm.hidden_bias])


def with_theta(rbm: RBM, values: Float64) -> RBM:
    """The RBM with other parameters."""
    weights = np.zeros(rbm.mask.shape)
    kept, visible = rbm.number_of_weights, rbm.visible
    weights[rbm.mask] = values[:kept]
    return RBM(weights, values[kept : kept + visible], values[kept + visible :], rbm.mask)


def moments(rbm: RBM, v: Float64) -> Float64:
    """Means of (p(h_j = 1 | v) v_i, v_i, p(h_j = 1 | v)) over configurations, as in `theta`."""
    p = expit(v @ rbm.weights.T + rbm.hidden_bias)
    return np.concatenate([(p.T @ v / len(v))[rbm.mask], v.mean(axis=0), p.mean(axis=0)])


@dataclass
class Trained:
    """RBM, velocity and persistent chains [chain, site] (None: CD) of a training."""

    rbm: RBM
    velocity: Float64
    chains: Float64 | None

    def update(
        self, v: Float64, method: ContrastiveDivergence, rate: float, numbers: Numbers, tile: int
    ) -> None:
        """One update by the shots v [shot, site]; chains of whole tiles of so many move."""
        if self.chains is None:
            end = numbers.gibbs(self.rbm, v, method.steps)
        else:
            moving = -(-len(v) // tile) * tile
            self.chains[:moving] = numbers.gibbs(self.rbm, self.chains[:moving], method.steps)
            end = self.chains[: len(v)]
        penalty = theta(self.rbm)
        penalty[self.rbm.number_of_weights :] = 0.0
        slope = moments(self.rbm, v) - moments(self.rbm, end) - method.weight_decay * penalty
        self.velocity = method.momentum * self.velocity + slope
        self.rbm = with_theta(self.rbm, theta(self.rbm) + rate * self.velocity)
