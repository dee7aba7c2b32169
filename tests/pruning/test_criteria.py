"""The Fisher matrix against finite differences, and each criterion against its formula."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
from psiprune.data.shots import Shots
from psiprune.inference import fisher
from psiprune.inference.fisher import (
    basis_fisher,
    damped_factor,
    damped_inverse,
    fisher_matrix,
    model_configurations,
    model_fisher,
    sample_fisher,
    weight_variances,
)
from psiprune.pruning.criteria import (
    damage,
    magnitude,
    magnitude_by_unit,
    random_saliency,
    surgeon,
    top_k_mask,
)
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    from_vector,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.model import RBM
from refusals import refuses


def random_rbm(visible: int, hidden: int, seed: int, density: float = 0.7) -> RBM:
    generator = np.random.default_rng(seed)
    return RBM(
        generator.normal(size=(hidden, visible)),
        generator.normal(size=visible),
        generator.normal(size=hidden),
        generator.random((hidden, visible)) < density,
    )


def log_prob(rbm: RBM) -> NDArray[np.float64]:
    return np.log(exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias))


def brute_force_fisher(rbm: RBM) -> NDArray[np.float64]:
    """E[(d log p / d theta)^2] with derivatives by central differences of the exact log p."""
    theta, step = to_vector(rbm), 1e-5
    slopes = []
    for k in range(len(theta)):
        ahead, behind = theta.copy(), theta.copy()
        ahead[k] += step
        behind[k] -= step
        gap = log_prob(from_vector(rbm, ahead)) - log_prob(from_vector(rbm, behind))
        slopes.append(gap / (2 * step))
    prob = np.exp(log_prob(rbm))
    return np.asarray((np.array(slopes) * prob) @ np.array(slopes).T)


# --- the Fisher matrix -----------------------------------------------------------------------


@pytest.mark.parametrize(("visible", "hidden"), [(1, 1), (1, 3), (2, 2), (5, 3), (4, 6), (7, 2)])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_the_fisher_matrix_is_the_covariance_of_the_score(
    visible: int, hidden: int, density: float
) -> None:
    rbm = random_rbm(visible, hidden, seed=visible, density=density)
    expected = brute_force_fisher(rbm)
    np.testing.assert_allclose(basis_fisher(rbm), expected, atol=1e-9)
    np.testing.assert_array_equal(model_fisher(rbm, draws=1, seed=0), basis_fisher(rbm))


def test_the_basis_is_walked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(7, 3, seed=1)
    whole, variances = basis_fisher(rbm), weight_variances(rbm, draws=1, seed=0)
    monkeypatch.setattr(fisher, "_PIECE", 16)
    np.testing.assert_allclose(basis_fisher(rbm), whole, atol=1e-15)
    bits, prob = exact.basis(7)[::-1].T.astype(float), np.exp(log_prob(rbm))[::-1]
    states = WeightedConfigurations(bits, prob)
    for samples in (None, states):
        found = weight_variances(rbm, draws=1, seed=0, samples=samples)
        np.testing.assert_allclose(found, variances, atol=1e-14)


def test_huge_weights_give_a_finite_matrix() -> None:
    rbm = RBM(np.full((2, 5), 900.0), np.zeros(5), np.full(2, -900.0))
    assert np.isfinite(basis_fisher(rbm)).all()


@pytest.mark.parametrize("block", [3, 7, 512])
def test_the_matrix_of_samples(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(fisher, "_BLOCK", block)
    rbm = random_rbm(6, 4, seed=2)
    bits = np.random.default_rng(0).integers(0, 2, (500, 6), dtype=np.uint8)
    data = unique_configurations(bits)
    np.testing.assert_allclose(sample_fisher(rbm, data), fisher_matrix(rbm, data), atol=2e-7)


def test_rows_and_threads_do_not_change_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(6, 4, seed=2)
    data = unique_configurations(np.random.default_rng(0).integers(0, 2, (500, 6), dtype=np.uint8))
    whole = fisher_matrix(rbm, data)
    monkeypatch.setattr(fisher, "_ROWS", 8)  # 5 blocks
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append(fisher_matrix(rbm, data))
    np.testing.assert_allclose(found[0], whole, atol=1e-14)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_above_the_limit_the_matrix_comes_from_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(8, 3, seed=3)
    truth = basis_fisher(rbm)
    monkeypatch.setattr(fisher, "EXACT_SITES", 8)
    np.testing.assert_array_equal(model_fisher(rbm, draws=9, seed=1), truth)
    monkeypatch.setattr(fisher, "EXACT_SITES", 7)
    found = model_fisher(rbm, draws=200_000, seed=1)
    # An entry is a mean of products of numbers in -1 .. 1: five standard errors of at most 1/2.
    assert 0 < np.abs(found - truth).max() < 5 * 0.5 / np.sqrt(200_000)
    np.testing.assert_array_equal(found, model_fisher(rbm, draws=200_000, seed=1))
    assert (found != model_fisher(rbm, draws=200_000, seed=2)).any()


@pytest.mark.parametrize("independent", [True, False])
def test_model_configurations_follow_the_model(
    monkeypatch: pytest.MonkeyPatch, independent: bool
) -> None:
    rbm = random_rbm(5, 3, seed=4)
    if not independent:
        monkeypatch.setattr(fisher, "independent_draws", lambda *_, **__: None)
    bits, weight = model_configurations(rbm, 20_000, seed=0)
    assert weight.sum() == pytest.approx(1)
    # Numbers of their own: not those of draws with the same seed.
    assert (weight != unique_configurations(rbm.sample_exact(20_000, seed=0)).weight).any()
    drawn = np.repeat(bits.T.astype(np.uint8), np.round(20_000 * weight).astype(int), axis=0)
    assert len(drawn) == 20_000
    prob = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    assert exact.chi_squared_p(drawn, prob) > 1e-4


def test_variances_of_all_weights_in_the_mask_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(6, 3, seed=5, density=0.5)
    found = weight_variances(rbm, draws=1, seed=0)
    every = WeightedConfigurations(
        exact.basis(6).T.astype(float), np.exp(log_prob(rbm))
    )  # with all weights in the mask, those outside at 0
    dense = RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    expected = fisher_matrix(dense, every).diagonal()[:18].reshape(3, 6)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    monkeypatch.setattr(fisher, "EXACT_SITES", 6)
    np.testing.assert_array_equal(weight_variances(rbm, draws=9, seed=0), found)
    monkeypatch.setattr(fisher, "EXACT_SITES", 5)
    sampled = weight_variances(rbm, draws=200_000, seed=0)
    assert 0 < np.abs(sampled - found).max() < 5 * 0.5 / np.sqrt(200_000)


def test_damped_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fisher, "_BLOCK", 4)
    matrix = basis_fisher(random_rbm(5, 3, seed=6))
    scale = np.trace(matrix) / len(matrix)
    inverse = damped_inverse(matrix, 0.01)
    expected = np.linalg.inv(matrix + 0.01 * scale * np.eye(len(matrix)))
    np.testing.assert_allclose(inverse, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(inverse, inverse.T)
    np.testing.assert_allclose(damped_inverse(np.zeros((2, 2)), 0.5), 2 * np.eye(2))


@pytest.mark.parametrize("block", [2, 512])
def test_rounding_that_makes_a_matrix_indefinite_is_damped_away(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(fisher, "_BLOCK", block)
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(7, 7))).Q
    # As F of an ordered state in float32: one large eigenvalue, and one below 0 by its rounding.
    rounded = basis * [200.0, 1.0, 1e-2, 1e-3, 1e-3, 1e-4, -2e-4] @ basis.T
    rounded = (rounded + rounded.T) / 2
    factor, damping = damped_factor(np.array(rounded, order="F"), 1.5e-4)
    assert damping == 4 * 1.5e-4
    again, same = damped_factor(np.array(rounded, order="F"), damping)
    assert same == damping
    np.testing.assert_array_equal(np.tril(factor), np.tril(again))
    factor = np.tril(factor)
    np.testing.assert_allclose(factor @ factor.T, rounded + damping * np.eye(7), atol=1e-12)
    assert np.isfinite(damped_inverse(rounded, 1e-9)).all()
    assert damped_factor(np.array(-2.0 * np.eye(2), order="F"), 1.0)[1] == 4.0
    with pytest.raises(np.linalg.LinAlgError):
        damped_factor(np.array(-10.0 * np.eye(2), order="F"), 1e-4)


def test_too_many_parameters_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = RBM(np.ones((3, 5)), np.zeros(5), np.zeros(3))
    monkeypatch.setattr(fisher, "FISHER_PARAMETERS", 23)
    assert model_fisher(rbm, draws=1, seed=0).shape == (23, 23)
    monkeypatch.setattr(fisher, "FISHER_PARAMETERS", 20)
    with refuses("rbm", 20, 23, "'damage'", "'magnitude'"):
        surgeon(rbm)


# --- the criteria ----------------------------------------------------------------------------


def test_damage_and_surgeon_are_their_formulas() -> None:
    rbm = random_rbm(5, 3, seed=7)
    count, matrix = rbm.number_of_weights, brute_force_fisher(rbm)
    theta = rbm.weights[rbm.mask]
    np.testing.assert_allclose(
        damage(rbm)[rbm.mask], theta**2 * matrix.diagonal()[:count] / 2, rtol=1e-6
    )
    for damping, found in ((1e-3, surgeon(rbm)), (0.3, surgeon(rbm, damping=0.3))):
        damped = matrix + damping * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
        inverse = np.linalg.inv(damped).diagonal()[:count]
        np.testing.assert_allclose(found[rbm.mask], theta**2 / (2 * inverse), rtol=1e-6)
    # Corrections can only help: the surgeon's price is the lower one.
    assert (surgeon(rbm, damping=0.0) <= damage(rbm) * (1 + 1e-6)).all()


def test_given_samples_stand_in_for_own_ones() -> None:
    rbm = random_rbm(5, 3, seed=7)
    bits = np.random.default_rng(3).integers(0, 2, (200, 5), dtype=np.uint8)
    count, theta = rbm.number_of_weights, rbm.weights[rbm.mask]
    active = 1 / (1 + np.exp(-(bits @ rbm.weights.T + rbm.hidden_bias)))  # [sample, hidden]
    unit, site = np.nonzero(rbm.mask)
    scores = np.concatenate([active[:, unit] * bits[:, site], bits, active], axis=1)
    matrix = np.cov(scores.T, bias=True)
    for samples in (bits, Shots(bits)):
        found = damage(rbm, samples=samples)[rbm.mask]
        np.testing.assert_allclose(found, theta**2 * matrix.diagonal()[:count] / 2, rtol=1e-9)
        damped = matrix + 1e-3 * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
        inverse = np.linalg.inv(damped).diagonal()[:count]
        found = surgeon(rbm, samples=samples)[rbm.mask]
        np.testing.assert_allclose(found, theta**2 / (2 * inverse), rtol=1e-3)
    with refuses("array", "4 sites", 5):
        damage(rbm, samples=bits[:, :4])


@pytest.mark.parametrize("criterion", [damage, surgeon])
def test_too_few_samples_are_refused(criterion: Callable[..., NDArray[np.float64]]) -> None:
    rbm = random_rbm(5, 3, seed=7, density=1.1)  # 15 + 5 + 3 parameters
    bits = np.random.default_rng(0).integers(0, 2, (184, 5), dtype=np.uint8)
    assert criterion(rbm, samples=bits).shape == (3, 5)
    for few in (1, 183):
        with refuses("samples", 184, 8, few):
            criterion(rbm, samples=bits[:few])


def test_damage_is_what_removal_costs() -> None:
    rbm = random_rbm(6, 3, seed=8, density=1.0)
    weights = rbm.weights.copy()
    weights[1, 2] = 0.01
    rbm = RBM(weights, rbm.visible_bias, rbm.hidden_bias)
    mask = np.ones(rbm.mask.shape, bool)
    mask[1, 2] = False
    here, there = log_prob(rbm), log_prob(rbm.with_mask(mask))
    cost = np.exp(here) @ (here - there)
    assert damage(rbm)[1, 2] == pytest.approx(cost, rel=0.05)


def test_criteria_are_0_where_there_is_no_weight() -> None:
    rbm = random_rbm(6, 4, seed=9, density=0.4)
    for saliency in (
        magnitude(rbm),
        magnitude_by_unit(rbm),
        random_saliency(rbm, 3),
        damage(rbm),
        surgeon(rbm),
    ):
        assert saliency.shape == (4, 6)
        assert (saliency[~rbm.mask] == 0).all()
        assert (saliency[rbm.mask] > 0).all()


def test_by_unit_every_unit_loses_the_same_share() -> None:
    # Unit 0 has the largest weights, unit 2 half as many of them.
    generator = np.random.default_rng(1)
    weights = generator.random((3, 8)) + np.array([[5.0], [0.1], [1.0]])
    mask = np.ones((3, 8), bool)
    mask[2, ::2] = False
    rbm = RBM(weights, np.zeros(8), np.zeros(3), mask)
    for count, left in ((15, [6, 6, 3]), (10, [4, 4, 2]), (5, [2, 2, 1])):
        kept = top_k_mask(rbm.mask, magnitude_by_unit(rbm), count)
        assert kept.sum(axis=1).tolist() == left
        for j in range(3):  # the largest of the unit
            rest = rbm.weights[j][mask[j] & ~kept[j]]
            assert rbm.weights[j][kept[j]].min() > rest.max()
    # One more: between units of the same share the larger weight stays.
    eleven = top_k_mask(rbm.mask, magnitude_by_unit(rbm), 11).sum(axis=1)
    assert eleven.tolist() == [5, 4, 2]


def test_by_unit_ties_go_to_the_lower_index() -> None:
    rbm = RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2))
    kept = top_k_mask(rbm.mask, magnitude_by_unit(rbm), 5)
    assert kept.astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]


def test_uniform_is_one_draw_for_all_masks_of_a_seed() -> None:
    rbm = random_rbm(6, 4, seed=10, density=1.0)
    one = random_saliency(rbm, 5)
    np.testing.assert_array_equal(
        random_saliency(rbm.with_mask(one > 0.5), 5), np.where(one > 0.5, one, 0)
    )
    assert (random_saliency(rbm, 6) != one).all()
