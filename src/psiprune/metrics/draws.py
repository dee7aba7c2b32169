"""Configurations of an RBM for estimates: independent where possible, else chains that are paced.

A few long chains first, the pilot, measure the integrated autocorrelation time of every observable
(Sokal; the estimator is emcee's) and R-hat (Vehtari et al., Bayesian Anal. 16, 667 (2021); ArviZ).
Many chains follow, burnt in and thinned by what the pilot found. They start half at likely
configurations and half at random ones, so that what depends on the start shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.inference.log_partition import independent_draws
from psiprune.metrics.observables import series
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.states.tfim import TFIM

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
_LOG = logging.getLogger(__name__)
CHAINS = 1000
#: Steps before the first draw, in autocorrelation times, and in steps at least.
BURN_IN, LEAST_BURN_IN = 20, 1000
#: Most steps a chain. Of a dense 100 x 50 RBM that is less than a minute on two cores; above, as
#: many as cost the same, counted in weights visited.
MOST_STEPS, MOST_VISITS = 250_000, 1.25e12
#: R-hat above which chains disagree. Chains of 50 autocorrelation times have 1.02 to 1.03.
MOST_R_HAT = 1.05
_PILOT_CHAINS = 112  # one full tile
_RECORDS = 512  # configurations kept of a pilot chain; the later half is looked at
_TRUSTED = 50  # autocorrelation times in a chain from which emcee trusts its estimate
_WORDS = {"magnetization": "m", "abs_magnetization": "|m|", "correlation": "C({})"}


class Draws(NamedTuple):
    """RBM samples bits [chain, draw, site], how they were drawn, and why not to trust them."""

    bits: Bits
    method: str
    warning: str


class Pilot(NamedTuple):
    """What a few long chains tell.

    Attributes:
        steps: how long they are; the later half counts.
        time: the longest integrated autocorrelation time of all observables, in steps.
        slowest: the observable that has it.
        trusted: whether the chains are long enough for it; else `time` is too short.
        r_hat: the largest R-hat of energy, m, |m| and the slowest observable.
        apart: the observable that has it.
    """

    steps: int
    time: float
    slowest: str
    trusted: bool
    r_hat: float
    apart: str


@single_blas_thread()
def draw(
    rbm: RBM, likely: Callable[[int], Bits], draws: int, seed: int, model: TFIM | None = None
) -> Draws:
    """At least `draws` configurations of an RBM for its observables, with a warning where due.

    Independent draws, as chains of one draw each, where `independent_draws` gives them. Otherwise
    1000 chains with flips, half of them from `likely(number)` [chain, site] and half from random
    bits: 20 autocorrelation times of burn-in, then a draw every autocorrelation time, or as often
    as the cap on the steps allows. (The errors, from the chains' means, hold for any thinning.)

    The warning names what speaks against the chains: an autocorrelation time beyond a hundredth of
    the cap, and how many steps it asks for; R-hat above 1.05 in chains as long as the cap; m or |m|
    that depends on the start.
    """
    independent = independent_draws(rbm, draws, seed=seed)
    if independent is not None:
        return Draws(independent[:, None, :], "independent draws", "")
    most = int(min(MOST_STEPS, max(2 * _RECORDS, MOST_VISITS / CHAINS / rbm.number_of_weights)))
    length = -(-draws // CHAINS)
    own = derive_seed(seed, Stream.PILOT_CHAINS)
    found = pilot(rbm, starts(rbm, likely, _PILOT_CHAINS, own), model, most, own)
    burn_in = max(LEAST_BURN_IN, int(np.ceil(min(BURN_IN * found.time, 0.4 * most))))
    thin = int(np.clip((most - burn_in) // length, 1, np.ceil(found.time)))
    start = starts(rbm, likely, CHAINS, seed)
    chains = gibbs.advance_with_flips(gibbs.start_chains(rbm.machine, start, seed), burn_in)
    kept = []
    for _ in range(length):
        chains = gibbs.advance_with_flips(chains, thin)
        kept.append(chains.bits)
    bits = np.stack(kept, axis=1)
    steps = "step" if thin == 1 else f"{thin:,} steps"
    told = f"tau of {found.slowest} {found.time:.3g} steps, R-hat {found.r_hat:.2f}"
    method = f"{CHAINS} Gibbs chains with flips ({told}), a draw every {steps}"
    reasons = [*_doubts(found, draws, length, most), *depends_on_start(bits)]
    _LOG.info("draws by %s", method)
    if not reasons:
        return Draws(bits, method, "")
    warning = f"rests on chains that have not converged in {chains.steps:,} steps: "
    warning += "; ".join(reasons)
    _LOG.warning("an estimate %s", warning)
    return Draws(bits, method, warning)


def starts(rbm: RBM, likely: Callable[[int], Bits], chains: int, seed: int) -> Bits:
    """Where chains begin, [chain, site]: the first half likely, the second half fair bits."""
    half = chains // 2
    return np.concatenate([likely(half), gibbs.random_start(chains - half, rbm.visible, seed)])


def pilot(rbm: RBM, start: Bits, model: TFIM | None, most: int, seed: int) -> Pilot:
    """Run chains from `start` [chain, site] until they tell the autocorrelation times.

    The run doubles until its later half is 50 times the longest integrated autocorrelation time and
    the chains agree by R-hat, or it has `most` steps. Chains that seldom leave a mode look fast as
    long as none has left it; that they disagree gives them away. Only 512 configurations a chain
    are kept, at a distance that doubles too.
    """
    chains = gibbs.start_chains(rbm.machine, start, seed)
    stride = 1
    kept: list[Bits] = []
    while True:
        while len(kept) < _RECORDS:
            chains = gibbs.advance_with_flips(chains, stride)
            kept.append(chains.bits)
        found = _look(rbm, np.stack(kept[_RECORDS // 2 :], axis=1), model, stride)
        if (found.trusted and found.r_hat <= MOST_R_HAT) or chains.steps >= most:
            return found
        kept, stride = kept[1::2], 2 * stride


def _look(rbm: RBM, bits: Bits, model: TFIM | None, stride: int) -> Pilot:
    """What chains [chain, draw, site] tell, kept every `stride` steps; they ran twice as long."""
    seen = _named(rbm, bits, model)
    times = {name: autocorrelation_time(values) for name, values in seen.items()}
    slowest = max(times, key=times.__getitem__)
    watched = [name for name in seen if not name.startswith("C(") or name == slowest]
    r_hats = {name: r_hat(seen[name]) for name in watched}
    apart = max(r_hats, key=r_hats.__getitem__)
    return Pilot(
        2 * stride * bits.shape[1],
        stride * times[slowest],
        slowest,
        _TRUSTED * times[slowest] <= bits.shape[1],
        r_hats[apart],
        apart,
    )


def autocorrelation_time(values: Float64) -> float:
    """Integrated autocorrelation time tau = 1 + 2 sum_t rho(t) of chains [chain, draw], in draws.

    By `emcee.autocorr.integrated_time`: window of 5 tau, autocorrelations averaged over chains. At
    least 1; too short (by some 20 % at 50 tau) where the chains are. Chains that never move are
    left out; if none moves, tau is 1 where all agree, else infinite.
    """
    from emcee.autocorr import AutocorrError, integrated_time  # not needed for most RBMs

    moving = values[np.ptp(values, axis=1) > 0]
    if len(moving) == 0:
        return np.inf if np.ptp(values) > 0 else 1.0
    try:
        (time,) = integrated_time(moving.T, tol=_TRUSTED)
    except AutocorrError as short:
        (time,) = short.tau
    return max(1.0, float(time))


def r_hat(values: Float64) -> float:
    """Rank-normalised split R-hat of chains [chain, draw]: 1 where they agree, larger if not."""
    from arviz_stats.base import array_stats  # loads SciPy's statistics; not needed for most RBMs

    if (np.ptp(values, axis=1) == 0).all():
        return np.inf if np.ptp(values) > 0 else 1.0
    return float(array_stats.rhat(values, chain_axis=0, draw_axis=1))


def depends_on_start(bits: Bits) -> list[str]:
    """In words, which of m and |m| tell how chains [chain, draw, site] began.

    The first half of the chains must have started elsewhere than the second half. Their means may
    differ by 5 standard errors.
    """
    m = 1.0 - 2.0 * bits.mean(axis=2)
    half = len(m) // 2
    reasons = []
    for name, values in (("m", m), ("|m|", np.abs(m))):
        means = values.mean(axis=1)
        first, second = means[:half], means[half:]
        error = np.hypot(first.std(ddof=1), second.std(ddof=1)) / np.sqrt(half)
        if abs(first.mean() - second.mean()) > 5 * error:
            reasons.append(
                f"{name} depends on the start: {first.mean():.3f} and {second.mean():.3f}"
            )
    return reasons


def _named(rbm: RBM, bits: Bits, model: TFIM | None) -> dict[str, Float64]:
    """Each observable of bits [chain, draw, site] as [chain, draw], by the name a warning gives."""
    chains, draws, sites = bits.shape
    seen: dict[str, Float64] = {}
    for name, values in series(rbm, bits.reshape(-1, sites), model).items():
        columns = values.reshape(chains, draws, -1)
        for d in range(columns.shape[2]):
            seen[_WORDS.get(name, name).format(d)] = columns[:, :, d]
    return seen


def _doubts(found: Pilot, draws: int, length: int, most: int) -> list[str]:
    """What the pilot holds against the chains, in words."""
    reasons = []
    if not np.isfinite(found.time):
        reasons.append(f"{found.slowest} never changes within a chain")
    elif not found.trusted:
        needed = int(max(2 * _TRUSTED, BURN_IN + length) * found.time)
        reasons.append(
            f"the autocorrelation time of {found.slowest} is at least {found.time:,.0f} Gibbs "
            f"steps; {draws:,} draws of that need about {needed:,} steps a chain, more than the "
            f"cap of {most:,}"
        )
    if found.r_hat > MOST_R_HAT:
        reasons.append(
            f"R-hat of {found.apart} is {found.r_hat:.3g} over chains of {found.steps:,} steps"
        )
    return reasons
