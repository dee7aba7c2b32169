"""Saliencies before training are derivatives; masks have exactly the weights asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import distribution, random_rbm, score_moments, sparse_rbm
from psiprune.pruning import before_training
from psiprune.pruning.before_training import (
    PretrainingCriterion,
    grasp,
    pretraining_mask,
    snip,
    synflow,
)
from psiprune.pruning.criteria import top_k_mask
from refusals import refuses

Saliency = Callable[[pp.RBM, pp.Shots], NDArray[np.float64]]
SHOTS = pp.Shots(np.random.default_rng(5).integers(0, 2, (40, 4), dtype=np.uint8))
#: Each state once; and no 1 at any site.
EVERY = pp.Shots(exact.basis(4))
ZEROS = pp.Shots(np.zeros((8, 4), np.uint8))
#: Some weights are positive, the rest 0: of shots without a 1 no slope is positive.
RISING = pp.RBM(np.outer([1.1, 0.4, 0.0], [0.5, 0.3, 0.7, 0.2]), np.zeros(4), np.zeros(3))


def removal_slope(rbm: pp.RBM, value: Callable[[pp.RBM], float]) -> NDArray[np.float64]:
    """-d value / dt where each weight becomes (1 - t) times itself, by a central difference."""
    found, step = np.zeros(rbm.mask.shape), 1e-5
    for place in np.argwhere(rbm.mask):
        ends = []
        for sign in (1, -1):
            weights = rbm.weights.copy()
            weights[tuple(place)] *= 1 - sign * step
            ends.append(value(replace(rbm, weights=weights)))
        found[tuple(place)] = (ends[1] - ends[0]) / (2 * step)
    return found


def mean_log_p(rbm: pp.RBM) -> float:
    """By sums over all states of both layers."""
    return float(np.log(distribution(rbm)[exact.index(SHOTS.bits)]).mean())


def derivatives(rbm: pp.RBM, shots: pp.Shots) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient and Hessian of the mean log-likelihood over all parameters, by sums over states.

    <s>_data - <s>_model with s = d log p~ / d theta, and <s'>_data - <s'>_model - Cov_model(s); s'
    is the sum over hidden units of h (1 - h) x x^T, h the mean of a unit, x the slope of its input.
    """
    observed, model = exact.empirical(shots.bits), distribution(rbm)
    (of_data, _), (of_model, covariance) = (score_moments(rbm, each) for each in (observed, model))
    v, hessian = exact.basis(rbm.visible).astype(float), -covariance
    h = 1 / (1 + np.exp(-(v @ rbm.weights.T + rbm.hidden_bias)))
    for j, unit in enumerate(np.eye(rbm.hidden)):
        of_weights = (unit[:, None] * v[:, None, :])[:, rbm.mask]
        x = np.concatenate([of_weights, 0 * v, np.broadcast_to(unit, h.shape)], axis=1)
        hessian += (x.T * ((observed - model) * h[:, j] * (1 - h[:, j]))) @ x
    return of_data - of_model, hessian


@pytest.mark.parametrize("rbm", [random_rbm(4, 3), sparse_rbm(4, 3)])
def test_snip_is_the_first_order_change_of_the_likelihood(rbm: pp.RBM) -> None:
    expected = np.abs(removal_slope(rbm, mean_log_p))
    np.testing.assert_allclose(snip(rbm, SHOTS), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("rbm", "shots"),
    [
        (random_rbm(4, 3, 0.5), SHOTS),
        (sparse_rbm(4, 3), SHOTS),
        (random_rbm(4, 3, 1e-6), EVERY),  # near the optimum
        (RISING, ZEROS),
    ],
)
def test_grasp_is_a_product_with_the_hessian(rbm: pp.RBM, shots: pp.Shots) -> None:
    gradient, hessian = derivatives(rbm, shots)
    parameters = np.concatenate([rbm.weights[rbm.mask], rbm.visible_bias, rbm.hidden_bias])
    expected = np.zeros(rbm.mask.shape)
    expected[rbm.mask] = (parameters * (hessian @ gradient))[: rbm.number_of_weights]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(grasp(rbm, shots) / scale, expected / scale, atol=1e-6)


def test_synflow_counts_paths() -> None:
    """Half of W dR/dW, R summed over all paths of two weights one by one."""
    rbm = sparse_rbm(4, 3)

    def half_of_all_paths(rbm: pp.RBM) -> float:
        size = np.abs(rbm.weights)
        visible = sum(row[i] * row[k] for row in size for i in range(4) for k in range(4))
        hidden = sum(column[j] * column[k] for column in size.T for j in range(3) for k in range(3))
        return float(visible + hidden) / 2

    np.testing.assert_allclose(synflow(rbm), removal_slope(rbm, half_of_all_paths), rtol=1e-8)


def test_at_the_optimum_nothing_is_salient() -> None:
    """Independent fair bits fitted exactly: the gradient is 0, and so is what it would lose."""
    rbm = pp.RBM(np.zeros((3, 4)), np.zeros(4), np.zeros(3))
    for saliency in (snip, grasp):
        np.testing.assert_array_equal(saliency(rbm, EVERY), 0.0)


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow"])
@pytest.mark.parametrize("total", [7, 1, 0])
def test_masks_have_their_count_within_the_given_one(
    criterion: PretrainingCriterion, total: int
) -> None:
    rbm = sparse_rbm(4, 3)
    rbm = rbm.with_mask(top_k_mask(rbm.mask, np.abs(rbm.weights), total))
    assert rbm.number_of_weights == total
    for weights in range(total + 1):
        mask = pretraining_mask(rbm, SHOTS, weights=weights, criterion=criterion)
        assert mask.sum() == weights
        assert (mask <= rbm.mask).all()
    with refuses("weights", total, 99):
        pretraining_mask(rbm, SHOTS, weights=99, criterion=criterion)


def test_masks_keep_the_largest() -> None:
    rbm = random_rbm(4, 3)
    pairs: tuple[tuple[PretrainingCriterion, Saliency], ...] = (("snip", snip), ("grasp", grasp))
    for criterion, saliency in pairs:
        values = saliency(rbm, SHOTS)
        mask = pretraining_mask(rbm, SHOTS, weights=5, criterion=criterion)
        assert values[mask].min() > values[~mask].max()


@pytest.mark.parametrize("rounds", [1, 2, 100])
def test_synflow_scores_what_is_left_after_each_round(
    rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rounds < 100:
        monkeypatch.setattr(before_training, "ROUNDS", rounds)
    rbm = random_rbm(4, 3)
    size, differ = np.abs(rbm.weights), []
    for weights in range(13):
        kept = np.ones((3, 4), bool)
        for step in range(1, rounds + 1):
            left = size * kept
            score = left * (left.sum(axis=1)[:, None] + left.sum(axis=0)[None, :])
            count = round(12 * (weights / 12) ** (step / rounds))
            kept = np.isin(np.arange(12), np.argsort(-score.ravel())[:count]).reshape(3, 4)
        mask = pretraining_mask(rbm, SHOTS, weights=weights, criterion="synflow")
        np.testing.assert_array_equal(mask, kept)
        differ.append((mask != top_k_mask(rbm.mask, synflow(rbm), weights)).any())
    assert any(differ) or rounds < 100  # from keeping the largest at once


def test_shots_are_taken_in_every_form() -> None:
    rbm = random_rbm(4, 3)
    counts = {"".join(map(str, row)): int(n) for row, n in zip(*SHOTS.unique, strict=True)}
    for criterion in ("snip", "grasp"):
        expected = pretraining_mask(rbm, SHOTS, weights=5, criterion=criterion)
        for same in (SHOTS.bits, counts):
            found = pretraining_mask(rbm, same, weights=5, criterion=criterion)
            np.testing.assert_array_equal(found, expected)


def test_refusals() -> None:
    rbm = random_rbm(4, 3)
    with refuses("criterion", "snip", "grasp", "synflow", "magic"):
        pretraining_mask(rbm, SHOTS, weights=3, criterion="magic")  # type: ignore[arg-type]
    misread = pp.Shots(SHOTS.bits, readout=pp.ReadoutError.from_rates(0.01, sites=4))
    for saliency in (snip, grasp):
        with pytest.raises(pp.InputError, match="readout"):
            saliency(rbm, misread)
        with pytest.raises(pp.InputError, match="4"):
            saliency(random_rbm(5, 3), SHOTS)
