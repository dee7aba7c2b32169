"""Training checks itself: what is warned of, and what is not."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

import exact
import psiprune as pp
from machines import magnet
from psiprune.data.confusion import Confusion
from psiprune.inference.ais import Base
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training import diagnostics
from psiprune.training.diagnostics import (
    baselines,
    chain_correlation,
    misses_structure,
    training_problems,
)
from psiprune.training.method import Method
from psiprune.training.train import fit
from spies import arguments_of


@cache
def ising_shots(field: float) -> pp.Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=10, field=field)), 10_000, seed=3)


def warned(shots: pp.Shots, method: Method | None, start: RBM | None = None) -> list[str]:
    """The training warnings of `train`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pp.train(shots, method=method or "auto", start=start, seed=1)
    return [str(each.message) for each in caught if each.category is pp.TrainingWarning]


def product_shots(mean: NDArray[np.float64], shots: int = 2000) -> pp.Shots:
    rng = np.random.default_rng(0)
    return pp.Shots((rng.random((shots, len(mean))) < mean).astype(np.uint8))


# --- against simple models -------------------------------------------------------------------


def test_cd_in_the_ordered_phase_is_warned_of() -> None:
    (first, *_) = warned(ising_shots(0.2), pp.CD())
    assert "symmetric pair" in first
    found, baseline = (float(word) for word in first.split() if word.startswith("-"))
    data = unique_configurations(ising_shots(0.2).bits)
    assert baseline == pytest.approx(baselines(data).mixture, rel=1e-3)
    assert found < baseline
    assert "'exact'" in first
    assert "\n" not in first


@pytest.mark.parametrize("field", [0.2, 0.4, 0.6, 1.0])
def test_the_default_is_not_warned_of(field: float) -> None:
    assert warned(ising_shots(field), None) == []


def test_sorted_shots_as_of_counts_are_not_warned_of() -> None:
    # The first 20,000 of these shots alone are a product state.
    assert warned(pp.read_shots({"00000": 50_000, "11111": 50_000}), None) == []


def test_fit_does_not_check() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(magnet(10, 5, 8.0), ising_shots(1.0), pp.CD(epochs=1, learning_rate=1e-6), 0)


@pytest.mark.parametrize(
    "mean",
    [np.full(6, 0.5), np.linspace(0.05, 0.95, 6), np.zeros(6), np.ones(6), np.arange(6) % 2.0],
    ids=["fair", "biased", "all-0", "all-1", "alternating"],
)
def test_an_rbm_of_a_product_state_is_not_warned_of(mean: NDArray[np.float64]) -> None:
    shots = product_shots(mean)
    for method in (None, pp.PCD(epochs=200, learning_rate=0.3)):
        assert warned(shots, method) == []
    # Without weights and with the right biases an RBM is the product model itself.
    rate = np.clip(shots.bits.mean(axis=0), 1e-9, 1 - 1e-9)
    rbm = RBM(np.zeros((3, 6)), np.log(rate / (1 - rate)), np.zeros(3))
    assert training_problems(rbm, shots, pp.ExactNaturalGradient(), 0) == []
    # Other biases are worse than a product model.
    worse = RBM(rbm.weights, rbm.visible_bias + 0.5, rbm.hidden_bias)
    if 0 < mean[0] < 1:
        (line,) = training_problems(worse, shots, pp.ExactNaturalGradient(), 0)
        assert "a product model" in line


def test_rbms_are_judged_through_joint_errors_above_20_sites(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called = "psiprune.training.diagnostics.recorded_log_prob"
    seconds = arguments_of(monkeypatch, called, "exact_seconds")
    pair = 0.9 * np.eye(4) + 0.025
    error = pp.ReadoutError(tuple(Confusion((i, i + 1), pair) for i in range(0, 22, 2)))
    true, uniform = (RBM(np.zeros((1, 22)), np.full(22, bias), np.zeros(1)) for bias in (2.0, 0.0))
    shots = pp.Shots(true.sample_exact(300)).with_readout_error(error, 1)
    assert training_problems(true, shots, pp.CD(), 0) == []
    (problem,) = training_problems(uniform, shots, pp.CD(), 0)
    assert "describes its training shots worse than a product model" in problem
    assert set(seconds) == {0.0}  # the quicker of both, exact or annealing


@pytest.mark.parametrize("ones", [0, 4])
def test_rates_that_the_shots_contradict_are_named_and_nothing_else(ones: int) -> None:
    """No RBM describes them better than the product model whose means are possible."""
    bits = np.zeros((2000, 6), np.uint8)
    bits[:ones] = np.eye(4, 6, dtype=np.uint8)[:ones]
    shots = pp.Shots(bits, readout=pp.ReadoutError.from_rates(0.03, sites=6))
    best = RBM(np.zeros((1, 6)), np.full(6, -30.0), np.zeros(1))
    (line,) = training_problems(best, shots, pp.ExactNaturalGradient(), 0)
    assert "(and 5 more)" in line
    assert "the readout error rates are too large" in line
    worse = RBM(best.weights, np.full(6, -1.0), np.zeros(1))
    first, second = training_problems(worse, shots, pp.ExactNaturalGradient(), 0)
    assert (first, "worse than a product model" in second) == (line, True)


def test_baselines_through_readout_errors_are_those_of_possible_means() -> None:
    error = pp.ReadoutError.from_rates([0.1, 0.02], [0.05, 0.3])
    data = unique_configurations(np.array([[0, 0], [0, 1], [0, 1], [0, 1]], np.uint8))
    found = baselines(data, error)
    assert found.product == pytest.approx(np.log(0.9) + np.log(0.7) * 0.75 + 0.25 * np.log(0.3))
    ghz = unique_configurations(np.array([[0, 0], [1, 1]], np.uint8))
    # The means and those of the image must lie in 0.1 to 0.9 and in 0.3 to 0.7.
    of_ones = 0.5 * (0.9 * 0.7 + 0.1 * 0.3)
    assert baselines(ghz, error).mixture == pytest.approx(np.log(of_ones))


def test_baselines_are_maximum_likelihoods() -> None:
    ghz = np.repeat([[0] * 5, [1] * 5], 500, axis=0).astype(np.uint8)
    found = baselines(unique_configurations(ghz))
    assert found.product == pytest.approx(-5 * np.log(2))
    assert found.mixture == pytest.approx(-np.log(2), abs=1e-6)

    # Half of the shots flipped as a block: the mixture finds the product model of the halves.
    mean = np.array([0.1, 0.1, 0.9, 0.1, 0.8, 0.1])
    bits = product_shots(mean, 4000).bits.copy()
    bits[::2] ^= 1
    p = np.where(exact.basis(6) == 1, mean, 1 - mean).prod(axis=1)
    truth = 0.5 * (p + p[::-1])  # the last state is the first one flipped
    found = baselines(unique_configurations(bits))
    entropy = float(exact.empirical(bits) @ np.log(truth))
    assert found.mixture == pytest.approx(entropy, abs=6 / 8000 * 3)
    assert found.mixture > found.product + 0.5


@pytest.mark.parametrize("sites", [4, 5])
def test_the_mixture_is_eight_steps_from_the_most_frequent_configuration(sites: int) -> None:
    bits = np.random.default_rng(sites).integers(0, 2, (60, sites), dtype=np.uint8)
    bits[:9] = bits[0]  # the most frequent one

    def of_each(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(bits == 1, mean, 1 - mean).prod(axis=1)

    share = ((bits != bits[0]).sum(axis=1) <= sites / 2).astype(float)
    likelihood = 0.0
    for _ in range(8):
        mean = (share[:, None] * bits + (1 - share)[:, None] * (1 - bits)).mean(axis=0)
        as_is, flipped = of_each(mean), of_each(1 - mean)
        share, likelihood = (
            as_is / (as_is + flipped),
            np.log((as_is + flipped) / 2).mean(),
        )
    found = baselines(unique_configurations(bits))
    assert found.mixture == pytest.approx(likelihood, rel=1e-12)
    assert found.product == pytest.approx(np.log(of_each(bits.mean(axis=0))).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("hidden", "method", "checked"),
    [
        pytest.param(16, pp.CD(epochs=1), True, id="sum"),
        pytest.param(17, pp.ExactNaturalGradient(), True, id="a method of exact sums"),
        pytest.param(17, pp.CD(epochs=125), True, id="annealing"),
        pytest.param(17, pp.CD(epochs=124), False, id="annealing would cost more than 4 %"),
    ],
)
def test_worse_than_a_product_model_is_by_more_than_noise_and_errors(
    monkeypatch: pytest.MonkeyPatch, hidden: int, method: Method, checked: bool
) -> None:
    shots = product_shots(np.full(17, 0.4))
    best, mean = max(baselines(unique_configurations(shots.bits))), shots.bits.mean(axis=0)
    annealed = hidden == 17 and not method.CONVERGES

    def anneal(
        rbm: RBM, base: Base, start: NDArray[np.uint8], betas: NDArray[np.float64], seed: int
    ) -> tuple[NDArray[np.float64], None]:
        assert annealed
        assert seed != 0  # numbers of their own, not those of the training
        assert start.shape == (200, 17)
        np.testing.assert_allclose(betas, np.arange(501) / 500)
        ratio = rbm.log_partition() - base.log_partition
        return ratio + np.log(np.tile([0.5, 1.5], 100)), None

    monkeypatch.setattr(diagnostics, "anneal", anneal)
    # Of 200 weights 0.5 or 1.5 the standard deviation is 0.5 sqrt(200 / 199).
    allowed = 0.01 + 17 / 2000 + 4 * annealed * 0.5 / np.sqrt(199)

    def deficit(shift: float) -> float:
        bias = np.log(0.4 / 0.6) + shift
        return best - float((mean * bias - np.logaddexp(0, bias)).sum())

    for more in (-1e-5, 1e-5):
        shift = brentq(lambda x: deficit(x) - allowed - more, 0.0, 2.0)  # noqa: B023
        rbm = RBM(np.zeros((hidden, 17)), np.full(17, np.log(0.4 / 0.6) + shift), np.zeros(hidden))
        found = training_problems(rbm, shots, method, 0)
        assert [line for line in found if "product model" in line] == found
        assert len(found) == (checked and more > 0)


def test_structure_is_missed_from_twice_the_gain_of_a_saturated_model_per_configuration() -> None:
    # 2 n KL against 4 K with n = 1000 and K = 2; KL(1/2 || p) = -log(4 p (1 - p)) / 2.
    shots = pp.Shots((np.arange(1000) % 2).astype(np.uint8)[:, None])
    for kl, missed in ((0.0039, False), (0.0041, True)):
        p = (1 + np.sqrt(1 - np.exp(-2 * kl))) / 2
        rbm = RBM(np.zeros((1, 1)), np.log([p / (1 - p)]), np.zeros(1))
        assert misses_structure(rbm, shots) == missed
    # Where more than a tenth of the shots were measured once, frequencies say nothing.
    far = RBM(np.zeros((1, 8)), np.full(8, 9.0), np.zeros(1))
    for once, often, missed in ((2, [9, 9], True), (3, [9, 8], False), (0, [2] * 10, True)):
        counts = [1] * once + often
        bits = np.repeat(exact.basis(8)[: len(counts)], counts, axis=0)
        assert misses_structure(far, pp.Shots(bits)) == missed


@pytest.mark.parametrize(
    ("visible", "hidden", "more", "warned"),
    [
        *[(3, 25, 1313, False), (3, 25, 1315, True)],
        *[(18, 18, 1315, True), (19, 19, 1315, False)],
    ],
)
def test_missed_structure_is_warned_of_from_a_twentieth_of_a_nat(
    visible: int, hidden: int, more: int, warned: bool
) -> None:
    # Parity of three bits: each even state `more` times, each odd one 2000 - more times. The KL
    # from fair bits, 0.05 at 1313.7, is due to no mean and no pair; both baselines are as bad.
    counts = np.where(exact.basis(3).sum(axis=1) % 2, 2000 - more, more)
    bits = np.zeros((8000, visible), np.uint8)
    bits[:, :3] = np.repeat(exact.basis(3), counts, axis=0)
    bias = np.where(np.arange(visible) < 3, 0.0, -50.0)
    rbm = RBM(np.zeros((hidden, visible)), bias, np.zeros(hidden))
    found = training_problems(rbm, pp.Shots(bits), pp.CD(epochs=1, steps=1), 0)
    assert len(found) == warned
    assert all("misses structure" in line for line in found)


@pytest.mark.parametrize("exact_sites", [3, 4])
@pytest.mark.parametrize("misread", [True, False])
def test_shots_beyond_the_limit_are_checked_at_even_distances(
    monkeypatch: pytest.MonkeyPatch, misread: bool, exact_sites: int
) -> None:
    for name, value in (("_SHOTS", 4), ("_RECORDS", 2), ("EXACT_SITES", exact_sites)):
        monkeypatch.setattr(diagnostics, name, value)
    error = pp.ReadoutError.from_rates(0.1, sites=4) if misread else None
    shots = pp.Shots(exact.basis(4)[:10], readout=error)
    chosen = [0, 9] if misread and exact_sites < 4 else [0, 3, 6, 9]
    found = diagnostics._checked_shots(shots)
    np.testing.assert_array_equal(found.bits, shots.bits[chosen])
    assert found.readout is error


def test_the_advice_is_a_method_for_the_size_and_the_readout_errors() -> None:
    error = pp.ReadoutError.from_rates(0.1, sites=21)
    for readout, best in ((None, "exact"), (error, "natural")):
        found = diagnostics._remedy(magnet(21, 2, 1.0), pp.CD(), readout)
        assert found == f"use method '{best}' instead of 'cd'"


# --- mixing ----------------------------------------------------------------------------------


def test_a_frozen_chain_is_warned_of_and_a_mixing_one_is_not() -> None:
    barely = pp.CD(epochs=1, learning_rate=1e-6)
    frozen, mixing = magnet(10, 5, 6.0), magnet(10, 5, 0.3)
    for rbm, count in ((frozen, 1), (mixing, 0)):
        shots = pp.Shots(rbm.sample_exact(4000, seed=0))
        found = warned(shots, barely, rbm)
        assert len(found) == count
        correlation = chain_correlation(rbm, shots, barely, 1)
        if count:
            assert "stopped mixing" in found[0]
            assert f"{barely.steps} steps" in found[0]
            assert f"{correlation:.2f}" in found[0]
            assert "'exact'" in found[0]
            assert correlation > 0.99
        else:
            assert abs(correlation) < 0.2


def test_global_flips_mix_two_wells() -> None:
    rbm = magnet(10, 5, 6.0)
    shots = pp.Shots(rbm.sample_exact(4000, seed=0))
    assert abs(chain_correlation(rbm, shots, pp.NaturalGradient(), 0)) < 0.2
    assert training_problems(rbm, shots, pp.NaturalGradient(), 0) == []


def test_the_correlation_with_the_initial_state() -> None:
    # One visible and one hidden unit: the bit after k steps is one of a two-state Markov chain,
    # whose correlation with the start is lambda^k.
    rbm = RBM(np.array([[4.0]]), np.array([-2.0]), np.array([-2.0]))
    shots = pp.Shots(rbm.sample_exact(20_000, seed=0))
    step = exact.gibbs_matrix(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    for k in (1, 2, 3):
        found = np.mean([chain_correlation(rbm, shots, pp.CD(steps=k), seed) for seed in range(20)])
        eigenvalue = np.trace(step) - 1
        assert found == pytest.approx(eigenvalue**k, abs=4 / np.sqrt(20 * 1000))


def test_the_correlation_is_that_of_all_sites_together(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = pp.Shots(np.ones((9, 3), np.uint8))
    assert chain_correlation(magnet(3, 2, 90.0), ones, pp.CD(), 0) == 0.0  # no bit varies
    generator = np.random.default_rng(0)
    shots = pp.Shots(generator.integers(0, 2, (2, 50), dtype=np.uint8))
    start_chains, seen = gibbs.start_chains, list[NDArray[np.float64]]()

    def start(compiled: gibbs.CompiledRBM, bits: NDArray[np.uint8], seed: int) -> gibbs.Chains:
        seen.append(bits.astype(float))
        return start_chains(compiled, bits, seed)

    def step(chains: gibbs.Chains, steps: int) -> gibbs.Chains:
        assert steps == 7
        moved = chains.bits ^ (generator.random(chains.bits.shape) < np.linspace(0, 0.9, 50))
        seen.append(moved.astype(float))
        return start_chains(rbm.compiled, moved.astype(np.uint8), 0)

    rbm = RBM(np.zeros((1, 50)), np.zeros(50), np.zeros(1))
    monkeypatch.setattr(gibbs, "start_chains", start)
    monkeypatch.setattr(gibbs, "step", step)
    found = chain_correlation(rbm, shots, pp.CD(steps=7), 0, count=300)
    first, last = seen
    np.testing.assert_array_equal(np.unique(first, axis=0), np.unique(shots.bits, axis=0))
    covariance = [np.cov(a, b)[0, 1] for a, b in zip(first.T, last.T, strict=True)]
    scale = first.std(axis=0, ddof=1) @ last.std(axis=0, ddof=1)
    assert len(first) == 300
    assert found == pytest.approx(sum(covariance) / scale, rel=1e-12)


@pytest.mark.parametrize(("epochs", "chains"), [(1, 100), (50, 400), (1000, 1000)])
def test_the_mixing_check_costs_a_few_percent(
    monkeypatch: pytest.MonkeyPatch, epochs: int, chains: int
) -> None:
    shots, rbm = (
        product_shots(np.full(3, 0.5), 200),
        RBM(np.zeros((1, 3)), np.zeros(3), np.zeros(1)),
    )
    for correlation, warned in ((0.9, 0), (0.91, 1)):

        def measured(*given: object, correlation: float = correlation) -> float:
            assert given[-1] == chains
            return correlation

        monkeypatch.setattr(diagnostics, "chain_correlation", measured)
        found = training_problems(rbm, shots, pp.CD(epochs=epochs, steps=3), 0)
        assert len(found) == warned
    assert training_problems(rbm, shots, pp.CD(epochs=0), 0) == []


def test_the_gibbs_steps_of_a_training() -> None:
    assert pp.ExactNaturalGradient().gibbs_steps(1000) == 0
    assert pp.CD(epochs=3, steps=2).gibbs_steps(1000) == 6000
    assert pp.NaturalGradient(epochs=3, steps=2, chains=50).gibbs_steps(1000) == 300


def test_above_exact_sums_log_z_is_annealed_where_the_training_was_long() -> None:
    # 20 x 17 units of independent bits: worse biases are seen by annealing, if it costs little.
    shots = product_shots(np.linspace(0.2, 0.8, 20))
    rbm = RBM(np.zeros((17, 20)), np.full(20, 3.0), np.zeros(17))
    (line,) = training_problems(rbm, shots, pp.CD(epochs=1000), 0)
    assert "a product model" in line
    assert training_problems(rbm, shots, pp.CD(epochs=1, steps=1), 0) == []
