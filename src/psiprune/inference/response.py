"""How p(v) of an RBM responds to other readout error rates, at any number of sites.

At the maximum of the mean of log p(y) over records its gradient E_y E[s | y] - E[s] vanishes, with
s = d log p~(v) / d theta. As p(v | y) is proportional to p(v) C(y | v), other confusion matrices C'
change the gradient to leading order by

    g = E_y Cov(s, u | y),    u(y, v) = sum_k (C'_k(y_k | v_k) - C_k(y_k | v_k)) / C_k(y_k | v_k)

over the groups k of sites, and so move the maximum by delta = F_obs^-1 g, with F_obs the Fisher
matrix of records (`psiprune.inference.observed_fisher`). log p(v) changes by t = delta.(s - <s>), a
mean <f> by Cov(f, t), and with V = Var(t) = delta.F.delta

    F = (sum_v sqrt(p p'))^2 = exp(2 K(1/2) - K(1)) = exp(-V / 4) + O(t^3)

where K(x) = log <exp(x t)> = x^2 V / 2 + ... is the cumulant generating function of t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.fisher import (
    SAMPLES_PER_PARAMETER,
    damped_inverse,
    sample_bits,
)
from psiprune.inference.observed_fisher import observed_fisher
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    data_moments,
    flatten,
    from_vector,
    hidden_means,
)
from psiprune.rbm.model import RBM
from psiprune.rbm.posterior import start_true_bits

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Most records behind g, draws of the true bits of each, Gibbs steps before and between them.
#: Correlated draws would bias Cov(s, u | y) down.
_RECORDS, _REPEATS, _BURN_IN, _THIN = 10_000, 32, 50, 10
#: Fewest draws of the RBM behind F_obs, the damping of F_obs, and draws behind V and Cov(f, t).
_DRAWS, _DAMPING, _SAMPLES = 20_000, 1e-6, 100_000


class Response(NamedTuple):
    """What other rates change, by set of rates.

    Attributes:
        infidelity: 1 - F of p(v) before and after, [set].
        means: changes of mean values <f>, [set, function].
    """

    infidelity: Float64
    means: Float64


def response_draws(parameters: int) -> int:
    """Return how many draws are behind the Fisher matrix of an RBM of so many parameters."""
    return max(_DRAWS, SAMPLES_PER_PARAMETER * parameters)


@single_blas_thread()
def linear_response(
    rbm: RBM,
    shots: Shots,
    sets: Sequence[ReadoutError],
    seed: int,
    functions: Callable[[Bits], Float64],
) -> Response:
    """Return how the RBM that fits the records best changes with their readout errors.

    g is averaged over at most 10,000 records, 32 draws of the true bits of each. V is the
    covariance of t by two halves of the records, so that their noise does not add to it.

    Args:
        rbm: the RBM, near the maximum of the likelihood of the records.
        shots: the records, with readout errors.
        sets: other readout errors of the same groups of sites.
        seed: of all draws.
        functions: f of bits [draw, site], [draw, function].
    """
    assert shots.readout is not None
    chains_seed, fisher_seed, draws_seed = (
        derive_seed(seed, Stream.RATES_RESPONSE, k) for k in range(3)
    )
    chains = start_true_bits(shots).evenly(_RECORDS)
    chains = chains.advanced(rbm.compiled, _BURN_IN, chains_seed)
    drawn = []
    for _ in range(_REPEATS):
        chains = chains.advanced(rbm.compiled, _THIN, chains_seed)
        drawn.append(chains.bits)
    bits = np.stack(drawn)
    changes = _changes(shots.readout, sets, chains.records, bits)
    draws = response_draws(rbm.number_of_parameters)
    fisher = observed_fisher(rbm, shots.readout, draws=draws, seed=fisher_seed)
    inverse = damped_inverse(fisher, _DAMPING)
    model = sample_bits(rbm, _SAMPLES, draws_seed)

    def log_ratios(half: int) -> Float64:
        gradients = [_gradient(rbm, bits[:, half::2], u[:, half::2]) for u in changes]
        return _log_ratios(rbm, model, np.stack(gradients) @ inverse)

    one, other = log_ratios(0), log_ratios(1)
    infidelity = -np.expm1(-np.mean(one * other, axis=1) / 4)
    return Response(infidelity, 0.5 * (one + other) @ functions(model) / len(model))


def _changes(
    readout: ReadoutError, sets: Sequence[ReadoutError], records: Bits, bits: Bits
) -> Float64:
    """Return u - E[u | y] [set, draw, record] of bits [draw, record, site]."""
    total = np.zeros((len(sets), *bits.shape[:2]))
    for k, group in enumerate(readout.groups):
        places = 1 << np.arange(len(group.sites))
        at = bits[..., group.sites] @ places, records[:, group.sites] @ places
        for of, other in zip(total, sets, strict=True):
            change = other.groups[k].matrix - group.matrix
            of += np.divide(change, group.matrix, np.zeros_like(change), where=group.matrix > 0)[at]
    return np.asarray(total - total.mean(axis=1, keepdims=True))


def _gradient(rbm: RBM, bits: Bits, change: Float64) -> Float64:
    """Return g [parameter] of bits [draw, record, site] and u - E[u | y] [draw, record]."""
    draws, records, sites = bits.shape
    flat = np.ascontiguousarray(bits.reshape(-1, sites).T, np.float64)
    weight = change.ravel() / ((draws - 1) * records)
    _, moments = data_moments(rbm, WeightedConfigurations(flat, weight))
    return flatten(rbm.mask, moments)


def _log_ratios(rbm: RBM, bits: Bits, deltas: Float64) -> Float64:
    """Return t [set, draw] of bits [draw, site] for changes of the parameters [set, parameter]."""
    data = WeightedConfigurations(bits.T.astype(np.float64), np.full(len(bits), 1 / len(bits)))
    hidden, _ = hidden_means(rbm, data)
    ratios = []
    for delta in deltas:
        change = from_vector(rbm, delta)
        given = change.weights @ data.bits + change.hidden_bias[:, None]
        t = (given * hidden).sum(axis=0) + change.visible_bias @ data.bits
        ratios.append(t - t.mean())
    return np.stack(ratios)
