"""Directions by conjugate gradients against the Fisher matrix that they do without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from machines import random_rbm
from psiprune.inference import natural_direction
from psiprune.inference.fisher import factors_of_parameters
from psiprune.inference.natural_direction import (
    MOST_PRODUCTS,
    Scores,
    conjugate_gradients,
    sample_scores,
)
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
MASKED = random_rbm(5, 4, density=0.6)
BITS = np.random.default_rng(2).choice(2, (300, 5), p=[0.3, 0.7]).astype(np.uint8)
BITS[:, 3] |= BITS[:, 0]


def covariance(rbm: RBM, scores: Scores) -> Float64:
    """F from the scores of each sample, [sample, parameter]."""
    unit, site = factors_of_parameters(rbm)
    s, v = (factor.astype(np.float64) for factor in scores)
    return np.cov(s[unit] * v[site], ddof=0)


@pytest.mark.parametrize("rbm", [random_rbm(5, 4), MASKED], ids=["dense", "masked"])
@pytest.mark.parametrize("piece", [7, 1024])
@pytest.mark.parametrize("damping", [1e-2, 3.0])
def test_the_direction_solves_the_damped_system(
    monkeypatch: pytest.MonkeyPatch, rbm: RBM, piece: int, damping: float
) -> None:
    monkeypatch.setattr(natural_direction, "_PIECE", piece)
    monkeypatch.setattr(natural_direction, "MOST_PRODUCTS", 60)
    scores = sample_scores(rbm, BITS)
    slope = np.random.default_rng(0).normal(size=rbm.number_of_parameters)
    damped = covariance(rbm, scores) + damping * np.eye(len(slope))
    found = natural_direction.natural_direction(rbm, scores, slope, damping)
    exact = np.linalg.solve(damped, slope)
    np.testing.assert_allclose(found, exact, atol=1e-4 * np.abs(exact).max())


def test_independent_units_and_sites_take_two_products(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each s with each v: F is what the preconditioner assumes, up to the damping of s_0 v_0.
    s, v = (np.random.default_rng(k).random((n, 20)) for k, n in ((0, 4), (1, 5)))
    ones = np.ones((1, 20))
    units, sites = (np.concatenate([ones, x]).astype(np.float32) for x in (s, v))
    scores = Scores(np.repeat(units, 20, axis=1), np.tile(sites, 20))
    rbm = random_rbm(5, 4)
    slope = np.random.default_rng(0).normal(size=29)
    exact = np.linalg.solve(covariance(rbm, scores) + 1e-3 * np.eye(29), slope)
    monkeypatch.setattr(natural_direction, "MOST_PRODUCTS", 2)
    found = natural_direction.natural_direction(rbm, scores, slope, 1e-3)
    np.testing.assert_allclose(found, exact, atol=1e-3 * np.abs(exact).max())


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural_direction, "_PIECE", 64)
    scores, slope = sample_scores(MASKED, BITS), np.ones(MASKED.number_of_parameters)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(natural_direction.natural_direction(MASKED, scores, slope, 1e-2))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("size", [3, 200])
def test_conjugate_gradients_stop(size: int) -> None:
    spectrum, target = np.logspace(-4, 2, size), np.ones(size)
    products: list[Float64] = []

    def product(x: Float64) -> Float64:
        products.append(x)
        return spectrum * x

    # Where the largest number of products is too few, the step is the best one in their span.
    found = conjugate_gradients(product, lambda x: x.copy(), target)
    assert min(size, MOST_PRODUCTS) <= len(products) <= min(size + 1, MOST_PRODUCTS)
    span = np.linalg.qr(np.stack(products[:size], axis=1))[0]
    best = span @ np.linalg.solve(span.T @ (spectrum[:, None] * span), span.T @ target)
    np.testing.assert_allclose(found, best, rtol=1e-6)
    # With the inverse as the preconditioner one product suffices, and a second one shows it.
    products.clear()
    found = conjugate_gradients(product, lambda x: x / spectrum, target)
    np.testing.assert_allclose(found, target / spectrum)
    assert len(products) <= 2
    # There is nothing to look for.
    np.testing.assert_array_equal(conjugate_gradients(product, np.copy, np.zeros(size)), 0.0)
