"""Telling RBMs apart by held-out shots: the stated rates of false alarms hold, damage is seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

import psiprune as pp
import rates
from psiprune.core.statistics import choose
from psiprune.data.shots import Shots
from psiprune.inference import recorded
from psiprune.inference.recorded import RecordedLogProb
from psiprune.metrics import equivalence
from psiprune.metrics.against_shots import Comparison
from psiprune.metrics.equivalence import (
    Losses,
    likelihood_band,
    likelihood_floor,
    losses_from,
    observable_band,
    seed_reach,
)
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM

STATE = pp.ground_state(pp.TFIM(sites=4, field=0.6))
#: An event this rare under what is stated speaks against it.
RARE = 1e-3
#: For tests whose losses do not depend on the RBM.
ANY = initial_rbm(2, 1, 0)


def fresh(count: int, seed: int) -> Shots:
    return pp.sample(STATE, count, seed=10_000 + seed)


@pytest.fixture(scope="module")
def pool() -> list[RBM]:
    """RBMs of 30 seeds on one training set, by a short and noisy CD."""
    shots = pp.sample(STATE, 400, seed=1)
    method = pp.CD(epochs=5, batch_size=20, steps=1, learning_rate=0.3)
    return [pp.train(shots, hidden=2, seed=seed, method=method) for seed in range(30)]


def test_the_tolerance_combines_noise_and_what_is_typical(pool: list[RBM]) -> None:
    losses = losses_from(pool[0], fresh(30, 0), draws=100, seed=0)
    plain = likelihood_band(losses, 0.05, seed=0)(pool[6])
    assert plain.allowed == pytest.approx(norm.isf(0.05) * plain.error)
    typical = likelihood_band(losses, 0.05, seed=0, typical=0.3)(pool[6])
    assert typical.allowed == pytest.approx(np.hypot(0.3, plain.allowed))
    bounded = likelihood_band(losses, 0.05, seed=0, ceiling=1e-4)(pool[6])
    assert bounded.allowed == 1e-4
    # The floor holds even where nothing is left of the ceiling.
    spent = likelihood_band(losses, 0.05, seed=0, floor=2e-4, ceiling=-0.1)(pool[6])
    assert spent.allowed == spent.floor == 2e-4
    assert plain.loss == typical.loss == bounded.loss == spent.loss


def given(found: Any, _: RBM) -> Any:
    return found


@rates.factors
@pytest.mark.parametrize(("block", "log_z_error"), [(8, 0.0), (1, 0.3)])
def test_equally_good_rbms_are_told_apart_as_often_as_stated(
    block: int, log_z_error: float, factor: float
) -> None:
    """The losses of two RBMs that are equally good are noise, and so is the error of log Z."""
    generator, level, refused = np.random.default_rng(block), 0.05, []
    for k in range(rates.repeats(level, factor, at_most=True)):
        values = generator.normal(generator.normal(0, log_z_error), 1, 80).repeat(block)
        losses = partial(given, Losses(values, log_z_error, ""))
        refused.append(likelihood_band(losses, level, seed=k, block=block)(ANY).share > 1)
    rates.check(np.array(refused), level, factor, at_most=True)
    assert np.mean(refused) > level / 3


def test_a_damaged_rbm_is_refused() -> None:
    training = pp.sample(STATE, 400, seed=1)
    members = [pp.train(training, hidden=2, seed=seed, method="exact") for seed in range(5)]
    shots = fresh(1000, 0)
    # At this level one of the five members fails in one of 2000 sets of shots.
    band = likelihood_band(losses_from(members[0], shots, draws=100, seed=0), 1e-4, seed=0)
    empty = members[0].with_mask(np.zeros_like(members[0].mask))
    assert band(empty).share > 1.5
    assert all(band(member).share <= 1 for member in members)
    assert band(members[0]).loss < band(empty).loss - 0.05
    # With few shots less can be told: what is allowed grows.
    few = losses_from(members[0], fresh(30, 0), draws=100, seed=0)
    assert likelihood_band(few, 1e-4, seed=0)(empty).allowed > band(empty).allowed


def test_where_all_shots_agree_the_tolerance_has_a_floor() -> None:
    """A GHZ state: every seed and every shot give the same loss, so the band alone is 0."""
    ghz = Shots(np.repeat([[0], [1]], 4, axis=1).repeat(100, axis=0).astype(np.uint8))
    rbm = pp.train(ghz, hidden=1, method="exact")
    slightly = replace(
        rbm,
        weights=0.9 * rbm.weights,
        visible_bias=0.9 * rbm.visible_bias,
        hidden_bias=0.9 * rbm.hidden_bias,
    )
    losses = losses_from(rbm, ghz, draws=100, seed=0)
    assert likelihood_band(losses, 0.05, seed=0)(slightly).share > 100
    floor = likelihood_floor(4, 800)
    found = likelihood_band(losses, 0.05, seed=0, floor=floor)(slightly)
    assert 0 < found.loss < found.allowed == found.floor == floor == 0.0025
    product = rbm.with_mask(np.zeros_like(rbm.mask))
    assert likelihood_band(losses, 0.05, seed=0, floor=floor)(product).share > 2


def test_the_floor_is_what_a_product_model_loses_by_its_fit() -> None:
    """The mean loss of fitted independent bits against the true ones, over 400 training sets."""
    generator, rate, shots = np.random.default_rng(0), np.array([0.5, 0.3, 0.2]), 500
    means = (generator.random((400, shots, 3)) < rate).mean(axis=1)
    loss = (rate * np.log(rate / means) + (1 - rate) * np.log((1 - rate) / (1 - means))).sum(axis=1)
    error = loss.std(ddof=1) / np.sqrt(400)
    assert abs(loss.mean() - likelihood_floor(3, shots)) < 4 * error
    assert error < 0.1 * likelihood_floor(3, shots)


def test_losses_are_differences_of_log_likelihood(pool: list[RBM]) -> None:
    shots = fresh(200, 0)
    found = losses_from(pool[0], shots, draws=100, seed=0)(pool[1])
    expected = pool[0].log_prob(shots) - pool[1].log_prob(shots)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-12)
    assert (found.error, found.warning) == (0.0, "")


def test_log_z_by_draws_of_the_parent(pool: list[RBM], monkeypatch: pytest.MonkeyPatch) -> None:
    shots = fresh(100, 0)
    exact = [losses_from(pool[0], shots, draws=100, seed=0)(rbm).values.mean() for rbm in pool]
    monkeypatch.setattr(equivalence, "COMPARISON_UNITS", 0)
    by_draws = losses_from(pool[0], shots, draws=20_000, seed=0)
    own = by_draws(pool[0])
    assert (own.values.mean(), own.error) == (0.0, 0.0)
    sigmas = []
    for rbm, value in zip(pool[1:30], exact[1:30], strict=True):
        found = by_draws(rbm)
        sigmas.append((found.values.mean() - value) / found.error)
        assert 0 < found.error < 0.02
    assert np.abs(sigmas).max() < norm.isf(RARE / (2 * 29))


@pytest.mark.parametrize("units", [20, 0])  # log Z by a sum, or by draws
def test_losses_on_records_by_annealing(
    pool: list[RBM], monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    shots = fresh(200, 0).with_readout_error(pp.ReadoutError.from_rates(0.05, 0.1, sites=4))
    monkeypatch.setattr(equivalence, "EXACT_SITES", 4)
    exact = losses_from(pool[0], shots, draws=100, seed=0)
    expected = [exact(rbm) for rbm in pool[1:9]]
    assert {each.error for each in expected} == {0.0}
    for module in (equivalence, recorded):
        monkeypatch.setattr(module, "EXACT_SITES", 3)
    monkeypatch.setattr(recorded, "cheapest_sum", lambda *_: None)
    monkeypatch.setattr(equivalence, "COMPARISON_UNITS", units)
    annealed = losses_from(pool[0], shots, draws=20_000, seed=0)
    np.testing.assert_array_equal(annealed(pool[0]).values, 0)  # the same random numbers
    sigmas = []
    for rbm, of_rbm in zip(pool[1:9], expected, strict=True):
        found = annealed(rbm)
        assert 0 < found.error < 0.02
        sigmas.append((found.values.mean() - of_rbm.values.mean()) / found.error)
    assert np.abs(sigmas).max() < norm.isf(RARE / (2 * 8))


def test_the_error_of_losses_is_that_of_the_annealing_of_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shots = Shots(np.zeros((3, 2), np.uint8))
    noise = {ANY: (3.0, -5.0), initial_rbm(2, 1, 1): (4.0, 7.0)}
    monkeypatch.setattr(
        equivalence,
        "shots_log_prob",
        lambda rbm, *_: RecordedLogProb(np.zeros(3), *noise[rbm], ""),
    )
    for rbm, error in zip(noise, (np.hypot(3, 3), np.linalg.norm([3, 4, 12])), strict=True):
        found = losses_from(ANY, shots, draws=100, seed=0)(rbm)
        assert found.error == pytest.approx(error)


@rates.factors
@pytest.mark.parametrize("members", [2, 5])
def test_the_reach_of_seeds_is_a_prediction_interval(members: int, factor: float) -> None:
    *values, other = np.random.default_rng(members).normal(
        5.0, 2.0, (members + 1, rates.repeats(0.05, factor))
    )
    beyond = other - np.mean(values, axis=0) > seed_reach(values, 0.05)
    rates.check(beyond, 0.05, factor)


@rates.factors
@pytest.mark.parametrize("size", [1, 4])
def test_an_observable_of_another_seed_is_refused_as_seldom_as_stated(
    size: int, factor: float
) -> None:
    """One value exactly as often; of independent ones the worst by Bonferroni, nearly so."""
    generator, nothing, refused = np.random.default_rng(size), np.zeros(size), []
    for _ in range(rates.repeats(0.2, factor)):
        *values, other = generator.normal(0.3, 0.1, (6, size))
        found = Comparison(other, nothing, nothing, nothing, "", "", 1.0, nothing)
        refused.append(observable_band(values, partial(given, found), 0.2)(ANY).share > 1)
    rates.check(np.array(refused), 0.2, factor)


# ---- the choice of the size


def test_the_one_standard_error_rule() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 1, 1000)
    noise -= noise.mean()
    noise /= noise.std(ddof=1)
    log_p = np.zeros((2, 1000))
    for apart, chosen in ((0.9, 0), (1.1, 1)):
        log_p[0] = noise - apart / np.sqrt(1000)
        found = choose(log_p, np.zeros(2), [1, 2])
        assert found.best == 1
        assert found.chosen == chosen
        assert found.losses[0] / found.errors[0] == pytest.approx(apart)


def test_a_better_model_is_chosen_and_the_smallest_of_those_as_good() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 3, 1000)  # cancels: the losses are far below this spread
    noise = generator.normal(0, 0.05, (3, 1000))
    log_p = hard + np.array([[-0.1], [0.0], [0.001]]) + noise - noise.mean(axis=1, keepdims=True)
    found = choose(log_p, np.zeros(3), [2, 4, 8])
    assert found.chosen == 1
    assert found.losses[0] == pytest.approx(0.101)
    # An uncertain log Z can hide the difference.
    assert choose(log_p, np.array([0.2, 0, 0]), [2, 4, 8]).chosen == 0
    assert choose(log_p[:1], np.zeros(1), [2]).chosen == 0
    # Of one size the likeliest.
    assert choose(log_p, np.zeros(3), [4, 4, 4]).chosen == found.best
