"""Optimal brain surgeon: remove the weights that matter least, and correct all that remain.

Hassibi & Stork, NIPS 5, 164 (1993). A change delta of the parameters costs
KL(p || p') = delta.F.delta / 2 to second order, F the Fisher matrix. Under the condition that
weight k becomes 0 the least of this is theta_k^2 / (2 [F^-1]_kk), found at
delta = -(theta_k / [F^-1]_kk) F^-1 e_k. Weights go one after the other by the least cost, with the
inverse of the matrix of the remaining parameters brought up to date after each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots
from psiprune.inference.fisher import (
    SAMPLES_PER_PARAMETER,
    as_configurations,
    check_samples,
    damped_inverse,
    model_configurations,
    model_fisher,
)
from psiprune.inference.log_partition import exact_log_partition
from psiprune.pruning.criteria import DAMPING, DRAWS, absorb_into_biases, top_k_mask
from psiprune.rbm.likelihood import WeightedConfigurations, from_vector, to_vector
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: Steps of a level, with F found anew for each: up to 20 sites, and above, where F takes seconds.
CHUNKS, CHUNKS_ON_SAMPLES = 4, 1
#: By this factor a chunk may cost more than the quadratic form promised, and `_NOISE` nat more.
#: Of P parameters and n samples F promises (1 - P/n)^2 of the cost, with n = 4 P half of it.
TOLERANCE, TOLERANCE_ON_SAMPLES = 2.0, 4.0
_NOISE = 1e-6
# Samples behind F, at least, and as many behind each check.
_PER_PARAMETER = SAMPLES_PER_PARAMETER // 2
# log Z beside the samples of a check, where an exact one takes so long on one core at most: a level
# asks for a few, and where the quadratic form fails for some hundred.
_PARTITION_SECONDS = 0.1
_CERTAIN = 3.0  # standard errors by which it must contradict an estimate without log Z
_ROUNDING = 1e-14
_HALVINGS = 8  # smallest chunk on samples, as a part of the whole
_STRONGER = (1.0, 10.0, 100.0, 1000.0)  # factors on the damping, where the smallest chunk fails,
_OTHERS = 6  # weights to begin with instead of the least salient one,
_SCALES = (0.5, 0.25, 0.0)  # and shorter corrections of the best of these


class SampleSplit(NamedTuple):
    """Samples that a caller hands in: one half for the matrix, the other checks its promises.

    `size` is how many samples the second half has.
    """

    matrix: WeightedConfigurations
    check: WeightedConfigurations
    size: int


class LocalModel(NamedTuple):
    """What is known around an RBM: its Fisher matrix, and KL(p || p_other) of any other one."""

    fisher: Float64
    divergence: Callable[[RBM], float]


class PrunedCandidate(NamedTuple):
    """Weights removed by one quadratic form.

    Attributes:
        rbm: the RBM without them, all else corrected.
        uncorrected: the RBM without them, all else as it was.
        promised: KL(p_before || p_after) by the quadratic form, in nat, damping included.
    """

    rbm: RBM
    uncorrected: RBM
    promised: float


@single_blas_thread()
def prune_obs(
    rbm: RBM,
    count: int,
    *,
    samples: Shots | ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> RBM:
    """The RBM with `count` of its weights, the rest removed by optimal brain surgery.

    Done in 4 chunks (one above 20 sites), with F found anew before each and damped by 10^-3 of the
    mean of its diagonal. After a chunk KL(p_before || p_after) is measured, exactly up to 20 sites
    and above on model samples other than those behind F, with log Z exact where that is cheap
    (see `divergence_from`). Where both layers are large and log Z is not at hand, the check cannot
    see that the RBM after it has states which the samples lack: compare such a level with another
    criterion by `evaluate` or `log_partition`. Where KL is more than 2 times (4 times) what was
    promised, half of the chunk is tried, and so on down to one weight (an eighth of the chunk).
    Where that breaks the promise too, the cheapest is taken of what the 6 least salient weights
    really cost to begin with, each with damping 1, 10, 100 and 1000 times as strong, and of the
    best of these with a half, a quarter and none of its correction: so one bad step cannot ruin a
    level, as far as the check sees it.

    Last, KL(p_start || p_end) of the level is compared with that of three cuts of the same count
    without surgery: by magnitude with compensated biases, by magnitude alone, and by damage. Where
    one is cheaper by more than 10^-6 nat, it is what is returned: in a nearly deterministic state F
    tells next to nothing, but a saturated hidden unit is well replaced by biases. That takes four
    more KL a level, on the samples of the first check.

    Args:
        rbm: the RBM.
        count: weights to be left; if there are no more, the RBM is returned as it is.
        samples: take these at any number of sites and for all chunks, Shots or bits [shot, site]:
            samples of the RBM, or the shots it was fitted to. Every second one is behind F, the
            others are behind the checks, and all is as above 20 sites. Of shots it was fitted to
            the checks measure the loss of likelihood.
        draws: if none are given, model samples behind F and behind each check above 20 sites, but
            no fewer than four for each parameter.
        seed: of these samples.

    Raises:
        InputError: more than 20,000 parameters, fewer than eight samples for each of them, samples
            that are no bits or have other sites, or a number breaks its rule.
    """
    count, draws = check_count("count", count, 0), check_count("draws", draws, 1)
    seed = check_seed(seed)
    given = None if samples is None else _halves(rbm, samples)
    on_basis = given is None and rbm.visible <= EXACT_SITES
    tolerance = TOLERANCE if on_basis else TOLERANCE_ON_SAMPLES
    excess = rbm.number_of_weights - count
    if excess <= 0:
        return rbm
    whole = -(-excess // (CHUNKS if on_basis else CHUNKS_ON_SAMPLES))
    least = 1 if on_basis else max(1, whole // _HALVINGS)
    size, step = whole, 0
    while (left := rbm.number_of_weights - count) > 0:
        enough = max(draws, _PER_PARAMETER * rbm.number_of_parameters)
        here = _around(rbm, enough, seed, step, given)
        if step == 0:
            rivals, cost = _without_surgery(rbm, here.fisher, count), here.divergence
        rbm, done = _chunk(rbm, min(size, left), min(least, left), here, tolerance)
        del here  # the next matrix may take gigabytes, too
        size, step = min(2 * done, whole), step + 1
    # Chunks that are cheap one by one may add up to a level that is not.
    least_cost, rival = min(((cost(rival), rival) for rival in rivals), key=itemgetter(0))
    return rival if least_cost < cost(rbm) - _NOISE else rbm


def cut(rbm: RBM, inverse: Float64, count: int, *, first: int = 0) -> PrunedCandidate:
    """Remove `count` weights one after the other by least saliency, each with its correction.

    Args:
        rbm: the RBM.
        inverse: (F + lambda 1)^-1, [parameter, parameter], in the order of `fisher_matrix`.
        count: weights to remove.
        first: the first one to go has this place in the order of saliency.

    The inverse for the parameters left after k was removed is F^-1 - F^-1 e_k e_k^T F^-1 /
    [F^-1]_kk. Only the columns of removed weights are ever needed, so only those are brought up to
    date: m removals cost m^2 operations a parameter, as in a pivoted Cholesky factorisation.
    """
    weights = rbm.number_of_weights
    theta, diagonal = to_vector(rbm), inverse.diagonal().copy()
    least = _ROUNDING * diagonal
    columns = np.empty((count, len(theta)))
    gone = np.zeros(weights, bool)
    promised = 0.0
    for m in range(count):
        saliency = np.full(weights, np.inf)
        saliency[~gone] = theta[:weights][~gone] ** 2 / (2.0 * diagonal[:weights][~gone])
        # Of equal ones the last goes, as in `top_k_mask`.
        order = weights - 1 - np.argsort(saliency[::-1], kind="stable")
        k = order[first if m == 0 else 0]
        promised += float(saliency[k])
        root = np.sqrt(diagonal[k])
        columns[m] = (inverse[k] - columns[:m, k] @ columns[:m]) / root
        theta = theta - columns[m] * (theta[k] / root)
        # What is left of a variance is positive, whatever rounding says.
        diagonal = np.maximum(diagonal - columns[m] ** 2, least)
        gone[k] = True
    mask = rbm.mask.copy()
    mask[mask] = ~gone
    corrected = replace(from_vector(rbm, theta), mask=mask, provenance=rbm.provenance)
    return PrunedCandidate(corrected, rbm.with_mask(mask), promised)


@single_blas_thread()
def divergence_from(
    rbm: RBM, *, draws: int, seed: int, samples: WeightedConfigurations | None = None
) -> Callable[[RBM], float]:
    """The function other -> KL(p_rbm || p_other), in nat.

    Exact up to 20 sites. Above, or if samples are given, with d = log p~_rbm - log p~_other at
    these `draws` samples, else at as many of the RBM:

        within = E[d] + log E[exp(-d)],   whole = E[d] + log Z_other - log Z_rbm.

    `within` has little noise, but is blind to states that the other RBM has and the samples lack,
    and sees too much of a rare state they have by luck. `whole` is right about both, with the noise
    of E[d]. It counts where the two differ by more than 3 of its standard errors, as far as log Z
    is exact and takes 0.1 s: a layer of at most 20 units with 40 in the other, or few weights.
    Elsewhere no mass outside of the samples is seen.
    """
    if samples is None and rbm.visible <= EXACT_SITES:
        log_p = rbm.log_prob_all() - rbm.log_partition()
        p = np.exp(log_p)

        @single_blas_thread()
        def whole_basis(other: RBM) -> float:
            return float(p @ (log_p - other.log_prob_all()) + other.log_partition())

        return whole_basis
    drawn = samples or model_configurations(rbm, draws, seed)
    bits = np.ascontiguousarray(drawn.bits.T, dtype=np.uint8)
    here = rbm.log_prob_unnormalized(bits)
    log_z = exact_log_partition(rbm, _PARTITION_SECONDS)

    @single_blas_thread()
    def divergence(other: RBM) -> float:
        d = here - other.log_prob_unnormalized(bits)
        mean = float(drawn.weight @ d)
        within = mean + float(scipy.special.logsumexp(-d, b=drawn.weight))
        there = None if log_z is None else exact_log_partition(other)
        if log_z is None or there is None:
            return within
        whole = mean + there.value - log_z.value
        error = float(np.sqrt(drawn.weight @ (d - mean) ** 2 / draws))
        return whole if abs(whole - within) > _CERTAIN * error else within

    return divergence


def _halves(rbm: RBM, samples: Shots | ArrayLike) -> SampleSplit:
    """Every second sample, and the others: so each half is of all kinds if they are sorted."""
    bits = check_samples(rbm, samples)
    matrix, check = (as_configurations(rbm, bits[half::2]) for half in (0, 1))
    return SampleSplit(matrix, check, len(bits) // 2)


def _around(rbm: RBM, draws: int, seed: int, step: int, given: SampleSplit | None) -> LocalModel:
    """F and KL around an RBM: exact, or from samples given or drawn for this step."""
    matrix, check, size = given or (None, None, draws)
    own = [derive_seed(seed, each, step) for each in (Stream.SURGEON_MATRIX, Stream.SURGEON_CHECK)]
    return LocalModel(
        model_fisher(rbm, draws=draws, seed=own[0], samples=matrix),
        divergence_from(rbm, draws=size, seed=own[1], samples=check),
    )


def _chunk(rbm: RBM, size: int, least: int, here: LocalModel, tolerance: float) -> tuple[RBM, int]:
    """The RBM without `size` weights, or `least` or more, and how many they were."""
    fisher, divergence = here
    inverse = damped_inverse(fisher, DAMPING)
    while True:
        made = cut(rbm, inverse, size)
        if divergence(made.rbm) <= tolerance * made.promised + _NOISE:
            return made.rbm, size
        if size == least:
            break
        size = max(least, size // 2)
    best = min(_trials(rbm, fisher, size), key=lambda trial: divergence(trial.rbm))
    return min([best.rbm, *(_scaled(best, scale) for scale in _SCALES)], key=divergence), size


def _without_surgery(rbm: RBM, fisher: Float64, count: int) -> list[RBM]:
    """The RBM cut to a count by magnitude, compensated and as it is, and by damage."""
    magnitude = top_k_mask(rbm.mask, np.abs(rbm.weights), count)
    damage = np.zeros(rbm.mask.shape)
    damage[rbm.mask] = rbm.weights[rbm.mask] ** 2 * fisher.diagonal()[: rbm.number_of_weights]
    return [
        absorb_into_biases(rbm, magnitude),
        rbm.with_mask(magnitude),
        rbm.with_mask(top_k_mask(rbm.mask, damage, count)),
    ]


def _trials(rbm: RBM, fisher: Float64, size: int) -> Iterator[PrunedCandidate]:
    """Cuts of one size that differ in damping and in the first weight to go."""
    for factor in _STRONGER:
        inverse = damped_inverse(fisher, DAMPING * factor)
        for first in range(min(_OTHERS, rbm.number_of_weights)):
            yield cut(rbm, inverse, size, first=first)


def _scaled(made: PrunedCandidate, scale: float) -> RBM:
    """The RBM after a cut with a share of its correction."""
    plain, full = to_vector(made.uncorrected), to_vector(made.rbm)
    mixed = from_vector(made.uncorrected, plain + scale * (full - plain))
    return replace(mixed, provenance=made.rbm.provenance)
