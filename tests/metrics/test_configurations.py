"""RBMs against held-out shots by configurations, sites and pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.recorded import RecordedLogProb
from psiprune.metrics import configurations
from psiprune.metrics.agreement import sites_and_pairs
from psiprune.metrics.configurations import (
    Configurations,
    compare_configurations,
    held_out_likelihood,
)
from psiprune.metrics.loss_tests import cell_divergence
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from spies import arguments_of


def compared(rbm: RBM, other: RBM, training: Shots, held_out: Shots) -> Configurations:
    model, best = (held_out_likelihood(each, training, held_out, seed=3) for each in (rbm, other))
    return compare_configurations(model, best, training, held_out)


def test_by_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    data, seeds = (
        arguments_of(monkeypatch, "psiprune.metrics.configurations.log_partition", name)
        for name in ("data", "seed")
    )
    rbm = initial_rbm(5, 3, seed=1)
    other = replace(rbm, visible_bias=rbm.visible_bias + 0.5)
    training, held_out = (Shots(rbm.sample_exact(n, seed=n)) for n in (300, 100))
    found = compared(rbm, other, training, held_out)
    assert (data, seeds) == ([training, training], [3, 3])
    seen = np.unique(training.bits, axis=0)
    counts = [(held_out.bits == row).all(axis=1).sum() for row in seen]
    assert found.cells == cell_divergence(rbm.log_prob(seen), counts, 100)
    loss = other.log_prob(held_out) - rbm.log_prob(held_out)
    assert found.best_loss == pytest.approx(loss.mean())
    assert found.best_error == pytest.approx(loss.std(ddof=1) / 10)
    ones = (training.bits.sum(axis=0) + 0.5) / 301
    bits = held_out.bits
    loss = (bits * np.log(ones) + (1 - bits) * np.log(1 - ones)).sum(axis=1)
    loss -= rbm.log_prob(held_out)
    assert found.product_loss == pytest.approx(loss.mean())
    assert found.product_error == pytest.approx(loss.std(ddof=1) / 10)
    assert found.warning == ""


def test_the_error_of_a_likelihood_is_that_of_log_z_and_of_annealing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rbm, shots = initial_rbm(5, 3, seed=1), Shots(np.zeros((3, 5), np.uint8))
    annealed = RecordedLogProb(np.zeros(3), 0.3, -0.4, "")
    monkeypatch.setattr(configurations, "shots_log_prob", lambda *_: annealed)
    assert held_out_likelihood(rbm, shots, shots, seed=0).error == pytest.approx(0.5)


def test_a_bit_that_never_varies_has_a_finite_likelihood() -> None:
    bits = np.zeros((100, 3), np.uint8)
    held_out = bits[:10].copy()
    held_out[0, 0] = 1
    rbm = RBM(np.zeros((1, 3)), np.full(3, -3.0), np.zeros(1))
    found = compared(rbm, rbm, Shots(bits), Shots(held_out))
    assert np.isfinite([found.product_loss, found.cells.divergence]).all()
    assert (found.best_loss, found.best_error) == (0.0, 0.0)


def test_sites_and_pairs_by_enumeration() -> None:
    rbm = initial_rbm(4, 3, seed=1)
    shots = Shots(rbm.sample_exact(500, seed=2))
    found = sites_and_pairs(rbm, shots, draws=20_000)
    every = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.uint8)
    p, z = np.exp(rbm.log_prob(every)), 1.0 - 2.0 * every
    exact = (z * p[:, None]).T @ z
    np.fill_diagonal(exact, p @ z)
    assert np.abs((found.value - exact) / found.error).max() < 4.5
    of_shots = 1.0 - 2.0 * shots.bits
    expected = of_shots.T @ of_shots / 500
    np.fill_diagonal(expected, of_shots.mean(axis=0))
    np.testing.assert_allclose(found.shots_value, expected, atol=1e-6)


def test_sites_and_pairs_of_records_are_those_of_draws_read_alike() -> None:
    zeros = RBM(np.zeros((1, 2)), np.full(2, -30.0), np.zeros(1))
    error = ReadoutError.from_rates([0.1, 0.3], 0.2)
    shots = Shots(np.zeros((3, 2), np.uint8), readout=error)
    found = sites_and_pairs(zeros, shots, draws=20_000)
    wanted = [[0.8, 0.8 * 0.4], [0.8 * 0.4, 0.4]]
    assert np.abs((found.value - wanted) / found.error).max() < 5
