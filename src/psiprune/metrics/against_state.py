"""How far an RBM is from a reference state: KL, fidelity, eROE, mROE, C_MSE; exact and sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.inference.ais import log_mean
from psiprune.inference.bridge import bridge
from psiprune.inference.log_partition import FEWEST_EFFECTIVE, exact_log_partition
from psiprune.metrics.draws import Draws, draw
from psiprune.metrics.observables import (
    Estimate,
    Observables,
    exact_observables,
    reference_observables,
    sampled_observables,
)
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS, sample
from psiprune.states.tfim import TFIM

Float64 = NDArray[np.float64]
#: Half-width of the paper's 99 % confidence interval in standard errors, its c.
CONFIDENCE = 2.576


@dataclass(frozen=True)
class Measure:
    """One error measure.

    Attributes:
        value: the measure itself.
        error: its standard error; 0 where nothing is sampled.
        floor: what a perfect model would show with the same number of draws or training shots.
        method: how the value was found.
        warning: why value and error cannot be trusted; empty if nothing speaks against them.
        effective_sample_size: how many independent draws would give the same error; None where
            nothing is sampled. Weights count by (sum w)^2 / sum w^2.
    """

    value: float
    error: float
    floor: float
    method: str
    warning: str = ""
    effective_sample_size: float | None = None


class Measures(NamedTuple):
    """The values alone; names as in `Report`."""

    kl: float
    infidelity: float
    energy_bias: float
    abs_magnetization_bias: float
    correlation_mse: float
    magnetization: float
    abs_magnetization: float


@dataclass(frozen=True)
class Report:
    """What an RBM costs in physics, against a reference state.

    Attributes:
        kl: D(q || p) = sum_v q log(q / p), natural log, q the reference (paper, Eq. 3).
        fidelity: |<psi|Psi>|^2 = (sum_v sqrt(p q))^2 (Eq. 4).
        energy_roe, abs_magnetization_roe: relative observable error with its confidence interval,
            the larger of |O_ref - (O -/+ 2.576 error)| / |O_ref| (Eq. 6).
        energy_bias, abs_magnetization_bias: the same without the interval, |O_ref - O| / |O_ref|.
        correlation_mse: mean over d of (C(d) - C_ref(d))^2 (after Eq. 8).
        observables: what the RBM's samples say of m, |m|, C(d) and the energy.
        exact: the measures by sums over all states, up to 20 sites; else None.
    """

    kl: Measure
    fidelity: Measure
    energy_roe: Measure
    energy_bias: Measure
    abs_magnetization_roe: Measure
    abs_magnetization_bias: Measure
    correlation_mse: Measure
    observables: Observables
    exact: Measures | None

    def __iter__(self) -> Iterator[tuple[str, Measure]]:
        """(name, measure) of each measure."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return ((name, value) for name, value in values if isinstance(value, Measure))


def kl_divergence(log_q: Float64, log_p: Float64) -> float:
    """sum_v q (log q - log p) over the whole basis, both [2^N] and normalised; q = 0 adds 0."""
    q = np.exp(log_q)
    there = q > 0
    return float(q[there] @ (log_q[there] - log_p[there]))


def fidelity(log_q: Float64, log_p: Float64) -> float:
    """(sum_v sqrt(q p))^2 over the whole basis, both [2^N] and normalised."""
    return float(np.exp(0.5 * (log_q + log_p)).sum() ** 2)


def relative_error(reference: Estimate, found: Estimate) -> tuple[float, float]:
    """(ROE, bias) of an observable: the paper's Eq. (6), and without the confidence interval.

    NaN where the reference is 0, as nothing is relative to it.
    """
    scale = abs(float(reference.value)) or float("nan")
    bias = abs(float(found.value - reference.value))
    return (bias + CONFIDENCE * float(found.error)) / scale, bias / scale


def correlation_mse(reference: Estimate, found: Estimate) -> float:
    """Mean over d of the squared difference of C(d)."""
    return float(np.mean((found.value - reference.value) ** 2))


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference state with all that is computed from it once.

    Attributes:
        state: the MPS.
        model: its Hamiltonian; without one the energy measures are NaN.
        observables: exact, from the tensors.
        log_q: log |<v|Psi>|^2 over the whole basis [2^N], or None above 20 sites.
    """

    state: MPS
    model: TFIM | None
    observables: Observables
    log_q: Float64 | None


@single_blas_thread()
def reference_of(state: MPS) -> Reference:
    """Prepare a state as the reference of many evaluations.

    Raises:
        InputError: amplitudes of both signs (seen up to 20 sites), which sqrt(p) cannot have.
    """
    log_q = None
    if state.sites <= EXACT_SITES:
        vector = state.to_vector()
        if min(abs(vector.min()), abs(vector.max())) > 1e-6 and vector.min() * vector.max() < 0:
            raise InputError(
                "state: has amplitudes of both signs, but an RBM here stands for psi = sqrt(p); "
                "choose a basis in which the state is positive"
            )
        with np.errstate(divide="ignore"):  # amplitude 0
            log_q = 2.0 * np.log(np.abs(vector))
    return Reference(state, state.model, reference_observables(state), log_q)


@single_blas_thread()
def exact_measures(rbm: RBM, reference: Reference) -> Measures:
    """Measure an RBM by sums over the whole basis, for N <= 20.

    Raises:
        InputError: the RBM has another number of sites than the state, or N > 20.
    """
    check_reference(rbm, reference)
    if reference.log_q is None:
        raise InputError(f"rbm: exact measures need N <= {EXACT_SITES}, found {rbm.visible}")
    log_p = rbm.log_prob_all() - rbm.log_partition()
    found = exact_observables(np.exp(log_p), rbm.visible, reference.model)
    truth = reference.observables
    return Measures(
        kl_divergence(reference.log_q, log_p),
        1.0 - fidelity(reference.log_q, log_p),
        relative_error(truth.energy, found.energy)[1],
        relative_error(truth.abs_magnetization, found.abs_magnetization)[1],
        correlation_mse(truth.correlation, found.correlation),
        float(found.magnetization.value),
        float(found.abs_magnetization.value),
    )


def measures(rbm: RBM, reference: Reference, *, draws: int, seed: int) -> Measures:
    """The values alone: sums over the whole basis up to 20 sites, above as `evaluate` samples."""
    if reference.log_q is not None:
        return exact_measures(rbm, reference)
    report = evaluate(rbm, reference, draws=draws, seed=seed)
    return Measures(
        report.kl.value,
        1.0 - report.fidelity.value,
        report.energy_bias.value,
        report.abs_magnetization_bias.value,
        report.correlation_mse.value,
        float(report.observables.magnetization.value),
        float(report.observables.abs_magnetization.value),
    )


@single_blas_thread()
def evaluate(rbm: RBM, state: MPS | Reference, *, draws: int = 100_000, seed: int = 0) -> Report:
    """Every error measure of an RBM against a reference state, each with error, floor and method.

    N <= 20: KL and fidelity are sums over all states. Above: KL = E_q[log q - log p~] + log Z from
    draws of the reference. log Z is exact where a sum or contraction takes up to minutes; else with
    A = E_q[sqrt(p~/q)] and B = E_p[sqrt(q/p~)], Z = A/B and fidelity = A B (Bennett's bridge).
    Energy, |m| and C(d) come from `draws` samples of the RBM, as in the paper.

    Raises:
        InputError: the RBM has another number of sites than the state, or draws < 100.
    """
    reference = state if isinstance(state, Reference) else reference_of(state)
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    check_reference(rbm, reference)
    model = reference.model

    def likely(number: int) -> NDArray[np.uint8]:
        return sample(reference.state, number, seed=derive_seed(seed, Stream.REFERENCE_START)).bits

    drawn = draw(rbm, likely, draws, seed, model)
    found = sampled_observables(rbm, drawn.bits, model)
    truth = reference.observables
    count = drawn.bits.shape[0] * drawn.bits.shape[1]

    def measure(value: float, error: float, floor: float, name: str) -> Measure:
        size = effective_draws(getattr(found, name), count, drawn.bits.shape[1])
        return Measure(value, error, floor, drawn.method, drawn.warning, size)

    def relative(name: str) -> tuple[Measure, Measure]:
        there, here = getattr(truth, name), getattr(found, name)
        roe, bias = relative_error(there, here)
        scale = abs(float(there.value)) or float("nan")
        error = float(here.error) / scale
        ideal = float(there.deviation) / np.sqrt(count) / scale
        # E|z| of a normal deviate is sqrt(2 / pi): the mean bias of a perfect model.
        return (
            measure(roe, error, CONFIDENCE * ideal, name),
            measure(bias, error, float(np.sqrt(2 / np.pi)) * ideal, name),
        )

    mse = measure(
        correlation_mse(truth.correlation, found.correlation),
        _mse_error(truth.correlation, found.correlation),
        float(np.mean(truth.correlation.deviation**2)) / count,
        "correlation",
    )
    exact = None if reference.log_q is None else exact_measures(rbm, reference)
    if exact is None:
        kl, overlap = _sampled_distribution_measures(rbm, reference, drawn, draws, seed)
    else:
        floor, method = statistical_floor(rbm), "sum over all states"
        kl = Measure(exact.kl, 0.0, floor, method)
        overlap = Measure(1.0 - exact.infidelity, 0.0, 1 - floor / 2, method)
    return Report(
        kl, overlap, *relative("energy"), *relative("abs_magnetization"), mse, found, exact
    )


def effective_draws(found: Estimate, count: int, length: int) -> float:
    """How many independent draws have this error: (deviation / error)^2, the least of an array.

    From `count` draws in chains of `length`. At most `count`, and exactly that for lone draws.
    """
    error, deviation = np.atleast_1d(found.error), np.atleast_1d(found.deviation)
    noisy = error > 0
    if length == 1 or not noisy.any():
        return float(count)
    return float(min(count, ((deviation[noisy] / error[noisy]) ** 2).min()))


def check_reference(rbm: RBM, reference: Reference) -> None:
    """Raise InputError unless the RBM has as many sites as the reference."""
    if rbm.visible != reference.state.sites:
        raise InputError(
            f"rbm: has {rbm.visible} visible units, but the state has {reference.state.sites} sites"
        )


def statistical_floor(rbm: RBM) -> float:
    """parameters / (2 shots): the mean KL of a maximum-likelihood fit of a correct model, in nat.

    Parameters that change nothing (of hidden units with at most one weight) do not count. NaN where
    the number of training shots is not known, or so small that the formula, which holds for many
    shots, gives more than 0.5.
    """
    shots = rbm.provenance.get("training_shots")
    if not isinstance(shots, int) or shots < 1:
        return float("nan")
    floor = rbm.compact().number_of_parameters / (2 * shots)
    return floor if floor <= 0.5 else float("nan")


def _sampled_distribution_measures(
    rbm: RBM, reference: Reference, drawn: Draws, draws: int, seed: int
) -> tuple[Measure, Measure]:
    """KL and fidelity above 20 sites."""
    floor = statistical_floor(rbm)
    configurations = sample(
        reference.state, draws, seed=derive_seed(seed, Stream.REFERENCE_KL)
    ).bits
    log_ratio = rbm.log_prob_unnormalized(configurations) - reference.state.log_prob(configurations)
    warning = ""
    exact = exact_log_partition(rbm)
    if exact is not None:
        log_z, size = exact.value, float(draws)
        # E_q[sqrt(p~/q)] in the log domain: p~ may be beyond the range of floats.
        a, a_error, overlap_size = log_mean(0.5 * log_ratio)
        overlap = float(np.exp(2 * a - log_z))
        overlap_error = 2 * overlap * a_error
        gap, kl_error = _mean_and_error(-log_ratio)
        method = f"reference draws, log Z by {exact.method}"
    else:
        chains, length, sites = drawn.bits.shape
        flat = drawn.bits.reshape(-1, sites)
        there = rbm.log_prob_unnormalized(flat) - reference.state.log_prob(flat)
        crossing = bridge(log_ratio, there.reshape(chains, length))
        log_z = crossing.log_partition
        overlap, overlap_error = crossing.fidelity, crossing.fidelity_error
        size = overlap_size = crossing.effective_sample_size
        method = "reference draws, log Z by a bridge"
        # KL = E_q[-r] + log A - log B, and the first two come from the same draws: to first order
        # a draw moves them by -r + w / mean(w), w = exp(r / 2).
        weight = np.exp(0.5 * (log_ratio - log_ratio.max()))
        gap = -float(log_ratio.mean())
        _, here = _mean_and_error(weight / weight.mean() - log_ratio)
        kl_error = float(np.hypot(here, crossing.reverse_error))
        warning = drawn.warning
        if overlap > 1 + 5 * overlap_error:
            warning = f"is impossible (fidelity {overlap:.2g}): the chains have not converged"
        elif crossing.effective_sample_size < FEWEST_EFFECTIVE:
            warning = (
                f"rests on {crossing.effective_sample_size:.1f} effective draws: the RBM and the "
                "state hardly overlap, so neither value nor error can be trusted"
            )
    doubt = warning
    if not doubt and overlap_size < FEWEST_EFFECTIVE:
        doubt = (
            f"rests on {overlap_size:.1f} effective draws: the RBM and the state hardly overlap, "
            "so neither value nor error can be trusted"
        )
    return (
        Measure(gap + log_z, kl_error, floor, method, warning, size),
        Measure(overlap, overlap_error, 1 - floor / 2, method, doubt, overlap_size),
    )


def _mse_error(reference: Estimate, found: Estimate) -> float:
    """The standard error of `correlation_mse`, for normal noise of covariance S on the C(d).

    The variance of the mean of (b_d + noise_d)^2 over n distances is (4 b.S.b + 2 tr S^2) / n^2,
    and the observed b.S.b is larger than that of the bias itself by tr S^2. All C(d) share a site,
    so their noise is far from independent.
    """
    assert found.covariance is not None  # C(d) is an array
    s, b = found.covariance, found.value - reference.value
    noise = float((s * s).sum())
    spread = 4.0 * max(float(b @ s @ b) - noise, 0.0) + 2.0 * noise
    return float(np.sqrt(spread)) / np.size(b)


def _mean_and_error(values: Float64) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
