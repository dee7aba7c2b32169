"""One number that says how much an RBM is damaged, with its error: what a search can hold down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import log_partition
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.against_state import Measure, Reference, Report, check_reference, evaluate
from psiprune.rbm.model import RBM

Metric = Callable[[RBM], Measure]
#: Measures against a state: those of `Report`, with 1 - fidelity in the place of fidelity.
STATE_METRICS = (
    "kl",
    "infidelity",
    "energy_roe",
    "energy_bias",
    "abs_magnetization_roe",
    "abs_magnetization_bias",
    "correlation_mse",
)
#: Measures against shots alone.
SHOTS_METRICS = ("abs_magnetization_roe", "log_likelihood_loss")
#: Shots for each parameter from which on what they fit of their noise is near (parameters) / 2.
_PER_PARAMETER = 4


def state_metric(name: str, reference: Reference, *, draws: int, seed: int) -> Metric:
    """The function RBM -> measure of that name in `evaluate`, the same draws for every RBM.

    Raises:
        InputError: there is no such measure, or it is one of energy and the state has no model; the
            function raises it for another number of sites.
    """
    check_state_metric(name)
    if name.startswith("energy") and reference.model is None:
        raise InputError(
            f"until: {name} needs a state with its Hamiltonian, and this state has none; give "
            "another measure, or a state of psiprune ground-state"
        )

    def gauge(rbm: RBM) -> Measure:
        check_reference(rbm, reference)
        return _of(evaluate(rbm, reference, draws=draws, seed=seed), name)

    return gauge


def shots_metric(name: str, dense: RBM, shots: Shots, *, draws: int, seed: int) -> Metric:
    """The function RBM -> measure of that name, from shots alone.

    abs_magnetization_roe is that of `evaluate_on_shots`. log_likelihood_loss is the mean over the
    shots of log p_dense(v) - log p(v), less (P_dense - P) / (2 shots), in nat a shot. What all
    shots have in common cancels in the mean, so its error is far below that of a log-likelihood.
    What is taken off is the noise of the shots that the dense RBM, with P_dense parameters, has
    fitted and an RBM with P cannot: as much as a fit of the right model loses on its own shots on
    average (Wilks 1938; AIC takes off twice that, to tell the loss on other shots). Otherwise a
    limit would mean less pruning the fewer the shots, though nothing be lost but noise. The value
    may be negative. That holds for many shots: with fewer than 4 P_dense the measure has a warning,
    and with fewer than P_dense, where an RBM may know its shots by heart, it is refused.

    Raises:
        InputError: there is no such measure, or log_likelihood_loss has fewer shots than P_dense.
    """
    _check(name, SHOTS_METRICS, "against shots alone; others need --state")
    if name == "abs_magnetization_roe":
        return lambda rbm: (
            evaluate_on_shots(rbm, shots, draws=draws, seed=seed).abs_magnetization_roe
        )
    parameters = dense.compact().number_of_parameters
    if len(shots) < (least := max(2, parameters)):
        raise InputError(
            f"shots: {name} needs at least {least:,}, as many as the RBM has parameters, found "
            f"{len(shots):,}; give more shots, or --state for measures against a state"
        )
    doubt = ""
    if len(shots) < (enough := _PER_PARAMETER * parameters):
        doubt = (
            f"with {len(shots):,} shots for {parameters:,} parameters what is taken off for noise "
            f"is a guess; it holds from {enough:,} shots on, {_PER_PARAMETER} for each parameter"
        )
    there = log_partition(dense, data=shots, seed=seed)
    log_p_dense = dense.log_prob_unnormalized(shots) - there.value

    def gauge(rbm: RBM) -> Measure:
        here = log_partition(rbm, data=shots, seed=seed)
        loss = log_p_dense - (rbm.log_prob_unnormalized(shots) - here.value)
        noise = loss.std(ddof=1) / np.sqrt(len(loss))
        error = float(np.sqrt(noise**2 + here.error**2 + there.error**2))
        fewer = parameters - rbm.compact().number_of_parameters
        warning = "; ".join(part for part in (doubt, here.warning) if part)
        value = float(loss.mean()) - max(0, fewer) / (2 * len(shots))
        return Measure(value, error, 0.0, f"log Z by {here.method}", warning)

    return gauge


def check_state_metric(name: str) -> None:
    """Raise InputError unless there is such a measure against a state."""
    _check(name, STATE_METRICS, "against a state")


def _of(report: Report, name: str) -> Measure:
    if name != "infidelity":
        return getattr(report, name)
    there = report.fidelity
    return Measure(1.0 - there.value, there.error, 1.0 - there.floor, there.method, there.warning)


def _check(name: str, known: tuple[str, ...], where: str) -> None:
    if name not in known:
        raise InputError(f"until: must be one of {', '.join(known)} {where}, found {name!r}")
