"""The Fisher matrix of records against a sum over all true and recorded states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
from confusions import flips_together
from machines import random_rbm
from psiprune.inference.observed_fisher import (
    _repeats,
    observed_fisher,
    observed_variances,
    records_fisher,
)
from psiprune.pruning.criteria import damage, surgeon
from psiprune.pruning.iterative import prune_to_count
from psiprune.pruning.optimal_brain_surgeon import divergence_from, prune_obs
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.rbm.model import RBM
from psiprune.rbm.posterior import TrueBits

RBM_4X3 = random_rbm(4, 3, density=0.8)
ERROR = pp.ReadoutError.from_rates([0.02, 0.2, 0.1, 0.05], [0.1, 0.3, 0.02, 0.2])
PAIRS = flips_together([(0, 3), (1, 2)], 0.15, 1e-3)


def scores_of(rbm: RBM, bits: np.ndarray) -> np.ndarray:
    """Return d log p~(v) / d theta of configurations, [configuration, parameter]."""
    v = bits.astype(float)
    hidden = 1 / (1 + np.exp(-(v @ rbm.weights.T + rbm.hidden_bias)))
    unit, site = np.nonzero(rbm.mask)
    return np.concatenate([hidden[:, unit] * v[:, site], v, hidden], axis=1)


def information(rbm: RBM, error: pp.ReadoutError) -> tuple[np.ndarray, np.ndarray]:
    """Return Cov_y(E[s | y]) and E_y[Cov(s | y)], by sums over all v and y."""
    scores, prob = scores_of(rbm, exact.basis(4)), np.exp(rbm.log_prob(exact.basis(4)))
    joint = np.stack([error.apply(state) for state in np.eye(16)]) * prob[:, None]
    records = joint.sum(axis=0)
    means = (joint / records).T @ scores
    mean = prob @ scores
    between = (means - mean).T @ (records[:, None] * (means - mean))
    total = (scores - mean).T @ (prob[:, None] * (scores - mean))
    return between, total - between


@pytest.mark.parametrize("error", [ERROR, PAIRS], ids=["independent", "pairs"])
def test_records_carry_part_of_the_information(error: pp.ReadoutError) -> None:
    between, within = information(RBM_4X3, error)
    draws = 50_000
    found = observed_fisher(RBM_4X3, error, draws=draws, seed=0)
    # Entries are means of products of numbers below 1: a standard error of at most 0.25/sqrt(draws)
    # on top of the share of the variance within records that 32 draws of each leave.
    noise = 5 * 0.25 / np.sqrt(draws)
    excess = found - between
    assert np.abs(excess - within / 32).max() < noise + 0.03 * np.abs(within).max()
    assert np.abs(found - between - within).max() > 10 * noise  # not the matrix of the true bits
    variances = observed_variances(RBM_4X3, error, draws=draws, seed=0)
    weights = RBM_4X3.number_of_weights
    np.testing.assert_allclose(variances[RBM_4X3.mask], found.diagonal()[:weights], atol=1e-5)


def test_every_draw_of_the_true_bits_counts_alike() -> None:
    records = exact.basis(4).repeat(3, axis=0)
    chains = TrueBits(records, ERROR, 1 - records)
    found = records_fisher(RBM_4X3, chains, 3, seed=5)
    scores = []
    for _ in range(3):
        scores.append(scores_of(RBM_4X3, chains.bits))
        chains = chains.advanced(RBM_4X3.compiled, 2, 5)
    np.testing.assert_allclose(
        found, np.cov(np.mean(scores, axis=0), rowvar=False, ddof=0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("records", "draws"), [(1, 32), (2_982_616, 10), (2_982_617, 9), (10**9, 4)]
)
def test_the_draws_of_all_records_fit_into_memory(records: int, draws: int) -> None:
    # 2^28 numbers, of which each draw of a record takes 4 + 3 and two that are 1.
    assert _repeats(RBM_4X3, records) == draws


def test_the_matrix_predicts_the_divergence_of_records() -> None:
    between, _ = information(RBM_4X3, ERROR)
    x = to_vector(RBM_4X3)
    step = 1e-3 * np.random.default_rng(0).normal(size=len(x))
    cost = divergence_from(RBM_4X3, draws=1, seed=0, readout=ERROR)
    found = cost(from_vector(RBM_4X3, x + step))
    assert found == pytest.approx(0.5 * step @ between @ step, rel=0.01)


@pytest.mark.parametrize("criterion", ["damage", "surgeon"])
def test_pruning_keeps_what_records_show(criterion: Any) -> None:
    # Two pairs of sites with the same coupling; the second pair is misread almost at random.
    weights = np.array([[3.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.1, 3.1]])
    rbm = RBM(weights, -weights.sum(axis=0) / 2, -weights.sum(axis=1) / 2, weights != 0)
    error = pp.ReadoutError.from_rates([0.01, 0.01, 0.4, 0.4])
    hidden, plain = damage(rbm, readout=error), damage(rbm)
    assert hidden[0, :2].min() > 3 * hidden[1, 2:].max()
    assert plain[0, :2].max() < plain[1, 2:].min()
    pruned = prune_to_count(rbm, 2, PruneSettings(criterion=criterion), 0, 1, error)
    assert pruned.mask.tolist() == [[True, True, False, False], [False] * 4]


def test_surgery_by_what_records_show() -> None:
    found = surgeon(RBM_4X3, draws=5000, seed=3, readout=ERROR)
    fisher = observed_fisher(RBM_4X3, ERROR, draws=5000, seed=3)
    damped = fisher + 1e-3 * np.trace(fisher) / len(fisher) * np.eye(len(fisher))
    weights = RBM_4X3.number_of_weights
    wanted = to_vector(RBM_4X3)[:weights] ** 2 / (2 * np.linalg.inv(damped).diagonal()[:weights])
    np.testing.assert_allclose(found[RBM_4X3.mask], wanted, rtol=1e-4)


def test_samples_and_readout_errors_exclude_each_other() -> None:
    samples = np.zeros((200, 4), np.uint8)
    misread = pp.Shots(samples, readout=ERROR)
    for function in (damage, surgeon, lambda rbm, **given: prune_obs(rbm, 3, **given)):
        with pytest.raises(pp.InputError, match="samples: cannot be combined with readout"):
            function(RBM_4X3, samples=samples, readout=ERROR)
        with pytest.raises(pp.InputError, match="the Fisher matrix of given samples does not take"):
            function(RBM_4X3, samples=misread)
