"""Distances between states against brute force, exact and sampled."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import machines
import rates
from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import exact_log_partition
from psiprune.metrics import against_state, divergence, draws
from psiprune.metrics.against_state import (
    _mse_error,
    correlation_mse,
    evaluate,
    exact_metrics,
    metric_values,
)
from psiprune.metrics.divergence import fidelity, kl_divergence, statistical_floor
from psiprune.metrics.measure import CONFIDENCE, effective_draws, relative_error
from psiprune.metrics.observables import Estimate, chain_mean
from psiprune.metrics.reference import Reference, reference_of
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.states.dmrg import ground_state
from psiprune.states.mps import mps_from_vector
from psiprune.states.sampling import sample
from psiprune.states.tfim import TFIM
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import train
from refusals import refuses

Float64 = NDArray[np.float64]


@cache
def ground(sites: int, field: float) -> Reference:
    return reference_of(ground_state(TFIM(sites=sites, field=field)))


def random_rbm(visible: int, hidden: int, scale: float = 0.3) -> RBM:
    generator = np.random.default_rng([visible, hidden])
    return RBM(
        generator.normal(0, scale, (hidden, visible)),
        generator.normal(0, 0.1, visible),
        generator.normal(0, 0.1, hidden),
    )


# --- measures --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_divergence_and_fidelity_by_brute_force(seed: int) -> None:
    q, p = np.random.default_rng(seed).dirichlet(np.ones(64), 2)
    kl, overlap = 0.0, 0.0
    for v in range(64):
        kl += q[v] * np.log(q[v] / p[v])
        overlap += np.sqrt(q[v]) * np.sqrt(p[v])
    assert kl_divergence(np.log(q), np.log(p)) == pytest.approx(kl, rel=1e-12)
    assert fidelity(np.log(q), np.log(p)) == pytest.approx(overlap**2, rel=1e-12)
    assert kl_divergence(np.log(q), np.log(q)) == 0
    assert fidelity(np.log(q), np.log(q)) == pytest.approx(1)
    # The order matters, and the root of the fidelity is another number.
    assert kl_divergence(np.log(p), np.log(q)) != pytest.approx(kl, rel=1e-3)
    assert overlap != pytest.approx(overlap**2, rel=1e-3)


def test_states_without_probability_add_nothing() -> None:
    with np.errstate(divide="ignore"):
        log_q = np.log(np.array([0.5, 0.5, 0.0, 0.0]))
    log_p = np.log(np.full(4, 0.25))
    assert kl_divergence(log_q, log_p) == pytest.approx(np.log(2))
    assert fidelity(log_q, log_p) == pytest.approx(0.5)


def test_relative_errors_are_those_of_the_paper() -> None:
    zero = np.float64(0.0)
    reference = Estimate(np.float64(-2.0), zero, zero)
    for value in (-2.5, -2.0, -1.9):
        found = Estimate(np.float64(value), np.float64(0.01), zero)
        ends = [abs(-2.0 - (value + sign * 2.576 * 0.01)) / 2.0 for sign in (1, -1)]
        roe, bias = relative_error(reference, found)
        assert roe == pytest.approx(max(ends), rel=1e-12)
        assert bias == pytest.approx(abs(value + 2.0) / 2.0, abs=1e-15)


def test_correlation_mse_is_a_mean_square() -> None:
    zeros = np.zeros(3)
    a = Estimate(np.array([1.0, 0.5, 0.2]), zeros, zeros)
    b = Estimate(np.array([1.0, 0.3, 0.5]), zeros, zeros)
    assert correlation_mse(a, b) == pytest.approx((0.04 + 0.09) / 3)


def test_a_report_has_the_floors_and_errors_of_its_formulas() -> None:
    psi = np.random.default_rng(5).random(16) + 0.1
    state, rbm = mps_from_vector(psi, TFIM(sites=4)), random_rbm(4, 2)
    report = evaluate(rbm, state, draws=400, seed=1)
    truth, found = reference_of(state).observables, report.observables
    for name, bias, roe in (
        ("energy", report.energy_bias, report.energy_roe),
        ("abs_magnetization", report.abs_magnetization_bias, report.abs_magnetization_roe),
    ):
        there, here = getattr(truth, name), getattr(found, name)
        assert roe.error == bias.error == pytest.approx(float(here.error / abs(there.value)))
        ideal = float(there.deviation / abs(there.value)) / 20
        assert bias.floor == pytest.approx(np.sqrt(2 / np.pi) * ideal)
        assert roe.floor == pytest.approx(2.576 * ideal)
    assert report.correlation_mse.floor == pytest.approx(
        np.mean(truth.correlation.deviation**2) / 400
    )
    # As above 20 sites, where no sums over all states are known.
    sampled = replace(reference_of(state), log_q=None)
    values = metric_values(rbm, sampled, draws=400, seed=1)
    report = evaluate(rbm, sampled, draws=400, seed=1)
    assert values.infidelity == 1 - report.fidelity.value
    assert values.energy_bias == report.energy_bias.value


def test_chains_start_from_draws_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 chains of 4 draws: floors are those of 200 draws, errors those of the chains' means."""
    state, starts = mps_from_vector(np.arange(1.0, 17.0), TFIM(sites=4)), []

    def draw(_: RBM, start: Any, count: int, seed: int, model: TFIM | None) -> draws.Draws:
        assert (count, model) == (200, state.model)
        starts.append(start(count))
        return draws.Draws(
            np.random.default_rng(seed).permuted(starts[0]).reshape(50, 4, 4), "", ""
        )

    monkeypatch.setattr(against_state, "draw", draw)
    reports = [evaluate(random_rbm(4, 2), state, draws=200, seed=seed) for seed in (1, 1, 2)]
    assert (starts[0] == starts[1]).all()
    assert (starts[0] != starts[2]).any()
    truth, found = reference_of(state).observables, reports[0]
    for name, measure in (
        ("energy", found.energy_bias),
        ("abs_magnetization", found.abs_magnetization_bias),
    ):
        there, here = getattr(truth, name), getattr(found.observables, name)
        ideal = np.sqrt(2 / np.pi) * there.deviation / np.sqrt(200) / abs(there.value)
        assert measure.floor == pytest.approx(float(ideal))
        size = min(200, (here.deviation / here.error) ** 2)
        assert measure.effective_sample_size == pytest.approx(float(size))
    floor = np.mean(truth.correlation.deviation**2) / 200
    assert found.correlation_mse.floor == pytest.approx(floor)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("last", [0.5, 0.0, -0.8e-6])
def test_the_sign_of_a_state_and_rounding_do_not_matter(
    sign: float, last: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(against_state, "EXACT_SITES", 2)
    vector = np.array([0.6, 0.5, 0.4, last])
    vector /= np.linalg.norm(vector)
    with np.errstate(divide="raise"):
        found = reference_of(mps_from_vector(sign * vector)).log_q
    assert found is not None
    np.testing.assert_allclose(np.exp(found), vector**2, atol=1e-15)
    with refuses("state", "both signs"):
        reference_of(mps_from_vector(sign * np.array([0.6, 0.8, 0.0, -1.5e-6])))


# --- up to 20 sites --------------------------------------------------------------------------


def test_reports_agree_with_sums_over_all_states() -> None:
    reference = ground(10, 1.0)
    rbm = random_rbm(10, 4)
    report = evaluate(rbm, reference, draws=50_000, seed=2)
    psi = TFIM(sites=10, field=1.0).ground_state_vector()
    q = psi**2
    p = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    hamiltonian = exact.tfim_hamiltonian(10, 1.0, 1.0)
    phi = np.sqrt(p)
    z = 1.0 - 2.0 * exact.basis(10)
    m = np.abs(z.mean(axis=1))
    wanted_kl = float((q * np.log(q / p)).sum())
    wanted_energy = abs(phi @ hamiltonian @ phi / (psi @ hamiltonian @ psi) - 1)
    wanted_m = abs((p @ m) / (q @ m) - 1)
    fluctuation = [
        (p @ (z[:, 4] * z[:, j]) - (p @ z[:, 4]) * (p @ z[:, j])) - (q @ (z[:, 4] * z[:, j]))
        for j in range(4, 10)
    ]
    wanted_mse = float(np.mean(np.square(fluctuation)))

    assert report.kl.value == pytest.approx(wanted_kl, rel=1e-7)
    assert report.fidelity.value == pytest.approx((psi @ phi) ** 2, rel=1e-7)
    assert report.kl.error == report.fidelity.error == 0
    assert report.kl.method == "sum over all states"
    for measure, wanted in (
        (report.energy_bias, wanted_energy),
        (report.abs_magnetization_bias, wanted_m),
        (report.correlation_mse, wanted_mse),
    ):
        assert abs(measure.value - wanted) < 5 * measure.error
        assert 0 < measure.error < 0.05 * measure.value
        assert measure.method == "independent draws"
    for roe, bias in (
        (report.energy_roe, report.energy_bias),
        (report.abs_magnetization_roe, report.abs_magnetization_bias),
    ):
        assert roe.value == pytest.approx(bias.value + CONFIDENCE * bias.error, rel=1e-12)

    measures = exact_metrics(rbm, reference)
    assert report.exact == measures
    assert measures.kl == pytest.approx(wanted_kl, rel=1e-7)
    assert measures.infidelity == pytest.approx(1 - (psi @ phi) ** 2, rel=1e-7)
    assert measures.energy_bias == pytest.approx(wanted_energy, rel=1e-7)
    assert measures.abs_magnetization_bias == pytest.approx(wanted_m, rel=1e-7)
    assert measures.correlation_mse == pytest.approx(wanted_mse, rel=1e-7)
    assert measures.abs_magnetization == pytest.approx(p @ m, rel=1e-10)
    assert measures.magnetization == pytest.approx(p @ z.mean(axis=1), rel=1e-10)


def test_reports_repeat_and_name_every_measure() -> None:
    reference = ground(10, 1.0)
    rbm = replace(random_rbm(10, 4), provenance={"training_shots": 1000})
    one = evaluate(rbm, reference, draws=1000, seed=3)
    assert dict(one) == dict(evaluate(rbm, reference.state, draws=1000, seed=3))
    other = evaluate(rbm, reference, draws=1000, seed=4)
    assert other.kl == one.kl
    assert other.energy_bias != one.energy_bias
    named = dict(one)
    assert list(named) == [
        "kl",
        "fidelity",
        "energy_roe",
        "energy_bias",
        "abs_magnetization_roe",
        "abs_magnetization_bias",
        "correlation_mse",
        "energy",
        "energy_variance",
        "entropy",
        "entropy_loss",
        "renyi2",
        "renyi2_loss",
    ]
    assert named["kl"] is one.kl


def test_floors_are_what_perfect_draws_show() -> None:
    # The same measures of 200 sets of draws of the reference itself.
    reference = ground(10, 1.0)
    truth = reference.observables
    biases, squares = [], []
    for seed in range(200):
        z = 1.0 - 2.0 * sample(reference.state, 500, seed=seed).bits
        biases.append(abs(np.abs(z.mean(axis=1)).mean() / float(truth.abs_magnetization.value) - 1))
        fluctuation = z - z.mean(axis=0)
        found = (fluctuation[:, 4, None] * fluctuation[:, 4:]).mean(axis=0)
        squares.append(np.mean((found - truth.correlation.value) ** 2))
    report = evaluate(random_rbm(10, 4), reference, draws=500)
    for seen, floor in (
        (np.array(biases), report.abs_magnetization_bias.floor),
        (np.array(squares), report.correlation_mse.floor),
    ):
        error = seen.std(ddof=1) / np.sqrt(len(seen))
        assert abs(seen.mean() - floor) < 5 * error
        assert error < 0.12 * floor


def test_the_floor_of_the_divergence_is_that_of_the_training_shots() -> None:
    reference = ground(10, 1.0)
    shots = sample(reference.state, 2000, seed=0)
    rbm = train(shots, hidden=3, method=CD(epochs=1))
    report = evaluate(rbm, reference, draws=100)
    floor = (30 + 10 + 3) / (2 * 2000)
    assert report.kl.floor == pytest.approx(floor)
    assert report.fidelity.floor == pytest.approx(1 - floor / 2)
    untrained = evaluate(initial_rbm(10, 3, 0), reference, draws=100)
    assert np.isnan([untrained.kl.floor, untrained.fidelity.floor]).all()
    # Dead parameters do not count, and few shots have no such floor.
    few = RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, provenance={"training_shots": 40})
    assert np.isnan(statistical_floor(few))
    mask = np.zeros((3, 10), bool)
    mask[0] = True
    idle = RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, mask, {"training_shots": 1000})
    assert statistical_floor(idle) == (10 + 10 + 1) / 2000


# --- above 20 sites --------------------------------------------------------------------------


@cache
def at_22_sites() -> tuple[RBM, float, float]:
    """An RBM near the ground state at h = 2, with exact KL and fidelity from 2^22 amplitudes."""
    state = ground(22, 2.0).state
    rbm = train(sample(state, 20_000, seed=1), hidden=4, seed=1, method=CD(epochs=30))
    half: list[Float64] = []
    for tensors in (state.tensors[:11], state.tensors[11:]):
        grown = np.eye(tensors[0].shape[0])[:, None, :]  # [left bond, configuration, bond]
        for tensor in tensors:
            parts = [grown @ tensor[:, bit] for bit in (0, 1)]
            grown = np.concatenate(parts, axis=1)  # the new bit is more significant
        half.append(grown)
    psi = np.abs(np.einsum("xa,ay->yx", half[0][0], half[1][:, :, 0]).reshape(-1))
    assert psi @ psi == pytest.approx(1, abs=1e-8)
    log_p = exact.linear(rbm.visible_bias)
    for j in range(rbm.hidden):
        log_p += np.logaddexp(0, rbm.hidden_bias[j] + exact.linear(rbm.weights[j]))
    shift = log_p.max()
    log_p -= shift + np.log(np.exp(log_p - shift).sum())
    q = psi**2
    kl = float(q @ (2 * np.log(psi) - log_p))
    return rbm, kl, float((psi @ np.exp(0.5 * log_p)) ** 2)


@pytest.mark.parametrize("branch", ["log Z by sum over 2^4 states", "log Z by a bridge"])
def test_sampled_measures_agree_with_exact_ones(
    branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm, kl, overlap = at_22_sites()
    if branch == "log Z by a bridge":
        monkeypatch.setattr(divergence, "exact_log_partition", lambda _: None)
    report = evaluate(rbm, ground(22, 2.0), draws=20_000, seed=4)
    assert report.kl.method == report.fidelity.method == f"reference draws, {branch}"
    for measure, wanted in ((report.kl, kl), (report.fidelity, overlap)):
        assert abs(measure.value - wanted) < 5 * measure.error
        assert measure.error > 0
    assert report.exact is None
    assert report.kl.error < 0.1 * kl
    assert report.fidelity.error < 0.2 * (1 - overlap)


@rates.factors
@pytest.mark.parametrize("bridged", [False, True])
def test_sampled_errors_cover(
    bridged: bool, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KL and fidelity of a state of 4 sites from 300 draws, the RBM's by sticky chains."""
    rbm, bits, generator = random_rbm(4, 2, 0.5), exact.basis(4), np.random.default_rng(bridged)
    log_p = rbm.log_prob(bits)
    q = np.exp(log_p + generator.normal(0, 0.4, 16))
    q /= q.sum()
    state = Mock(log_prob=lambda rows: np.log(q)[exact.index(rows)])
    log_z = None if bridged else exact_log_partition(rbm)
    monkeypatch.setattr(divergence, "exact_log_partition", lambda _: log_z)
    found = []
    for _ in range(rates.intervals(factor)):
        shots = Shots(bits[generator.choice(16, 300, p=q)])
        monkeypatch.setattr(divergence, "sample", lambda *_, shots=shots, **__: shots)
        chains = generator.choice(16, 200, p=np.exp(log_p))[:, None].repeat(3, axis=1)
        drawn = draws.Draws(bits[chains], "", "")
        found.append(divergence.sampled_kl_and_fidelity(rbm, state, drawn, 300, 0))
    truths = kl_divergence(np.log(q), log_p), fidelity(np.log(q), log_p)
    for k, (name, truth) in enumerate(zip(("KL", "fidelity"), truths, strict=True)):
        value, error = np.array([(each[k].value, each[k].error) for each in found]).T
        rates.check_intervals(value, error, truth, factor, name)


@rates.factors
def test_the_error_of_c_mse_covers(factor: float) -> None:
    """C(d) share a site: with errors taken as independent, or their bias as 0, it would not."""
    share = np.linalg.cholesky(np.full((4, 4), 0.8) + 0.2 * np.eye(4))
    bias, generator = np.array([0.5, 0.4, 0.6, 0.5]), np.random.default_rng(0)
    reference = Estimate(np.zeros(4), np.zeros(4), np.zeros(4))
    found = []
    for _ in range(rates.intervals(factor)):
        estimate = chain_mean((bias + generator.normal(size=(400, 4)) @ share.T)[:, None])
        found.append((correlation_mse(reference, estimate), _mse_error(reference, estimate)))
    value, error = np.array(found).T
    rates.check_intervals(value, error, np.mean(bias**2), factor)


def test_where_no_exact_draws_can_be_had_chains_run(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, rbm = ground(10, 1.0), random_rbm(10, 4)
    wanted = exact_metrics(rbm, reference)
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    report = evaluate(rbm, reference, draws=5000, seed=1)
    assert report.energy_bias.method.startswith("1000 Gibbs chains with flips (tau of ")
    assert {measure.warning for _, measure in report} == {""}
    assert report.kl.effective_sample_size is None
    for measure, value in (
        (report.energy_bias, wanted.energy_bias),
        (report.abs_magnetization_bias, wanted.abs_magnetization_bias),
        (report.correlation_mse, wanted.correlation_mse),
    ):
        assert abs(measure.value - value) < 5 * measure.error
        assert measure.effective_sample_size is not None
        assert 1000 < measure.effective_sample_size <= 5000


# --- bad input -------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused() -> None:
    reference = ground(10, 1.0)
    with refuses("rbm", 9, "the state", 10):
        evaluate(random_rbm(9, 2), reference)
    for count in (99, 0, -1, 1e5):
        with refuses("draws", 100, count):
            evaluate(random_rbm(10, 2), reference, draws=count)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^seed: "):
        evaluate(random_rbm(10, 2), reference, seed=-1)
    with refuses("rbm", 20, 22, "`evaluate`"):
        exact_metrics(random_rbm(22, 2), ground(22, 2.0))
    with refuses("rbm", 9, 10):
        exact_metrics(random_rbm(9, 2), reference)


def test_a_state_without_overlap_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergence, "exact_log_partition", lambda _: None)
    far = RBM(np.zeros((1, 22)), np.full(22, -9.0), np.zeros(1))  # almost surely all bits 0
    report = evaluate(far, ground(22, 2.0), draws=1000)
    assert "hardly overlap" in report.kl.warning
    assert "hardly overlap" in report.fidelity.warning
    near = evaluate(at_22_sites()[0], ground(22, 2.0), draws=1000)
    assert near.kl.warning == ""


def test_a_state_without_a_model_is_measured_but_for_the_energy() -> None:
    vector = np.random.default_rng(0).random(2**5)
    report = evaluate(random_rbm(5, 2), mps_from_vector(vector), draws=1000)
    named = evaluate(random_rbm(5, 2), mps_from_vector(vector, TFIM(sites=5)), draws=1000)
    assert np.isnan([report.energy_roe.value, report.energy_bias.value]).all()
    for name, measure in report:
        if not name.startswith("energy"):
            assert measure.value == getattr(named, name).value
    assert np.isfinite(named.energy_roe.value)


def test_reference_draws_are_not_the_training_set() -> None:
    # Fitted to few shots and measured with the same seed: on its own shots KL would be far below 0.
    state = ground(22, 1.0).state
    shots = sample(state, 3000, seed=0)
    rbm = train(shots, hidden=11, seed=0, method=ExactNaturalGradient(epochs=40))
    first, second = (evaluate(rbm, state, draws=3000, seed=seed).kl for seed in (0, 1))
    assert first.value > 0.01
    assert abs(first.value - second.value) < 5 * np.hypot(first.error, second.error)
    own = state.log_prob(shots) - rbm.log_prob(shots)
    assert own.mean() < -0.01


def test_chains_that_remember_their_start_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    monkeypatch.setattr(draws, "MOST_STEPS", 20_000)
    # Two wells that are not one another's mirror image: all 0, and the right half 1.
    apart = RBM(
        np.array([[0.0] * 5 + [6.0] * 5] * 4), np.array([-9.0] * 5 + [-12.0] * 5), np.full(4, -15.0)
    )
    report = evaluate(apart, ground(10, 0.3), draws=10_000)
    assert "have not converged" in report.abs_magnetization_roe.warning
    assert report.kl.warning == ""  # a sum over all states
    mixing = evaluate(random_rbm(10, 4), ground(10, 0.3), draws=10_000)
    assert {measure.warning for _, measure in mixing} == {""}


def test_a_magnet_below_the_transition_is_sampled_right(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two deep wells, all 0 and all 1: chains without flips would stay where they begin.
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    rbm = machines.magnet(10, 4, 6.0, tilt=1.0)
    reference = ground(10, 0.3)
    report = evaluate(rbm, reference, draws=10_000)
    assert {measure.warning for _, measure in report} == {""}
    found, wanted = report.observables.magnetization, exact_metrics(rbm, reference)
    assert wanted.magnetization == pytest.approx(-np.tanh(0.5), abs=1e-4)
    assert abs(float(found.value) - wanted.magnetization) < 5 * float(found.error)
    assert found.error < 0.02


def test_effective_draws_are_those_of_the_error() -> None:
    two = Estimate(np.array([0.0, 1.0]), np.array([0.1, 0.2]), np.array([1.0, 1.0]))
    assert effective_draws(two, 1000, 10) == pytest.approx(25)
    assert effective_draws(two, 1000, 1) == 1000
    assert effective_draws(two, 20, 10) == 20
    some = Estimate(np.array([0.0, 1.0]), np.array([0.0, 0.2]), np.array([0.0, 1.0]))
    assert effective_draws(some, 1000, 10) == pytest.approx(25)
    still = Estimate(np.float64(0.0), np.float64(0.0), np.float64(0.0))
    assert effective_draws(still, 1000, 10) == 1000


def test_an_rbm_of_other_sites_is_refused() -> None:
    state = mps_from_vector(np.array([0.0, 1.0, 1.0, 0.0]), TFIM(sites=2))
    with pytest.raises(InputError, match="3"):
        evaluate(random_rbm(3, 2), state, draws=1000)


def test_nothing_is_relative_to_a_reference_of_zero() -> None:
    # (|01> + |10>) / sqrt(2) has |m| = 0.
    state = mps_from_vector(np.array([0.0, 1.0, 1.0, 0.0]), TFIM(sites=2))
    report = evaluate(random_rbm(2, 2), state, draws=1000)
    assert np.isnan([report.abs_magnetization_roe.value, report.abs_magnetization_bias.value]).all()
    assert np.isnan([report.abs_magnetization_roe.floor, report.abs_magnetization_roe.error]).all()
    assert np.isfinite([report.kl.value, report.energy_bias.value]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("field", "floor"), [(1.0, 0.40), (2.0, 0.94)])
def test_kl_to_the_frequencies_of_shots_has_a_floor(field: float, floor: float) -> None:
    """What docs/physics.md says of the exact state, measured against its own 10^5 shots."""
    state = ground_state(TFIM(sites=18, field=field), progress=False)
    bits, counts = np.unique(sample(state, 100_000, seed=0).bits, axis=0, return_counts=True)
    frequencies = counts / counts.sum()
    kl = float(frequencies @ (np.log(frequencies) - state.log_prob(bits)))
    assert kl == pytest.approx(floor, abs=0.005)
