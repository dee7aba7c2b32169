"""RBMs that several test files use, and what enumeration says of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import exact
from psiprune.rbm.likelihood import WeightedConfigurations
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM


def random_rbm(visible: int, hidden: int, scale: float = 1.0, density: float = 1.0) -> RBM:
    """Weights and biases from N(0, scale^2), the same for the same shape, some weights left out."""
    generator = np.random.default_rng([visible, hidden])
    mask = generator.random((hidden, visible)) < density
    return RBM(
        generator.normal(0, scale, (hidden, visible)),
        generator.normal(0, scale, visible),
        generator.normal(0, scale, hidden),
        mask,
    )


def random_phase_rbm(
    visible: int, hidden: int, phase_hidden: int, seed: int = 0, scale: float = 1.0
) -> PhaseRBM:
    """A state whose RBMs have weights and biases from N(0, scale^2)."""
    generator = np.random.default_rng([seed, visible, hidden, phase_hidden])

    def network(units: int) -> RBM:
        weights = generator.normal(0, scale, (units, visible))
        biases = generator.normal(0, scale, visible), generator.normal(0, scale, units)
        return RBM(weights, *biases)

    return PhaseRBM(network(hidden), network(phase_hidden))


def distribution(rbm: RBM) -> NDArray[np.float64]:
    """p(v) of every basis state, [2^N]."""
    return exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)


def magnet(sites: int, hidden: int, weight: float, tilt: float = 0.0) -> RBM:
    """Two wells, all bits 0 and all bits 1: of equal weight, or apart by a factor exp(tilt).

    Symmetric under v -> 1 - v where tilt is 0: b_i = -sum_j W_ji / 2 and c_j = -sum_i W_ji / 2 make
    it an RBM of spins without fields.
    """
    weights = np.full((hidden, sites), weight)
    return RBM(weights, -weights.sum(axis=0) / 2 + tilt / sites, -weights.sum(axis=1) / 2)


def w_state(sites: int, height: float = 8.0, steep: float = 26.0) -> RBM:
    """A W state: one bit is 1, and no state of none or two has more than exp(-height) of its p.

    With each pair i < j the softplus of a hidden unit of weights K and -K is log 2 where both bits
    are equal, K where only i is 1 and 0 where only j is: both repel each other by K - 2 log 2.
    """
    first, second = np.triu_indices(sites, 1)
    units = np.arange(len(first))
    weights = np.zeros((len(units), sites))
    weights[units, first], weights[units, second] = steep, -steep
    later = np.arange(sites)[::-1]  # pairs in which a site is the first
    bias = height + (sites - 1) * np.log(2) - steep * later
    return RBM(weights, bias, np.zeros(len(units)))


def sparse_rbm(visible: int, hidden: int, seed: int = 0) -> RBM:
    """Random normal parameters, and a mask that keeps about 70 % of the weights."""
    generator = np.random.default_rng(seed)
    mask = generator.random((hidden, visible)) < 0.7
    return RBM(
        generator.normal(size=(hidden, visible)),
        generator.normal(size=visible),
        generator.normal(size=hidden),
        mask,
    )


def whole_basis(rbm: RBM) -> WeightedConfigurations:
    """Every state with its probability under the RBM."""
    bits = exact.basis(rbm.visible)
    return WeightedConfigurations(bits.T.astype(float), np.exp(rbm.log_prob(bits)))


def score_moments(
    rbm: RBM, probability: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance of d log p~ / d theta over v from `probability` [2^N].

    The parameters are the weights of the mask row by row, the visible and the hidden biases.
    """
    v = exact.basis(rbm.visible).astype(float)
    s = 1.0 / (1.0 + np.exp(-(v @ rbm.weights.T + rbm.hidden_bias)))
    scores = np.concatenate([(s[:, :, None] * v[:, None, :])[:, rbm.mask], v, s], axis=1)
    mean = probability @ scores
    return mean, (scores * probability[:, None]).T @ scores - np.outer(mean, mean)
