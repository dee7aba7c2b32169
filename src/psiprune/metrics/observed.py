"""Custom observables of draws, of states and of whole distributions, with their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import one_line
from psiprune.metrics.bits_observable import BitsObservable
from psiprune.metrics.bootstrap import at_least_one_shot
from psiprune.metrics.custom import Observable, observe
from psiprune.metrics.entanglement import few_pairs
from psiprune.metrics.entropy_observable import EntropyObservable, is_determined
from psiprune.metrics.measure import Measure, effective_draws
from psiprune.metrics.observables import Estimate, chain_mean
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Resamples behind the error of a custom observable that is one number for all shots; the function
#: is called for each resample. The error itself is accurate to 7 %.
SCALAR_RESAMPLES = 100
#: Draws of a state behind an observable that its tensors do not give.
_STATE_DRAWS = 100_000
#: A mean this many errors from the exact value has an error that is too small: by chance once in
#: 16,000 (normal noise).
_MISSED = 4.0
#: Differences from the exact value that are rounding errors, relative above 1.
_ROUNDING = 1e-12
#: Configurations of the whole basis at a time.
_CHUNK = 1 << 15


@one_line
@dataclass(frozen=True, eq=False)
class ObservedAgainstState:
    """An observable of an RBM beside that of a reference state, scalar or [value].

    Attributes:
        value, error: the mean over the RBM's draws and its standard error; where all n draws agree,
            1/n instead of 0 (or |value|/n, if that is larger), unless there is an X or Y.
        exact: the value of the RBM by a sum over all states, up to 20 sites; else None.
        reference: of the state; exact if `reference_error` is 0, else from 100,000 draws of it.
        reference_error: its standard error.
        deviation: standard deviation of one draw of the RBM; NaN if it is not a mean of draws.
        method: how the RBM was sampled.
        warning: why the value cannot be trusted, such as an exact one that is far from it; empty if
            no problem was detected.
        draws: number of draws of the RBM.
        effective_sample_size: how many independent draws would give the same error.
        dimension, coordinates: what distinguishes the values; empty for a scalar.
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    exact: Float64 | np.float64 | None
    reference: Float64 | np.float64
    reference_error: Float64 | np.float64
    deviation: Float64 | np.float64
    method: str
    warning: str
    draws: int
    effective_sample_size: float
    dimension: str = ""
    coordinates: tuple[float, ...] = ()

    @property
    def loss(self) -> Measure:
        """The largest distance from the reference, |O - O_ref|, with its error.

        The floor is what a perfect model would show on average with as many draws.
        """
        distance = np.atleast_1d(np.abs(self.value - self.reference))
        error = np.atleast_1d(np.hypot(self.error, self.reference_error))
        k = int(np.argmax(distance))
        # E|z| of a normal deviate is sqrt(2 / pi).
        floor = np.sqrt(2 / np.pi / self.draws) * np.atleast_1d(self.deviation)[k]
        return Measure(
            float(distance[k]),
            float(error[k]),
            float(floor),
            self.method,
            self.warning,
            self.effective_sample_size,
        )

    @property
    def numbers(self) -> dict[str, Any]:
        """All fields with lists for arrays, for JSON."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
            for key, value in vars(self).items()
        }


@one_line
@dataclass(frozen=True, eq=False)
class Target:
    """A custom observable in the frame of the RBM, and its value in a reference state."""

    observable: Observable
    estimate: Estimate


def dimension_of(observable: Observable) -> tuple[str, tuple[float, ...]]:
    """Return what distinguishes the values of an observable, and their coordinates."""
    if isinstance(observable, BitsObservable):
        return observable.dimension, observable.coordinates
    return "", ()


def values_of_draws(name: str, observable: Observable, bits: Bits, rbm: RBM | None) -> Float64:
    """Return an observable of configurations, bits [draw, site] -> [draw], [draw, value] or ().

    Of an RBM, Pauli strings have their local estimator; without one they must be diagonal.
    An entropy has no value of one draw, and is refused.
    """
    if isinstance(observable, PauliObservable):
        return observable(bits) if rbm is None else observable.local_values(rbm, bits)
    if isinstance(observable, BitsObservable | EntropyObservable):
        return observable(bits)
    return observe(name, observable, bits)


def constant_of(observable: Observable) -> Estimate | None:
    """Return the value of a multiple of the identity, without error; None for all else."""
    if isinstance(observable, PauliObservable) and observable.is_constant:
        return Estimate(np.float64(observable.operator.offset), np.float64(0), np.float64(0))
    return None


def estimate_from_draws(
    name: str, observable: Observable, bits: Bits, seed: int, block: int = 1, rbm: RBM | None = None
) -> Estimate:
    """Return a custom observable of draws, bits [chain, draw, site], with its error.

    For one number for all draws, the error is that of 100 resamples of whole chains, or of blocks
    of consecutive ones; the deviation of one draw is unknown (NaN).
    """
    chains, draws, sites = bits.shape
    if isinstance(observable, EntropyObservable) and rbm is not None:
        return observable.estimate(rbm, bits)
    if (constant := constant_of(observable)) is not None:
        return constant
    values = values_of_draws(name, observable, bits.reshape(-1, sites), rbm)
    if values.ndim:
        mean = chain_mean(values.reshape(chains, draws, *values.shape[1:]))
        return _at_least_one(mean, len(values)) if is_determined(observable) else mean
    generator = generator_for(seed, Stream.BOOTSTRAP_CHAINS)
    starts = np.arange(0, chains, block)

    def resample() -> Bits:
        drawn = generator.integers(0, len(starts), len(starts))
        rows = starts[drawn][:, None] + np.arange(block)
        return bits[rows[rows < chains]].reshape(-1, sites)

    resampled = [observe(name, observable, resample()) for _ in range(SCALAR_RESAMPLES)]
    error = np.float64(np.std(resampled, ddof=1))
    mean = Estimate(np.float64(values), error, np.float64("nan"))
    return _at_least_one(mean, chains * draws)


def _at_least_one(estimate: Estimate, draws: int) -> Estimate:
    """Return a mean of draws with the error of one draw where all agree, as 0 means exact."""
    error = at_least_one_shot(np.asarray(estimate.error), np.asarray(estimate.value), draws)
    return replace(estimate, error=error[()])


def exact_value(
    name: str, observable: Observable, prob: Float64, sites: int
) -> Float64 | np.float64 | None:
    """Return an observable of psi = sqrt(p) by a sum over the basis, p [2^N].

    None for a function that returns one number for all shots.
    """
    if isinstance(observable, PauliObservable | EntropyObservable):
        return np.float64(observable.exact(prob))
    mean = _site_means(prob, sites)
    total: Float64 | float = 0.0
    for first in range(0, len(prob), _CHUNK):
        index = np.arange(first, min(first + _CHUNK, len(prob)))
        bits = ((index[:, None] >> np.arange(sites)) & 1).astype(np.uint8)
        if isinstance(observable, BitsObservable):
            values = observable.function(bits, mean)
        else:
            values = observe(name, observable, bits)
            if not values.ndim:
                return None
        total = total + prob[index] @ values
    return np.asarray(total) if np.ndim(total) else np.float64(total)


def _site_means(prob: Float64, sites: int) -> Float64:
    """Return the probability of bit 1 of each site, p [2^N] -> [site]."""
    return np.array([prob.reshape(-1, 2, 1 << k)[:, 1].sum() for k in range(sites)])


def estimate_of_state(
    name: str, observable: Observable, state: MPS, log_q: Float64 | None, seed: int = 0
) -> Estimate:
    """Return a custom observable of a state: exact where tensors give it or log q is known.

    Otherwise of 100,000 draws of the state, with their error.
    """
    exact: Float64 | np.float64 | None = None
    if isinstance(observable, PauliObservable | EntropyObservable):
        exact = np.float64(observable.of_state(state))
    elif isinstance(observable, BitsObservable) and observable.of_pairs is not None:
        found = observable.of_pairs(state.correlations(), state.magnetization())
        exact = found if found.ndim else np.float64(found)
    elif log_q is not None:
        exact = exact_value(name, observable, np.exp(log_q), state.sites)
    if exact is not None:
        return Estimate(exact, np.zeros_like(exact), np.full_like(exact, np.nan))
    seed = derive_seed(seed, Stream.REFERENCE_OBSERVABLES)
    drawn = sample(state, _STATE_DRAWS, seed=seed)
    return estimate_from_draws(name, observable, drawn.bits[:, None, :], seed)


def rotated(observable: Observable, sites: tuple[int, ...]) -> Observable:
    """Return the observable where a Z rotates these sites; functions of bits stay as they are."""
    return observable.rotated(sites) if isinstance(observable, PauliObservable) else observable


def observe_against_state(
    targets: Mapping[str, Target],
    rbm: RBM,
    bits: Bits,
    prob: Float64 | None,
    seed: int,
    method: str,
    warning: str,
) -> dict[str, ObservedAgainstState]:
    """Return custom observables of an RBM beside those of a state, by name.

    Args:
        targets: of the state.
        rbm: the RBM.
        bits: its draws, [chain, draw, site].
        prob: its probabilities over the basis [2^N], None above 20 sites.
        seed: of resamples.
        method, warning: of the draws.
    """
    chains, length, sites = bits.shape
    found = {}
    for name, target in targets.items():
        estimate = estimate_from_draws(name, target.observable, bits, seed, rbm=rbm)
        exact = None if prob is None else exact_value(name, target.observable, prob, sites)
        size = effective_draws(estimate, chains * length, length)
        doubts = [warning, doubt(target.observable, estimate, exact)]
        found[name] = ObservedAgainstState(
            estimate.value,
            estimate.error,
            exact,
            target.estimate.value,
            target.estimate.error,
            estimate.deviation,
            method,
            "; ".join(filter(None, doubts)),
            chains * length,
            size,
            *dimension_of(target.observable),
        )
    return found


def doubt(
    observable: Observable, estimate: Estimate, exact: Float64 | np.float64 | None = None
) -> str:
    """Return a warning if the draws do not show an observable, "" if that is not known.

    That is so for an entropy from few effective pairs, and if a local estimator with X or Y is far
    from the exact value.

    Where psi(v) is small, psi(v') / psi(v) may be so large that configurations v rarer than one in
    all draws carry the mean. The draws then show neither the mean nor its error.
    """
    if isinstance(observable, EntropyObservable) and (few := few_pairs(float(estimate.error))):
        return few
    if exact is None or is_determined(observable):
        return ""
    gap = abs(float(estimate.value - exact))
    if not gap > _MISSED * float(estimate.error) + _ROUNDING * max(1.0, abs(float(exact))):
        return ""
    return (
        f"the exact value, {float(exact):.6g}, is more than {_MISSED:g} errors away: samples miss "
        "rare configurations that carry it; trust the exact value"
    )
