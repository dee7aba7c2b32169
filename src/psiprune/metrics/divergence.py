"""KL divergence and fidelity of an RBM and a state: sums over all states, or from draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import as_count
from psiprune.inference.ais import log_mean
from psiprune.inference.bridge import bridge
from psiprune.inference.log_partition import FEWEST_EFFECTIVE, exact_log_partition
from psiprune.metrics.draws import Draws
from psiprune.metrics.measure import Measure
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample

Float64 = NDArray[np.float64]


def kl_divergence(log_q: Float64, log_p: Float64) -> float:
    """Return sum_v q (log q - log p) over the whole basis, both [2^N] normalised; q = 0 adds 0."""
    q = np.exp(log_q)
    positive = q > 0
    return float(q[positive] @ (log_q[positive] - log_p[positive]))


def fidelity(log_q: Float64, log_p: Float64) -> float:
    """Return (sum_v sqrt(q p))^2 over the whole basis, both [2^N] and normalised."""
    return float(np.exp(0.5 * (log_q + log_p)).sum() ** 2)


def statistical_floor(rbm: RBM) -> float:
    """Return parameters / (2 shots), the mean KL in nats of a maximum-likelihood fit of the truth.

    Parameters that change nothing (of hidden units with at most one weight) do not count. NaN where
    the number of training shots is unknown, or so small that the formula, which holds for many
    shots, gives more than 0.5.
    """
    shots = as_count(rbm.provenance.get("training_shots"))
    if shots is None:
        return float("nan")
    floor = rbm.compact().number_of_parameters / (2 * shots)
    return floor if floor <= 0.5 else float("nan")


def sampled_kl_and_fidelity(
    rbm: RBM, state: MPS, drawn: Draws, draws: int, seed: int
) -> tuple[Measure, Measure]:
    """Return KL and fidelity from `draws` of the state, and samples `drawn` of the RBM if needed.

    KL = E_q[log q - log p~] + log Z. log Z is exact where a sum or contraction takes up to minutes;
    else with A = E_q[sqrt(p~/q)] and B = E_p[sqrt(q/p~)], Z = A/B and fidelity = A B (`bridge`).
    """
    floor = statistical_floor(rbm)
    configurations = sample(state, draws, seed=derive_seed(seed, Stream.REFERENCE_KL)).bits
    log_ratio = rbm.log_prob_unnormalized(configurations) - state.log_prob(configurations)
    warning = ""
    exact = exact_log_partition(rbm)
    if exact is not None:
        log_z, size = exact.value, float(draws)
        # E_q[sqrt(p~/q)] in the log domain: p~ may exceed the range of floats.
        a, a_error, overlap_size = log_mean(0.5 * log_ratio)
        overlap = float(np.exp(2 * a - log_z))
        overlap_error = 2 * overlap * a_error
        gap, kl_error = _mean_and_error(-log_ratio)
        method = f"reference draws, log Z by {exact.method}"
    else:
        chains, length, sites = drawn.bits.shape
        flat = drawn.bits.reshape(-1, sites)
        ratio_at_draws = rbm.log_prob_unnormalized(flat) - state.log_prob(flat)
        bridged = bridge(log_ratio, ratio_at_draws.reshape(chains, length))
        log_z = bridged.log_partition
        overlap, overlap_error = bridged.fidelity, bridged.fidelity_error
        size = overlap_size = bridged.effective_sample_size
        method = "reference draws, log Z by a bridge"
        # KL = E_q[-r] + log A - log B, and the first two come from the same draws: to first order
        # a draw moves them by -r + w / mean(w), w = exp(r / 2).
        weight = np.exp(0.5 * (log_ratio - log_ratio.max()))
        gap = -float(log_ratio.mean())
        _, forward_error = _mean_and_error(weight / weight.mean() - log_ratio)
        kl_error = float(np.hypot(forward_error, bridged.reverse_error))
        warning = drawn.warning
        if overlap > 1 + 5 * overlap_error:
            warning = f"is impossible (fidelity {overlap:.2g}): the chains have not converged"
        elif size < FEWEST_EFFECTIVE:
            warning = _few_draws(size)
    fidelity_warning = warning
    if not warning and overlap_size < FEWEST_EFFECTIVE:
        fidelity_warning = _few_draws(overlap_size)
    return (
        Measure(gap + log_z, kl_error, floor, method, warning, size),
        Measure(overlap, overlap_error, 1 - floor / 2, method, fidelity_warning, overlap_size),
    )


def _few_draws(size: float) -> str:
    return (
        f"estimated from only {size:.1f} effective draws: the RBM and the state hardly overlap, so "
        "neither value nor error can be trusted"
    )


def _mean_and_error(values: Float64) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
