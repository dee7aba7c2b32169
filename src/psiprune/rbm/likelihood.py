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
from psiprune.core.threads import map_threads
from psiprune.data.shots import Shots, unique_rows
from psiprune.kernels import enumeration
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
_PIECE = 8192  # configurations per task; fixed, so that sums are the same on any number of cores


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
    given = np.empty((rbm.hidden, len(data.weight)))

    def fill(first: int) -> float:
        part = slice(first, first + _PIECE)
        some = rbm.weights @ data.bits[:, part] + rbm.hidden_bias[:, None]
        softplus: float = enumeration.sigmoid_in_place(some, data.weight[part])
        given[:, part] = some
        return softplus

    return given, sum(map_threads(fill, range(0, len(data.weight), _PIECE)))


def data_moments(rbm: RBM, data: WeightedConfigurations) -> tuple[float, Moments]:
    """Return E_data[log p~(v)] and averages over data, with p(h_j = 1 | v) for h_j."""
    given, softplus = hidden_means(rbm, data)

    def sums(first: int) -> tuple[Float64, Float64, Float64]:
        part = slice(first, first + _PIECE)
        bits, weight = data.bits[:, part], data.weight[part]
        weighted = given[:, part] * weight
        return weighted @ bits.T, bits @ weight, weighted.sum(axis=1)

    moments = _added(map_threads(sums, range(0, len(data.weight), _PIECE)))
    return float(rbm.visible_bias @ moments.visible + softplus), moments


def model_moments(rbm: RBM, most: int | None = None) -> tuple[float, Moments]:
    """Return log Z and the averages over p(v, h), summed over all states of the smaller layer.

    Raises:
        InputError: both layers have more than `most` (default: 18 units).
    """
    units, most = min(rbm.visible, rbm.hidden), EXACT_GRADIENT_UNITS if most is None else most
    if units > most:
        raise InputError(
            f"rbm: exact averages need a layer of at most {most} units, found "
            f"{rbm.visible} visible and {rbm.hidden} hidden; train with method 'natural' or 'pcd'"
        )
    if rbm.hidden <= rbm.visible:
        log_weight = enumeration.log_marginals_all(rbm.weights.T, rbm.hidden_bias, rbm.visible_bias)
        log_z, prob = _normalise(log_weight)

        def sums(first: int) -> tuple[Float64, Float64, Float64]:
            some = prob[first : first + _PIECE]
            states = _states(units, first, len(some))
            given = rbm.weights.T @ states + rbm.visible_bias[:, None]
            enumeration.sigmoid_in_place(given, some)
            given *= some
            return states @ given.T, given.sum(axis=1), states @ some

        return log_z, _added(map_threads(sums, range(0, len(prob), _PIECE)))
    log_z, prob = _normalise(rbm.log_prob_all())
    states = _states(units, 0, len(prob))
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


def _states(units: int, first: int, count: int) -> Float64:
    """Return the bits of `count` consecutive states of a layer, [unit, state]."""
    numbers = np.arange(first, first + count)
    return ((numbers >> np.arange(units)[:, None]) & 1).astype(np.float64)


def _added(pieces: list[tuple[Float64, Float64, Float64]]) -> Moments:
    return Moments(*(sum(parts[1:], parts[0]) for parts in zip(*pieces, strict=True)))


def _normalise(log_weight: Float64) -> tuple[float, Float64]:
    top = log_weight.max()
    weight = np.exp(log_weight - top)
    total = weight.sum()
    return float(top + np.log(total)), weight / total
