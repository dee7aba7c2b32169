"""Training checks itself: what is warned of, and what is not."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import magnet
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.diagnostics import (
    baselines,
    chain_correlation,
    misses_structure,
    training_problems,
)
from psiprune.training.method import Method
from psiprune.training.train import fit


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


def test_baselines_are_maximum_likelihoods() -> None:
    shots = product_shots(np.array([0.2, 0.7, 0.5]), 5000)
    data, mean = unique_configurations(shots.bits), shots.bits.mean(axis=0)
    direct = np.where(shots.bits == 1, np.log(mean), np.log(1 - mean)).sum(axis=1).mean()
    assert baselines(data).product == pytest.approx(direct, rel=1e-12)

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


def test_misses_structure_tells_a_fit_from_a_product_model() -> None:
    shots = pp.Shots(np.repeat(np.eye(6, dtype=np.uint8), 300, axis=0))  # a W state
    rate = shots.bits.mean(axis=0)
    product = RBM(np.zeros((3, 6)), np.log(rate / (1 - rate)), np.zeros(3))
    assert misses_structure(product, shots)
    assert not misses_structure(pp.train(shots, seed=0), shots)


def test_structure_is_missed_from_twice_the_gain_of_a_saturated_model_per_configuration() -> None:
    # 2 n KL against 4 K with n = 1000 and K = 2; KL(1/2 || p) = -log(4 p (1 - p)) / 2.
    shots = pp.Shots((np.arange(1000) % 2).astype(np.uint8)[:, None])
    for kl, missed in ((0.0039, False), (0.0041, True)):
        p = (1 + np.sqrt(1 - np.exp(-2 * kl))) / 2
        rbm = RBM(np.zeros((1, 1)), np.log([p / (1 - p)]), np.zeros(1))
        assert misses_structure(rbm, shots) == missed
    # Of configurations measured once frequencies say nothing.
    once = pp.Shots(exact.basis(8)[::2])
    assert not misses_structure(RBM(np.zeros((1, 8)), np.full(8, 9.0), np.zeros(1)), once)


def test_a_later_start_is_taken_where_the_first_one_misses_structure() -> None:
    shots = pp.Shots(np.repeat(np.eye(6, dtype=np.uint8), 300, axis=0))
    method = pp.ExactNaturalGradient()
    alone: dict[str, RBM] = {
        initial: pp.train(shots, seed=0, initial=initial, method=method)
        for initial in method.INITIAL
    }
    likelihood = {name: float(rbm.log_prob(shots.bits).mean()) for name, rbm in alone.items()}
    chosen = pp.train(shots, seed=0, method=method)
    taken = str(chosen.provenance["initial"])
    assert dict(chosen.provenance) == dict(alone[taken].provenance)
    tried = method.INITIAL[: method.INITIAL.index(taken) + 1]
    assert likelihood[taken] == max(likelihood[name] for name in tried)


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


def test_no_chains_and_no_epochs_have_nothing_to_check() -> None:
    rbm = magnet(10, 5, 6.0)
    shots = pp.Shots(rbm.sample_exact(1000, seed=0))
    assert training_problems(rbm, shots, pp.ExactNaturalGradient(), 0) == []
    assert warned(shots, pp.CD(epochs=0), rbm) == []
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
