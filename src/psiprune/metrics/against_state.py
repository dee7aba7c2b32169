"""Evaluate an RBM against a reference state: KL, fidelity, eROE, mROE, C_MSE, exact or sampled."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.divergence import (
    fidelity,
    kl_divergence,
    sampled_kl_and_fidelity,
    statistical_floor,
)
from psiprune.metrics.draws import Draws, draw
from psiprune.metrics.entanglement import exact_entanglement, swap_estimate
from psiprune.metrics.measure import CONFIDENCE, Measure, effective_draws, relative_error
from psiprune.metrics.observable_text import GivenObservables
from psiprune.metrics.observables import (
    Estimate,
    exact_observables,
    sampled_observables,
)
from psiprune.metrics.observed import observe_against_state
from psiprune.metrics.reference import Reference, reference_of
from psiprune.metrics.shots_report import ShotsReport
from psiprune.metrics.state_report import MetricValues, Report
from psiprune.rbm.model import RBM, Data
from psiprune.states.mps import MPS
from psiprune.states.sampling import sample

Float64 = NDArray[np.float64]


def correlation_mse(reference: Estimate, estimate: Estimate) -> float:
    """Return the mean over d of the squared difference of C(d)."""
    return float(np.mean((estimate.value - reference.value) ** 2))


@single_blas_thread()
def exact_metrics(rbm: RBM, reference: Reference) -> MetricValues:
    """Return the metrics of an RBM by sums over the whole basis, for N <= 20.

    Raises:
        InputError: the RBM has another number of sites than the state, or N > 20.
    """
    check_reference(rbm, reference)
    if reference.log_q is None:
        raise InputError(
            f"rbm: exact metrics need N <= {EXACT_SITES}, found {rbm.visible}; use `evaluate`, "
            "which samples"
        )
    log_p = rbm.log_prob_all() - rbm.log_partition()
    model = exact_observables(np.exp(log_p), rbm.visible, reference.model)
    truth = reference.observables
    return MetricValues(
        kl_divergence(reference.log_q, log_p),
        1.0 - fidelity(reference.log_q, log_p),
        relative_error(truth.energy, model.energy)[1],
        relative_error(truth.abs_magnetization, model.abs_magnetization)[1],
        correlation_mse(truth.correlation, model.correlation),
        float(model.magnetization.value),
        float(model.abs_magnetization.value),
    )


def metric_values(rbm: RBM, reference: Reference, *, draws: int, seed: int) -> MetricValues:
    """Return the values alone: exact up to 20 sites, above as `evaluate` samples them."""
    if reference.log_q is not None:
        return exact_metrics(rbm, reference)
    report = evaluate(rbm, reference, draws=draws, seed=seed)
    return MetricValues(
        report.kl.value,
        1.0 - report.fidelity.value,
        report.energy_bias.value,
        report.abs_magnetization_bias.value,
        report.correlation_mse.value,
        float(report.observables.magnetization.value),
        float(report.observables.abs_magnetization.value),
    )


@overload
def evaluate(
    rbm: RBM,
    reference: MPS | Reference,
    *,
    draws: int = ...,
    seed: int = ...,
    observables: GivenObservables | None = ...,
    progress: bool = ...,
) -> Report: ...
@overload
def evaluate(
    rbm: RBM,
    reference: Data,
    *,
    draws: int = ...,
    seed: int = ...,
    observables: GivenObservables | None = ...,
    progress: bool = ...,
) -> ShotsReport: ...
@single_blas_thread()
def evaluate(
    rbm: RBM,
    reference: MPS | Reference | Data,
    *,
    draws: int = 100_000,
    seed: int = 0,
    observables: GivenObservables | None = None,
    progress: bool = True,
) -> Report | ShotsReport:
    """Evaluate an RBM against a reference state or against shots, with errors, floors and methods.

    With a state, N <= 20: KL and fidelity are sums over all states. Above they are means over draws
    of the state, with log Z exact where a sum or contraction takes up to minutes, else by Bennett's
    bridge. Energy, |m| and C(d) come from `draws` samples of the RBM, as in the paper.

    Args:
        rbm: the RBM.
        reference: a state; or shots (`Shots`, bits [shot, site] or counts by bit string), which
            `evaluate_on_shots` handles.
        draws: samples of the RBM, at least 100.
        seed: of all samples.
        observables: further ones, in the frame of the state: by name functions of bits
            [shot, site], sums of Pauli strings as `Hamiltonian` or text, or ready-made names; or a
            list of texts such as "X0 X3". A prepared `Reference` has its own.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        A `Report` for a state, a `ShotsReport` for shots.

    Raises:
        InputError: the RBM has another number of sites than the reference, draws < 100, or an
            observable cannot be read, fails, or is given for a prepared `Reference`.
    """
    if not isinstance(reference, MPS | Reference):
        return evaluate_on_shots(
            rbm, reference, draws=draws, seed=seed, observables=observables, progress=progress
        )
    if isinstance(reference, MPS):
        reference = reference_of(reference, observables)
    elif observables:
        raise InputError("observables: a prepared Reference has its own; give them to reference_of")
    draws, seed = check_count("draws", draws, 100), check_seed(seed)
    check_reference(rbm, reference)
    state, model, truth = reference.state, reference.model, reference.observables

    def start(number: int) -> NDArray[np.uint8]:
        return sample(state, number, seed=derive_seed(seed, Stream.REFERENCE_START)).bits

    with progress_bar(None, "sampling the RBM", "Gibbs steps", progress):
        drawn = draw(rbm, start, draws, seed, model)
    sampled = sampled_observables(rbm, drawn.bits, model)
    count = drawn.bits.shape[0] * drawn.bits.shape[1]

    def measure(value: float, error: float, floor: float, name: str) -> Measure:
        size = effective_draws(getattr(sampled, name), count, drawn.bits.shape[1])
        return Measure(value, error, floor, drawn.method, drawn.warning, size)

    def relative(name: str) -> tuple[Measure, Measure]:
        exact, estimate = getattr(truth, name), getattr(sampled, name)
        roe, bias = relative_error(exact, estimate)
        scale = abs(float(exact.value)) or float("nan")
        error = float(estimate.error) / scale
        ideal = float(exact.deviation) / np.sqrt(count) / scale
        # E|z| of a normal deviate is sqrt(2 / pi): the mean bias of a perfect model.
        return (
            measure(roe, error, CONFIDENCE * ideal, name),
            measure(bias, error, float(np.sqrt(2 / np.pi)) * ideal, name),
        )

    mse = measure(
        correlation_mse(truth.correlation, sampled.correlation),
        _mse_error(truth.correlation, sampled.correlation),
        float(np.mean(truth.correlation.deviation**2)) / count,
        "correlation",
    )
    exact = None if reference.log_q is None else exact_metrics(rbm, reference)
    if exact is None:
        kl, overlap = sampled_kl_and_fidelity(rbm, state, drawn, draws, seed)
    else:
        floor, method = statistical_floor(rbm), "sum over all states"
        kl = Measure(exact.kl, 0.0, floor, method)
        overlap = Measure(1.0 - exact.infidelity, 0.0, 1 - floor / 2, method)
    relative_errors = *relative("energy"), *relative("abs_magnetization")
    energy, variance = (
        measure(float(found.value), float(found.error), floor, name)
        for name, found, floor in (
            ("energy", sampled.energy, float(truth.energy.value)),
            ("energy_variance", sampled.energy_variance, 0.0),
        )
    )
    prob = None
    if reference.custom and exact is not None:
        prob = np.exp(rbm.log_prob_all() - rbm.log_partition())
    custom = observe_against_state(
        reference.custom, rbm, drawn.bits, prob, seed, drawn.method, drawn.warning
    )
    entropies = _entropies(rbm, reference, drawn)
    return Report(
        kl,
        overlap,
        *relative_errors,
        mse,
        energy,
        variance,
        sampled,
        exact,
        custom=custom,
        **entropies,
    )


def _entropies(rbm: RBM, reference: Reference, drawn: Draws) -> dict[str, Measure]:
    """Return entropies of half the sites and their losses, by their names in `Report`."""
    truth = reference.entanglement
    if reference.log_q is None:
        found = {"renyi2": swap_estimate(rbm, drawn, truth.cut)}
    else:
        exact = exact_entanglement(rbm, truth.cut)
        assert exact.entropy is not None
        found = {"entropy": exact.entropy, "renyi2": exact.renyi2}
    named: dict[str, Measure] = {}
    for name, measure in found.items():
        true = getattr(truth, name).value
        named[name] = replace(measure, floor=true)
        named[f"{name}_loss"] = replace(measure, value=true - measure.value, floor=0.0)
    return named


def check_reference(rbm: RBM, reference: Reference) -> None:
    """Raise InputError unless the RBM has as many sites as the reference."""
    if rbm.visible != reference.state.sites:
        raise InputError(
            f"rbm: has {rbm.visible} visible units, but the state has {reference.state.sites} sites"
        )


def _mse_error(reference: Estimate, estimate: Estimate) -> float:
    """Return the standard error of `correlation_mse`, for normal noise of covariance S on the C(d).

    The variance of the mean of (b_d + noise_d)^2 over n distances is (4 b.S.b + 2 tr S^2) / n^2,
    and the observed b.S.b is larger than that of the bias itself by tr S^2. All C(d) share a site,
    so their noise is far from independent.
    """
    assert estimate.covariance is not None  # C(d) is an array
    s, b = estimate.covariance, estimate.value - reference.value
    noise = float((s * s).sum())
    spread = 4.0 * max(float(b @ s @ b) - noise, 0.0) + 2.0 * noise
    return float(np.sqrt(spread)) / np.size(b)
