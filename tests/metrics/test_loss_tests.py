"""Equivalence tests in nats per shot: they answer wrongly as seldom as stated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import rel_entr

import rates
from psiprune.metrics import loss_tests
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


def answered(tests: Iterable[LossTest], answer: str) -> NDArray[np.bool_]:
    return np.array([each.answer == answer for each in tests])


@rates.factors
@pytest.mark.parametrize(("error", "spread"), [(0.05, 0.0), (0.0, 0.05), (0.04, 0.03)])
def test_a_mean_loss_passes_and_fails_as_seldom_as_stated(
    error: float, spread: float, factor: float
) -> None:
    """A loss of 2 T passes, and one of T fails, exactly at the levels."""
    generator, scale = np.random.default_rng(0), np.hypot(max(error, 1e-3), spread)
    for loss, answer, level in ((2 * T, "pass", PASS_LEVEL), (T, "fail", LEVEL / FAMILIES)):
        noise = generator.normal(0, scale, rates.repeats(level, factor))
        tests = [judge_mean(loss + each, error, 1000, T, spread) for each in noise]
        rates.check(answered(tests, answer), level, factor, what=answer)


@rates.factors
def test_the_shots_needed_decide_for_a_faithful_model(factor: float) -> None:
    spread = 2.0
    few = judge_mean(0.0, spread / np.sqrt(500), 500, T)
    assert few.answer == "undecided"
    shots = few.shots_needed
    error, number = spread / np.sqrt(shots), rates.repeats(1 - POWER, factor)
    noise = np.random.default_rng(1).normal(0, error, number)
    tests = [judge_mean(each, error, shots, T) for each in noise]
    rates.check(~answered(tests, "pass"), 1 - POWER, factor)
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


@rates.factors
@pytest.mark.parametrize("number", [1, 55])
def test_observables_answer_wrongly_as_seldom_as_stated(
    number: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise of the shots and of the model; at a level of failing of 5 %, to see it more often."""
    monkeypatch.setattr(loss_tests, "LEVEL", 0.05 * FAMILIES)
    shots, variance, of_model = 150.0, np.ones(number), np.full(number, 0.03)
    generator = np.random.default_rng(number)

    def judge(deviation: float, tolerance: float, repeats: int, n: float) -> list[LossTest]:
        noise = generator.normal(0, np.hypot(n**-0.5, 0.03), (repeats, number))
        noise[:, 0] += deviation
        return [judge_observables(each, of_model, variance, n, tolerance) for each in noise]

    # Without a loss the largest of independent deviations exceeds 0 at the level.
    faithful = judge(0.0, 1e-12, rates.repeats(0.05, factor), shots)
    rates.check(answered(faithful, "fail"), 0.05, factor, what="fail")
    sharp = number == 1
    repeats = rates.repeats(OBSERVABLE_LEVEL, factor, at_most=not sharp)
    lossy = judge(2 * T**0.5, T, repeats, shots)
    rates.check(answered(lossy, "pass"), OBSERVABLE_LEVEL, factor, not sharp, what="pass")
    assert all(each.which == 0 for each in lossy if each.answer == "fail")


@rates.factors
@pytest.mark.parametrize("number", [1, 55])
def test_the_shots_needed_decide_for_observables(number: int, factor: float) -> None:
    """With ten shots noise hides a faithful model; as many as needed reveal it."""
    generator, nothing, variance = np.random.default_rng(number), np.zeros(number), np.ones(number)
    few = judge_observables(nothing, nothing, variance, 10, T)
    assert few.answer == "undecided"
    repeats = rates.repeats(1 - POWER, factor, at_most=True)
    noise = generator.normal(0, few.shots_needed**-0.5, (repeats, number))
    tests = [judge_observables(x, nothing, variance, few.shots_needed, T) for x in noise]
    rates.check(~answered(tests, "pass"), 1 - POWER, factor, at_most=True)


def test_an_observable_that_rbm_and_shots_agree_on_exactly() -> None:
    found = judge_observables([0.0, 0.0], [0.0, 0.0], [0.0, 1.0], 1000, T)
    assert (found.answer, found.loss) == ("pass", 0.0)


@rates.factors
def test_replicas_are_as_far_from_the_model_as_it_is_from_the_state(factor: float) -> None:
    """Multinomial frequencies, whose expected loss is (K - 1) / 2n: within two errors in 90 %."""
    generator, p, shots = np.random.default_rng(0), np.array([0.4, 0.3, 0.2, 0.1]), 500
    number = rates.repeats(0.1, factor, at_most=True)
    model = generator.multinomial(shots, p, number) / shots
    replicas = generator.multinomial(shots, model, (4, number)) / shots
    found = np.array([training_loss(each, 3) for each in rel_entr(model, replicas).sum(axis=2).T])
    value, error = found.T
    missed = np.abs(rel_entr(p, model).sum(axis=1) - value) > 2 * error
    rates.check(missed, 0.1, factor, at_most=True)
    assert value.mean() == pytest.approx(3 / (2 * shots), rel=0.15)
    assert training_loss([0.01], 8)[1] == pytest.approx(0.01 * 0.5 * 2**0.5)


@rates.factors
def test_cells_answer_wrongly_as_seldom_as_stated(factor: float) -> None:
    """30 of 32 configurations are known; those that the model gets wrong lose 0, T or 2 T."""
    generator, shots = np.random.default_rng(0), 400
    model = np.full(32, 1 / 32)

    def moved(size: float) -> NDArray[np.float64]:
        q = model * np.exp(size * (-1.0) ** np.arange(32))
        return q / q.sum()

    for loss, answer, level in (
        (T, "fail", LEVEL / FAMILIES),
        (2 * T, "pass", PASS_LEVEL),
        (0.0, "undecided", 1 - POWER),
    ):
        size = brentq(lambda x, loss=loss: rel_entr(moved(x), model).sum() - loss, 0, 1)
        repeats = rates.repeats(level, factor, at_most=True)
        cells = [
            cell_divergence(np.log(model[:30]), counts[:30], shots)
            for counts in generator.multinomial(shots, moved(size), repeats)
        ]
        events = answered((judge_cells(each, shots, T) for each in cells), answer)
        rates.check(events, level, factor, at_most=True, what=answer)
    mean = np.mean([each.divergence for each in cells])
    assert mean == pytest.approx((cells[0].cells - 1) / (2 * shots), rel=0.2)


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
    # Five shots expected are enough.
    assert cell_divergence(np.log([0.25, 0.125]), [0, 0], 20).cells == 3
    assert cell_divergence(np.log([0.25, 0.125]), [0, 0], 19).cells == 2


def test_probabilities_from_an_estimated_log_z_may_exceed_one() -> None:
    log_p = np.log([0.66, 0.44])
    found, wanted = (cell_divergence(x, [70, 30], 100) for x in (log_p, log_p - np.log(1.1)))
    assert found == pytest.approx(wanted)
    assert found.expected == 0


def test_a_configuration_that_the_model_excludes_counts_once() -> None:
    found = judge_cells(cell_divergence([0.0, -900.0], [990, 10], 1000), 1000, T)
    assert found.answer == "fail"
    assert np.isfinite(found.loss)
