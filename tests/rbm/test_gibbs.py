"""Samplers by chi-squared over all states, with samplers that must fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special

import exact
import plain
from machines import distribution, magnet, random_rbm
from psiprune.core.random import Stream, stream_key
from psiprune.rbm import gibbs
from psiprune.rbm.model import RBM
from refusals import refuses

REJECT = 1e-4
"""A sampler fails below this p-value. Seeds are fixed, so a passing test passes always."""

SHOTS = 20_000
SHAPES = [(5, 2), (5, 9), (6, 6), (7, 3), (8, 4), (8, 12), (1, 1), (1, 4), (4, 1)]


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize(("visible", "hidden", "count"), [(5, 3, 120), (33, 2, 3), (4, 130, 5)])
def test_chains_are_the_formula(visible: int, hidden: int, count: int, flips: bool) -> None:
    rbm = random_rbm(visible, hidden, scale=0.5, density=0.7)
    start = np.random.default_rng(0).integers(0, 2, (count, visible), dtype=np.uint8)
    chains = gibbs.start_chains(rbm.compiled, start, 4)
    v = start.astype(float)
    for done, steps in ((0, 2), (2, 1)):
        chains = (gibbs.step_with_flips if flips else gibbs.step)(chains, steps)
        numbers = plain.Numbers(int(stream_key(4, Stream.GIBBS, done)))
        for _ in range(steps):
            if flips:
                log_p, of_other = (rbm.log_prob_unnormalized(x.astype(int)) for x in (v, 1 - v))
                turned = numbers.draw(scipy.special.expit(of_other - log_p)[:, None])
                v = np.where(turned, 1 - v, v)
            v = numbers.gibbs(rbm, v, 1)
        np.testing.assert_array_equal(chains.bits, v)


@pytest.mark.parametrize(("visible", "hidden"), SHAPES)
def test_exact_draws_follow_the_distribution(visible: int, hidden: int) -> None:
    rbm = random_rbm(visible, hidden, scale=1.5)
    bits = rbm.sample_exact(SHOTS, seed=3)
    assert bits.shape == (SHOTS, visible)
    assert bits.dtype == np.uint8
    assert exact.chi_squared_p(bits, distribution(rbm)) > REJECT


@pytest.mark.usefixtures("sums")
def test_draws_are_independent_of_one_another() -> None:
    # Neighbouring pairs of shots, as one configuration of twice the sites.
    rbm = random_rbm(3, 2, scale=1.5)
    single = distribution(rbm)
    both = np.outer(single, single).reshape(-1)
    for bits in (rbm.sample(SHOTS, steps=50, seed=5), rbm.sample_exact(SHOTS, seed=5)):
        assert exact.chi_squared_p(bits.reshape(-1, 6), both) > REJECT
        twice = np.repeat(bits[::2], 2, axis=0)
        assert exact.chi_squared_p(twice.reshape(-1, 6), both) < REJECT


def test_seeds_reproduce_bits() -> None:
    rbm = random_rbm(8, 4)
    for draw in (rbm.sample, rbm.sample_exact):
        np.testing.assert_array_equal(draw(300, seed=4), draw(300, seed=4))
        # 300 draws of some five bits of entropy each never agree by chance.
        for other in (5, 2**63 - 1):
            assert (draw(300, seed=4) != draw(300, seed=other)).any()


# --- flips of all bits -----------------------------------------------------------------------


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("tilt", [0.0, 1.0])
def test_flips_carry_chains_from_one_half_to_the_other(tilt: float) -> None:
    rbm = magnet(10, 4, 2.0, tilt)
    prob, m = distribution(rbm), (1.0 - 2.0 * exact.basis(10)).mean(axis=1)
    up = float(prob[m > 0].sum())
    assert up == pytest.approx(0.5 if tilt == 0 else 0.276, abs=1e-3)
    start = np.zeros((2000, 10), np.uint8)  # all up
    chains = gibbs.start_chains(rbm.compiled, start, 4)

    def share(chains: gibbs.Chains) -> float:
        return float((1.0 - 2.0 * chains.bits.mean(axis=1) > 0).mean())

    error = np.sqrt(up * (1 - up) / 2000)
    for steps in (1, 20, 21):  # even and odd
        assert abs(share(gibbs.step_with_flips(chains, steps)) - up) < 5 * error
    # Within a chain as well: successive draws are independent as to the half.
    before = gibbs.step_with_flips(chains, 20)
    after = gibbs.step_with_flips(before, 2)
    signs = [1.0 - 2.0 * (each.bits.mean(axis=1) > 0.5) for each in (before, after)]
    assert abs(np.corrcoef(*signs)[0, 1]) < 5 / np.sqrt(2000)


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("step", [gibbs.step, gibbs.step_with_flips])
def test_a_chain_depends_on_its_index_alone(
    step: Callable[[gibbs.Chains, int], gibbs.Chains], monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm = random_rbm(8, 4)
    start = gibbs.random_start(4000, 8, 1)  # 36 tiles, five pieces
    chains = gibbs.start_chains(rbm.compiled, start, 1)
    later = step(chains, 7)
    np.testing.assert_array_equal(chains.bits, start)
    assert (chains.steps, later.steps, step(later, 3).steps) == (0, 7, 10)
    for cores in (1, 2, 5):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        np.testing.assert_array_equal(step(chains, 7).bits, later.bits)
    for count in (1, 111, 112, 113, 900):
        few = gibbs.start_chains(rbm.compiled, start[:count], 1)
        np.testing.assert_array_equal(few.bits, start[:count])
        np.testing.assert_array_equal(step(few, 7).bits, later.bits[:count])


@pytest.mark.usefixtures("sums")
def test_visits_are_steps_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(5, 3)
    start = np.random.default_rng(0).integers(0, 2, (250, 5), dtype=np.uint8)  # three tiles
    chains, expected = gibbs.start_chains(rbm.compiled, start, 7), []
    for leg in (1, 4, 2):
        chains = gibbs.step(gibbs.step_with_flips(chains, 1), leg - 1)
        expected.append(chains.bits)
    for cores in (1, 2, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found = gibbs.visited(rbm.compiled, start, 7, (1, 4, 2))
        np.testing.assert_array_equal(found, expected)
    assert (found[0] != found[1]).any()


def test_flips_with_huge_weights() -> None:
    # Two states of equal weight, all others e^-600 away; then one of them e^900 below the other.
    for tilt, share in ((0.0, 0.5), (-900.0, 1.0), (900.0, 0.0)):
        rbm = RBM(np.full((1, 6), 600.0), np.full(6, -300.0 + tilt / 6), np.array([-1800.0]))
        start = np.zeros((1000, 6), np.uint8)
        bits = gibbs.step_with_flips(gibbs.start_chains(rbm.compiled, start, 0), 5).bits
        sums = bits.sum(axis=1)
        assert set(sums.tolist()) <= {0, 6}
        assert abs(int((sums == 0).sum()) - 1000 * share) <= 5 * np.sqrt(250)


@pytest.mark.parametrize("hidden", [63, 64, 130, 600])
def test_flips_with_many_hidden_units(hidden: int) -> None:
    # p~ is 2^hidden at all 0, a product of as many factors of 2, and the same at all 1.
    bias = -(hidden * 50.0 - hidden * np.log(2)) / 5
    rbm = RBM(np.full((hidden, 5), 10.0), np.full(5, bias), np.zeros(hidden))
    ends = rbm.log_prob_unnormalized([[0] * 5, [1] * 5])
    assert ends[0] == pytest.approx(ends[1], abs=1e-8)
    start = np.zeros((2000, 5), np.uint8)
    bits = gibbs.step_with_flips(gibbs.start_chains(rbm.compiled, start, 2), 1).bits
    # The Gibbs step after the flip changes a bit in 0.8 of 2000 chains at 63 hidden units.
    assert np.isin(bits.sum(axis=1), (0, 5), invert=True).sum() <= 8
    assert abs(float(bits[:, 0].mean()) - 0.5) < 5 * 0.5 / np.sqrt(2000)


# --- exact draws at the limits ---------------------------------------------------------------


def test_exact_draws_with_huge_weights() -> None:
    # Two states of equal weight, all others e^-600 away; p~ of each is e^800, no float.
    weights, visible_bias = np.full((1, 7), 600.0), np.full(7, -300.0)
    weights[0, 6], visible_bias[6] = 0.0, 800.0
    bits = RBM(weights, visible_bias, np.array([-1800.0])).sample_exact(1000, seed=0)
    assert bits[:, 6].all()
    sums = bits[:, :6].sum(axis=1)
    assert set(sums.tolist()) == {0, 6}
    # Binomial, five standard deviations.
    assert abs(int((sums == 6).sum()) - 500) < 5 * np.sqrt(250)


@pytest.mark.parametrize(("hidden", "visible"), [(2, 1), (1, 2)])
def test_uniform_numbers_at_the_ends_of_their_intervals(
    hidden: int, visible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in [0, 1): 0 draws nothing impossible, and 1/2 is not below 1/2."""
    uniform = SimpleNamespace(random=lambda size: np.full(size, 0.0))
    monkeypatch.setattr(gibbs, "generator_for", lambda *_: uniform)
    ones = RBM(np.zeros((hidden, visible)), np.full(visible, 800.0), np.full(hidden, 800.0))
    assert ones.sample_exact(3).all()
    uniform.random = lambda size: np.full(size, 0.5)
    fair = RBM(np.zeros((hidden, visible)), np.zeros(visible), np.zeros(hidden))
    assert fair.sample_exact(3).all() == (visible < hidden)


def test_exact_draws_refuse_what_has_no_table() -> None:
    with refuses("rbm", 25, 26, 27, "RBM.sample"):
        random_rbm(26, 27).sample_exact(1)
    assert random_rbm(40, 3).sample_exact(7).shape == (7, 40)
    assert random_rbm(3, 40).sample_exact(7).shape == (7, 3)
