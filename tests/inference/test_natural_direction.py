"""Directions by conjugate gradients against the Fisher matrix that they do without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from machines import random_rbm
from psiprune.inference import natural_direction
from psiprune.inference.fisher import factors_of_parameters
from psiprune.inference.natural_direction import (
    Conjugate,
    DampedFisher,
    Scores,
    conjugate_gradients,
    damped_fisher,
    sample_scores,
)
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
MASKED = random_rbm(5, 4, density=0.6)
BITS = np.random.default_rng(2).choice(2, (300, 5), p=[0.3, 0.7]).astype(np.uint8)
BITS[:, 3] |= BITS[:, 0]


def covariance(rbm: RBM, scores: Scores) -> Float64:
    """F from the scores of each sample, means over its draws."""
    unit, site = factors_of_parameters(rbm)
    s, v = (factor.astype(np.float64) for factor in scores)
    return np.cov((s[:, unit] * v[:, site]).mean(axis=0), ddof=0)


def scores_of(rbm: RBM, draws: int) -> Scores:
    """Scores of samples that differ in one bit between draws."""
    flips = np.random.default_rng(3).integers(0, 2, (draws, len(BITS), 1), dtype=np.uint8)
    scores = (sample_scores(rbm, BITS ^ flip * np.eye(5, dtype=np.uint8)[1]) for flip in flips)
    return Scores(*map(np.concatenate, zip(*scores, strict=True)))


def none(size: int) -> Conjugate:
    """No known directions of so many parameters."""
    return Conjugate(np.empty((0, size)), np.empty((0, size)))


@pytest.mark.parametrize("rbm", [random_rbm(5, 4), MASKED], ids=["dense", "masked"])
@pytest.mark.parametrize("piece", [7, 1024])
@pytest.mark.parametrize("damping", [1e-2, 3.0])
@pytest.mark.parametrize("draws", [1, 3])
def test_the_direction_solves_the_damped_system(
    monkeypatch: pytest.MonkeyPatch, rbm: RBM, piece: int, damping: float, draws: int
) -> None:
    monkeypatch.setattr(natural_direction, "_PIECE", piece)
    scores = scores_of(rbm, draws)
    slope = np.random.default_rng(0).normal(size=rbm.number_of_parameters)
    damped = covariance(rbm, scores) + damping * np.eye(len(slope))
    matrix = damped_fisher(rbm, scores, damping)
    found, _ = conjugate_gradients(matrix, slope, none(len(slope)), 60)
    exact = np.linalg.solve(damped, slope)
    np.testing.assert_allclose(found, exact, atol=1e-4 * np.abs(exact).max())


def test_independent_units_and_sites_take_two_products() -> None:
    # Each s with each v: F is what the preconditioner assumes, up to the damping of s_0 v_0.
    s, v = (np.random.default_rng(k).random((n, 20)) for k, n in ((0, 4), (1, 5)))
    ones = np.ones((1, 20))
    units, sites = (np.concatenate([ones, x]).astype(np.float32) for x in (s, v))
    scores = Scores(np.repeat(units, 20, axis=1)[None], np.tile(sites, 20)[None])
    rbm = random_rbm(5, 4)
    slope = np.random.default_rng(0).normal(size=29)
    exact = np.linalg.solve(covariance(rbm, scores) + 1e-3 * np.eye(29), slope)
    found, known = conjugate_gradients(damped_fisher(rbm, scores, 1e-3), slope, none(29), 2)
    assert len(known.directions) == 2
    np.testing.assert_allclose(found, exact, atol=1e-3 * np.abs(exact).max())


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural_direction, "_PIECE", 64)
    scores, slope = scores_of(MASKED, 2), np.ones(MASKED.number_of_parameters)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        matrix = damped_fisher(MASKED, scores, 1e-2)
        found.append(conjugate_gradients(matrix, slope, none(len(slope)), 20)[0])
    np.testing.assert_array_equal(found[0], found[1])


def diagonal(spectrum: Float64, precondition: Float64) -> tuple[DampedFisher, list[Float64]]:
    """A diagonal matrix with a diagonal preconditioner; and the vectors it was applied to."""
    products: list[Float64] = []

    def product(x: Float64) -> Float64:
        products.append(x.copy())
        return spectrum * x

    return DampedFisher(product, lambda x: precondition * x), products


@pytest.mark.parametrize("size", [3, 200])
def test_conjugate_gradients_stop(size: int) -> None:
    spectrum, target = np.logspace(-4, 2, size), np.ones(size)
    matrix, products = diagonal(spectrum, np.ones(size))
    # Where the largest number of products is too few, the step is the best one in their span.
    found, known = conjugate_gradients(matrix, target, none(size), 20)
    assert min(size, 20) <= len(products) <= min(size + 1, 20)
    span = np.linalg.qr(np.stack(products[:size], axis=1))[0]
    best = span @ np.linalg.solve(span.T @ (spectrum[:, None] * span), span.T @ target)
    np.testing.assert_allclose(found, best, rtol=1e-6)
    overlaps = known.directions[:size] @ known.images[:size].T
    np.testing.assert_allclose(overlaps, np.eye(len(overlaps)), atol=1e-6)
    # With the inverse as the preconditioner one product suffices, and a second one shows it.
    matrix, products = diagonal(spectrum, 1 / spectrum)
    found, _ = conjugate_gradients(matrix, target, none(size), 20)
    np.testing.assert_allclose(found, target / spectrum)
    assert len(products) <= 2
    # There is nothing to look for.
    found, known = conjugate_gradients(matrix, np.zeros(size), none(size), 20)
    np.testing.assert_array_equal(found, 0.0)
    assert known.directions.shape == known.images.shape == (0, size)


@pytest.mark.parametrize(("small", "number"), [(3e-5, 1), (3e-4, 2)])
def test_the_search_ends_where_it_adds_less_than_1e_10(small: float, number: int) -> None:
    # The first direction is known: it gives 100 of x.A.x, and the next one 0.8 small^2.
    matrix, products = diagonal(np.array([1.0, 2.0, 3.0]), np.ones(3))
    known = Conjugate(np.eye(3)[:1], np.eye(3)[:1])
    found, both = conjugate_gradients(matrix, np.array([10.0, small, small]), known, 9)
    assert (len(products), len(both.directions)) == (number, 1 + number)
    np.testing.assert_allclose(found, [10.0, small / 2, small / 3], rtol=0, atol=small / 4)


def test_known_directions_take_no_products() -> None:
    spectrum = np.logspace(-4, 2, 50)
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    matrix, products = diagonal(spectrum, np.ones(50))
    _, known = conjugate_gradients(matrix, first, none(50), 10)
    # A search that goes on ends where an unbroken one does.
    on, _ = conjugate_gradients(matrix, first, known, 5)
    whole, _ = conjugate_gradients(matrix, first, none(50), 15)
    np.testing.assert_allclose(on, whole, rtol=1e-6, atol=1e-6 * np.abs(whole).max())
    # For another target they give the best step in their span, and the search is in a larger one.
    for more in (0, 5):
        products.clear()
        found, both = conjugate_gradients(matrix, second, known, more)
        assert len(products) == more
        span = np.linalg.qr(both.directions.T)[0]
        assert span.shape == (50, 10 + more)
        best = span @ np.linalg.solve(span.T @ (spectrum[:, None] * span), span.T @ second)
        np.testing.assert_allclose(found, best, rtol=1e-6, atol=1e-6 * np.abs(best).max())
        np.testing.assert_array_equal(both.directions[:10], known.directions)
