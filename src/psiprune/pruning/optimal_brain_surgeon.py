"""Optimal brain surgeon: remove the least salient weights and adjust all remaining parameters.

Hassibi & Stork, NIPS 5, 164 (1993). A change delta of the parameters costs
KL(p || p') = delta.F.delta / 2 to second order, F the Fisher matrix. Under the constraint that
weight k becomes 0 the minimum is theta_k^2 / (2 [F^-1]_kk), at
delta = -(theta_k / [F^-1]_kk) F^-1 e_k. Weights are removed one after the other by the lowest cost,
and the inverse of the matrix of the remaining parameters is updated after each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHECK_SECONDS, EXACT_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.fisher import (
    SAMPLES_PER_PARAMETER,
    absolute_damping,
    check_samples,
    damped_inverse,
    model_configurations,
    model_fisher,
)
from psiprune.inference.log_partition import log_partition_after_pruning
from psiprune.inference.observed_fisher import observed_fisher
from psiprune.pruning.criteria import DAMPING, DRAWS, absorb_into_biases, top_k_mask
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    from_vector,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.model import RBM, Data
from psiprune.rbm.observed import log_prob_recorded
from psiprune.training.symmetry import Symmetry, orbits_of, projector, restricted, tied

Float64 = NDArray[np.float64]
#: Chunks of a level, each with a new F: up to 20 sites, and above, where F takes seconds.
CHUNKS, CHUNKS_ON_SAMPLES = 4, 1
#: A chunk may cost this factor times the prediction of the quadratic form, plus `_NOISE` nats. With
#: P parameters and n samples F predicts (1 - P/n)^2 of the cost, with n = 4 P half of it.
TOLERANCE, TOLERANCE_ON_SAMPLES = 2.0, 4.0
_NOISE = 1e-6
# Fewest samples per parameter of F, and of each check.
_PER_PARAMETER = SAMPLES_PER_PARAMETER // 2
_CERTAIN = 3.0  # standard errors by which it must contradict an estimate without log Z
_ROUNDING = 1e-14
_HALVINGS = 8  # smallest chunk on samples, as a fraction of the first
# Where the smallest chunk fails: factors on the damping, number of weights to start with instead of
# the least salient one, and scales of the adjustment of the best of these.
_STRONGER, _OTHERS, _SCALES = (1.0, 10.0, 100.0, 1000.0), 6, (0.5, 0.25, 0.0)


@one_line
class SampleSplit(NamedTuple):
    """A caller's samples: one half for the matrix, the other, of `size` samples, for the checks."""

    matrix: WeightedConfigurations
    check: WeightedConfigurations
    size: int


@one_line
class LocalModel(NamedTuple):
    """The Fisher matrix of an RBM, and the function other -> KL(p || p_other)."""

    fisher: Float64
    divergence: Callable[[RBM], float]
    symmetry: Symmetry | None = None

    def inverse(self, mask: NDArray[np.bool_], damping: float) -> Float64:
        """Return (F + lambda 1)^-1, with a symmetry P (P^T (F + lambda 1) P)^-1 P^T.

        The latter is the inverse in the subspace of P, the projector on parameters that have the
        symmetry: its columns are the adjustments that stay there.
        """
        tie = projector(mask, self.symmetry)
        if tie is None:
            return damped_inverse(self.fisher, damping)
        damped = self.fisher + absolute_damping(self.fisher, damping) * np.eye(len(self.fisher))
        inverse: Float64 = tie @ damped_inverse(restricted(damped, tie), 0.0)
        return inverse


@one_line
class PrunedCandidate(NamedTuple):
    """The result of removing weights by one quadratic form.

    Attributes:
        rbm: the RBM without them, all other parameters adjusted.
        unadjusted: the RBM without them, all other parameters unchanged.
        predicted: KL(p_before || p_after) by the quadratic form, in nats, damping included.
    """

    rbm: RBM
    unadjusted: RBM
    predicted: float


@single_blas_thread()
def prune_obs(
    rbm: RBM,
    count: int,
    *,
    samples: Data | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    readout: ReadoutError | None = None,
    symmetry: Symmetry | None = None,
) -> RBM:
    """Remove all but `count` weights of an RBM by optimal brain surgery.

    In 4 chunks (one above 20 sites), each with a new F damped by 10^-3 of the mean of its diagonal.
    After a chunk KL(p_before || p_after) is measured: exactly up to 20 sites, above on model
    samples other than those of F, which may miss probability elsewhere (see `divergence_from`).
    Where it exceeds the prediction by a factor of 2 (4), half of the chunk is tried, and so on down
    to one weight (an eighth of the chunk). Where that fails too, the result of lowest KL is taken
    among those that start with one of the 6 least salient weights, at 1, 10, 100 and 1000 times the
    damping, and the best of these with a half, a quarter and none of its adjustment.

    Last, KL(p_start || p_end) is compared with that of pruning to the same count by magnitude with
    compensated biases, by magnitude, and by damage. One that is better by more than 10^-6 nats is
    returned: in a nearly deterministic state F has little information, but biases replace a
    saturated hidden unit well.

    Args:
        count: weights that remain; an RBM with no more than that is returned unchanged.
        samples: use these at any number of sites and for all chunks, Shots or bits [shot, site]:
            samples of the RBM, or the shots it was fitted to. Every second one is for F, the others
            for the checks, and the rules above 20 sites apply. With shots the RBM was fitted to,
            the checks measure the loss of log-likelihood.
        draws: without samples, model samples of F and of each check above 20 sites, but at least
            four per parameter.
        seed: of these samples.
        readout: remove what records with these readout errors show least: F is that of the records
            (`psiprune.inference.observed_fisher`), from `draws` simulated ones, and up to 20 sites
            KL is that of p(y). Above, KL of p(v) is an upper bound. Not with `samples`.
        symmetry: that of the RBM's parameters, as after training with it; they keep it, and a
            weight goes with its images, which may leave fewer weights than `count`.

    Raises:
        InputError: more than 20,000 parameters, fewer than eight samples per parameter, samples
            that are not bits or have another number of sites, or a number out of range.
    """
    count, draws = check_count("count", count, 0), check_count("draws", draws, 1)
    seed = check_seed(seed)
    split = None if samples is None else _halves(rbm, samples)
    if split is not None and readout is not None:
        raise InputError("samples: cannot be combined with readout, which simulates its records")
    on_basis = split is None and rbm.visible <= EXACT_SITES
    tolerance = TOLERANCE if on_basis else TOLERANCE_ON_SAMPLES
    excess = rbm.number_of_weights - count
    if excess <= 0:
        return rbm
    largest = -(-excess // (CHUNKS if on_basis else CHUNKS_ON_SAMPLES))
    smallest = 1 if on_basis else max(1, largest // _HALVINGS)
    size, step = largest, 0
    while (left := rbm.number_of_weights - count) > 0:
        enough = max(draws, _PER_PARAMETER * rbm.number_of_parameters)
        local = _local_model(rbm, enough, seed, step, split, readout)
        local = local._replace(symmetry=symmetry)
        if step == 0:
            rivals, cost = _without_surgery(rbm, local.fisher, count, symmetry), local.divergence
        rbm, removed = _remove_chunk(rbm, min(size, left), min(smallest, left), local, tolerance)
        del local  # frees the matrix before the next one, as each may take gigabytes
        size, step = min(2 * removed, largest), step + 1
    # Chunks of small cost may add up to a level of large cost.
    least_cost, rival = min(((cost(rival), rival) for rival in rivals), key=itemgetter(0))
    return rival if least_cost < cost(rbm) - _NOISE else rbm


def remove_weights(
    rbm: RBM, inverse: Float64, count: int, *, first: int = 0, symmetry: Symmetry | None = None
) -> PrunedCandidate:
    """Remove `count` weights one after the other by least saliency, each with its adjustment.

    Args:
        inverse: (F + lambda 1)^-1, [parameter, parameter], in the order of `fisher_matrix`.
        count: weights to remove.
        first: rank in the order of saliency of the first weight to remove.
        symmetry: of the parameters and the inverse. Under a permutation of sites a weight and its
            images are one parameter and go together, so more than `count` may go.

    The inverse for the parameters left after removing k is F^-1 - F^-1 e_k e_k^T F^-1 / [F^-1]_kk.
    Only the columns of removed weights are needed, so only those are updated: m removals cost m^2
    operations per parameter, as in a pivoted Cholesky factorisation.
    """
    weights = np.arange(rbm.number_of_weights)
    theta, removed, predicted = surgery(
        to_vector(rbm), inverse, weights, count, orbits_of(rbm.mask, symmetry), first=first
    )
    mask = rbm.mask.copy()
    mask[mask] = ~removed[weights]
    adjusted = replace(from_vector(rbm, theta), mask=mask, provenance=rbm.provenance)
    return PrunedCandidate(adjusted, rbm.with_mask(mask), predicted)


def surgery(
    theta: Float64,
    inverse: Float64,
    weights: NDArray[np.int64],
    count: int,
    orbit: NDArray[np.int64] | None = None,
    *,
    first: int = 0,
) -> tuple[Float64, NDArray[np.bool_], float]:
    """Remove `count` of some parameters, as `remove_weights`, of any model with a quadratic cost.

    Args:
        theta: all parameters, [parameter].
        inverse: of the matrix of the quadratic form, [parameter, parameter].
        weights: the parameters that may be removed, in ascending order.
        count: how many of them; with orbits more may go.
        orbit: a number for each of `weights`; those of the same number go together.
        first: rank in the order of saliency of the first one.

    Returns:
        The parameters adjusted (those removed are 0 up to rounding), which of them are removed
        [parameter], and the cost by the quadratic form.
    """
    diagonal = inverse.diagonal()
    least = _ROUNDING * diagonal
    columns = np.empty((count, len(theta)))
    removed = np.zeros(len(theta), bool)
    orbit = weights if orbit is None else orbit
    predicted = 0.0
    for m in range(count):
        if np.count_nonzero(removed) >= count:
            break  # several went at once
        saliency = np.full(len(theta), np.inf)
        left = weights[~removed[weights]]
        saliency[left] = theta[left] ** 2 / (2.0 * diagonal[left])
        # Of equal ones the last is removed, as in `top_k_mask`.
        order = len(theta) - 1 - np.argsort(saliency[::-1], kind="stable")
        k = order[first if m == 0 else 0]
        predicted += float(saliency[k])
        root = np.sqrt(diagonal[k])
        columns[m] = (inverse[k] - columns[:m, k] @ columns[:m]) / root
        theta = theta - columns[m] * (theta[k] / root)
        # A remaining variance is positive up to rounding.
        diagonal = np.maximum(diagonal - columns[m] ** 2, least)
        removed[weights[orbit == orbit[np.searchsorted(weights, k)]]] = True
    return theta, removed, predicted


@single_blas_thread()
def divergence_from(
    rbm: RBM,
    *,
    draws: int,
    seed: int,
    samples: WeightedConfigurations | None = None,
    readout: ReadoutError | None = None,
) -> Callable[[RBM], float]:
    """Return the function other -> KL(p_rbm || p_other), in nats.

    Exact up to 20 sites, with readout errors for the distributions of the records. Above, or if
    samples are given, with d = log p~_rbm - log p~_other at these `draws` samples, else at as many
    of the RBM:

        within = E[d] + log E[exp(-d)],   total = E[d] + log Z_other - log Z_rbm.

    `within` has little noise, but misses states of the other RBM that the samples lack, and
    overestimates a rare state that they have by chance. `total` is unbiased, with the noise of
    E[d]. It is used where the two differ by more than 3 of its standard errors, as far as log Z is
    exact and takes 0.1 s: a layer of at most 20 units with 40 in the other, or few weights.
    Elsewhere probability outside of the samples is not detected: compare such an RBM with that of
    another criterion by `evaluate` or `log_partition`.
    """
    if samples is None and rbm.visible <= EXACT_SITES:

        def log_prob(of: RBM) -> Float64:
            if readout is not None:
                return log_prob_recorded(of, readout)
            return of.log_prob_all() - of.log_partition()

        log_p = log_prob(rbm)
        p = np.exp(log_p)

        @single_blas_thread()
        def exact_divergence(other: RBM) -> float:
            return float(p @ (log_p - log_prob(other)))

        return exact_divergence
    from scipy.special import logsumexp

    drawn = samples or model_configurations(rbm, draws, seed)
    bits = np.ascontiguousarray(drawn.bits.T, dtype=np.uint8)
    log_p_draws = rbm.log_prob_unnormalized(bits)
    log_z = log_partition_after_pruning(rbm, CHECK_SECONDS)
    log_z_rbm = None if log_z is None else log_z(rbm)

    @single_blas_thread()
    def divergence(other: RBM) -> float:
        d = log_p_draws - other.log_prob_unnormalized(bits)
        mean = float(drawn.weight @ d)
        within = mean + float(logsumexp(-d, b=drawn.weight))
        log_z_other = None if log_z is None else log_z(other)
        if log_z_rbm is None or log_z_other is None:
            return within
        total = mean + log_z_other - log_z_rbm
        error = float(np.sqrt(drawn.weight @ (d - mean) ** 2 / draws))
        return total if abs(total - within) > _CERTAIN * error else within

    return divergence


def _halves(rbm: RBM, samples: Data) -> SampleSplit:
    """Split samples alternately, so that each half represents sorted samples too."""
    bits = check_samples(rbm, samples)
    matrix, check = (unique_configurations(bits[half::2]) for half in (0, 1))
    return SampleSplit(matrix, check, len(bits) // 2)


def _local_model(
    rbm: RBM,
    draws: int,
    seed: int,
    step: int,
    split: SampleSplit | None,
    readout: ReadoutError | None = None,
) -> LocalModel:
    """Return F and KL of an RBM: exact, or from samples given or drawn for this step."""
    matrix, check, size = split or (None, None, draws)
    of_matrix, of_check = (
        derive_seed(seed, s, step) for s in (Stream.SURGEON_MATRIX, Stream.SURGEON_CHECK)
    )
    if readout is None:
        fisher = model_fisher(rbm, draws=draws, seed=of_matrix, samples=matrix)
    else:
        fisher = observed_fisher(rbm, readout, draws=draws, seed=of_matrix)
    divergence = divergence_from(rbm, draws=size, seed=of_check, samples=check, readout=readout)
    return LocalModel(fisher, divergence)


def _remove_chunk(
    rbm: RBM, size: int, smallest: int, local: LocalModel, tolerance: float
) -> tuple[RBM, int]:
    """Return the RBM without `size` weights, or down to `smallest`, and how many were removed."""
    divergence, symmetry = local.divergence, local.symmetry
    inverse = local.inverse(rbm.mask, DAMPING)
    while True:
        candidate = remove_weights(rbm, inverse, size, symmetry=symmetry)
        if divergence(candidate.rbm) <= tolerance * candidate.predicted + _NOISE:
            return candidate.rbm, size
        if size == smallest:
            break
        size = max(smallest, size // 2)
    best = min(_candidates(rbm, local, size), key=lambda candidate: divergence(candidate.rbm))
    scaled = (tied(_scaled(best, scale), symmetry) for scale in _SCALES)
    return min([best.rbm, *scaled], key=divergence), size


def _without_surgery(
    rbm: RBM, fisher: Float64, count: int, symmetry: Symmetry | None = None
) -> list[RBM]:
    """Return the RBM pruned to a count by magnitude, compensated and not, and by damage."""
    magnitude = top_k_mask(rbm.mask, np.abs(rbm.weights), count, symmetry)
    damage = np.zeros(rbm.mask.shape)
    damage[rbm.mask] = rbm.weights[rbm.mask] ** 2 * fisher.diagonal()[: rbm.number_of_weights]
    return [
        absorb_into_biases(rbm, magnitude),
        tied(rbm.with_mask(magnitude), symmetry),
        tied(rbm.with_mask(top_k_mask(rbm.mask, damage, count, symmetry)), symmetry),
    ]


def _candidates(rbm: RBM, local: LocalModel, size: int) -> Iterator[PrunedCandidate]:
    """Yield candidates of one size that differ in damping and in the first weight removed."""
    for factor in _STRONGER:
        inverse = local.inverse(rbm.mask, DAMPING * factor)
        for first in range(min(_OTHERS, rbm.number_of_weights)):
            yield remove_weights(rbm, inverse, size, first=first, symmetry=local.symmetry)


def _scaled(candidate: PrunedCandidate, scale: float) -> RBM:
    """Return a candidate with a fraction of its adjustment."""
    plain, full = to_vector(candidate.unadjusted), to_vector(candidate.rbm)
    mixed = from_vector(candidate.unadjusted, plain + scale * (full - plain))
    return replace(mixed, provenance=candidate.rbm.provenance)
