"""Saliencies before training are derivatives; masks have exactly the weights asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import random_rbm, sparse_rbm
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
    p = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    return float(np.log(p[exact.index(SHOTS.bits)]).mean())


def half_squared_gradient(rbm: pp.RBM) -> float:
    """|dL/d theta|^2 / 2 over all parameters of the mask, by differences of the log-likelihood."""
    total, step = 0.0, 1e-4
    for name in ("weights", "visible_bias", "hidden_bias"):
        values = getattr(rbm, name)
        free = rbm.mask if name == "weights" else np.ones(len(values), bool)
        for place in map(tuple, np.argwhere(free)):
            ends = []
            for sign in (1, -1):
                moved = values.copy()
                moved[place] += sign * step
                ends.append(mean_log_p(replace(rbm, **{name: moved})))
            total += ((ends[0] - ends[1]) / (2 * step)) ** 2
    return total / 2


@pytest.mark.parametrize("rbm", [random_rbm(4, 3), sparse_rbm(4, 3)])
def test_snip_is_the_first_order_change_of_the_likelihood(rbm: pp.RBM) -> None:
    expected = np.abs(removal_slope(rbm, mean_log_p))
    np.testing.assert_allclose(snip(rbm, SHOTS), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rbm", [random_rbm(4, 3, 0.5), sparse_rbm(4, 3)])
def test_grasp_is_the_first_order_loss_of_the_gradient(rbm: pp.RBM) -> None:
    expected = removal_slope(rbm, half_squared_gradient)
    np.testing.assert_allclose(grasp(rbm, SHOTS), expected, rtol=1e-4, atol=1e-7)


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
    every = pp.Shots(exact.basis(4))
    rbm = pp.RBM(np.zeros((3, 4)), np.zeros(4), np.zeros(3))
    for saliency in (snip, grasp):
        np.testing.assert_array_equal(saliency(rbm, every), 0.0)


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow"])
def test_masks_have_their_count_within_the_given_one(criterion: PretrainingCriterion) -> None:
    rbm = sparse_rbm(4, 3)
    for weights in range(rbm.number_of_weights + 1):
        mask = pretraining_mask(rbm, SHOTS, weights=weights, criterion=criterion)
        assert mask.sum() == weights
        assert (mask <= rbm.mask).all()
    with refuses("weights", rbm.number_of_weights, 99):
        pretraining_mask(rbm, SHOTS, weights=99, criterion=criterion)


def test_masks_keep_the_largest() -> None:
    rbm = random_rbm(4, 3)
    pairs: tuple[tuple[PretrainingCriterion, Saliency], ...] = (("snip", snip), ("grasp", grasp))
    for criterion, saliency in pairs:
        values = saliency(rbm, SHOTS)
        mask = pretraining_mask(rbm, SHOTS, weights=5, criterion=criterion)
        assert values[mask].min() > values[~mask].max()


def test_synflow_scores_what_is_left_after_each_round() -> None:
    size = np.abs(random_rbm(4, 3).weights)
    differ = []
    for weights in range(13):
        kept = np.ones((3, 4), bool)
        for step in range(1, 101):
            left = size * kept
            score = left * (left.sum(axis=1)[:, None] + left.sum(axis=0)[None, :])
            count = round(12 * (weights / 12) ** (step / 100))
            kept = np.isin(np.arange(12), np.argsort(-score.ravel())[:count]).reshape(3, 4)
        rbm = random_rbm(4, 3)
        mask = pretraining_mask(rbm, SHOTS, weights=weights, criterion="synflow")
        np.testing.assert_array_equal(mask, kept)
        differ.append((mask != top_k_mask(rbm.mask, synflow(rbm), weights)).any())
    assert any(differ)  # from keeping the largest at once


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
