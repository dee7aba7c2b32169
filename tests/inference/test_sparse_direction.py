"""Products with the Fisher matrix of a sparse mask against the matrix itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from psiprune.inference import sparse_direction
from psiprune.inference.natural_direction import Conjugate, conjugate_gradients
from psiprune.inference.sparse_direction import sparse_damped_fisher
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
GENERATOR = np.random.default_rng(0)
MASK = GENERATOR.random((6, 9)) < 0.3
MASK[:, 8] = False  # a site without weights
MASK[5] = False  # a unit without weights
PARAMETERS = GENERATOR.normal(size=(6, 9)), GENERATOR.normal(size=9), GENERATOR.normal(size=6)
SPARSE = RBM(*PARAMETERS, MASK)
BITS = GENERATOR.choice(2, (300, 9), p=[0.3, 0.7]).astype(np.uint8)
BITS[:, 3] |= BITS[:, 0]
SIZE = SPARSE.number_of_parameters


def damped(damping: float) -> Float64:
    """F + lambda 1 from the scores of each configuration."""
    s = SPARSE.hidden_given_visible(BITS)
    unit, site = np.nonzero(MASK)
    scores = np.concatenate([s[:, unit] * BITS[:, site], BITS, s], axis=1)
    return np.cov(scores.T, ddof=0) + damping * np.eye(SIZE)


@pytest.mark.parametrize("piece", [7, 1024])
@pytest.mark.parametrize("damping", [1e-2, 3.0])
def test_the_products(monkeypatch: pytest.MonkeyPatch, piece: int, damping: float) -> None:
    monkeypatch.setattr(sparse_direction, "_PIECE", piece)
    matrix, x = sparse_damped_fisher(SPARSE, BITS, damping), GENERATOR.normal(size=SIZE)
    exact = damped(damping) @ x
    np.testing.assert_allclose(matrix.product(x), exact, atol=1e-5 * np.abs(exact).max())


def test_the_direction_solves_the_damped_system() -> None:
    slope, none = GENERATOR.normal(size=SIZE), np.empty((0, SIZE))
    exact = np.linalg.solve(damped(1e-2), slope)
    matrix = sparse_damped_fisher(SPARSE, BITS, 1e-2)
    found, _ = conjugate_gradients(matrix, slope, Conjugate(none, none), 60)
    np.testing.assert_allclose(found, exact, atol=1e-4 * np.abs(exact).max())


def test_the_preconditioner_is_the_inverse_between_the_parameters_of_a_site() -> None:
    matrix, precondition = damped(1e-2), sparse_damped_fisher(SPARSE, BITS, 1e-2).precondition
    weights, (_, site) = SPARSE.number_of_weights, np.nonzero(MASK)
    blocks = [np.append(np.flatnonzero(site == i), weights + i) for i in range(9)]
    expected = np.zeros((SIZE, SIZE))
    for block in (*blocks, *np.arange(weights + 9, SIZE)[:, None]):
        expected[np.ix_(block, block)] = np.linalg.inv(matrix[np.ix_(block, block)])
    found = np.stack([precondition(x) for x in np.eye(SIZE)])
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_direction, "_PIECE", 64)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        matrix = sparse_damped_fisher(SPARSE, BITS, 1e-2)
        found.append(matrix.precondition(matrix.product(np.ones(SIZE))))
    np.testing.assert_array_equal(found[0], found[1])
