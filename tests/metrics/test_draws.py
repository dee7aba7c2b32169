"""Chains for estimates: autocorrelation times against known ones, error bars, and warnings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import rates
from machines import distribution, magnet, random_rbm
from psiprune.data.readout_error import ReadoutError
from psiprune.metrics import draws
from psiprune.metrics.draws import (
    autocorrelation_time,
    depends_on_start,
    draw,
    pilot,
    r_hat,
    starts,
)
from psiprune.metrics.measure import effective_draws
from psiprune.metrics.observables import Estimate, sampled_observables
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from psiprune.states.tfim import TFIM
from refusals import check_facts
from spies import arguments_of

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


@pytest.fixture
def no_independent_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)


def all_up(sites: int) -> Callable[[int], Bits]:
    return lambda number: np.zeros((number, sites), np.uint8)


def two_modes(weight: float = 3.0, tilt: float = 0.0) -> RBM:
    """0000000000 and 0000011111, which no flip of all bits connects."""
    half = magnet(5, 4, weight, tilt)
    weights = np.concatenate([np.zeros((4, 5)), half.weights], axis=1)
    return RBM(weights, np.concatenate([np.full(5, -9.0), half.visible_bias]), half.hidden_bias)


def test_draws_read_with_errors_say_so() -> None:
    error = ReadoutError.from_rates([0.0, 0.3], 0.2)
    drawn = draws.Draws(np.zeros((50, 3, 2), np.uint8), "independent draws", "")
    found = drawn.recorded(error, 7)
    misread = error.misread(np.zeros((150, 2), np.uint8), 7)
    np.testing.assert_array_equal(found.bits.reshape(150, 2), misread)
    assert found.method == "independent draws, read with errors"
    assert drawn.recorded(None, 7) is drawn


# --- autocorrelation times -------------------------------------------------------------------


def autoregressive(a: float, draws: int, seed: int = 0) -> Float64:
    """x_t = a x_{t-1} + noise, 112 stationary chains: tau = (1 + a) / (1 - a)."""
    noise = np.random.default_rng(seed).normal(size=(draws, 112))
    x = np.empty_like(noise)
    x[0] = noise[0] / np.sqrt(1 - a * a)
    for t in range(1, draws):
        x[t] = a * x[t - 1] + noise[t]
    return np.ascontiguousarray(x.T)


def telegraph(turning: float, draws: int) -> Float64:
    """+1 and -1, the sign changes with a probability: rho = 1 - 2 turning, tau = 1/turning - 1."""
    turns = np.random.default_rng(1).random((112, draws)) < turning
    return np.asarray(1.0 - 2.0 * (np.cumsum(turns, axis=1) % 2))


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, 0.97])
def test_autocorrelation_time_of_an_autoregressive_chain(a: float) -> None:
    tau = (1 + a) / (1 - a)
    draws = int(100 * tau)
    found = autocorrelation_time(autoregressive(a, draws))
    # 11,200 tau in all; the means of the chains, which are subtracted, cost some 10 %.
    assert 0.85 * tau < found < 1.05 * tau
    # The order matters: the same numbers shuffled have tau = 1.
    shuffled = np.random.default_rng(0).permuted(autoregressive(a, draws), axis=1)
    assert 0.9 < autocorrelation_time(shuffled) < 1.1


@pytest.mark.parametrize("turning", [0.9, 0.5, 0.1, 0.02])
def test_autocorrelation_time_of_a_telegraph(turning: float) -> None:
    tau = max(1.0, 1 / turning - 1)
    found = autocorrelation_time(telegraph(turning, int(100 * tau)))
    assert 0.85 * tau < found < 1.05 * tau


def test_a_short_chain_tells_too_short_a_time() -> None:
    tau = (1 + 0.99) / (1 - 0.99)  # 199
    found = autocorrelation_time(autoregressive(0.99, 400))
    assert found < 0.7 * tau
    assert 50 * found > 400  # which is how it is known to be too short


def test_chains_that_do_not_move() -> None:
    same, each = np.ones((112, 50)), np.repeat(np.arange(112.0)[:, None] % 2, 50, axis=1)
    assert autocorrelation_time(same) == 1
    assert autocorrelation_time(each) == np.inf
    some = autoregressive(0.5, 400)
    some[:10] = 3.0
    assert autocorrelation_time(some) == autocorrelation_time(some[10:])


def test_r_hat_is_one_where_chains_agree() -> None:
    values = autoregressive(0.5, 300)  # 100 tau
    assert 0.99 < r_hat(values) < 1.02
    apart = values + 2.0 * (np.arange(112)[:, None] % 2)
    assert r_hat(apart) > draws.MOST_R_HAT
    # Chains of different widths disagree too, though their means do not.
    wider = values * np.where(np.arange(112) % 2, 1.0, 5.0)[:, None]
    assert r_hat(wider) > draws.MOST_R_HAT
    stuck = values.copy()
    stuck[0] = 0.3
    assert r_hat(stuck) < 1.1
    assert r_hat(np.ones((112, 50))) == 1
    assert r_hat(np.repeat(np.arange(112.0)[:, None] / 112, 50, axis=1)) == np.inf
    # As long as the pilot must be at least, chains that mix stay below the limit.
    assert r_hat(autoregressive(0.9, 50 * 19)) < draws.MOST_R_HAT


# --- the pilot -------------------------------------------------------------------------------


def exact_time(rbm: RBM, values: Float64) -> float:
    """tau of an observable [2^N] for chains with flips: the sum over all t by one linear system."""
    prob = distribution(rbm)
    there = prob / (prob + prob[::-1])
    flip = np.diag(there) + np.diag(1 - there)[:, ::-1]
    step = flip @ exact.gibbs_matrix(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    centred = values - prob @ values
    total = np.linalg.solve(np.eye(len(prob)) - step + prob, centred)  # of step^t, t = 0, 1, ...
    return float(2 * (prob * centred) @ total / (prob @ centred**2) - 1)


M = (1.0 - 2.0 * exact.basis(10)).mean(axis=1)


def test_the_exact_time_of_a_machine_that_is_known() -> None:
    # Without weights each step draws anew; the flips before it change nothing.
    assert exact_time(magnet(5, 2, 0.0), M[:32]) == pytest.approx(1)


@pytest.mark.parametrize(("weight", "tilt"), [(0.5, 0.0), (1.5, 0.0), (2.0, 0.0), (1.5, 1.0)])
def test_the_pilot_finds_the_slowest_observable(weight: float, tilt: float) -> None:
    rbm = two_modes(weight, tilt)
    tau = exact_time(rbm, M)
    found = pilot(rbm, starts(rbm, all_up(10), 112, 3), None, 250_000, 3)
    assert found.trusted
    assert found.r_hat < draws.MOST_R_HAT
    # The slowest of several estimates, each low by some 20 % and noisy by 5 %.
    assert 0.7 * tau < found.time < 1.15 * tau
    assert found.slowest in {"m", "|m|", *(f"C({d})" for d in range(6))}


def test_a_pilot_that_is_too_short_says_so() -> None:
    rbm = two_modes(2.0)
    assert exact_time(rbm, M) > 300
    found = pilot(rbm, starts(rbm, all_up(10), 112, 3), None, 10_000, 3)
    assert not found.trusted
    assert found.time > 100


def test_the_pilot_evaluates_the_second_half_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = two_modes(1.5)
    start = starts(rbm, all_up(10), 112, 3)
    steps = arguments_of(monkeypatch, "psiprune.rbm.gibbs.step_with_flips", "steps")
    seen = arguments_of(monkeypatch, "psiprune.metrics.draws._diagnose", "bits")
    found = pilot(rbm, start, None, 250_000, 3)
    assert found.steps == sum(steps) > 512
    chains = gibbs.start_chains(rbm.compiled, start, 3)
    for number in list(steps):
        assert (chains.bits != seen[-1][:, -1]).any()
        chains = gibbs.step_with_flips(chains, number)
    np.testing.assert_array_equal(chains.bits, seen[-1][:, -1])


def test_energy_is_looked_at_where_there_is_a_model() -> None:
    rbm = random_rbm(6, 3, scale=0.5)
    start = starts(rbm, all_up(6), 112, 1)
    for model in (None, TFIM(sites=6, field=1.0)):
        seen = draws._by_symbol(rbm, start[:, None, :], model)
        assert ("energy" in seen) == (model is not None)
        assert {"m", "|m|", "C(0)", "C(3)"} < set(seen)


# --- draws -----------------------------------------------------------------------------------


def test_independent_draws_where_they_can_be_had() -> None:
    table = draw(random_rbm(8, 4), all_up(8), 20_000, seed=3)
    assert table.bits.shape == (20_000, 1, 8)
    assert (table.method, table.warning) == ("independent draws", "")
    other = draw(random_rbm(8, 4), all_up(8), 20_000, seed=4)
    assert (other.bits != table.bits).any()
    assert exact.chi_squared_p(table.bits[:, 0], distribution(random_rbm(8, 4))) > 1e-4
    # 26 x 26 with two weights a hidden unit: no layer is small, but the graph is a chain.
    sites = np.arange(26)
    mask = (sites[None] - sites[:, None]) % 26 < 2
    ring = RBM(np.full((26, 26), 1.0), np.zeros(26), np.zeros(26), mask)
    found = draw(ring, all_up(26), 500, seed=3)
    assert found.bits.shape == (500, 1, 26)
    assert found.method == "independent draws"
    # 26 x 30 with all but 20 hidden units dead.
    dead = RBM(
        np.ones((30, 26)), np.zeros(26), np.zeros(30), np.arange(30)[:, None] < np.full(26, 20)
    )
    assert draw(dead, all_up(26), 500, seed=3).method == "independent draws"


@pytest.mark.usefixtures("no_independent_draws")
def test_chains_follow_the_distribution_and_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(6, 4)
    found = draw(rbm, all_up(6), 20_500, seed=3)
    assert found.bits.shape == (1000, 21, 6)
    assert found.method.startswith("1000 Gibbs chains with flips (tau of ")
    assert found.warning == ""
    # Draws of one chain are correlated; the last ones of all chains are independent.
    assert exact.chi_squared_p(found.bits[:, -1], distribution(rbm)) > 1e-4
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    again = draw(rbm, all_up(6), 20_500, seed=3)
    np.testing.assert_array_equal(found.bits, again.bits)
    assert (draw(rbm, all_up(6), 20_500, seed=4).bits != found.bits).any()


@pytest.mark.usefixtures("no_independent_draws")
def test_slow_chains_are_thinned_and_burnt_in_more(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    step = gibbs.step_with_flips

    def counted(state: gibbs.Chains, number: int) -> gibbs.Chains:
        if state.count == draws.CHAINS:
            steps.append(number)
        return step(state, number)

    monkeypatch.setattr(gibbs, "step_with_flips", counted)
    for weight in (0.5, 2.0):
        steps.clear()
        tau = exact_time(two_modes(weight), M)
        found = draw(two_modes(weight), all_up(10), 5000, seed=1)
        assert found.warning == ""
        burn_in, *thin = steps
        assert len(thin) == 5
        assert len(set(thin)) == 1
        assert 0.7 * tau < thin[0] < 1.15 * tau + 1
        assert burn_in >= max(1000, 0.7 * 20 * tau)
        assert burn_in <= max(1000, 1.15 * 20 * tau + 20)


# --- error bars ------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_independent_draws")
@pytest.mark.slow
def test_error_bars_cover_where_chains_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """tau of 100 steps, thinned to a tenth of it."""
    rbm, count, length = two_modes(1.7), 100, 200
    prob, tau = distribution(rbm), exact_time(rbm, M)
    assert 80 < tau < 120
    wanted = {"magnetization": float(prob @ M), "abs_magnetization": float(prob @ np.abs(M))}
    paced = pilot(rbm, starts(rbm, all_up(10), 112, 0), None, 250_000, 0)
    monkeypatch.setattr(draws, "pilot", lambda *_: paced)
    monkeypatch.setattr(draws, "CHAINS", count)
    monkeypatch.setattr(draws, "BURN_IN", 5)
    monkeypatch.setattr(draws, "LEAST_BURN_IN", 0)
    monkeypatch.setattr(draws, "MOST_STEPS", int(5 * paced.time) + 1 + length * int(tau / 10))
    found, sizes = [], []
    for seed in range(rates.intervals(3.0)):
        drawn = draw(rbm, all_up(10), count * length, seed)
        assert drawn.bits.shape == (count, length, 10)
        assert drawn.method.endswith(f"a draw every {int(tau / 10)} steps")
        found.append(sampled_observables(rbm, drawn.bits, None))
        sizes.append(effective_draws(found[-1].magnetization, count * length, length))
    for name, truth in wanted.items():
        estimates: list[Estimate] = [getattr(each, name) for each in found]
        value, error = np.array([(each.value, each.error) for each in estimates]).T
        rates.check_intervals(value, error, truth, 3.0, name)
    # 20,000 draws, ten of them worth one.
    assert np.median(sizes) == pytest.approx(count * length * int(tau / 10) / tau, rel=0.1)


# --- warnings --------------------------------------------------------------------------------


@pytest.mark.parametrize("draws_of_a_chain", [1, 4])
def test_starts_may_differ_by_five_standard_errors(draws_of_a_chain: int) -> None:
    """Of 60 + 60 chains, all ones in 15 of the first half and in more of the second."""
    found = {}
    for ones in range(15, 61):
        up = np.r_[np.arange(60) < 15, np.arange(60) < ones]
        bits = up[:, None, None].repeat(draws_of_a_chain, axis=1).repeat(3, axis=2)
        p = np.array([15, ones]) / 60  # variances of m = +-1: 4 p (1 - p) 60 / 59
        sigmas = (p[1] - p[0]) / np.sqrt((p * (1 - p)).sum() / 59)
        found[sigmas] = [text.split()[0] for text in depends_on_start(bits.astype(np.uint8))]
    assert all(names == (["m"] if sigmas > 5 else []) for sigmas, names in found.items())
    assert min(found) < 4.5 < 5.5 < max(found)


@pytest.mark.usefixtures("no_independent_draws")
@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_a_magnet_is_sampled_in_both_halves(tilt: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = magnet(10, 4, 2.0, tilt)
    prob, m = distribution(rbm), (1.0 - 2.0 * exact.basis(10)).mean(axis=1)
    found = draw(rbm, all_up(10), 10_000, seed=2)
    assert found.warning == ""
    estimate = sampled_observables(rbm, found.bits, None).magnetization
    assert abs(float(estimate.value) - prob @ m) < 5 * float(estimate.error)
    assert estimate.error < 0.02
    # Without flips every chain stays where it began, and that is told.
    monkeypatch.setattr(draws, "MOST_STEPS", 20_000)
    monkeypatch.setattr(gibbs, "step_with_flips", gibbs.step)
    stuck = draw(rbm, all_up(10), 10_000, seed=2)
    assert "m depends on " in stuck.warning
    assert "R-hat of " in stuck.warning
    bad = sampled_observables(rbm, stuck.bits, None).magnetization
    assert abs(float(bad.value) - prob @ m) > 5 * float(bad.error)


@pytest.mark.usefixtures("no_independent_draws")
def test_modes_that_no_flip_connects_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "MOST_STEPS", 20_000)
    assert exact_time(two_modes(5.0), M) > 1e6
    found = draw(two_modes(5.0), all_up(10), 10_000, seed=2)
    assert "not converged" in found.warning
    assert "|m| depends on " in found.warning
    assert "R-hat of " in found.warning
    # Where both starts find the modes in equal shares, R-hat still tells.
    fair = draw(two_modes(5.0), lambda n: gibbs.random_start(n, 10, 77), 10_000, seed=2)
    assert "depends on " not in fair.warning
    assert "R-hat of " in fair.warning
    # The same modes with a path between them.
    assert draw(two_modes(1.5), all_up(10), 10_000, seed=2).warning == ""


@pytest.mark.usefixtures("no_independent_draws")
def test_chains_that_seldom_leave_a_mode_are_not_taken_for_fast() -> None:
    # Each mode by itself mixes in three steps, and in 512 hardly a chain leaves its own.
    rbm = two_modes(2.5)
    assert exact_time(rbm, M) > 4000
    start = starts(rbm, all_up(10), 112, 3)
    short = pilot(rbm, start, None, 512, 3)
    assert short.trusted
    assert short.time < 10
    assert short.r_hat > draws.MOST_R_HAT
    full = pilot(rbm, start, None, 250_000, 3)
    assert full.time > 2000


@pytest.mark.usefixtures("no_independent_draws")
def test_a_time_beyond_the_cap_is_told_with_the_steps_it_needs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(draws, "MOST_STEPS", 10_000)
    found = draw(two_modes(2.0), all_up(10), 10_000, seed=2)
    assert found.warning in caplog.text
    check_facts(found.warning, "autocorrelation time", "10,000 draws", "cap of 10,000")
    needed = int(found.warning.split("need about ")[1].split(" steps")[0].replace(",", ""))
    assert needed > 10_000
    # The cap holds: burn-in and draws together.
    taken = int(found.warning.split("converged in ")[1].split(" steps")[0].replace(",", ""))
    assert taken <= 10_000


@pytest.mark.usefixtures("no_independent_draws")
def test_the_cap_counts_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def stop(*arguments: Any) -> None:
        seen.append(arguments[3])
        raise RuntimeError("enough")

    monkeypatch.setattr(draws, "pilot", stop)
    for visible, hidden in ((10, 4), (100, 50), (200, 100), (2000, 1000)):
        with pytest.raises(RuntimeError, match="enough"):
            draw(
                RBM(np.ones((hidden, visible)), np.zeros(visible), np.zeros(hidden)),
                all_up(visible),
                1000,
                0,
            )
    assert seen == [250_000, 250_000, 62_500, 1024]


def test_the_start_is_told_from_noise() -> None:
    generator = np.random.default_rng(0)
    fair = generator.integers(0, 2, (1000, 5, 20), dtype=np.uint8)
    assert depends_on_start(fair) == []
    fair[:500, :, 0] = 0
    (reason,) = depends_on_start(fair)
    assert reason.startswith("m depends on ")
    assert ": 0.0" in reason
    assert depends_on_start(np.zeros((1000, 3, 4), np.uint8)) == []
    apart = np.zeros((1000, 3, 4), np.uint8)
    apart[500:] = 1  # no spread within either half
    assert depends_on_start(apart) == ["m depends on the start: 1.000 and -1.000"]
    two = np.array([[0, 0], [0, 1], [15, 15], [15, 7]], np.uint8)  # m of 1, 3/4 against -1, -3/4
    bits = np.unpackbits(two.repeat(20, axis=1)[..., None], axis=2)[..., 4:]
    for each in (bits, bits[::-1]):
        assert [text[:2] for text in depends_on_start(each)] == ["m "]


@pytest.mark.usefixtures("no_independent_draws")
@pytest.mark.parametrize("sites", [1, 2])
def test_one_and_two_sites(sites: int) -> None:
    rbm = random_rbm(sites, 2)
    found = draw(rbm, all_up(sites), 2000, seed=1)
    assert found.bits.shape == (1000, 2, sites)
    assert found.warning == ""
    assert exact.chi_squared_p(found.bits[:, -1], distribution(rbm)) > 1e-4


@pytest.mark.usefixtures("no_independent_draws")
def test_a_machine_that_is_one_state() -> None:
    frozen = RBM(np.zeros((2, 5)), np.full(5, -60.0), np.zeros(2), np.ones((2, 5), bool))
    found = draw(frozen, all_up(5), 1000, seed=1)
    assert not found.bits.any()
    assert found.warning == ""
