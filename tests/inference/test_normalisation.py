"""log Z of RBMs in a training, by sums and by draws of another RBM, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

import psiprune as pp
from machines import distribution, random_rbm
from psiprune.inference.fisher import basis_fisher
from psiprune.inference.normalisation import Reweighted, Summed, normalisation_of
from psiprune.rbm.likelihood import data_moments, flatten, unique_configurations
from psiprune.rbm.model import RBM

DRAWS = 40_000


def near(rbm: RBM, size: float) -> RBM:
    generator = np.random.default_rng(1)
    shift = [generator.normal(0, size, array.shape) for array in (rbm.weights, rbm.visible_bias)]
    return RBM(rbm.weights + shift[0], rbm.visible_bias + shift[1], rbm.hidden_bias)


def slope_of(rbm: RBM) -> NDArray[np.float64]:
    """The gradient of log Z by central differences of log_partition."""
    found = []
    for name in ("weights", "visible_bias", "hidden_bias"):
        array = getattr(rbm, name)
        for place in np.ndindex(array.shape):
            both = []
            for sign in (1, -1):
                moved = {
                    each: getattr(rbm, each).copy()
                    for each in ("weights", "visible_bias", "hidden_bias")
                }
                moved[name][place] += sign * 1e-5
                both.append(RBM(**moved).log_partition())
            found.append((both[0] - both[1]) / 2e-5)
    return np.array(found)


def test_sums_are_log_z_and_its_gradient() -> None:
    rbm = random_rbm(4, 3)
    found = Summed().of(rbm)
    assert found.log_z == pytest.approx(rbm.log_partition(), rel=1e-12)
    np.testing.assert_allclose(found.slope, slope_of(rbm), atol=1e-9)


def test_draws_that_are_reweighted_give_the_change_of_log_z() -> None:
    # The standard error of log mean(w) is sqrt((1/effective - 1) / draws).
    rbm = random_rbm(4, 3)
    other = near(rbm, 0.3)
    found = Reweighted(rbm, rbm.sample_exact(DRAWS, seed=2)).of(other)
    change = other.log_partition() - rbm.log_partition()
    error = np.sqrt((1 / found.effective - 1) / DRAWS)
    assert abs(found.log_z - change) < 4 * error < abs(change) / 4
    # Squared deviation of the mean score in the inverse of its noise F / (draws * effective).
    bits = unique_configurations(other.sample_exact(DRAWS, seed=3))
    exact = slope_of(other)
    fisher = np.linalg.pinv(basis_fisher(other))

    def squared(slope: NDArray[np.float64]) -> float:
        off = slope - exact
        return float(DRAWS * found.effective * off @ fisher @ off)

    assert squared(found.slope) < 3 * len(exact)
    assert squared(flatten(other.mask, data_moments(other, bits)[1])) < 3 * len(exact)
    unweighted = Reweighted(other, rbm.sample_exact(DRAWS, seed=2)).of(other)
    assert squared(unweighted.slope) > 10 * len(exact)


def test_a_state_that_no_draw_visits_shows_from_the_new_side_alone() -> None:
    flat = RBM(np.zeros((1, 3)), np.zeros(3), np.zeros(1))
    bits = flat.sample_exact(1000, seed=1)
    bits = bits[bits.any(axis=1)]  # 000 is not drawn
    # log p~ = 30 at 000 and e^-30 or less elsewhere, up to log 2 of the hidden unit.
    peaked = RBM(np.full((1, 3), -60.0), np.zeros(3), np.array([30.0]))
    there = Reweighted(flat, bits).of(peaked)
    assert there.log_z == pytest.approx(-np.log(2))
    assert there.effective == pytest.approx(1)
    back = Reweighted(peaked, peaked.sample_exact(1000, seed=2)).of(flat)
    assert back.log_z == pytest.approx(np.log(2) - 30)


def test_no_draw_of_any_probability() -> None:
    flat = RBM(np.zeros((1, 3)), np.zeros(3), np.zeros(1))
    gone = Reweighted(flat, np.ones((10, 3), np.uint8)).of(
        RBM(flat.weights, np.full(3, -800.0), np.zeros(1))
    )
    assert (gone.log_z, gone.effective) == (-np.inf, 0.0)


def test_draws_move_to_another_rbm() -> None:
    rbm = random_rbm(3, 2)
    other = near(rbm, 0.4)
    draws = rbm.sample_exact(DRAWS, seed=4)
    moved = Reweighted(rbm, draws).moved_to(other, 5)
    assert moved.shape == draws.shape

    def p_value(bits: NDArray[np.uint8]) -> float:
        counts = np.bincount(bits @ (1 << np.arange(3)), minlength=8)
        return float(chisquare(counts, distribution(other) * DRAWS).pvalue)

    assert p_value(moved) > 1e-3
    assert p_value(draws) < 1e-9
    # In random order: the first half is no other distribution than the whole.
    half = np.bincount(moved[: DRAWS // 2] @ (1 << np.arange(3)), minlength=8)
    assert chisquare(half, distribution(other) * DRAWS / 2).pvalue > 1e-3
    np.testing.assert_array_equal(moved, Reweighted(rbm, draws).moved_to(other, 5))
    assert not np.array_equal(moved, Reweighted(rbm, draws).moved_to(other, 6))


def test_sums_up_to_twenty_units_of_the_smaller_layer() -> None:
    bits = np.zeros((2, 22), np.uint8)
    small, large = (pp.RBM(np.zeros((k, 22)), np.zeros(22), np.zeros(k)) for k in (20, 21))
    assert isinstance(normalisation_of(small, bits), Summed)
    assert isinstance(normalisation_of(large, bits), Reweighted)
