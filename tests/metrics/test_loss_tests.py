"""Equivalence tests in nats per shot: they answer wrongly as seldom as stated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from psiprune.metrics.loss_tests import (
    FAMILIES,
    LEVEL,
    OBSERVABLE_LEVEL,
    PASS_LEVEL,
    POWER,
    LossTest,
    cell_divergence,
    judge_cells,
    judge_mean,
    judge_observables,
    training_loss,
)

T = 0.05
#: An event this rare under what is stated speaks against it.
RARE = 1e-3


def too_often(hits: int, of: int, rate: float) -> bool:
    return bool(binomtest(hits, of, rate, alternative="greater").pvalue < RARE)


def answers(tests: list[LossTest], answer: str) -> int:
    return sum(each.answer == answer for each in tests)


def test_a_mean_loss_passes_and_fails_as_seldom_as_stated() -> None:
    generator, number = np.random.default_rng(0), 2000

    def judge(loss: float, error: float) -> list[LossTest]:
        noise = generator.normal(0, error, number)
        return [judge_mean(loss + each, error, 1000, T) for each in noise]

    for error in (0.005, 0.02, 0.05):
        passed, failed = answers(judge(2 * T, error), "pass"), answers(judge(T, error), "fail")
        assert not too_often(passed, number, PASS_LEVEL)
        assert not too_often(failed, number, LEVEL / FAMILIES)
    assert passed > 0.4 * PASS_LEVEL * number  # the level is used
    # A damage of 1.5 T is not that of 2 T, so the bound above is sharp.
    assert too_often(answers(judge(1.5 * T, 0.02), "pass"), number, PASS_LEVEL)
    assert answers(judge(0, 0.005), "pass") == number
    assert judge_mean(1.1 * T, 0.005, 1000, T).answer == "undecided"  # though below 2 T for sure
    assert answers(judge(4 * T, 0.005), "fail") == number
    assert answers(judge(0.0, 0.2), "undecided") > 0.8 * number


def test_the_shots_needed_decide_for_a_faithful_model() -> None:
    generator, spread, number = np.random.default_rng(1), 2.0, 2000
    few = judge_mean(0.0, spread / np.sqrt(500), 500, T)
    assert few.answer == "undecided"
    shots = few.shots_needed
    noise = generator.normal(0, spread / np.sqrt(shots), number)
    passed = answers([judge_mean(x, spread / np.sqrt(shots), shots, T) for x in noise], "pass")
    assert binomtest(passed, number, POWER).pvalue > RARE
    # A loss that falls like 1/n needs more of them.
    assert judge_mean(0.2, spread / np.sqrt(500), 500, T).shots_needed > 1.3 * shots
    assert np.isnan(judge_mean(0.0, 0.001, 500, T).shots_needed)


def test_observables_of_a_tilted_distribution_lose_what_is_stated() -> None:
    """The bound delta^2 / 2V is nearly the KL divergence of the tilted model, and never above."""
    values, p = np.array([-1.0, 0.0, 2.0]), np.array([0.3, 0.5, 0.2])
    for tilt in (0.01, 0.1, 0.3):
        q = p * np.exp(tilt * values)
        q /= q.sum()
        kl = float((q * np.log(q / p)).sum())
        delta = float((q - p) @ values)
        variance = max(float(x @ values**2 - (x @ values) ** 2) for x in (p, q))
        found = judge_observables(delta, 0.0, variance, 1000, T)
        assert found.loss == pytest.approx(kl, rel=0.02 + tilt)
        assert found.loss <= kl


@pytest.mark.parametrize("number", [1, 55])
def test_observables_answer_wrongly_as_seldom_as_stated(number: int) -> None:
    generator, shots, sets = np.random.default_rng(number), 150, 1500
    variance = np.ones(number)
    noise = generator.normal(0, shots**-0.5, (sets, number))
    faithful = [judge_observables(each, 0 * variance, variance, shots, T) for each in noise]
    assert answers(faithful, "pass") >= POWER * sets
    assert answers(faithful, "fail") == 0
    moved = np.zeros(number)
    for loss, answer, level in ((2 * T, "pass", OBSERVABLE_LEVEL), (T, "fail", LEVEL / FAMILIES)):
        moved[0] = np.sqrt(2 * loss)
        tests = [judge_observables(moved + x, 0 * variance, variance, shots, T) for x in noise]
        assert not too_often(answers(tests, answer), sets, level)
        if answer == "pass":
            assert all(each.which == 0 for each in tests if each.answer == "fail")
    # Only every tenth shot: the noise hides it, and so many as needed reveal it.
    few = judge_observables(noise[0] * 10**0.5, 0 * variance, variance, shots / 10, T)
    assert few.answer == "undecided"
    enough = few.shots_needed
    noise *= (shots / enough) ** 0.5
    tests = [judge_observables(each, 0 * variance, variance, enough, T) for each in noise]
    assert not too_often(sets - answers(tests, "pass"), sets, 1 - POWER)


def test_an_observable_that_rbm_and_shots_agree_on_exactly() -> None:
    found = judge_observables([0.0, 0.0], [0.0, 0.0], [0.0, 1.0], 1000, T)
    assert (found.answer, found.loss) == ("pass", 0.0)


def test_replicas_are_as_far_from_the_model_as_it_is_from_the_state() -> None:
    """Multinomial frequencies, whose expected loss is (K - 1) / 2n."""
    generator, p, shots = np.random.default_rng(0), np.array([0.4, 0.3, 0.2, 0.1]), 500

    def loss(q: np.ndarray, fitted: np.ndarray) -> float:
        return float((q * np.log(q / fitted)).sum())

    covered, naive, sets = 0, 0, 400
    for _ in range(sets):
        model = generator.multinomial(shots, p) / shots
        replicas = generator.multinomial(shots, model, 4) / shots
        value, error = training_loss([loss(model, each) for each in replicas], 3)
        covered += abs(loss(p, model) - value) < 2 * error
        naive += abs(loss(p, model) - value) < 2 * error / 3
    assert not too_often(sets - covered, sets, 0.1)
    assert too_often(sets - naive, sets, 0.1)
    mean = np.mean(
        [
            training_loss([loss(p, generator.multinomial(shots, p) / shots)], 3)[0]
            for _ in range(400)
        ]
    )
    assert mean == pytest.approx(3 / (2 * shots), rel=0.15)
    assert training_loss([0.01], 8)[1] == pytest.approx(0.01 * 0.5 * 2**0.5)


def test_cells_of_a_perfect_model_lose_nothing() -> None:
    generator, p, shots, sets = np.random.default_rng(0), np.full(30, 1 / 32), 400, 1000
    tests, raw = [], []
    for _ in range(sets):
        counts = generator.multinomial(shots, [*p, 2 / 32])[:30]
        cells = cell_divergence(np.log(p), counts, shots)
        raw.append(cells.divergence)
        tests.append(judge_cells(cells, shots, T))
    assert answers(tests, "pass") >= POWER * sets
    assert not too_often(answers(tests, "fail"), sets, LEVEL / FAMILIES)
    assert np.mean(raw) == pytest.approx((cells.cells - 1) / (2 * shots), rel=0.1)


def test_cells_see_mass_that_pairs_cannot_see() -> None:
    """Even parity of six bits against fair bits: all sites and pairs agree."""
    even = [row for row in range(64) if row.bit_count() % 2 == 0]
    counts = np.random.default_rng(0).multinomial(500, np.full(32, 1 / 32))
    assert len(even) == 32
    cells = cell_divergence(np.full(32, -np.log(64)), counts, 500)
    assert cells.unseen == 0
    assert cells.expected == pytest.approx(0.5)
    found = judge_cells(cells, 500, T)
    assert found.answer == "fail"
    assert found.loss == pytest.approx(np.log(2), abs=4 * found.error)


def test_cells_are_those_that_the_model_expects_five_times() -> None:
    log_p = np.log([0.5, 0.46, 0.032, 0.004])  # 3.2 of 100 shots are too few
    cells = cell_divergence(log_p, [50, 45, 3, 0], 100)
    p, f = np.array([0.5, 0.46, 0.036, 0.004]), np.array([0.5, 0.45, 0.03, 0.02])
    assert cells.divergence == pytest.approx(f @ np.log(f / p))
    assert cells.cells == pytest.approx(3 + 0.4)
    assert (cells.unseen, cells.expected) == pytest.approx((0.02, 0.004))


def test_a_configuration_that_the_model_excludes_counts_once() -> None:
    found = judge_cells(cell_divergence([0.0, -900.0], [990, 10], 1000), 1000, T)
    assert found.answer == "fail"
    assert np.isfinite(found.loss)


@pytest.mark.parametrize("sites", [16, 17])
def test_shots_that_repeat_too_often_leave_it_undecided(sites: int) -> None:
    """Even parity of many fair bits: few shots repeat, but twice as many as independent bits do."""
    generator, training, shots = np.random.default_rng(sites), 8000, 1200
    answers_of: dict[int, list[str]] = {}
    for states, model in ((1 << (sites - 1), -sites * np.log(2)), (1 << sites, -sites * np.log(2))):
        for _ in range(20):
            seen = np.unique(generator.integers(0, states, training))
            drawn = generator.integers(0, states, shots)
            again = np.searchsorted(seen, drawn[np.isin(drawn, seen)])
            counts = np.bincount(again, minlength=len(seen))
            cells = cell_divergence(np.full(len(seen), model), counts, shots)
            answers_of.setdefault(states, []).append(judge_cells(cells, shots, T).answer)
    assert answers_of[1 << (sites - 1)].count("pass") <= 6
    assert answers_of[1 << sites].count("pass") >= 19
