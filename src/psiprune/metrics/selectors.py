"""Select one metric by name, as a function of the RBM: what a search keeps below a limit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.settings import closest_choice
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import shots_log_prob
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.against_state import check_reference, evaluate
from psiprune.metrics.custom import Observable
from psiprune.metrics.entropy_observable import EntropyObservable
from psiprune.metrics.measure import Measure
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.metrics.reference import Reference
from psiprune.rbm.model import RBM

Metric = Callable[[RBM], Measure]
#: How far the entropies of half the sites are from those of the state, of either sign.
ENTROPY_METRICS = ("entropy_loss", "renyi2_loss")
#: Metrics against a state: those of `Report`, with 1 - fidelity in place of fidelity.
STATE_METRICS = (
    "kl",
    "infidelity",
    "energy_roe",
    "energy_bias",
    "abs_magnetization_roe",
    "abs_magnetization_bias",
    "correlation_mse",
    *ENTROPY_METRICS,
)
#: Those that need a Hamiltonian.
ENERGY_METRICS = ("energy_roe", "energy_bias")
#: Those that are relative to <|m|>.
_MAGNETIZATION_METRICS = ("abs_magnetization_roe", "abs_magnetization_bias")
#: Metrics against shots alone.
SHOTS_METRICS = ("abs_magnetization_roe", "log_likelihood_loss")
#: Shots per parameter from which the noise that a fit absorbs is close to parameters / 2.
_PER_PARAMETER = 4


def state_metric(name: str, reference: Reference, *, draws: int, seed: int) -> Metric:
    """Return the function RBM -> metric of that name in `evaluate`, with the same draws each time.

    Of an observable of the reference it is the largest distance |O - O_ref|, and so of an entropy.

    Raises:
        InputError: the name is unknown, an energy is asked of a state without a model, an error
            relative to <|m|> of one with m = 0, or entropy_loss above 20 sites; the function raises
            it for an RBM with another number of sites.
    """
    check_state_metric(name, (*reference.custom,))
    if f"{name}_loss" in ENTROPY_METRICS:
        name = f"{name}_loss"
    if name in ENERGY_METRICS and reference.model is None:
        raise InputError(
            f"until: {name} needs a state with its Hamiltonian, and this state has none; give "
            "another metric, or a state of psiprune ground-state"
        )
    if name in _MAGNETIZATION_METRICS and reference.observables.abs_magnetization.value == 0:
        raise InputError(
            f"until: {name} is undefined for this state, as m = 0 in all its configurations; give "
            "another metric, such as kl, infidelity or correlation_mse"
        )
    if name == "entropy_loss" and reference.log_q is None:
        raise InputError(
            f"until: {name} is known up to {EXACT_SITES} sites, found {reference.state.sites}; "
            "limit renyi2_loss"
        )

    def metric(rbm: RBM) -> Measure:
        check_reference(rbm, reference)
        report = evaluate(rbm, reference, draws=draws, seed=seed)
        if name in reference.custom:
            return report.custom[name].loss
        if name in ENTROPY_METRICS:
            measure: Measure = getattr(report, name)
            return replace(measure, value=abs(measure.value))
        if name != "infidelity":
            return getattr(report, name)
        f = report.fidelity
        return Measure(1.0 - f.value, f.error, 1.0 - f.floor, f.method, f.warning)

    return metric


def shots_metric(
    name: str,
    dense: RBM,
    shots: Shots,
    *,
    draws: int,
    seed: int,
    observables: Mapping[str, Observable] = MappingProxyType({}),
) -> Metric:
    """Return the function RBM -> metric of that name, from shots alone.

    abs_magnetization_roe is that of `evaluate_on_shots`. log_likelihood_loss is the mean over the
    shots of log p_dense(v) - log p(v), minus (P_dense - P) / (2 shots), in nats per shot; it may be
    negative. The second term is the noise of the shots that the dense RBM, with P_dense parameters,
    has fitted and an RBM with P cannot: as much as a fit of the right model loses on its training
    shots on average (Wilks 1938; AIC subtracts twice that, to predict the loss on other shots). It
    holds for many shots: with fewer than 4 P_dense the metric has a warning, and with fewer than
    P_dense, where an RBM may memorise its shots, it is refused. Of an observable it is the largest
    distance from the shots.

    Raises:
        InputError: the name is unknown, log_likelihood_loss has fewer shots than P_dense, m = 0 in
            all shots for abs_magnetization_roe, or an observable has X or Y.
    """
    known = (*SHOTS_METRICS, *observables)
    _check(name, known, "against shots alone", "; others need --state")
    if name in observables:
        return _shots_observable(name, observables[name], shots, draws, seed)
    if name == "abs_magnetization_roe":
        if (2 * shots.bits.sum(axis=1, dtype=np.int64) == shots.sites).all():
            raise InputError(
                f"until: {name} is undefined for these shots, as m = 0 in all of them; give "
                "another metric, such as log_likelihood_loss"
            )
        report = partial(
            evaluate_on_shots, draws=draws, seed=seed, rate_sets=0, training_noise=False
        )
        return lambda rbm: report(rbm, shots).abs_magnetization_roe
    parameters = dense.compact().number_of_parameters
    if len(shots) < (least := max(2, parameters)):
        raise InputError(
            f"shots: {name} needs at least {least:,}, as many as the RBM has parameters, found "
            f"{len(shots):,}; give more shots, or --state for metrics against a state"
        )
    few_shots = ""
    if len(shots) < (enough := _PER_PARAMETER * parameters):
        few_shots = (
            f"with {len(shots):,} shots for {parameters:,} parameters the correction for noise is "
            f"a rough estimate; it holds from {enough:,} shots, {_PER_PARAMETER} per parameter"
        )
    log_z_dense = log_partition(dense, data=shots, seed=seed)
    of_dense = shots_log_prob(dense, shots, log_z_dense, seed)

    def metric(rbm: RBM) -> Measure:
        log_z = log_partition(rbm, data=shots, seed=seed)
        of_rbm = shots_log_prob(rbm, shots, log_z, seed)
        loss = of_dense.values - of_rbm.values
        noise = loss.std(ddof=1) / np.sqrt(len(loss))
        shared = (of_rbm.error, of_rbm.bias, of_dense.error, of_dense.bias)
        error = float(np.linalg.norm([noise, *shared]))
        removed = parameters - rbm.compact().number_of_parameters
        warning = "; ".join(part for part in (few_shots, log_z.warning, of_rbm.warning) if part)
        value = float(loss.mean()) - max(0, removed) / (2 * len(shots))
        return Measure(value, error, 0.0, of_rbm.method, warning)

    return metric


def _shots_observable(
    name: str, observable: Observable, shots: Shots, draws: int, seed: int
) -> Metric:
    if isinstance(observable, PauliObservable | EntropyObservable):
        observable.check_diagonal(name)
    report = partial(
        evaluate_on_shots,
        shots=shots,
        draws=draws,
        seed=seed,
        observables={name: observable},
        rate_sets=0,
        training_noise=False,
    )
    return lambda rbm: report(rbm).custom[name].loss


def check_state_metric(name: str, observables: Collection[str] = ()) -> None:
    """Raise InputError unless the name is a metric against a state, or of an observable.

    "entropy" and "renyi2", as the observables are called, stand for their losses.
    """
    if f"{name}_loss" not in ENTROPY_METRICS:
        _check(name, (*STATE_METRICS, *observables), "against a state")


def _check(name: str, known: tuple[str, ...], where: str, more: str = "") -> None:
    if name not in known:
        meant = closest_choice(name, known)
        hint = f"; did you mean {meant}?" if meant else ""
        raise InputError(
            f"until: must be one of {', '.join(known)} {where}, or the name of an --observable"
            f"{more}, found {name!r}{hint}"
        )
