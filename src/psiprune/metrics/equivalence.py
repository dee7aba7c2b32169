"""Can an RBM be told from an ensemble of dense ones, by shots they were not trained on?

Two things make measures of undamaged RBMs differ, and a loss counts only beyond both. Training with
another seed gives another RBM: a new member of an ensemble of R with spread s lies above its mean
by more than t s (1 + 1/R)^(1/2) with the probability that belongs to t, Student's with R - 1
degrees of freedom (the prediction interval of a normal variable). And the shots are few: with the
bootstrap error e, two RBMs that are equally good differ by more than z e with that probability. The
loss allowed is the root of the sum of both squares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.inference.bridge import log_mean_of_chains
from psiprune.inference.log_partition import FEWEST_EFFECTIVE
from psiprune.metrics.against_shots import Comparison
from psiprune.metrics.bootstrap import bootstrap_means
from psiprune.metrics.draws import draw
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: Smaller layer up to which log Z is summed for each RBM; 2^20 states take a tenth of a second.
_SUMMED = 20


class EquivalenceResult(NamedTuple):
    """Where an RBM stands beside a dense ensemble.

    Attributes:
        loss: of likelihood in nat a shot, negative for a gain; or how far an observable has moved.
        error: its standard error: of the shots, of log Z, of draws. Of likelihood it is that of the
            loss against the mean of the ensemble, so not 0 for a member either.
        allowed: the largest loss that an undamaged RBM would show, but for the significance.
        share: loss / allowed, of an array the largest; harmless up to 1.
        warning: why it cannot be trusted; empty if nothing speaks against it.
    """

    loss: float
    error: float
    allowed: float
    share: float
    warning: str = ""


Band = Callable[[RBM], EquivalenceResult]


class Losses(NamedTuple):
    """log p_parent(v) - log p(v) of each shot, the error of log Z / Z_parent in it, and doubts."""

    values: Float64
    error: float
    warning: str


def seed_reach(values: ArrayLike, tail: float) -> Float64:
    """t s (1 + 1/R)^(1/2) of values [member, ...]: how far a new member may lie from their mean.

    Beyond it, to one side, with probability `tail`, if members are normal.
    """
    each = np.asarray(values, dtype=np.float64)
    members = len(each)
    quantile = float(t.isf(tail, members - 1))
    return np.asarray(quantile * each.std(axis=0, ddof=1) * np.sqrt(1.0 + 1.0 / members))


@single_blas_thread()
def losses_from(parent: RBM, shots: Shots, *, draws: int, seed: int) -> Callable[[RBM], Losses]:
    """The function rbm -> losses of likelihood against `parent`, shot by shot.

    log Z - log Z_parent is exact where a layer of the parent has at most 20 units. Above, it is
    log <p~(v) / p~_parent(v)> over draws of the parent, the same for every RBM (Zwanzig 1954): of
    RBMs that are near each other this is known far better than any log Z.
    """
    here = parent.log_prob_unnormalized(shots)
    if min(parent.visible, parent.hidden) <= _SUMMED:
        log_z = parent.log_partition()

        def exactly(rbm: RBM) -> Losses:
            gone = here - rbm.log_prob_unnormalized(shots)
            return Losses(gone + rbm.log_partition() - log_z, 0.0, "")

        return exactly
    pick = generator_for(seed, Stream.LIKELIHOOD_RATIO_START)
    drawn = draw(
        parent,
        lambda n: shots.bits[pick.integers(0, len(shots), n)],
        draws,
        derive_seed(seed, Stream.LIKELIHOOD_RATIO_DRAWS),
    )
    chains, length, sites = drawn.bits.shape
    bits = drawn.bits.reshape(-1, sites)
    there = parent.log_prob_unnormalized(bits)

    def by_draws(rbm: RBM) -> Losses:
        ratio = (rbm.log_prob_unnormalized(bits) - there).reshape(chains, length)
        log_z, error, size = log_mean_of_chains(ratio)
        doubt = drawn.warning
        if size < FEWEST_EFFECTIVE:
            doubt = (
                f"rests on {size:.2g} effective draws of the dense RBM, which is too far from it"
            )
        return Losses(here - rbm.log_prob_unnormalized(shots) + log_z, error, doubt)

    return by_draws


def nearest_to_mean(values: ArrayLike) -> int:
    """Index of the member nearest to the mean of values [member, ...] in units of their spread.

    An RBM to prune that is neither lucky nor unlucky; it lies within the band of its ensemble.
    """
    each = np.asarray(values, dtype=np.float64)
    apart, spread = np.abs(each - each.mean(axis=0)), each.std(axis=0, ddof=1)
    sigmas = np.divide(apart, spread, out=np.zeros(apart.shape), where=spread > 0)
    return int(np.argmin(sigmas.reshape(len(each), -1).max(axis=1)))


def likelihood_band(
    members: Sequence[RBM], losses: Callable[[RBM], Losses], significance: float, seed: int
) -> Band:
    """The standing of an RBM by its log-likelihood, against the mean of the members.

    Args:
        members: the dense ensemble, at least 2.
        losses: `losses_from` one of them; its error is small for RBMs that descend from that one.
        significance: with this probability an undamaged RBM is beyond the band.
        seed: of the bootstrap.
    """
    each = [losses(member) for member in members]
    centre = np.mean([member.values for member in each], axis=0)
    reach = float(seed_reach([member.values.mean() for member in each], significance))
    centre_error = float(np.mean([member.error for member in each]))
    z = float(norm.isf(significance))

    def stand(rbm: RBM) -> EquivalenceResult:
        found = losses(rbm)
        # Against the one that `losses` come from, two RBMs differ least: that error sets the band.
        paired, against_mean = _bootstrap_errors([found.values, found.values - centre], seed)
        loss = float((found.values - centre).mean())
        error = float(np.linalg.norm([against_mean, found.error, centre_error]))
        allowed = float(np.hypot(reach, z * np.hypot(paired, found.error)))
        return EquivalenceResult(loss, error, allowed, _share(loss, allowed), found.warning)

    return stand


def observable_band(
    members: Sequence[ArrayLike], measure: Callable[[RBM], Comparison], significance: float
) -> Band:
    """The standing of an RBM by an observable: how far it is from the mean of the members.

    To both sides, with the bootstrap error of the shots and that of the RBM's draws in the place of
    the error of a loss. Of an observable with K values, each at significance / K, the worst counts.

    Args:
        members: its value for each member of the dense ensemble, at least 2, a scalar or an array.
        measure: the same of any RBM, on the same shots.
        significance: with at most this probability an undamaged RBM is beyond the band.
    """
    values = np.array([np.atleast_1d(member) for member in members])
    tail = significance / (2 * values.shape[1])
    centre, reach, z = values.mean(axis=0), seed_reach(values, tail), float(norm.isf(tail))

    def stand(rbm: RBM) -> EquivalenceResult:
        found = measure(rbm)
        loss = np.abs(np.atleast_1d(found.value) - centre)
        error = np.broadcast_to(np.hypot(found.error, found.shots_error), loss.shape)
        allowed = np.hypot(reach, z * error)
        shares = [_share(*pair) for pair in zip(loss, allowed, strict=True)]
        k = int(np.argmax(shares))
        return EquivalenceResult(
            float(loss[k]), float(error[k]), float(allowed[k]), shares[k], found.warning
        )

    return stand


def _share(loss: float, allowed: float) -> float:
    if allowed > 0:
        return float(loss / allowed)
    return float("inf") if loss > 0 else 0.0


def _bootstrap_errors(values: Sequence[Float64], seed: int) -> Float64:
    """Errors of the means of several quantities, each [shot]."""
    table = np.column_stack([each - each.mean() for each in values]).astype(np.float32)
    return np.asarray(bootstrap_means(table, seed).std(axis=0, ddof=1))
