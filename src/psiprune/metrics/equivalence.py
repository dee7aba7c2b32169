"""Test an RBM for equivalence with dense ones, on measured shots.

Metrics of undamaged RBMs differ for two reasons, and only a loss beyond both counts. Another
training set or seed gives another RBM: of R dense RBMs with spread s, a new one lies above their
mean by more than t s (1 + 1/R)^(1/2) with the probability that belongs to t, Student's with R - 1
degrees of freedom (the prediction interval of a normal variable). And there are few shots: with the
bootstrap error e, two RBMs that are equally good differ by more than z e with that probability. The
tolerance is the root of the sum of both squares. For the log-likelihood, of which more is always
better, what a typical one loses takes the place of that interval: `likelihood_band`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core import normal as norm
from psiprune.core.limits import COMPARISON_UNITS, EXACT_SITES
from psiprune.core.random import Stream
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.inference.bridge import log_mean_of_chains
from psiprune.inference.log_partition import FEWEST_EFFECTIVE, LogPartition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.bootstrap import bootstrap_means
from psiprune.metrics.draws import draw_from_data
from psiprune.metrics.shots_report import Comparison
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: In place of log Z, for log p~.
_UNNORMALIZED = LogPartition(0.0, 0.0, "")


@one_line
class EquivalenceResult(NamedTuple):
    """The loss of an RBM against a dense one, or the mean of several, and the tolerance for it.

    Attributes:
        loss: of log-likelihood in nats per shot, negative for a gain; or shift of an observable.
        error: its standard error, from the shots, log Z and draws.
        allowed: the tolerance.
        share: loss / allowed, the largest over an array; the test passes up to 1.
        warning: why it cannot be trusted; empty if no problem was detected.
        floor: the smallest tolerance; it was used if `allowed` equals it.
    """

    loss: float
    error: float
    allowed: float
    share: float
    warning: str = ""
    floor: float = 0.0


EquivalenceTest = Callable[[RBM], EquivalenceResult]
Model = TypeVar("Model")


@one_line
class Losses(NamedTuple):
    """log p_parent(v) - log p(v) of each shot, the error of the mean besides, and a warning.

    The error is that of log Z / Z_parent, and of the annealing where records are annealed.
    """

    values: Float64
    error: float
    warning: str


def seed_reach(values: ArrayLike, tail: float) -> Float64:
    """Return t s (1 + 1/R)^(1/2) of values [member, ...], exceeded with probability `tail`."""
    from scipy.stats import t  # imported where used: it takes half a second

    by_member = np.asarray(values, dtype=np.float64)
    members = len(by_member)
    quantile = float(t.isf(tail, members - 1))
    return np.asarray(quantile * by_member.std(axis=0, ddof=1) * np.sqrt(1.0 + 1.0 / members))


def likelihood_floor(sites: int, shots: float) -> float:
    """Return the loss that no choice should depend on, in nats per shot: N / (2 n).

    So much the simplest model, independent bits with N parameters, loses on average because it is
    fitted to n training shots (Akaike 1974); the RBM itself loses more.
    """
    return sites / (2.0 * shots)


@single_blas_thread()
def losses_from(parent: RBM, shots: Shots, *, draws: int, seed: int) -> Callable[[RBM], Losses]:
    """Return the function rbm -> log-likelihood losses against `parent`, shot by shot.

    log Z - log Z_parent is exact where a layer of the parent has at most 20 units. Above, it is
    log <p~(v) / p~_parent(v)> over draws of the parent, the same for every RBM (Zwanzig 1954): for
    similar RBMs that is far more accurate than any estimate of log Z.

    With readout errors p is that of the records (`psiprune.inference.recorded`), where annealed
    with the same random numbers for every RBM. The noise of the annealing of both RBMs, and the
    bias subtracted from their difference, add to the error.
    """
    of_parent = shots_log_prob(parent, shots, _UNNORMALIZED, seed)
    log_z = _log_z_ratio(parent, shots, draws, seed)

    @single_blas_thread()
    def losses(rbm: RBM) -> Losses:
        found = shots_log_prob(rbm, shots, _UNNORMALIZED, seed)
        log_z_rbm, log_z_parent, error, warning = log_z(rbm)
        values = of_parent.values - found.values + log_z_rbm - log_z_parent
        annealing = of_parent.error, found.error, found.bias - of_parent.bias
        doubts = dict.fromkeys(filter(None, (warning, of_parent.warning, found.warning)))
        return Losses(values, math.hypot(error, *annealing), "; ".join(doubts))

    return losses


class _LogZRatio(NamedTuple):
    """log Z and log Z_parent up to the same constant, the error of their difference, a warning."""

    value: float
    parent: float
    error: float = 0.0
    warning: str = ""


def _log_z_ratio(parent: RBM, shots: Shots, draws: int, seed: int) -> Callable[[RBM], _LogZRatio]:
    """Return the function rbm -> log Z / Z_parent for `losses_from`."""
    if shots.readout is not None and shots.sites <= EXACT_SITES:
        return lambda _: _LogZRatio(0.0, 0.0)  # log p(y) is normalized
    if min(parent.visible, parent.hidden) <= COMPARISON_UNITS:
        log_z_parent = parent.log_partition()
        return lambda rbm: _LogZRatio(rbm.log_partition(), log_z_parent)
    drawn = draw_from_data(
        parent,
        shots.bits,
        draws,
        seed,
        Stream.LIKELIHOOD_RATIO_START,
        Stream.LIKELIHOOD_RATIO_DRAWS,
    )
    chains, length, sites = drawn.bits.shape
    bits = drawn.bits.reshape(-1, sites)
    log_p_draws = parent.log_prob_unnormalized(bits)

    def by_draws(rbm: RBM) -> _LogZRatio:
        ratio = (rbm.log_prob_unnormalized(bits) - log_p_draws).reshape(chains, length)
        log_z, error, size = log_mean_of_chains(ratio)
        warning = drawn.warning
        if size < FEWEST_EFFECTIVE:
            warning = (
                f"estimated from only {size:.2g} effective draws of the dense RBM, which is too "
                "far from it"
            )
        return _LogZRatio(log_z, 0.0, error, warning)

    return by_draws


def likelihood_band(
    losses: Callable[[Model], Losses],
    significance: float,
    seed: int,
    *,
    typical: float = 0.0,
    floor: float = 0.0,
    ceiling: float = float("inf"),
    block: int = 1,
) -> Callable[[Model], EquivalenceResult]:
    """Return the test of an RBM's log-likelihood against that of a dense one.

    A loss counts beyond what is typical of dense RBMs, and what noise of the shots explains: with
    the bootstrap error e, a loss of z e, which one of two equally good RBMs shows with the
    probability `significance`. The tolerance is the root of the sum of both squares. Where all
    shots agree (a GHZ state) it is 0 or a rounding error, so there is a floor.

    Args:
        losses: `losses_from` the dense RBM.
        significance: one-sided.
        seed: of the bootstrap.
        typical: loss of another dense RBM, such as one trained on another record of shots.
        floor: smallest tolerance, see `likelihood_floor`.
        ceiling: largest tolerance, however few the shots, unless the floor is higher.
        block: shots that the bootstrap resamples together, see `data.dependence`.
    """
    z = float(norm.isf(significance))

    def evaluate(rbm: Model) -> EquivalenceResult:
        values, log_z_error, warning = losses(rbm)
        loss = float(values.mean())
        error = float(np.hypot(_bootstrap_error(values, seed, block), log_z_error))
        allowed = max(floor, min(float(np.hypot(typical, z * error)), ceiling))
        return EquivalenceResult(loss, error, allowed, _share(loss, allowed), warning, floor)

    return evaluate


def observable_band(
    members: Sequence[ArrayLike], measure: Callable[[RBM], Comparison], significance: float
) -> EquivalenceTest:
    """Return the test of an observable: its distance from the mean of the members.

    Two-sided; the error combines the bootstrap error of the shots and that of the RBM's draws. Of
    an observable with K values, each tested at significance / K, the worst counts.

    Args:
        members: its value for each of at least 2 dense RBMs, a scalar or an array.
        measure: the observable of any RBM, on the same shots.
        significance: with at most this probability an undamaged RBM exceeds the tolerance.
    """
    values = np.array([np.atleast_1d(member) for member in members])
    tail = significance / (2 * values.shape[1])
    centre, reach, z = values.mean(axis=0), seed_reach(values, tail), float(norm.isf(tail))

    def evaluate(rbm: RBM) -> EquivalenceResult:
        comparison = measure(rbm)
        loss = np.abs(np.atleast_1d(comparison.value) - centre)
        error = np.broadcast_to(np.hypot(comparison.error, comparison.shots_error), loss.shape)
        allowed = np.hypot(reach, z * error)
        shares = [_share(*pair) for pair in zip(loss, allowed, strict=True)]
        k = int(np.argmax(shares))
        largest = float(loss[k]), float(error[k]), float(allowed[k])
        return EquivalenceResult(*largest, shares[k], comparison.warning)

    return evaluate


def _share(loss: float, allowed: float) -> float:
    if allowed > 0:
        return float(loss / allowed)
    return float("inf") if loss > 0 else 0.0


def _bootstrap_error(values: Float64, seed: int, block: int) -> float:
    """Return the error of the mean of values [shot]."""
    table = (values - values.mean())[:, None].astype(np.float32)
    return float(bootstrap_means(table, seed, block).std(axis=0, ddof=1)[0])
