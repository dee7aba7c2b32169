"""Draw configurations of an RBM for its observables: independent, or by diagnosed Gibbs chains.

A few long pilot chains measure the integrated autocorrelation time of every observable (Sokal; the
estimator is emcee's) and R-hat (Vehtari et al., Bayesian Anal. 16, 667 (2021); ArviZ), which set
burn-in and thinning of the many chains that follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.progress import count, expect
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.log_partition import independent_draws
from psiprune.metrics.observables import observable_values
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.states.mps import Model

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
_LOG = logging.getLogger(__name__)
CHAINS = 1000
#: Steps before the first draw, in autocorrelation times, and in steps at least.
BURN_IN, LEAST_BURN_IN = 20, 1000
#: Most steps of a chain. For a dense 100 x 50 RBM they take less than a minute on two cores; for
#: larger RBMs the cap keeps that cost, counted in weights visited.
MOST_STEPS, MOST_VISITS = 250_000, 1.25e12
#: R-hat above which chains disagree. Chains of 50 autocorrelation times have 1.02 to 1.03.
MOST_R_HAT = 1.05
_PILOT_CHAINS = 112  # one full tile
_RECORDS = 512  # configurations stored of a pilot chain; the second half is evaluated
_TRUSTED = 50  # autocorrelation times in a chain from which emcee trusts its estimate
_SYMBOLS = {"magnetization": "m", "abs_magnetization": "|m|", "correlation": "C({})"}


@one_line
class Draws(NamedTuple):
    """RBM samples bits [chain, draw, site], how they were drawn, and a warning or ""."""

    bits: Bits
    method: str
    warning: str

    def recorded(self, readout: ReadoutError | None, seed: int) -> Draws:
        """Return the samples as a device with these readout errors would record them."""
        if readout is None:
            return self
        flat = self.bits.reshape(-1, self.bits.shape[-1])
        bits = readout.misread(flat, seed).reshape(self.bits.shape)
        return self._replace(bits=bits, method=f"{self.method}, read with errors")


@one_line
class Pilot(NamedTuple):
    """Diagnostics of the pilot chains.

    Attributes:
        steps: their length; the second half is evaluated.
        time: the longest integrated autocorrelation time of all observables, in steps.
        slowest: the observable that has it.
        trusted: whether the chains are long enough to measure it; else `time` is too short.
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
    rbm: RBM, likely: Callable[[int], Bits], draws: int, seed: int, model: Model | None = None
) -> Draws:
    """Draw at least `draws` configurations of an RBM for its observables, with a warning where due.

    Independent draws, as chains of one draw each, where `independent_draws` gives them. Otherwise
    1000 chains with flips, half of them from `likely(number)` [chain, site] and half from random
    bits: 20 autocorrelation times of burn-in, then a draw every autocorrelation time, or as often
    as the cap on the steps allows. (The errors, from the chains' means, hold for any thinning.)

    The warning names an autocorrelation time beyond a hundredth of the cap, R-hat above 1.05 in
    chains as long as the cap, or m or |m| that depends on the start.
    """
    independent = independent_draws(rbm, draws, seed=seed)
    if independent is not None:
        return Draws(independent[:, None, :], "independent draws", "")
    most = int(min(MOST_STEPS, max(2 * _RECORDS, MOST_VISITS / CHAINS / rbm.number_of_weights)))
    length = -(-draws // CHAINS)
    pilot_seed = derive_seed(seed, Stream.PILOT_CHAINS)
    start = starts(rbm, likely, _PILOT_CHAINS, pilot_seed)
    diagnosed = pilot(rbm, start, model, most, pilot_seed)
    burn_in = max(LEAST_BURN_IN, int(np.ceil(min(BURN_IN * diagnosed.time, 0.4 * most))))
    thin = int(np.clip((most - burn_in) // length, 1, np.ceil(diagnosed.time)))
    expect("Gibbs steps", CHAINS * (burn_in + length * thin))
    start = starts(rbm, likely, CHAINS, seed)
    chains = gibbs.step_with_flips(gibbs.start_chains(rbm.compiled, start, seed), burn_in)
    count("Gibbs steps", CHAINS * burn_in)
    records = []
    for _ in range(length):
        chains = gibbs.step_with_flips(chains, thin)
        count("Gibbs steps", CHAINS * thin)
        records.append(chains.bits)
    bits = np.stack(records, axis=1)
    steps = "step" if thin == 1 else f"{thin:,} steps"
    tau = f"tau of {diagnosed.slowest} {diagnosed.time:.3g} steps, R-hat {diagnosed.r_hat:.2f}"
    method = f"{CHAINS} Gibbs chains with flips ({tau}), a draw every {steps}"
    problems = [*_problems(diagnosed, draws, length, most), *depends_on_start(bits)]
    _LOG.info("draws by %s", method)
    if not problems:
        return Draws(bits, method, "")
    warning = f"estimated from chains that have not converged in {chains.steps:,} steps: "
    warning += "; ".join(problems)
    _LOG.warning("an estimate %s", warning)
    return Draws(bits, method, warning)


def draw_from_data(
    rbm: RBM, bits: Bits, draws: int, seed: int, start_stream: Stream, draw_stream: Stream
) -> Draws:
    """Call `draw` with random rows of bits [shot, site] as the likely configurations."""
    generator = generator_for(seed, start_stream)

    def likely(number: int) -> Bits:
        return bits[generator.integers(0, len(bits), number)]

    return draw(rbm, likely, draws, derive_seed(seed, draw_stream))


def starts(rbm: RBM, likely: Callable[[int], Bits], chains: int, seed: int) -> Bits:
    """Return starts [chain, site]: the first half likely configurations, the second fair bits."""
    half = chains // 2
    return np.concatenate([likely(half), gibbs.random_start(chains - half, rbm.visible, seed)])


def pilot(rbm: RBM, start: Bits, model: Model | None, most: int, seed: int) -> Pilot:
    """Run chains from `start` [chain, site] until their autocorrelation times are known.

    The run doubles until its second half is 50 times the longest integrated autocorrelation time
    and the chains agree by R-hat, or it has `most` steps. Chains that seldom leave a mode look fast
    until one leaves it; their disagreement reveals them. Only 512 configurations a chain are
    stored, with a stride that doubles too.
    """
    chains = gibbs.start_chains(rbm.compiled, start, seed)
    stride = 1
    records: list[Bits] = []
    while True:
        while len(records) < _RECORDS:
            chains = gibbs.step_with_flips(chains, stride)
            count("Gibbs steps", len(start) * stride)
            records.append(chains.bits)
        diagnosed = _diagnose(rbm, np.stack(records[_RECORDS // 2 :], axis=1), model, stride)
        if (diagnosed.trusted and diagnosed.r_hat <= MOST_R_HAT) or chains.steps >= most:
            return diagnosed
        records, stride = records[1::2], 2 * stride


def _diagnose(rbm: RBM, bits: Bits, model: Model | None, stride: int) -> Pilot:
    """Return diagnostics of bits [chain, draw, site], stored every `stride` steps."""
    values, length = _by_symbol(rbm, bits, model), bits.shape[1]
    times = {name: autocorrelation_time(series) for name, series in values.items()}
    slowest = max(times, key=times.__getitem__)
    compared = [name for name in values if not name.startswith("C(") or name == slowest]
    r_hats = {name: r_hat(values[name]) for name in compared}
    apart = max(r_hats, key=r_hats.__getitem__)
    trusted = _TRUSTED * times[slowest] <= length
    steps = 2 * stride * length  # the first half of the run is not in `bits`
    return Pilot(steps, stride * times[slowest], slowest, trusted, r_hats[apart], apart)


def _by_symbol(rbm: RBM, bits: Bits, model: Model | None) -> dict[str, Float64]:
    """Return observables of bits [chain, draw, site] as [chain, draw], by symbol for warnings."""
    chains, draws, sites = bits.shape
    by_symbol: dict[str, Float64] = {}
    for name, values in observable_values(rbm, bits.reshape(-1, sites), model).items():
        columns = values.reshape(chains, draws, -1)
        for d in range(columns.shape[2]):
            by_symbol[_SYMBOLS.get(name, name).format(d)] = columns[:, :, d]
    return by_symbol


def autocorrelation_time(values: Float64) -> float:
    """Return the integrated autocorrelation time of chains [chain, draw], in draws.

    tau = 1 + 2 sum_t rho(t) by `emcee.autocorr.integrated_time`: window of 5 tau, autocorrelations
    averaged over chains. At least 1; too short (by some 20 % at 50 tau) where the chains are.
    Chains that never move are left out; if none moves, tau is 1 where all agree, else infinite.
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
    """Return the rank-normalised split R-hat of chains [chain, draw]: 1 where they agree."""
    from arviz_stats.base import array_stats  # loads SciPy's statistics; not needed for most RBMs

    if (np.ptp(values, axis=1) == 0).all():
        return np.inf if np.ptp(values) > 0 else 1.0
    return float(array_stats.rhat(values, chain_axis=0, draw_axis=1))


def depends_on_start(bits: Bits) -> list[str]:
    """Return messages for m and |m| of chains [chain, draw, site] that depend on their start.

    The first half of the chains must have started elsewhere than the second half. Their means may
    differ by 5 standard errors.
    """
    m = 1.0 - 2.0 * bits.mean(axis=2)
    half = len(m) // 2
    messages = []
    for name, values in (("m", m), ("|m|", np.abs(m))):
        means = values.mean(axis=1)
        first, second = means[:half], means[half:]
        error = np.hypot(first.std(ddof=1), second.std(ddof=1)) / np.sqrt(half)
        if abs(first.mean() - second.mean()) > 5 * error:
            messages.append(
                f"{name} depends on the start: {first.mean():.3f} and {second.mean():.3f}"
            )
    return messages


def _problems(diagnosed: Pilot, draws: int, length: int, most: int) -> list[str]:
    """Return messages for what is wrong with the pilot chains."""
    problems = []
    if not np.isfinite(diagnosed.time):
        problems.append(f"{diagnosed.slowest} never changes within a chain")
    elif not diagnosed.trusted:
        needed = int(max(2 * _TRUSTED, BURN_IN + length) * diagnosed.time)
        problems.append(
            f"the autocorrelation time of {diagnosed.slowest} is at least {diagnosed.time:,.0f} "
            f"Gibbs steps; {draws:,} draws of that need about {needed:,} steps a chain, more than "
            f"the cap of {most:,}"
        )
    if diagnosed.r_hat > MOST_R_HAT:
        problems.append(
            f"R-hat of {diagnosed.apart} is {diagnosed.r_hat:.3g} over chains of "
            f"{diagnosed.steps:,} steps"
        )
    return problems
