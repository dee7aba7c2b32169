"""Formulas of the metrics, on numbers small enough to check by hand or in plain NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

import exact
from machines import distribution, random_rbm
from psiprune.core.random import Stream, derive_seed
from psiprune.data.dependence import INDEPENDENT
from psiprune.data.shots import Shots
from psiprune.inference import recorded
from psiprune.inference.bridge import Bridge
from psiprune.inference.log_partition import LogPartition
from psiprune.metrics import (
    against_shots,
    agreement,
    divergence,
    draws,
    equivalence,
    loss_tests,
    readout,
    selectors,
)
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.against_state import _mse_error
from psiprune.metrics.bootstrap import at_least_one_shot
from psiprune.metrics.configurations import HeldOut, compare_configurations
from psiprune.metrics.divergence import sampled_kl_and_fidelity
from psiprune.metrics.draws import Draws, Pilot
from psiprune.metrics.equivalence import Losses, likelihood_band, observable_band, seed_reach
from psiprune.metrics.loss_tests import (
    Cells,
    LossTest,
    judge_cells,
    judge_mean,
    judge_observables,
    training_loss,
)
from psiprune.metrics.measure import Measure
from psiprune.metrics.observables import Estimate, chain_mean, histogram
from psiprune.metrics.observed import estimate_from_draws
from psiprune.metrics.readout import _integrands, _some_flips, flipped, readout_sensitivity
from psiprune.metrics.shots_report import Comparison
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.states.mps import mps_from_vector
from psiprune.states.sampling import sample
from refusals import check_facts
from spies import arguments_of

Float64 = NDArray[np.float64]
NOTHING = np.zeros(1)
ANY = random_rbm(4, 2)


def scalar(value: float, error: float, deviation: float) -> Estimate:
    return Estimate(np.float64(value), np.float64(error), np.float64(deviation))


# --- means, errors, distances ----------------------------------------------------------------


def test_the_error_of_a_mean_is_that_of_the_chains_means() -> None:
    two = chain_mean(np.array([[0.0, 0.0], [2.0, 2.0]]))
    assert two.value == two.error == two.deviation == 1
    assert two.covariance is None
    means = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])  # of two observables in three chains
    found = chain_mean(means[:, None] + np.array([-1.0, 1.0])[:, None])
    np.testing.assert_allclose(found.value, [2, 2])
    assert found.covariance is not None
    np.testing.assert_allclose(found.covariance, np.array([[4, -1], [-1, 7]]) / 3)
    np.testing.assert_allclose(found.error, np.sqrt([4 / 3, 7 / 3]))
    np.testing.assert_allclose(found.deviation, np.sqrt([8 / 3 + 1, 14 / 3 + 1]))


def test_a_histogram_counts_1_bits_with_errors_of_chains() -> None:
    chains = np.array([[[0, 0], [0, 1]], [[1, 1], [1, 1]]], np.uint8)
    found = histogram(chains)
    np.testing.assert_allclose(found.value, [1 / 4, 1 / 4, 1 / 2])
    np.testing.assert_allclose(found.error, [1 / 4, 1 / 4, 1 / 2])  # |difference| / 2
    np.testing.assert_allclose(found.deviation, np.sqrt([3 / 16, 3 / 16, 1 / 4]))
    lone = np.array([[0, 0], [1, 1], [1, 1]], np.uint8)
    for draws_of_chains, error in ((3, 1 / 3), (2, 1 / 2), (1, 0)):
        found = histogram(lone[:draws_of_chains, None])
        np.testing.assert_allclose(found.error, [error, 0, error])


@pytest.mark.parametrize(
    ("bias", "covariance", "wanted"),
    [
        ([0, 0], [[1, 0], [0, 4]], np.sqrt(2 * 17) / 2),
        ([2, -1], [[2, 1], [1, 3]], np.sqrt(2 * 15) / 2),  # b.S.b = 7 is less than tr S^2 = 15
        ([4, -1], [[2, 1], [1, 3]], np.sqrt(4 * (27 - 15) + 2 * 15) / 2),
    ],
)
def test_the_error_of_c_mse(bias: list[float], covariance: Any, wanted: float) -> None:
    zero = np.zeros(2)
    model = Estimate(np.add(bias, 0.5), zero, zero, np.array(covariance, float))
    assert _mse_error(Estimate(zero + 0.5, zero, zero), model) == pytest.approx(wanted)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_all_sites_and_pairs_have_the_errors_of_chains(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (7, length, 4), dtype=np.uint8)
    monkeypatch.setattr(agreement, "draw_from_data", lambda *_: Draws(bits, "", ""))
    found = agreement.sites_and_pairs(ANY, Shots(bits[:, 0]))
    z = 1.0 - 2.0 * bits
    for i in range(4):
        for j in range(4):
            means = (z[..., i] if i == j else z[..., i] * z[..., j]).mean(axis=1)
            assert found.value[i, j] == pytest.approx(means.mean(), abs=1e-7)
            assert found.error[i, j] == pytest.approx(means.std(ddof=1) / np.sqrt(7), abs=1e-6)


@pytest.mark.parametrize("bridged", [False, True])
def test_sampled_divergence_and_fidelity(bridged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    psi = np.random.default_rng(1).random(16) + 0.1
    state = mps_from_vector(psi)
    log_q = np.log(psi**2 / (psi @ psi))
    rbm = RBM(ANY.weights, ANY.visible_bias, ANY.hidden_bias, provenance={"training_shots": 1000})
    log_p = np.log(distribution(rbm))
    log_z = rbm.log_partition()
    own = rbm.sample_exact(2000, seed=5)
    v = exact.index(sample(state, 300, seed=derive_seed(7, Stream.REFERENCE_KL)).bits)
    ratio = (log_p - log_q)[v] + log_z  # log p~ / q at draws of q
    a = np.exp(ratio / 2)
    b = np.exp(-((log_p - log_q)[exact.index(own)] + log_z) / 2)
    a_error, b_error = (w.std(ddof=1) / np.sqrt(len(w)) / w.mean() for w in (a, b))
    a_size, b_size = (w.sum() ** 2 / (w @ w) for w in (a, b))
    if bridged:
        monkeypatch.setattr(divergence, "exact_log_partition", lambda _: None)
        kl = -ratio.mean() + np.log(a.mean() / b.mean())
        kl_error = np.hypot((a / a.mean() - ratio).std(ddof=1) / np.sqrt(300), b_error)
        overlap, error = a.mean() * b.mean(), np.hypot(a_error, b_error) * a.mean() * b.mean()
        sizes = [min(a_size, b_size)] * 2
    else:
        kl, kl_error = log_z - ratio.mean(), ratio.std(ddof=1) / np.sqrt(300)
        overlap, sizes = a.mean() ** 2 / np.exp(log_z), [300, a_size]
        error = 2 * overlap * a_error
    drawn = Draws(own[:, None], "", "")
    found_kl, found_overlap = sampled_kl_and_fidelity(rbm, state, drawn, 300, 7)
    floor = (8 + 4 + 2) / 2000
    for found, wanted in (
        (found_kl, (kl, kl_error, floor, sizes[0])),
        (found_overlap, (overlap, error, 1 - floor / 2, sizes[1])),
    ):
        values = found.value, found.error, found.floor, found.effective_sample_size
        assert values == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("overlap", "size", "facts"),
    [
        (1.5, 30.0, "slow"),  # five errors above 1
        (1.51, 100.0, "is impossible"),
        (1.51, 1.0, "is impossible"),
        (0.5, 29.0, "29.0 effective"),
    ],
)
def test_warnings_of_a_bridge(
    overlap: float, size: float, facts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridged = Bridge(0.0, 0.1, overlap, 0.1, size, 0.1)
    monkeypatch.setattr(divergence, "exact_log_partition", lambda _: None)
    monkeypatch.setattr(divergence, "bridge", lambda *_: bridged)
    drawn = Draws(exact.basis(4)[:, None], "", "slow")
    steep = RBM(ANY.weights, ANY.visible_bias + 1000, ANY.hidden_bias + 2000)
    for found in sampled_kl_and_fidelity(steep, mps_from_vector(np.ones(16)), drawn, 100, 0):
        check_facts(found.warning, facts)
        assert np.isfinite(found.error)


@pytest.mark.parametrize("size", [29.0, 30.0])
def test_few_effective_draws_are_too_few_for_the_fidelity(
    size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divergence, "log_mean", lambda _: (0.0, 0.1, size))
    drawn = Draws(exact.basis(4)[:, None], "", "")
    kl, overlap = sampled_kl_and_fidelity(ANY, mps_from_vector(np.ones(16)), drawn, 100, 0)
    assert kl.warning == ""
    assert bool(overlap.warning) == (size < 30)


def test_the_floor_of_the_divergence_is_at_most_a_half() -> None:
    """Two parameters: 1 / n."""
    for shots, floor in (
        (2, 0.5),
        (4, 0.25),
        (1, np.nan),
        (0, np.nan),
        (-1, np.nan),
        ("4", np.nan),
    ):
        rbm = RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.zeros((1, 1), bool))
        rbm = replace(rbm, provenance={"training_shots": shots})
        np.testing.assert_equal(divergence.statistical_floor(rbm), floor)


# --- against shots ---------------------------------------------------------------------------


def test_the_error_of_one_shot_is_relative_to_the_value() -> None:
    """Where the error is a rounding error of the value or of 1: at most 1e-12 of it."""
    errors = np.array([0.0, 0.0, 0.2, 1e-12, 1.5e-12, 4e-12])
    found = at_least_one_shot(errors, np.array([0.5, -8.0, 9.0, 0.5, 0.5, 8.0]), 16)
    np.testing.assert_allclose(found, [1 / 16, 8 / 16, 0.2, 1 / 16, 1.5e-12, 8 / 16])


def test_differences_in_combined_errors() -> None:
    """None is 0, whatever its error; one without an error is infinite."""
    gap, error, other = np.array([[0, 5, 5, 1, -10], [0, 0, 3, 0, 6], [0, 0, 4, 0, 8.0]])
    with np.errstate(all="raise"):
        found = Comparison(gap + 2, error, NOTHING + 2, other, "", "", 1.0, NOTHING).sigmas
    np.testing.assert_array_equal(found, [0, np.inf, 1, np.inf, -1])
    shared = Comparison(gap + 2, error, NOTHING + 2, other + 9, "", "", 1.0, NOTHING, other).sigmas
    np.testing.assert_array_equal(shared, found)


def test_errors_of_shots_do_not_depend_on_a_constant() -> None:
    """log p of many sites is far below 0; its differences matter to float32 all the same."""
    bits, log_p = exact.basis(4), np.linspace(-3, -1, 16)
    errors = [
        against_shots._shots_estimates(bits, log_p + shift, {}, 0, INDEPENDENT)[name].error
        for shift in (0.0, -(2.0**21))
        for name in ("log_likelihood", "log_likelihood_gain")
    ]
    assert errors[2:] == pytest.approx(errors[:2], rel=1e-5)


def test_errors_of_shots_are_spreads_over_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    bits = generator.integers(0, 2, (40, 4), dtype=np.uint8)
    rows = generator.integers(0, 40, (9, 40))
    monkeypatch.setattr(
        against_shots, "bootstrap_means", lambda table, *_: table[rows].mean(axis=1, dtype=float)
    )
    drawn = generator.integers(0, 2, (50, 4, 4), dtype=np.uint8)
    monkeypatch.setattr(against_shots, "draw_from_data", lambda *_: Draws(drawn, "", ""))
    found = evaluate_on_shots(ANY, bits, draws=100, blocks=INDEPENDENT)
    ones = bits.mean(axis=0)
    log_p = np.log(distribution(ANY)[exact.index(bits)])
    gain = log_p - np.where(bits == 1, np.log(ones), np.log(1 - ones)).sum(axis=1)
    z = 1.0 - 2.0 * bits[rows]  # [resample, shot, site]
    c = (z[..., 1:2] * z[..., 1:]).mean(axis=1) - z[..., 1:2].mean(axis=1) * z[..., 1:].mean(axis=1)
    for value, wanted in (
        (found.log_likelihood.error, log_p[rows].mean(axis=1)),
        (found.log_likelihood_gain.error, gain[rows].mean(axis=1)),
        (found.abs_magnetization.shots_error, np.abs(z.mean(axis=2)).mean(axis=1)),
        (found.neighbours.shots_error, (z[..., 1:] * z[..., :-1]).mean(axis=(1, 2))),
        (found.correlation.shots_error, c),
    ):
        np.testing.assert_allclose(value, wanted.std(axis=0, ddof=1), rtol=1e-4)
    product = (log_p - gain).mean()
    assert found.product_log_likelihood.value == pytest.approx(product, rel=1e-12)
    sizes, absolute = (np.abs((1.0 - 2.0 * each).mean(axis=-1)) for each in (drawn, bits))
    noise = sizes.mean(axis=1).std(ddof=1) / np.sqrt(50)
    size = min(200, (sizes.std() / noise) ** 2)
    assert found.abs_magnetization.effective_sample_size == pytest.approx(size)
    ideal = absolute.std() / np.sqrt(200)
    both = np.hypot(ideal, found.abs_magnetization.shots_error)
    floor = (2.576 * ideal + np.sqrt(2 / np.pi) * both) / absolute.mean()
    assert found.abs_magnetization_roe.floor == pytest.approx(floor)
    assert found.training_excess == (8 + 4 + 2) / 40
    for name in ("magnetization", "correlation"):
        each = found.comparison(name)
        both = 40 * each.shots_error**2, each.effective_sample_size * each.error**2
        np.testing.assert_allclose(each.variance, np.maximum(*both))
        assert (both[0] > both[1]).any() or (both[0] < both[1]).any()


@pytest.mark.parametrize("frozen", ["shots", "model"])
def test_the_variance_of_a_shot_is_the_larger_one(frozen: str) -> None:
    """Bits of one value against fair bits, in both directions: <m> of four fair bits has 1/4."""
    fair = exact.basis(4).repeat(4, axis=0)
    one = RBM(np.zeros((1, 4)), np.full(4, -60.0 if frozen == "model" else 0.0), np.zeros(1))
    bits = fair if frozen == "model" else np.zeros_like(fair)
    found = evaluate_on_shots(one, bits, draws=4000).magnetization
    assert 0.15 < float(found.variance) < 0.35  # 400 resamples or 4000 draws: at least 5 sigma


def test_relative_error_on_shots() -> None:
    model, shots = scalar(0.5, 0.01, 0.3), scalar(0.4, 0.02, 0.5)
    other = Comparison(NOTHING, NOTHING, NOTHING, NOTHING, "m", "w", 7.0, NOTHING)
    found = against_shots._relative_to_shots(model, shots, 100, other)
    assert found.value == pytest.approx((0.1 + 2.576 * 0.01) / 0.4)
    assert found.error == pytest.approx(np.hypot(0.01, 0.02) / 0.4)
    wanted = 2.576 * 0.05 + np.sqrt(2 / np.pi) * np.hypot(0.05, 0.02)
    assert found.floor == pytest.approx(wanted / 0.4)
    assert (found.method, found.warning, found.effective_sample_size) == ("m", "w", 7)


def test_numbers_for_all_shots_are_resampled_by_whole_blocks() -> None:
    """Two blocks, of 2 and of 1 shot: resamples of 2, 3 or 4 shots."""
    sizes = list[int]()

    def number(bits: NDArray[np.uint8]) -> float:
        sizes.append(len(bits))
        return float(len(bits))

    bits = np.zeros((3, 1, 4), np.uint8)
    found = estimate_from_draws("number", number, bits, 0, 2)
    assert float(found.value) == 3
    assert {*sizes} == {2, 3, 4}
    assert found.error == pytest.approx(np.std(sizes[1:], ddof=1), rel=1e-12)


def test_losses_have_the_errors_of_shots_and_of_both_log_z() -> None:
    generator = np.random.default_rng(3)
    log_p, other = generator.normal(-3, 1, (2, 8))
    training = Shots(np.array([[0, 1], [0, 0], [0, 1]], np.uint8))
    held_out = Shots(np.array([[0, 1], [1, 0]] * 4, np.uint8))
    rbm = RBM(np.zeros((1, 2)), np.zeros(2), np.zeros(1))
    model, best = (
        HeldOut(rbm, LogPartition(np.log(8), error, "m"), values, error)
        for error, values in ((0.3, log_p), (0.4, other))
    )
    found = compare_configurations(model, best, training, held_out)
    p = np.array([0.5, 2.5]) / 4  # of a 1: half a shot more, and one more in all
    product = np.where(held_out.bits == 1, np.log(p), np.log(1 - p)).sum(axis=1)
    for loss, error, values, log_z in (
        (found.product_loss, found.product_error, product - log_p, 0.3),
        (found.best_loss, found.best_error, other - log_p, 0.5),
    ):
        assert loss == pytest.approx(values.mean())
        assert error == pytest.approx(np.hypot(values.std(ddof=1) / np.sqrt(8), log_z))


def test_a_loss_of_likelihood_has_the_errors_of_both_log_z(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bits = exact.basis(4).repeat(2, axis=0)
    small = ANY.with_mask(np.array([[True] * 4, [False] * 4]))  # 9 parameters that matter

    def rough(rbm: RBM, *, data: Shots, seed: int) -> LogPartition:
        assert (len(data), seed) == (32, 7)
        return LogPartition(rbm.log_partition(), 0.3 if rbm is ANY else 0.4, "m")

    monkeypatch.setattr(selectors, "log_partition", rough)
    for dense, other, excess in ((ANY, small, 14 - 9), (small, ANY, 0)):
        metric = selectors.shots_metric("log_likelihood_loss", dense, Shots(bits), draws=9, seed=7)
        loss = np.log(distribution(dense) / distribution(other)).repeat(2)
        found = metric(other)
        assert found.value == pytest.approx(loss.mean() - excess / 64)
        assert found.error == pytest.approx(np.hypot(loss.std(ddof=1) / np.sqrt(32), 0.5))
        assert found.floor == 0


# --- equivalence -----------------------------------------------------------------------------


def student_1(tail: float) -> float:
    """Quantile of Student's t with one degree of freedom, which is Cauchy's distribution."""
    return float(np.tan(np.pi * (0.5 - tail)))


def test_a_band_of_the_likelihood_has_the_error_of_log_z(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the spread over resamples, however far the losses of all shots are from 0."""
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 9, (7, 9))
    monkeypatch.setattr(equivalence, "bootstrap_means", lambda table, *_: table[rows].mean(axis=1))
    values = 1e5 + generator.normal(0, 0.3, 9)
    found = likelihood_band(lambda _: Losses(values, 0.2, ""), 0.05, 0, typical=0.3)(ANY)
    error = np.hypot(values[rows].mean(axis=1).std(ddof=1), 0.2)
    assert found[:2] == pytest.approx((values.mean(), error), rel=1e-5)
    assert found.allowed == pytest.approx(np.hypot(0.3, 1.6448536 * error), rel=1e-5)


def test_the_reach_of_two_seeds() -> None:
    assert seed_reach([0.0, 2.0], 0.05) == pytest.approx(student_1(0.05) * np.sqrt(2 * 1.5))


def test_the_band_of_an_observable_by_its_formula() -> None:
    """Two members, two values; the loss of the second is larger, but so is what it may be."""
    error, shots_error = np.array([0.3, 0.0]), np.array([0.4, 0.1])
    found = Comparison(np.array([17, 20]), error, NOTHING, shots_error, "", "w", 1.0, NOTHING)
    test = observable_band([np.array([0, 0]), np.array([2, 4])], lambda _: found, 0.05)(ANY)
    tail = 0.05 / 4  # two-sided, two values
    reach = student_1(tail) * np.sqrt(1.5) * np.sqrt(2.0)
    assert test.allowed == pytest.approx(np.hypot(reach, norm.isf(tail) * 0.5))
    assert test[:2] == pytest.approx((16, 0.5))
    assert test.share == pytest.approx(16 / test.allowed)
    assert test.warning == "w"
    below = replace(found, value=np.array([-13, -16]))  # the loss has no sign
    members = [np.array([0, 0]), np.array([2, 4])]
    assert observable_band(members, lambda _: below, 0.05)(ANY).loss == pytest.approx(14)


@pytest.mark.parametrize(("value", "share"), [(1.0, 0.0), (1.5, np.inf)])
def test_where_nothing_is_allowed_only_no_loss_passes(value: float, share: float) -> None:
    found = Comparison(np.float64(value), NOTHING, NOTHING, NOTHING, "", "", 1.0, NOTHING)
    assert observable_band([1.0, 1.0], lambda _: found, 0.05)(ANY).share == share


@pytest.mark.parametrize("size", [29.9, 30.0])
def test_losses_by_draws_need_30_effective_draws(
    size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equivalence, "COMPARISON_UNITS", 1)
    monkeypatch.setattr(equivalence, "log_mean_of_chains", lambda _: (0.5, 0.25, size))
    shots = Shots(exact.basis(4))
    values, error, warning = equivalence.losses_from(ANY, shots, draws=100, seed=0)(ANY)
    assert values.tolist() == [0.5] * 16
    assert error == 0.25
    assert ("effective draws" in warning) == (size < 30)


def test_a_layer_as_small_as_the_limit_is_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "COMPARISON_UNITS", 2)
    monkeypatch.delattr(equivalence, "draw_from_data")
    losses = equivalence.losses_from(ANY, Shots(exact.basis(4)), draws=100, seed=0)
    assert losses(ANY).values == pytest.approx(0)


# --- tests of losses -------------------------------------------------------------------------

T = 0.05
PASS, FAIL, OBSERVABLE = norm.isf([0.025, 0.05 / 6, 0.05])
NEEDED = PASS + norm.isf(0.1)


@pytest.mark.parametrize(
    ("loss", "error", "spread", "answer"),
    [
        (0.02, 0.0407, 0.0, "pass"),  # 0.02 + 1.96 * 0.0407 = 0.0998
        (0.02, 0.0410, 0.0, "undecided"),
        (0.051, 0.01, 0.0, "undecided"),  # above T
        (0.08, 0.0124, 0.0, "fail"),  # 0.08 - 2.394 * 0.0124 = 0.0503
        (0.08, 0.0126, 0.0, "undecided"),
        (-0.2, 0.2, 0.1, "undecided"),
        (0.0, 0.0, 0.0, "pass"),
    ],
)
def test_a_mean_loss(loss: float, error: float, spread: float, answer: str) -> None:
    found = judge_mean(loss, error, 1000, T, spread)
    error = max(error, 1 / 1000)
    both = np.hypot(error, spread)
    assert (found.answer, found.which) == (answer, 0)
    assert (found.low, found.high) == pytest.approx((loss - FAIL * both, loss + PASS * both))
    if answer == "undecided":  # what the needed shots are for, with x^2 times fewer
        x = np.sqrt(1000 / found.shots_needed)
        left = (max(loss, 0) + NEEDED * spread) * x**2 + NEEDED * error * x
        room = 2 * T - min(loss, 0)
        at_most = max(loss, 0) * x**2 / T
        assert max(left / room, at_most) == pytest.approx(1)


def test_the_largest_of_several_observables() -> None:
    delta, model, v, shots = np.array([0.5, -0.6]), np.array([0.02, 0.1]), np.array([1.0, 2.0]), 200
    error = np.sqrt(v / shots + model**2)
    highs = (np.abs(delta) + OBSERVABLE * error) ** 2 / (2 * v)
    limit = norm.isf(0.05 / 6 / 4)
    low = np.max((np.abs(delta) - limit * error).clip(0) ** 2 / (2 * v))
    found = judge_observables(delta, model, v, shots, T)
    assert found[:4] == pytest.approx(("undecided", 0.125, 0.5 * error[0], low), abs=1e-12)
    assert found.high == pytest.approx(highs[0])
    assert found.which == 0
    assert highs[0] > highs[1]
    alone = judge_observables([0.5], [0.02], [2.0], shots, T)
    assert alone.error == pytest.approx(0.5 * np.sqrt(2.0 / shots + 0.02**2) / 2.0)
    deviates = OBSERVABLE + norm.isf(0.1 / 4)
    assert found.shots_needed == pytest.approx(
        (deviates / (np.sqrt(4 * T) - np.sqrt(2 * low))) ** 2
    )


@pytest.mark.parametrize(
    ("divergence", "number"), [(0.03, 11.0), (0.2, 11.0), (0.001, 11.0), (0.004, 1.2)]
)
def test_a_divergence_over_cells(divergence: float, number: float) -> None:
    shots, freedom = 100, max(number - 1, 0.5)
    loss = max(divergence - freedom / 200, 0)
    error = np.sqrt((freedom + 4 * shots * loss) / (2 * shots**2))
    found = judge_cells(Cells(divergence, number, 0.5, 0.5), shots, T)
    wanted = loss, error, loss - FAIL * error, loss + PASS * error
    assert found[1:5] == pytest.approx(wanted)
    assert found.which == 0
    if found.answer == "undecided":
        assert found.shots_needed == pytest.approx(NEEDED * np.sqrt(freedom / 2) / (2 * T))


@pytest.mark.parametrize(("factor", "answer"), [(0.98, "pass"), (1.02, "undecided")])
def test_shots_repeat_training_shots_too_often(factor: float, answer: str) -> None:
    """100 of 2000 shots do; as often as expected times the largest factor that still passes."""
    expected = 100 / np.exp(2 * np.sqrt(T) + OBSERVABLE / 10) / factor
    found = judge_cells(Cells(0.0, 2.0, 1 - 100 / 2000, 1 - expected / 2000), 2000, T)
    assert found.answer == answer
    if answer == "undecided":
        assert found.shots_needed == 8000
    rare = Cells(0.0, 2.0, 1 - 1 / 2000, 1 - 0.01 / 2000)  # one where 0.01 were expected
    assert judge_cells(rare, 2000, T).answer == "undecided"


@pytest.mark.parametrize(
    ("loss", "low", "high", "answer"),
    [
        (T, 0.0, 2 * T, "pass"),
        (T, 0.0, 2.01 * T, "undecided"),
        (1.01 * T, T, 2 * T, "undecided"),
        (1.01 * T, 1.01 * T, 2 * T, "fail"),
    ],
)
def test_answers_at_the_tolerance(loss: float, low: float, high: float, answer: str) -> None:
    found = loss_tests._decide(loss, 0.1, low, high, T, 7.0, 3)
    wanted = LossTest(answer, loss, 0.1, low, high, 7.0 if answer == "undecided" else np.nan, 3)  # type: ignore[arg-type]
    np.testing.assert_equal(tuple(found), tuple(wanted))


@pytest.mark.parametrize(("unseen", "expected"), [(1.0, 0.5), (0.5, 1.0), (1.0, 1.0)])
def test_where_no_shot_repeats_or_should_there_is_nothing_to_compare(
    unseen: float, expected: float
) -> None:
    assert judge_cells(Cells(0.0, 2.0, unseen, expected), 2000, T).answer == "pass"


def test_the_loss_of_training_and_its_spread() -> None:
    spread = 0.04 / np.sqrt(2)
    assert training_loss([0.01, 0.05], 10**6) == pytest.approx((0.03, spread * np.sqrt(3 / 2)))
    replicas = [0.01, 0.03, -0.02, 0.04]  # a loss below 0 is noise
    spread = np.std([0.01, 0.03, 0.0, 0.04], ddof=1)
    assert training_loss(replicas, 10**6) == pytest.approx((0.02, spread * np.sqrt(5 / 4)))
    assert training_loss([0.02] * 4, 8) == pytest.approx((0.02, 0.02 * 0.5 * np.sqrt(5 / 4)))


# --- draws -----------------------------------------------------------------------------------


def test_pilot_chains_have_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    starts, chains = (
        arguments_of(monkeypatch, f"psiprune.rbm.gibbs.{name}", "seed")
        for name in ("random_start", "start_chains")
    )
    draws.draw(ANY, lambda n: np.zeros((n, 4), np.uint8), 1000, seed=3)
    assert len(set(starts)) == len(set(chains)) == 2


def pilot_of(time: float, trusted: bool = True, r_hat: float = 1.0) -> Pilot:
    return Pilot(900, time, "m", trusted, r_hat, "|m|")


@pytest.mark.parametrize(
    ("tau", "number", "most", "burn_in", "thin"),
    [
        (2.5, 10_000, 250_000, 1000, 3),
        (60.04, 1001, 250_000, 1201, 61),  # 20 tau = 1200.8
        (4000.0, 9001, 20_000, 8000, 1200),  # 0.4 of the cap, and a tenth of the rest
        (4000.0, 100_000, 1030, 1000, 1),  # 30 steps are left for 100 draws
    ],
)
def test_the_pace_of_draws(
    tau: float,
    number: int,
    most: int,
    burn_in: int,
    thin: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    taken, generator = list[int](), np.random.default_rng(0)
    counted = {name: list[int]() for name in ("count", "expect")}
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    monkeypatch.setattr(draws, "pilot", lambda *_: pilot_of(tau))
    monkeypatch.setattr(draws, "MOST_STEPS", most)

    def step(chains: gibbs.Chains, steps: int) -> gibbs.Chains:
        taken.append(steps)
        return chains

    monkeypatch.setattr(gibbs, "step_with_flips", step)
    for name, steps in counted.items():
        monkeypatch.setattr(draws, name, lambda _, n, steps=steps: steps.append(n))
    found = draws.draw(ANY, lambda n: generator.integers(0, 2, (n, 4), np.uint8), number, seed=1)
    length = int(np.ceil(number / 1000))
    assert taken == [burn_in] + [thin] * length
    assert found.bits.shape == (1000, length, 4)
    assert found.method.endswith("every step" if thin == 1 else f"every {thin:,} steps")
    assert found.warning == ""
    assert found.method in caplog.text
    assert counted["expect"] == [1000 * sum(taken)] == [sum(counted["count"])]


@pytest.mark.parametrize(
    ("trusted", "apart", "most", "steps"),
    [(True, 1.05, 2000, 512), (True, 1.051, 1024, 1024), (False, 1.0, 1025, 2048)],
)
def test_pilot_chains_run_until_they_are_trusted_and_agree(
    trusted: bool, apart: float, most: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = arguments_of(monkeypatch, "psiprune.rbm.gibbs.step_with_flips", "steps")
    counted, stored = list[int](), list[tuple[int, int]]()

    def diagnosed(_: RBM, bits: NDArray[np.uint8], __: None, stride: int) -> Pilot:
        stored.append((bits.shape[1], stride))
        return pilot_of(1.0, trusted, apart)

    monkeypatch.setattr(draws, "_diagnose", diagnosed)
    monkeypatch.setattr(draws, "count", lambda _, n: counted.append(n))
    draws.pilot(ANY, np.zeros((5, 4), np.uint8), None, most, 0)
    assert sum(taken) == sum(counted) / 5 == steps
    assert stored == [(256, stride) for stride in (1, 2, 4) if 512 * stride <= steps]


@pytest.mark.parametrize("length", [49, 50])
def test_pilot_chains_are_trusted_from_50_autocorrelation_times(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = arguments_of(monkeypatch, "psiprune.metrics.draws.r_hat", "values")
    found = draws._diagnose(ANY, np.zeros((4, length, 4), np.uint8), None, 3)
    assert found == Pilot(6 * length, 3.0, "m", length == 50, 1.0, "m")
    assert len(compared) == 2  # m and |m|; of C(d) only one that is the slowest


@pytest.mark.parametrize(
    ("pilot", "length", "facts"),
    [
        (pilot_of(2.0, r_hat=1.05), 1, []),
        (pilot_of(2.0, r_hat=1.051), 1, [("|m|", 1.05, 900)]),
        (pilot_of(np.inf), 1, [("m never changes",)]),
        (pilot_of(300.0, False), 1, [("m", 300, 5000, 30_000, 9000)]),  # 100 times 300
        (pilot_of(300.0, False, 2.0), 200, [("m", 66_000), ("|m|", 2)]),  # 20 + 200 times 300
    ],
)
def test_problems_of_pilot_chains(pilot: Pilot, length: int, facts: list[Any]) -> None:
    found = draws._problems(pilot, 5000, length, 9000)
    for line, stated in zip(found, facts, strict=True):
        check_facts(line, *stated)


def test_chains_start_at_random_shots_and_at_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = draws.starts(ANY, lambda n: np.full((n, 4), 7, np.uint8), 5, 0)
    assert (found == 7).all(axis=1).tolist() == [True, True, False, False, False]
    likely = arguments_of(monkeypatch, "psiprune.metrics.draws.draw", "likely")
    stream = Stream.LIKELIHOOD_RATIO_START, Stream.LIKELIHOOD_RATIO_DRAWS
    draws.draw_from_data(ANY, exact.basis(4), 9, 0, *stream)
    assert set(exact.index(likely[0](500))) == set(range(16))


def test_at_least_one_bit_flips() -> None:
    """Flips of three bits by their probabilities given that there is one; chi-squared."""
    flip = 0.3
    bits = _some_flips((4000, 3), flip, np.random.default_rng(0))
    ones = exact.basis(3).sum(axis=1)
    prob = np.where(ones > 0, flip**ones * (1 - flip) ** (3 - ones), 0)
    assert bits.any(axis=1).all()
    assert exact.chi_squared_p(bits, prob / prob.sum()) > 1e-6


# --- readout ---------------------------------------------------------------------------------


def test_errors_of_readout_sensitivity(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - F = d (2 - d), d the mean; blocks of draws have random numbers of their own."""
    generator = np.random.default_rng(4)
    values, first = generator.random((2, 100)), list[float]()

    def integrands(_: RBM, bits: NDArray[np.uint8], __: float, own: np.random.Generator) -> Float64:
        rows = slice(50 * len(first), 50 * len(first) + len(bits))
        first.append(own.random())
        return np.stack([values[:, rows], np.full((2, len(bits)), 0.01)], axis=1)

    monkeypatch.setattr(readout, "EXACT_SITES", 3)
    monkeypatch.setattr(readout, "_integrands", integrands)
    monkeypatch.setattr(readout, "map_threads", lambda function, of: [*map(function, of)])
    found = readout_sensitivity(ANY, data=exact.basis(4), draws=100)
    assert len(set(first)) == 2
    d, kl = values.mean(axis=1)
    errors = np.hypot(values.std(axis=1, ddof=1) / 10, 0.01)
    assert (found.kl.value, found.kl.error) == pytest.approx((kl, errors[1]))
    infidelity = found.infidelity
    wanted = 1 - (1 - d) ** 2, 2 * (1 - d) * errors[0]
    assert (infidelity.value, infidelity.error) == pytest.approx(wanted)


def test_half_of_the_draws_are_of_the_flipped_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """With r = p'/p known, the means are 1 - sqrt(F) and KL; noise of r changes the correction."""
    flip, p = 0.3, distribution(ANY)
    ratio = flipped(p, flip) / p
    noise = np.ones(4)

    def annealed(_: RBM, bits: NDArray[np.uint8], *__: Any) -> Float64:
        return np.log(ratio[exact.index(bits)] * noise[:, None])

    monkeypatch.setattr(readout, "annealed_ratio", annealed)
    bits = ANY.sample_exact(20_000, seed=6)
    found = _integrands(ANY, bits, flip, np.random.default_rng(7))
    wanted = 1 - np.sqrt(p * p * ratio).sum(), -p @ np.log(ratio)
    error = found[:, 0].std(axis=1) / np.sqrt(20_000)
    np.testing.assert_array_less(np.abs(found[:, 0].mean(axis=1) - wanted), 5 * error)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)
    halves = []
    for noise[:] in (0.5, 1.5):
        halves.append(_integrands(ANY, bits, flip, np.random.default_rng(7))[:, 0])
    noise[:] = 0.4, 1.2, 0.6, 1.8
    noisy = _integrands(ANY, bits, flip, np.random.default_rng(7))
    np.testing.assert_allclose(noisy[:, 0] - noisy[:, 1], found[:, 0], atol=1e-12)
    np.testing.assert_allclose(noisy[:, 1], found[:, 0] - np.mean(halves, axis=0), atol=1e-12)


def test_the_log_of_a_mean_beyond_the_range_of_floats() -> None:
    found = recorded.log_mean(np.array([[0.0, -2000.0], [2000.0, -2000.0]]))
    np.testing.assert_allclose(found, [2000 - np.log(2), -2000])


@pytest.mark.parametrize(("infidelity", "end"), [(0.001, "about 0.001"), (0.00099, "than 0.001")])
def test_small_changes_are_stated_as_a_bound(infidelity: float, end: str) -> None:
    each = Measure(infidelity, 0.0, np.nan, "")
    assert readout.ReadoutSensitivity(0.01, each, each).sentence.endswith(end)


@pytest.mark.parametrize("limit", [3, 4])
def test_only_units_that_matter_are_sampled(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hidden unit without weights changes no p(v); up to the limit all states are summed."""
    monkeypatch.setattr(readout, "EXACT_SITES", limit)
    sampled = arguments_of(monkeypatch, "psiprune.metrics.readout.draw_from_data", "rbm")
    weights = np.where([[True], [False]], ANY.weights, 0.0)
    readout_sensitivity(RBM(weights, ANY.visible_bias, ANY.hidden_bias), draws=100)
    assert [rbm.hidden for rbm in sampled] == [1] * (4 - limit)


def test_chains_start_at_settled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[dict[str, Any]]()

    def sample_of(rbm: RBM, shots: int, **given: Any) -> NDArray[np.uint8]:
        asked.append(given)
        return rbm.sample_exact(shots, seed=0)

    monkeypatch.setattr(readout, "EXACT_SITES", 3)
    monkeypatch.setattr(RBM, "sample", sample_of)
    readout_sensitivity(ANY, draws=100, seed=5)
    assert asked == [{"steps": 1000, "seed": derive_seed(5, Stream.READOUT_START)}]
