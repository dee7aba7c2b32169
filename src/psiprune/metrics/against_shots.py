"""How well an RBM describes shots of a lab, where there is no state to compare it with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.inference.log_partition import log_partition
from psiprune.metrics.against_state import CONFIDENCE, Measure, effective_draws, relative_error
from psiprune.metrics.bootstrap import bootstrap_means
from psiprune.metrics.custom import Observable, check_names, observe
from psiprune.metrics.draws import draw
from psiprune.metrics.observables import Estimate, chain_mean, sampled_observables
from psiprune.rbm.model import RBM
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: The same of an observable that is one number for all shots, which is found anew for each: 7 %.
RESAMPLES_OF_NUMBERS = 100


@dataclass(frozen=True, eq=False)
class Comparison:
    """An observable, scalar or [distance], by the RBM and by the shots.

    Attributes:
        value, error: the mean over the RBM's draws and its standard error.
        shots_value, shots_error: the mean over the shots and its standard error by bootstrap.
        method: how the RBM's value was found.
        warning: why it cannot be trusted; empty if nothing speaks against it.
        effective_sample_size: how many independent draws of the RBM would give the same error.
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    shots_value: Float64 | np.float64
    shots_error: Float64 | np.float64
    method: str
    warning: str
    effective_sample_size: float

    @property
    def sigmas(self) -> Float64:
        """(value - shots_value) over the two errors combined; 0 where nothing differs."""
        gap = np.asarray(self.value - self.shots_value)
        error = np.hypot(self.error, self.shots_error)
        with np.errstate(divide="ignore"):  # a difference without any error is infinitely many
            return np.divide(gap, error, out=np.zeros(gap.shape), where=gap != 0)


@dataclass(frozen=True, eq=False)
class ShotsReport:
    """How well an RBM describes shots. Log-likelihoods in nat a shot, mean over the shots.

    Attributes:
        shots: how many there are.
        log_likelihood: mean log p(v). Its error is the bootstrap error of the shots with the error
            of log Z. Of an RBM on its own training set it says too much, see `training_excess`.
        product_log_likelihood: the same of independent bits with the means of these very shots, a
            yardstick.
        log_likelihood_gain: the former minus the latter, shot by shot.
        abs_magnetization_roe: relative error of <|m|> with its confidence interval, as Eq. (6) of
            the paper, with the shots in the place of the exact state. The floor is what a perfect
            model would show on average, with the noise of as many draws and as many shots.
        magnetization, abs_magnetization: <m> and <|m|>, m = sum_i Z_i / N.
        neighbours: <Z_i Z_{i+1}>, mean over the bonds; NaN for one site.
        correlation: C(d) = <Z_i Z_j> - <Z_i><Z_j> from site i = N/2 to j = N/2 + d, [distance].
        training_excess: by how much the log-likelihood is too high, about, if the RBM was trained
            on these shots: parameters / shots (Akaike 1974), parameters that change nothing not
            counted. Half of it is what the fit gained on its shots, half what it lost elsewhere.
            NaN with fewer shots than parameters, as the formula is one for many shots.
        own: the user's own observables by name.
    """

    shots: int
    log_likelihood: Measure
    product_log_likelihood: Measure
    log_likelihood_gain: Measure
    abs_magnetization_roe: Measure
    magnetization: Comparison
    abs_magnetization: Comparison
    neighbours: Comparison
    correlation: Comparison
    training_excess: float
    own: Mapping[str, Comparison] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Measure | Comparison]]:
        """(name, measure or comparison) of each."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        for name, each in (*values, *self.own.items()):
            if isinstance(each, Measure | Comparison):
                yield name, each

    def comparison(self, name: str) -> Comparison:
        """The observable of that name, a user's own too."""
        found: Comparison = self.own[name] if name in self.own else getattr(self, name)
        return found


#: Names that an own observable cannot have.
TAKEN = tuple(item.name for item in fields(ShotsReport))


@single_blas_thread()
def evaluate_on_shots(
    rbm: RBM,
    shots: Shots | ArrayLike,
    *,
    draws: int = 100_000,
    seed: int = 0,
    observables: Mapping[str, Observable] | None = None,
) -> ShotsReport:
    """Log-likelihood of shots, and m, |m|, <Z Z> and C(d) of the RBM against theirs, with errors.

    The shots should not be those the RBM was trained on; it does not remember which they were.

    log Z comes from `log_partition`; the RBM's observables from `draws` samples, independent where
    possible and else of chains, as in `evaluate`. Errors of the shots are standard deviations over
    400 bootstrap resamples of whole shots (Efron 1979).

    Args:
        rbm: the RBM.
        shots: measured bits [shot, site] in the Z basis, at least 2 shots.
        draws: samples of the RBM.
        seed: of the draws, of annealing and of the bootstrap.
        observables: own ones by name, functions bits [shot, site] -> a value for each shot, or one
            for all; such a number is found anew for 100 resamples of the shots and of the draws.

    Raises:
        InputError: the shots are fewer than 2, of another number of sites or in another basis,
            draws < 100, or an own observable fails.
    """
    observables = observables or {}
    check_names(observables, TAKEN)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    if len(data) < 2:
        raise InputError(f"{data.source}: an error bar needs at least 2 shots, found {len(data)}")
    bits = data.bits
    pick = generator_for(seed, Stream.SHOTS_START)

    # A seed of their own: shots may be draws of this very RBM.
    own = derive_seed(seed, Stream.SHOTS_DRAWS)
    drawn = draw(rbm, lambda n: bits[pick.integers(0, len(bits), n)], draws, own)
    chains, length, sites = drawn.bits.shape
    found = sampled_observables(rbm, drawn.bits, None)
    bonds = chain_mean(_bonds(_spins(drawn.bits.reshape(-1, sites))).reshape(chains, length))
    log_z = log_partition(rbm, data=data, seed=seed)
    log_p = rbm.log_prob_unnormalized(bits) - log_z.value
    each = {name: observe(name, function, bits) for name, function in observables.items()}
    seen = _shots_estimates(
        bits, log_p, {name: values for name, values in each.items() if values.ndim}, seed
    )
    mine = {}
    for name, function in observables.items():
        mine[name] = _estimate(name, function, drawn.bits, seed)
        if name not in seen:
            seen[name] = _estimate(name, function, bits[:, None, :], seed)

    def compare(name: str, here: Estimate) -> Comparison:
        there, size = seen[name], effective_draws(here, chains * length, length)
        return Comparison(
            here.value, here.error, there.value, there.error, drawn.method, drawn.warning, size
        )

    def likelihood(name: str, warning: str, method: str, error: float, size: float) -> Measure:
        value, noise = float(seen[name].value), float(seen[name].error)
        return Measure(value, float(np.hypot(noise, error)), float("nan"), method, warning, size)

    doubt = f"rests on log Z, and {log_z.warning}" if log_z.warning else ""
    size = float(len(data))
    of_rbm = (
        doubt,
        f"log Z by {log_z.method}",
        log_z.error,
        min(size, log_z.effective_sample_size or size),
    )
    of_product = "", "independent bits, with the means of these shots", 0.0, size
    parameters = rbm.compact().number_of_parameters
    absolute = compare("abs_magnetization", found.abs_magnetization)
    return ShotsReport(
        len(data),
        likelihood("log_likelihood", *of_rbm),
        likelihood("product_log_likelihood", *of_product),
        likelihood("log_likelihood_gain", *of_rbm),
        _against_shots(absolute, seen["abs_magnetization"], chains * length),
        compare("magnetization", found.magnetization),
        absolute,
        compare("neighbours", bonds),
        compare("correlation", found.correlation),
        parameters / len(data) if parameters <= len(data) else float("nan"),
        {name: compare(name, estimate) for name, estimate in mine.items()},
    )


def _estimate(name: str, function: Observable, bits: Bits, seed: int) -> Estimate:
    """An own observable of draws, bits [chain, draw, site], with its error.

    Of a number for all draws the deviation of one draw is not known; its error is that of 100
    resamples of whole chains.
    """
    chains, draws, sites = bits.shape
    values = observe(name, function, bits.reshape(-1, sites))
    if values.ndim:
        return chain_mean(values.reshape(chains, draws))
    generator = generator_for(seed, Stream.BOOTSTRAP_CHAINS)
    again = [
        observe(name, function, bits[generator.integers(0, chains, chains)].reshape(-1, sites))
        for _ in range(RESAMPLES_OF_NUMBERS)
    ]
    error = np.float64(np.std(again, ddof=1))
    return Estimate(np.float64(values), error, np.float64("nan"))


def _shots_estimates(
    bits: Bits, log_p: Float64, own: Mapping[str, Float64], seed: int
) -> dict[str, Estimate]:
    """What the shots alone say, with bootstrap errors; log_p [shot] is the RBM's log p(v)."""
    z = _spins(bits)
    m, i = z.mean(axis=1), midpoint(bits.shape[1])
    right = z[:, i : i + bits.shape[1] - bits.shape[1] // 2 + 1]
    product = _product_log_prob(bits)
    scalars = {
        "log_likelihood": log_p,
        "product_log_likelihood": product,
        "log_likelihood_gain": log_p - product,
        "magnetization": m,
        "abs_magnetization": np.abs(m),
        **own,
    }
    if bits.shape[1] > 1:
        scalars["neighbours"] = _bonds(z)
    table = np.column_stack([*scalars.values(), right, right[:, :1] * right])
    centre, spread = table.mean(axis=0), table.std(axis=0)
    table -= centre  # float32 then keeps what matters
    again = centre + bootstrap_means(table.astype(np.float32), seed)
    errors = again.std(axis=0, ddof=1)
    estimates = {name: Estimate(centre[k], errors[k], spread[k]) for k, name in enumerate(scalars)}

    nan = np.float64("nan")
    estimates.setdefault("neighbours", Estimate(nan, nan, nan))

    def correlation(means: Float64) -> Float64:
        one, both = np.split(means[..., len(scalars) :], 2, axis=-1)
        return np.asarray(both - one[..., :1] * one)

    value = correlation(centre)
    estimates["correlation"] = Estimate(
        value, correlation(again).std(axis=0, ddof=1), np.full(value.shape, np.nan)
    )
    return estimates


def _against_shots(found: Comparison, seen: Estimate, draws: int) -> Measure:
    """Eq. (6) with the shots as the reference; its floor has their noise as well."""
    reference = Estimate(found.shots_value, found.shots_error, seen.deviation)
    value, _ = relative_error(reference, Estimate(found.value, found.error, seen.deviation))
    scale = abs(float(found.shots_value)) or float("nan")
    ideal, noise = float(seen.deviation) / np.sqrt(draws), float(found.shots_error)
    floor = CONFIDENCE * ideal + np.sqrt(2 / np.pi) * np.hypot(ideal, noise)
    return Measure(
        value,
        float(np.hypot(found.error, noise)) / scale,
        float(floor) / scale,
        found.method,
        found.warning,
        found.effective_sample_size,
    )


def _spins(bits: Bits) -> Float64:
    return (1.0 - 2.0 * bits).astype(np.float64, copy=False)


def _bonds(z: Float64) -> Float64:
    """Mean over the bonds of Z_i Z_{i+1}, [draw]; NaN where there is no bond."""
    if z.shape[1] == 1:  # the mean of nothing would be warned of
        return np.full(len(z), np.nan)
    return np.asarray((z[:, :-1] * z[:, 1:]).mean(axis=1))


def _product_log_prob(bits: Bits) -> Float64:
    """log prod_i p_i(v_i) of each shot, p_i the frequencies of the shots themselves, [shot]."""
    ones = bits.mean(axis=0)
    log_odds = np.zeros(len(ones))
    mixed = (ones > 0) & (ones < 1)  # a bit that never varies has probability 1
    log_odds[mixed] = np.log(ones[mixed] / (1 - ones[mixed]))
    base = float(np.log1p(-ones[mixed]).sum())
    return bits @ log_odds + base
