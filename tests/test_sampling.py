"""Samplers by chi-squared over all states, with samplers that must fail."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
from psiprune import sampling
from psiprune.inputs import InputError
from psiprune.rbm import RBM

REJECT = 1e-4
"""A sampler fails below this p-value. Seeds are fixed, so a passing test passes always."""

SHOTS = 20_000
SHAPES = [(5, 2), (5, 9), (6, 6), (7, 3), (8, 4), (8, 12), (1, 1), (1, 4), (4, 1)]


def random_rbm(visible: int, hidden: int, scale: float = 1.0, density: float = 1.0) -> RBM:
    generator = np.random.default_rng([visible, hidden])
    mask = generator.random((hidden, visible)) < density
    return RBM(
        generator.normal(0, scale, (hidden, visible)),
        generator.normal(0, scale, visible),
        generator.normal(0, scale, hidden),
        mask,
    )


def distribution(rbm: RBM) -> NDArray[np.float64]:
    return exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)


def after_steps(rbm: RBM, steps: int) -> NDArray[np.float64]:
    """The exact distribution of chains that many steps after a uniform start."""
    step = exact.gibbs_matrix(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    start = np.full(2**rbm.visible, 0.5**rbm.visible)
    return np.asarray(start @ np.linalg.matrix_power(step, steps))


@pytest.mark.parametrize(("visible", "hidden"), SHAPES)
@pytest.mark.parametrize("steps", [0, 1, 2, 50])
def test_gibbs_chains_follow_the_transition_matrix(visible: int, hidden: int, steps: int) -> None:
    rbm = random_rbm(visible, hidden)
    bits = rbm.sample(SHOTS, steps=steps, seed=3)
    assert bits.shape == (SHOTS, visible)
    assert bits.dtype == np.uint8
    assert exact.chi_squared_p(bits, after_steps(rbm, steps)) > REJECT


@pytest.mark.parametrize(("visible", "hidden"), SHAPES)
def test_exact_draws_follow_the_distribution(visible: int, hidden: int) -> None:
    rbm = random_rbm(visible, hidden, scale=1.5)
    bits = rbm.sample_exact(SHOTS, seed=3)
    assert bits.shape == (SHOTS, visible)
    assert bits.dtype == np.uint8
    assert exact.chi_squared_p(bits, distribution(rbm)) > REJECT


def test_pruned_machines_are_sampled_right() -> None:
    rbm = random_rbm(7, 5, scale=1.5, density=0.4)
    assert 0 < rbm.density < 0.6
    assert (rbm.mask.sum(axis=0) == 0).any()  # a visible unit without weights
    assert exact.chi_squared_p(rbm.sample(SHOTS, steps=5, seed=1), after_steps(rbm, 5)) > REJECT
    assert exact.chi_squared_p(rbm.sample_exact(SHOTS, seed=1), distribution(rbm)) > REJECT


@pytest.mark.parametrize(("visible", "hidden"), [(6, 3), (6, 9)])
def test_broken_samplers_fail(visible: int, hidden: int) -> None:
    rbm = random_rbm(visible, hidden, scale=2.0)  # mixes slowly enough to tell steps apart
    wanted = distribution(rbm)
    broken = {
        "hidden biases left out": replace(rbm, hidden_bias=np.zeros(hidden)),
        "visible biases left out": replace(rbm, visible_bias=np.zeros(visible)),
        "a weight of the wrong sign": replace(
            rbm, weights=rbm.weights * ([[-1] + [1] * (visible - 1)])
        ),
        "sites the other way round": replace(
            rbm, weights=rbm.weights[:, ::-1], visible_bias=rbm.visible_bias[::-1]
        ),
    }
    for name, wrong in broken.items():
        assert exact.chi_squared_p(wrong.sample(SHOTS, steps=50, seed=3), wanted) < REJECT, name
        assert exact.chi_squared_p(wrong.sample_exact(SHOTS, seed=3), wanted) < REJECT, name
    # Chains that are too short are told from the distribution, and from one step more.
    assert exact.chi_squared_p(rbm.sample(SHOTS, steps=0, seed=3), wanted) < REJECT
    assert exact.chi_squared_p(rbm.sample(SHOTS, steps=1, seed=3), after_steps(rbm, 2)) < REJECT


def test_draws_are_independent_of_one_another() -> None:
    # Neighbouring pairs of shots, as one configuration of twice the sites.
    rbm = random_rbm(3, 2, scale=1.5)
    single = distribution(rbm)
    both = np.outer(single, single).reshape(-1)
    for bits in (rbm.sample(SHOTS, steps=50, seed=5), rbm.sample_exact(SHOTS, seed=5)):
        assert exact.chi_squared_p(bits.reshape(-1, 6), both) > REJECT
        twice = np.repeat(bits[::2], 2, axis=0)
        assert exact.chi_squared_p(twice.reshape(-1, 6), both) < REJECT


def test_one_chain_in_time_follows_the_transition_matrix() -> None:
    # Successive states of chains are pairs with probability p(v) T(v, v').
    rbm = random_rbm(3, 2, scale=1.5)
    single = distribution(rbm)
    step = exact.gibbs_matrix(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    start = rbm.sample_exact(SHOTS, seed=1)
    chains = sampling.start_chains(rbm.machine, start, 8)
    later = sampling.advance(sampling.advance(chains, 3), 1)
    before = sampling.advance(chains, 3).bits
    pairs = np.concatenate([later.bits, before], axis=1)  # index v' + 8 v
    assert exact.chi_squared_p(pairs, (single[:, None] * step).reshape(-1)) > REJECT
    # Repeated numbers would make the second stretch depend on the first.
    assert exact.chi_squared_p(pairs, (single[:, None] * (step @ step)).reshape(-1)) < REJECT


def test_seeds_reproduce_bits() -> None:
    rbm = random_rbm(8, 4)
    for exactly in (False, True):

        def draw(seed: int, exactly: bool = exactly) -> NDArray[np.uint8]:
            return rbm.sample_exact(300, seed=seed) if exactly else rbm.sample(300, seed=seed)

        np.testing.assert_array_equal(draw(4), draw(4))
        # 300 draws of some five bits of entropy each never agree by chance.
        assert (draw(4) != draw(5)).any()
        assert (draw(4) != draw(2**63 - 1)).any()


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bits(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rbm = random_rbm(8, 4)
    start = sampling.random_start(4000, 8, 1)  # 36 tiles, five pieces
    chains = sampling.start_chains(rbm.machine, start, 1)
    wanted = sampling.advance(chains, 7).bits
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    np.testing.assert_array_equal(sampling.advance(chains, 7).bits, wanted)


def test_a_chain_depends_on_its_index_alone() -> None:
    rbm = random_rbm(8, 4)
    start = sampling.random_start(1500, 8, 1)
    many = sampling.advance(sampling.start_chains(rbm.machine, start, 1), 5).bits
    for count in (1, 111, 112, 113, 900):
        few = sampling.start_chains(rbm.machine, start[:count], 1)
        np.testing.assert_array_equal(few.bits, start[:count])
        after = sampling.advance(few, 5)
        assert after.bits.shape == (count, 8)
        np.testing.assert_array_equal(after.bits, many[:count])


def test_advance_leaves_its_argument_alone() -> None:
    rbm = random_rbm(5, 3)
    start = sampling.random_start(200, 5, 2)
    chains = sampling.start_chains(rbm.machine, start, 2)
    later = sampling.advance(chains, 4)
    np.testing.assert_array_equal(chains.bits, start)
    assert (chains.steps, later.steps, sampling.advance(later, 3).steps) == (0, 4, 7)
    # The next stretch draws new numbers.
    again = sampling.advance(replace(later, state=chains.state), 4)
    assert (again.bits != later.bits).any()


def test_exact_draws_with_huge_weights() -> None:
    # Two states of equal weight, all others e^-600 away.
    rbm = RBM(np.full((1, 6), 600.0), np.full(6, -300.0), np.array([-1800.0]))
    bits = rbm.sample_exact(1000, seed=0)
    sums = bits.sum(axis=1)
    assert set(sums.tolist()) == {0, 6}
    # Binomial, five standard deviations.
    assert abs(int((sums == 6).sum()) - 500) < 5 * np.sqrt(250)


def test_exact_draws_refuse_what_has_no_table() -> None:
    with pytest.raises(InputError, match="at most 25 units, found 26 visible and 27 hidden"):
        random_rbm(26, 27).sample_exact(1)
    assert random_rbm(40, 3).sample_exact(7).shape == (7, 40)
    assert random_rbm(3, 40).sample_exact(7).shape == (7, 3)
