"""Exact log-likelihood of shots and its gradient, without Markov chains.

L = E_data[log p~(v)] - log Z. Shots are reduced to unique configurations with frequencies. Model
averages are sums over all states of the smaller layer, up to 2^18 of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.repr import one_line
from psiprune.data.shots import Shots, unique_rows
from psiprune.kernels import enumeration
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


@one_line
class WeightedConfigurations(NamedTuple):
    """Weighted configurations: `bits` float64 [site, configuration], `weight` sums to 1."""

    bits: Float64
    weight: Float64


@one_line
class Moments(NamedTuple):
    """Averages <h_j v_i> [hidden, visible], <v_i> [visible], <h_j> [hidden]."""

    visible_hidden: Float64
    visible: Float64
    hidden: Float64


def unique_configurations(data: Shots | NDArray[np.uint8]) -> WeightedConfigurations:
    """Return the unique rows of shots, or of bits [shot, site], with their frequencies."""
    rows, counts = data.unique if isinstance(data, Shots) else unique_rows(data)
    return WeightedConfigurations(
        np.ascontiguousarray(rows.T, dtype=np.float64), counts / counts.sum()
    )


def hidden_means(rbm: RBM, data: WeightedConfigurations) -> tuple[Float64, float]:
    """Return p(h_j = 1 | v), [hidden, configuration], and E[sum_j log(1 + exp(c_j + W_j.v))]."""
    given = rbm.weights @ data.bits + rbm.hidden_bias[:, None]
    return given, enumeration.sigmoid_in_place(given, data.weight)


def data_moments(rbm: RBM, data: WeightedConfigurations) -> tuple[float, Moments]:
    """Return E_data[log p~(v)] and averages over data, with p(h_j = 1 | v) for h_j."""
    given, softplus = hidden_means(rbm, data)
    weighted = given * data.weight
    visible = data.bits @ data.weight
    value = float(rbm.visible_bias @ visible + softplus)
    return value, Moments(weighted @ data.bits.T, visible, weighted.sum(axis=1))


def model_moments(rbm: RBM) -> tuple[float, Moments]:
    """Return log Z and the averages over p(v, h), summed over all states of the smaller layer.

    Raises:
        InputError: both layers have more than 18 units.
    """
    units = min(rbm.visible, rbm.hidden)
    if units > EXACT_GRADIENT_UNITS:
        raise InputError(
            f"rbm: exact averages need a layer of at most {EXACT_GRADIENT_UNITS} units, found "
            f"{rbm.visible} visible and {rbm.hidden} hidden; train with method 'natural' or 'pcd'"
        )
    states = ((np.arange(1 << units) >> np.arange(units)[:, None]) & 1).astype(np.float64)
    if rbm.hidden <= rbm.visible:
        log_weight = enumeration.log_marginals_all(rbm.weights.T, rbm.hidden_bias, rbm.visible_bias)
        log_z, prob = _normalise(log_weight)
        given = rbm.weights.T @ states + rbm.visible_bias[:, None]
        enumeration.sigmoid_in_place(given, prob)
        given *= prob
        return log_z, Moments(states @ given.T, given.sum(axis=1), states @ prob)
    log_z, prob = _normalise(rbm.log_prob_all())
    return log_z, data_moments(rbm, WeightedConfigurations(states, prob))[1]


def log_likelihood(rbm: RBM, data: WeightedConfigurations) -> tuple[float, Moments]:
    """Return the mean log-likelihood in nats per shot and its gradient, data minus model."""
    value, of_data = data_moments(rbm, data)
    log_z, of_model = model_moments(rbm)
    return value - log_z, Moments(*(a - b for a, b in zip(of_data, of_model, strict=True)))


def to_vector(rbm: RBM) -> Float64:
    """Return the parameters [parameter] in the order of `fisher_matrix`."""
    return flatten(rbm.mask, Moments(rbm.weights, rbm.visible_bias, rbm.hidden_bias))


def flatten(mask: NDArray[np.bool_], moments: Moments) -> Float64:
    """Return moments, or anything of their shapes, in the order of `fisher_matrix`."""
    return np.concatenate([moments.visible_hidden[mask], moments.visible, moments.hidden])


def from_vector(rbm: RBM, vector: Float64) -> RBM:
    """Return the RBM of the same mask with the parameters of a vector."""
    weights = np.zeros(rbm.mask.shape)
    weights[rbm.mask] = vector[: rbm.number_of_weights]
    visible_bias, hidden_bias = np.split(vector[rbm.number_of_weights :], [rbm.visible])
    return RBM(weights, visible_bias, hidden_bias, rbm.mask)


def _normalise(log_weight: Float64) -> tuple[float, Float64]:
    top = log_weight.max()
    weight = np.exp(log_weight - top)
    total = weight.sum()
    return float(top + np.log(total)), weight / total
