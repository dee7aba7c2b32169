"""Evaluate an RBM against measured shots alone, where no reference state is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.dependence import Blocks, find_dependence
from psiprune.data.diagnostics import DataWarning
from psiprune.data.shots import as_shots, check_sites
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.bootstrap import at_least_one_shot, bootstrap_means
from psiprune.metrics.corrected import CorrectedEstimate, corrected_estimates
from psiprune.metrics.custom import Observable, check_names, observe
from psiprune.metrics.draws import draw_from_data
from psiprune.metrics.measure import CONFIDENCE, Measure, effective_draws, relative_error
from psiprune.metrics.observables import (
    Estimate,
    chain_mean,
    mean_bond,
    sampled_observables,
    spins,
)
from psiprune.metrics.rates_error import errors_from_rates, trained_through
from psiprune.rbm.model import RBM, Data
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Resamples behind the error of a custom observable that is one number for all shots; the function
#: is called for each resample. The error itself is accurate to 7 %.
SCALAR_RESAMPLES = 100


@one_line
@dataclass(frozen=True, eq=False)
class Comparison:
    """An observable, scalar or [distance], of the RBM and of the shots.

    Attributes:
        value, error: the mean over the RBM's draws and its standard error.
        shots_value, shots_error: the mean over the shots and its standard error by bootstrap.
        method: how the RBM's value was computed.
        warning: why it cannot be trusted; empty if no problem was detected.
        effective_sample_size: how many independent draws of the RBM would give the same error.
        variance: of a single shot, the larger of what the shots and the RBM's draws show.
        shots_sampling_error: the part of `shots_error` that is independent of the RBM. Less where
            the RBM and the estimate from the shots rest on the same calibration, whose error
            cancels in their difference; None where it is all of it.
        rates_error: standard error of `value` from that of the readout error rates that the RBM was
            trained with, beside `error`; None where it is not known. See `errors_from_rates`.
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    shots_value: Float64 | np.float64
    shots_error: Float64 | np.float64
    method: str
    warning: str
    effective_sample_size: float
    variance: Float64 | np.float64
    shots_sampling_error: Float64 | np.float64 | None = None
    rates_error: Float64 | np.float64 | None = None

    @property
    def sigmas(self) -> Float64:
        """(value - shots_value) over the combined error; 0 where the values are equal."""
        gap = np.asarray(self.value - self.shots_value)
        of_shots = self.shots_sampling_error
        error = np.hypot(self.error, self.shots_error if of_shots is None else of_shots)
        with np.errstate(divide="ignore"):  # a difference with error 0 is infinite
            return np.divide(gap, error, out=np.zeros(gap.shape), where=gap != 0)


@dataclass(frozen=True, eq=False)
class ShotsReport:
    """How well an RBM describes shots. Log-likelihoods in nats per shot, mean over the shots.

    Attributes:
        shots: number of shots.
        effective_shots: how many independent shots have the same errors.
        block: shots that the bootstrap resamples together; 1 if shots are independent.
        shots_warnings: what `describe_shots` says against the shots themselves.
        log_likelihood: mean log p(v). Its error combines the bootstrap error of the shots with the
            error of log Z. On the RBM's training set it is biased upwards, see `training_excess`.
        product_log_likelihood: the same of a product model (independent bits) with the means of
            these shots, as a baseline.
        log_likelihood_gain: log_likelihood - product_log_likelihood, shot by shot.
        abs_magnetization_roe: relative error of <|m|> with its confidence interval, Eq. (6) of the
            paper with the shots as the reference. The floor is what a perfect model would show on
            average, with the noise of as many draws and as many shots.
        magnetization, abs_magnetization: <m> and <|m|>, m = sum_i Z_i / N.
        neighbours: <Z_i Z_{i+1}>, mean over the bonds; NaN for one site.
        correlation: C(d) = <Z_i Z_j> - <Z_i><Z_j> from site i = N/2 to j = N/2 + d, [distance].
        training_excess: estimated upward bias of the log-likelihood if the RBM was trained on these
            shots: parameters / effective shots (Akaike 1974), without parameters that change
            nothing. Half of it was gained on the training shots, half lost on others. NaN with
            fewer shots than parameters, as the formula holds for many shots.
        custom: custom observables by name.
        state: for shots with readout errors the magnetization, neighbours and correlation of the
            true bits: of the RBM, and estimated from the records by inverting the confusion
            matrices (`psiprune.metrics.corrected`). `shots_error` includes that of the calibration;
            that of the RBM is `rates_error`. `sigmas` leaves out both, which cancel, if the RBM was
            trained with the same matrices (`readout_sha256` in its provenance). All other metrics
            are those of the records.
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
    effective_shots: float
    block: int
    shots_warnings: tuple[DataWarning, ...] = ()
    custom: Mapping[str, Comparison] = field(default_factory=dict)
    state: Mapping[str, Comparison] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the number of shots and the log-likelihoods in one line."""
        values = (
            f"{name}={measure.value:.5g} +- {measure.error:.2g}"
            for name, measure in self
            if name in ("log_likelihood", "log_likelihood_gain")
        )
        return f"ShotsReport(shots={self.shots}, {', '.join(values)})"

    def __iter__(self) -> Iterator[tuple[str, Measure | Comparison]]:
        """Yield (name, measure or comparison) of each metric; "state_..." of the true bits."""
        values = {item.name: getattr(self, item.name) for item in fields(self)} | dict(self.custom)
        values |= {f"state_{name}": comparison for name, comparison in self.state.items()}
        for name, value in values.items():
            if isinstance(value, Measure | Comparison):
                yield name, value

    def comparison(self, name: str) -> Comparison:
        """Return the observable of that name, a custom one too."""
        comparison: Comparison = self.custom[name] if name in self.custom else getattr(self, name)
        return comparison


#: Names that a custom observable cannot have.
TAKEN = tuple(item.name for item in fields(ShotsReport))


@single_blas_thread()
def evaluate_on_shots(
    rbm: RBM,
    shots: Data,
    *,
    draws: int = 100_000,
    seed: int = 0,
    observables: Mapping[str, Observable] | None = None,
    blocks: Blocks | None = None,
    rate_sets: int = 16,
    progress: bool = True,
) -> ShotsReport:
    """Return the log-likelihood of shots, and m, |m|, <Z Z> and C(d) of the RBM against theirs.

    Use held-out shots: an RBM does not record which shots it was trained on.

    Of shots with readout errors, log p(y) of the records takes the place of log p(v)
    (`psiprune.inference.recorded`), and what is compared with the records are the RBM's draws, read
    with these errors: the report is about the records, and `state` about the true bits.

    log Z comes from `log_partition`; the RBM's observables from `draws` samples, independent where
    possible, else from Gibbs chains, as in `evaluate`. Errors of the shots are standard deviations
    over 400 bootstrap resamples of the shots (Efron 1979), or of blocks of consecutive ones where
    `find_dependence` finds that shots are not independent; where all n independent shots agree, 1/n
    instead of 0 (or |value|/n, if that is larger).

    Args:
        rbm: the RBM.
        shots: measured bits [shot, site] in the Z basis or counts by bit string, at least 2 shots.
        draws: samples of the RBM.
        seed: of the draws, of annealing and of the bootstrap.
        observables: custom observables by name, functions bits [shot, site] -> a value for each
            shot, or one for all; the error of one for all takes 100 resamples of shots and draws.
        blocks: of the shots, if they are part of a record that was judged; None judges them.
        rate_sets: sets of readout error rates, drawn within their uncertainty, behind `rates_error`
            in `state`; 0 omits it.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: the shots are fewer than 2, of another number of sites or in another basis,
            draws < 100, rate_sets < 0, or a custom observable fails.
    """
    observables = observables or {}
    check_names(observables, TAKEN)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    rate_sets = check_count("rate_sets", rate_sets, 0)
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    if len(data) < 2:
        raise InputError(f"{data.source}: an error bar needs at least 2 shots, found {len(data)}")
    bits, found = data.bits, None
    if blocks is None:
        found = find_dependence(data)
        blocks = found.blocks
        if blocks.length > 1:
            bits = bits[found.order]
    # The draws have a stream of their own, as shots may be draws of this RBM with the same seed.
    with progress_bar(None, "sampling the RBM", "Gibbs steps", progress):
        drawn = draw_from_data(rbm, bits, draws, seed, Stream.SHOTS_START, Stream.SHOTS_DRAWS)
    chains, length, _ = drawn.bits.shape
    true = {} if data.readout is None else _rbm_estimates(rbm, drawn.bits)
    of_true = drawn.method
    drawn = drawn.recorded(data.readout, derive_seed(seed, Stream.SHOTS_RECORDS))
    estimates = _rbm_estimates(rbm, drawn.bits)
    log_z = log_partition(rbm, data=data, seed=seed, progress=progress)
    log_p = shots_log_prob(rbm, replace(data, bits=bits), log_z, seed)
    of_state: dict[str, CorrectedEstimate] = {}
    shared = data.readout is not None and trained_through(rbm, data.readout)
    if data.readout is not None:
        of_state = corrected_estimates(bits, data.readout, seed, blocks)
    of_rates = errors_from_rates(rbm, data, rate_sets, seed)
    custom = {name: observe(name, function, bits) for name, function in observables.items()}
    by_shot = {name: values for name, values in custom.items() if values.ndim}
    of_shots = _shots_estimates(bits, log_p.values, by_shot, seed, blocks)
    size = blocks.effective(len(data))
    for name, function in observables.items():
        estimates[name] = _custom_estimate(name, function, drawn.bits, seed)
        if name not in of_shots:
            estimate = _custom_estimate(name, function, bits[:, None, :], seed, blocks.length)
            error = at_least_one_shot(np.asarray(estimate.error), np.asarray(estimate.value), size)
            of_shots[name] = replace(estimate, error=np.float64(error))

    def compare(model: Estimate, target: Estimate, method: str = drawn.method) -> Comparison:
        drawn_size = effective_draws(model, chains * length, length)
        variance = np.maximum(size * target.error**2, drawn_size * model.error**2)
        values = model.value, model.error, target.value, target.error
        return Comparison(*values, method, drawn.warning, drawn_size, variance)

    size_of_rbm = min(size, log_z.effective_sample_size or size)
    warning = f"depends on log Z, and {log_z.warning}" if log_z.warning else ""

    def of_rbm(name: str) -> Measure:
        value, error = float(of_shots[name].value), float(of_shots[name].error)
        error = float(np.linalg.norm([error, log_p.error, log_p.bias]))
        return Measure(value, error, float("nan"), log_p.method, warning, size_of_rbm)

    product = of_shots["product_log_likelihood"]
    method = "independent bits, with the means of these shots"
    parameters = rbm.compact().number_of_parameters
    compared = {name: compare(estimates[name], of_shots[name]) for name in estimates}
    absolute = compared["abs_magnetization"]
    return ShotsReport(
        len(data),
        of_rbm("log_likelihood"),
        Measure(float(product.value), float(product.error), float("nan"), method, "", size),
        of_rbm("log_likelihood_gain"),
        _relative_to_shots(
            estimates["abs_magnetization"], of_shots["abs_magnetization"], chains * length, absolute
        ),
        compared["magnetization"],
        absolute,
        compared["neighbours"],
        compared["correlation"],
        parameters / size if parameters <= size else float("nan"),
        size,
        blocks.length,
        () if found is None else found.warnings,
        {name: compared[name] for name in observables},
        {
            name: replace(
                compare(true[name], target, of_true),
                shots_sampling_error=target.sampling_error if shared else None,
                rates_error=of_rates.get(name),
            )
            for name, target in of_state.items()
        },
    )


def _rbm_estimates(rbm: RBM, bits: Bits) -> dict[str, Estimate]:
    """Return the observables of a `ShotsReport` over draws of the RBM, bits [chain, draw, site]."""
    chains, length, sites = bits.shape
    sampled = sampled_observables(rbm, bits, None)
    return {
        "magnetization": sampled.magnetization,
        "abs_magnetization": sampled.abs_magnetization,
        "correlation": sampled.correlation,
        "neighbours": chain_mean(mean_bond(spins(bits.reshape(-1, sites))).reshape(chains, length)),
    }


def _custom_estimate(
    name: str, function: Observable, bits: Bits, seed: int, block: int = 1
) -> Estimate:
    """Return a custom observable of draws, bits [chain, draw, site], with its error.

    For one number for all draws, the error is that of 100 resamples of whole chains, or of blocks
    of consecutive ones; the deviation of one draw is unknown (NaN).
    """
    chains, draws, sites = bits.shape
    values = observe(name, function, bits.reshape(-1, sites))
    if values.ndim:
        return chain_mean(values.reshape(chains, draws))
    generator = generator_for(seed, Stream.BOOTSTRAP_CHAINS)
    starts = np.arange(0, chains, block)

    def resample() -> Bits:
        drawn = generator.integers(0, len(starts), len(starts))
        rows = starts[drawn][:, None] + np.arange(block)
        return bits[rows[rows < chains]].reshape(-1, sites)

    resampled = [observe(name, function, resample()) for _ in range(SCALAR_RESAMPLES)]
    error = np.float64(np.std(resampled, ddof=1))
    return Estimate(np.float64(values), error, np.float64("nan"))


def _shots_estimates(
    bits: Bits, log_p: Float64, custom: Mapping[str, Float64], seed: int, blocks: Blocks
) -> dict[str, Estimate]:
    """Return the shots' estimates with bootstrap errors; log_p [shot] is the RBM's log p(v)."""
    z = spins(bits)
    m, right = z.mean(axis=1), z[:, midpoint(bits.shape[1]) :]
    product = _product_log_prob(bits)
    likelihoods = {
        "log_likelihood": log_p,
        "product_log_likelihood": product,
        "log_likelihood_gain": log_p - product,
    }
    scalars = {
        **likelihoods,
        "magnetization": m,
        "abs_magnetization": np.abs(m),
        **custom,
    }
    if bits.shape[1] > 1:
        scalars["neighbours"] = mean_bond(z)
    table = np.column_stack([*scalars.values(), right, right[:, :1] * right])
    centre, spread = table.mean(axis=0), table.std(axis=0)
    table -= centre  # so that float32 is accurate enough
    resampled = centre + bootstrap_means(table.astype(np.float32), seed, blocks.length)
    errors = resampled.std(axis=0, ddof=1)
    observed = slice(len(likelihoods), None)
    shots = blocks.effective(len(bits))
    errors[observed] = at_least_one_shot(errors[observed], centre[observed], shots)
    estimates = {name: Estimate(centre[k], errors[k], spread[k]) for k, name in enumerate(scalars)}
    nan = np.float64("nan")
    estimates.setdefault("neighbours", Estimate(nan, nan, nan))

    def correlation(means: Float64) -> Float64:
        one, products = np.split(means[..., len(scalars) :], 2, axis=-1)
        return np.asarray(products - one[..., :1] * one)

    value = correlation(centre)
    error = at_least_one_shot(correlation(resampled).std(axis=0, ddof=1), value, shots)
    return estimates | {"correlation": Estimate(value, error, np.full(value.shape, np.nan))}


def _relative_to_shots(
    model: Estimate, shots: Estimate, draws: int, comparison: Comparison
) -> Measure:
    """Return Eq. (6) with the shots as the reference; the floor includes the noise of the shots."""
    scale = float(shots.value) or float("nan")
    ideal, noise = float(shots.deviation) / np.sqrt(draws), float(shots.error)
    floor = CONFIDENCE * ideal + np.sqrt(2 / np.pi) * np.hypot(ideal, noise)
    return Measure(
        relative_error(shots, model)[0],
        float(np.hypot(model.error, noise)) / scale,
        float(floor) / scale,
        comparison.method,
        comparison.warning,
        comparison.effective_sample_size,
    )


def _product_log_prob(bits: Bits) -> Float64:
    """Return log prod_i p_i(v_i) of each shot, p_i the frequencies of these shots, [shot]."""
    ones = bits.mean(axis=0)
    log_odds = np.zeros(len(ones))
    mixed = (ones > 0) & (ones < 1)  # a bit that never varies has probability 1
    log_odds[mixed] = np.log(ones[mixed] / (1 - ones[mixed]))
    base = float(np.log1p(-ones[mixed]).sum())
    return bits @ log_odds + base
