"""Telling RBMs apart by held-out shots: the stated rates of false alarms hold, damage is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

import psiprune as pp
from psiprune.core.statistics import choose
from psiprune.data.shots import Shots
from psiprune.metrics import equivalence
from psiprune.metrics.against_shots import Comparison
from psiprune.metrics.agreement import drift, sigma_limit, worst_pair
from psiprune.metrics.equivalence import (
    likelihood_band,
    losses_from,
    nearest_to_mean,
    observable_band,
    seed_reach,
)
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM

STATE = pp.ground_state(pp.TFIM(sites=4, field=0.6))
#: An event this rare under what is stated speaks against it.
RARE = 1e-3


def fresh(count: int, seed: int) -> Shots:
    return pp.sample(STATE, count, seed=10_000 + seed)


def too_often(hits: int, of: int, rate: float) -> bool:
    """Whether so many alarms speak against a rate of at most `rate`."""
    return bool(binomtest(hits, of, rate, alternative="greater").pvalue < RARE)


@pytest.fixture(scope="module")
def pool() -> list[RBM]:
    """RBMs of 60 seeds on one training set, by a short and noisy CD."""
    shots = pp.sample(STATE, 400, seed=1)
    method = pp.CD(epochs=5, batch_size=20, steps=1, learning_rate=0.3)
    return [pp.train(shots, hidden=2, seed=seed, method=method) for seed in range(60)]


def groups(of: int) -> list[NDArray[np.int64]]:
    """Five members and a sixth RBM, drawn from the pool again and again."""
    generator = np.random.default_rng(3)
    return [generator.choice(60, 6, replace=False) for _ in range(of)]


def test_another_seed_is_refused_as_seldom_as_stated(pool: list[RBM]) -> None:
    refused, by_shots_alone = 0, 0
    shots = fresh(1000, 0)
    for group in groups(120):
        *members, other = [pool[k] for k in group]
        losses = losses_from(members[0], shots, draws=100, seed=0)
        found = likelihood_band(members, losses, 0.05, seed=0)(other)
        refused += found.share > 1
        # Without the spread over seeds the alarm is raised far too often.
        against = losses(other)
        error = against.values.std(ddof=1) / np.sqrt(len(shots))
        by_shots_alone += against.values.mean() > norm.isf(0.05) * error
    assert not too_often(refused, 120, 0.05)
    assert too_often(by_shots_alone, 120, 0.05)


@pytest.mark.slow
def test_equally_good_rbms_are_told_apart_as_often_as_stated() -> None:
    """An RBM and its mirror image are equally far from a state that is its own mirror image."""
    rbm = pp.train(
        pp.sample(STATE, 60, seed=5),
        hidden=3,
        seed=0,
        method=pp.ExactNaturalGradient(weight_decay=0.1),
    )
    mirrored = replace(
        rbm, weights=rbm.weights[:, ::-1], visible_bias=rbm.visible_bias[::-1], provenance={}
    )
    refused = 0
    for k in range(250):
        losses = losses_from(rbm, fresh(300, k), draws=100, seed=0)
        found = likelihood_band([rbm, rbm], losses, 0.05, seed=k)(mirrored)
        assert found.loss != 0
        refused += found.share > 1
    assert binomtest(refused, 250, 0.05).pvalue > RARE


def test_a_damaged_rbm_is_refused() -> None:
    training = pp.sample(STATE, 400, seed=1)
    members = [pp.train(training, hidden=2, seed=seed, method="exact") for seed in range(5)]
    shots = fresh(1000, 0)
    band = likelihood_band(members, losses_from(members[0], shots, draws=100, seed=0), 0.05, seed=0)
    empty = members[0].with_mask(np.zeros_like(members[0].mask))
    assert band(empty).share > 1.5
    assert all(band(member).share <= 1 for member in members)
    assert band(members[0]).loss < band(empty).loss - 0.05
    # With few shots less can be told: what is allowed grows.
    few = losses_from(members[0], fresh(30, 0), draws=100, seed=0)
    assert likelihood_band(members, few, 0.05, seed=0)(empty).allowed > band(empty).allowed


def test_the_error_of_a_loss_is_that_of_fresh_shots(pool: list[RBM]) -> None:
    """Of the member that losses are taken against, too: its loss is against the mean of all."""
    members, every = pool[:5], (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.uint8)
    each = np.array([member.log_prob(every) for member in members])
    exact = float(np.exp(STATE.log_prob(every)) @ (each.mean(axis=0) - each[0]))
    sigmas = []
    for k in range(60):
        losses = losses_from(members[0], fresh(500, k), draws=100, seed=0)
        found = likelihood_band(members, losses, 0.05, seed=k)(members[0])
        sigmas.append((found.loss - exact) / found.error)
    assert binomtest(int((np.abs(sigmas) > 1).sum()), 60, 0.317).pvalue > RARE
    assert np.abs(sigmas).max() < 4


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
    assert np.abs(sigmas).max() < sigma_limit(29, RARE)
    # All weight on 0101, which a ferromagnet seldom shows.
    far = RBM(np.zeros((2, 4)), 50 * np.array([-1.0, 1, -1, 1]), np.zeros(2))
    few = losses_from(pool[0], shots, draws=200, seed=0)
    assert "effective draws" in few(far).warning


def test_the_reach_of_seeds_is_a_prediction_interval() -> None:
    generator = np.random.default_rng(0)
    beyond, naive = 0, 0
    for _ in range(4000):
        *members, other = generator.normal(5.0, 2.0, 6)
        beyond += other - np.mean(members) > seed_reach(members, 0.05)
        naive += other - np.mean(members) > norm.isf(0.05) * np.std(members, ddof=1)
    assert binomtest(beyond, 4000, 0.05).pvalue > RARE
    assert too_often(naive, 4000, 0.05)


@pytest.mark.parametrize("size", [1, 4])
def test_an_observable_of_another_seed_is_refused_as_seldom_as_stated(size: int) -> None:
    generator = np.random.default_rng(size)
    nothing = np.zeros(size)
    refused, damaged = 0, 0
    for _ in range(800):
        values = generator.normal(0.3, 0.1, (6, size))

        def measure(_: RBM, value: Any = values[5]) -> Comparison:
            return Comparison(value, nothing, nothing, nothing, "", "", 1.0)

        band = observable_band(list(values[:5]), measure, 0.05)
        refused += band(initial_rbm(2, 1, 0)).share > 1

        def moved(_: RBM, value: Any = values[5] + 5.0) -> Comparison:
            return Comparison(value, nothing, nothing, nothing, "", "", 1.0)

        damaged += observable_band(list(values[:5]), moved, 0.05)(initial_rbm(2, 1, 0)).share > 1
    assert not too_often(refused, 800, 0.05)
    assert refused > 0.02 * 800
    assert damaged == 800


def test_what_the_shots_do_not_resolve_is_allowed() -> None:
    found = Comparison(np.float64(0.5), np.float64(0), np.float64(0.2), np.float64(1), "", "w", 1.0)
    standing = observable_band([0.3, 0.3], lambda _: found, 0.05)(initial_rbm(2, 1, 0))
    assert standing.allowed == pytest.approx(norm.isf(0.025))
    assert standing.loss == pytest.approx(0.2)
    assert standing.warning == "w"


def test_the_member_nearest_to_the_mean() -> None:
    assert nearest_to_mean([0.0, 4.0, 1.5, 9.0]) == 1
    assert nearest_to_mean([[0.0, 1.0], [1.0, 1.1], [2.0, 5.0]]) == 1
    assert nearest_to_mean([2.0, 2.0]) == 0


# ---- the choice of the size


def test_equal_models_do_not_pass_over_the_smallest_more_often_than_stated() -> None:
    generator = np.random.default_rng(0)
    passed_over, uncorrected = 0, 0
    for _ in range(1000):
        log_p = -5.0 + generator.normal(0, 3, 100) + generator.normal(0, 0.5, (9, 100))
        passed_over += choose(log_p, np.zeros(9), range(1, 10), 0.05).chosen > 0
        uncorrected += choose(log_p, np.zeros(9), range(1, 10), 0.05 * 8).chosen > 0
    assert not too_often(passed_over, 1000, 0.05)
    assert too_often(uncorrected, 1000, 0.05)


def test_a_better_model_is_chosen_and_the_smallest_of_those_as_good() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 3, 1000)  # cancels: the losses are far below this spread
    noise = generator.normal(0, 0.05, (3, 1000))
    log_p = hard + np.array([[-0.1], [0.0], [0.001]]) + noise - noise.mean(axis=1, keepdims=True)
    found = choose(log_p, np.zeros(3), [2, 4, 8], 0.05)
    assert found.chosen == 1
    assert found.losses[0] == pytest.approx(0.101)
    # An uncertain log Z can hide the difference.
    assert choose(log_p, np.array([0.1, 0, 0]), [2, 4, 8], 0.05).chosen == 0
    assert choose(log_p[:1], np.zeros(1), [2], 0.05).chosen == 0
    # Of one size the likeliest.
    assert choose(log_p, np.zeros(3), [4, 4, 4], 0.05).chosen == found.best


# ---- sites, pairs, and the record


def test_pairs_raise_the_alarm_as_seldom_as_stated() -> None:
    rbm = initial_rbm(5, 3, seed=1)
    tilted = replace(rbm, visible_bias=rbm.visible_bias + np.array([0, 0, 1.0, 0, 0]))
    alarms = seen = 0
    for seed in range(150):
        shots = Shots(rbm.sample_exact(500, seed=seed))
        found = worst_pair(rbm, shots, draws=1000, seed=5000 + seed)
        alarms += found.sigmas > found.limit
        if seed < 20:
            found = worst_pair(tilted, shots, draws=1000, seed=seed)
            seen += found.sigmas > found.limit and 2 in found.where
    assert not too_often(alarms, 150, 0.01)
    assert seen == 20


def test_pairs_by_enumeration() -> None:
    """Of two sites that always differ and are fair, an RBM of fair bits misses the pair alone."""
    shots = Shots(np.array([[0, 1], [1, 0]] * 200, dtype=np.uint8))
    found = worst_pair(RBM(np.zeros((1, 2)), np.zeros(2), np.zeros(1)), shots, draws=10_000)
    assert found.where == (0, 1)
    assert found.sigmas == pytest.approx(1 / np.sqrt(1 / 10_000), rel=0.05)


def test_pairs_of_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = initial_rbm(5, 3, seed=1)
    shots = Shots(rbm.sample_exact(2000, seed=3))
    monkeypatch.setattr("psiprune.metrics.draws.independent_draws", lambda *_, **__: None)
    found = worst_pair(rbm, shots, draws=3000, seed=2)
    assert 0 < found.sigmas <= found.limit


def test_the_drift_of_a_record() -> None:
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        found = drift(Shots((generator.random((200, 6)) < 0.3).astype(np.uint8)))
        alarms += found.sigmas > found.limit
    assert not too_often(alarms, 1000, 0.01)
    bits = (generator.random((400, 6)) < 0.3).astype(np.uint8)
    bits[200:, 4] = 1 - bits[200:, 4]
    found = drift(Shots(bits))
    assert found.where == (4,)
    assert found.sigmas > found.limit
    assert drift(Shots(np.zeros((10, 3), np.uint8))).sigmas == 0
