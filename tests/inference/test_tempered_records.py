"""Weights of annealing through powers of p~(v) against sums over all states."""

from __future__ import annotations

import numpy as np
import pytest

import exact
import psiprune as pp
from confusions import dense, flips_together, random_error
from machines import random_rbm
from psiprune.inference.tempered_records import tempered_log_weights
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import distribution

#: Single sites and pairs, sites in any order, and three that mostly flip together or not at all.
ERRORS = [
    pp.ReadoutError.from_rates([0.1, 0.3, 0.0, 0.2], [0.2, 0.1, 0.3, 0.0]),
    random_error([(2, 0), (3, 1)]),
    flips_together([(0, 3, 1), (2,)], 0.2, 0.0),
]


@pytest.mark.parametrize("error", ERRORS, ids=["single", "pairs", "together"])
def test_the_mean_weight_is_the_sum_over_true_bits(error: pp.ReadoutError) -> None:
    """Within 5 errors of each record, which many sweeps make small; not that of perfect readout."""
    rbm, generator = random_rbm(4, 2, scale=2.0), np.random.default_rng(0)
    p, total, spreads = distribution(rbm), np.exp(rbm.log_prob_all()).sum(), []
    for sweeps, repeats in ((1, 400), (60, 100)):
        log_w = tempered_log_weights(rbm, exact.basis(4), error.groups, sweeps, repeats, generator)
        assert log_w.shape == (repeats, 16)
        w = np.exp(log_w) / total
        spreads.append(log_w.std(axis=0).max())
        noise = w.std(axis=0) / np.sqrt(repeats)
        assert np.abs((w.mean(axis=0) - error.apply(p)) / noise).max() < 5
        assert np.abs((w.mean(axis=0) - p) / noise).max() > 10
    few, many = spreads
    assert many < 0.5 < few


def test_steep_weights_and_biases_are_not_beyond_floats() -> None:
    """Products over hidden units exceed the range of floats, and so does p~ itself."""
    rbm = RBM(np.full((40, 2), 50.0) * [1, -1], np.array([-2000.0, 0.0]), np.zeros(40))
    error = pp.ReadoutError.from_rates(0.1, sites=2)
    log_w = tempered_log_weights(
        rbm, exact.basis(2), error.groups, 30, 500, np.random.default_rng(0)
    )
    top = log_w.max(axis=0)
    found = top + np.log(np.exp(log_w - top).mean(axis=0))
    log_p = rbm.log_prob_all()
    wanted = np.logaddexp.reduce(log_p[:, None] + np.log(dense(error)).T, axis=0)
    np.testing.assert_allclose(found, wanted, atol=0.2)
