"""Sums over the edges of a mask against matrix products."""

from __future__ import annotations

import numpy as np

from psiprune.rbm.edges import edges_of, is_sparse, product_work, sigmoid

GENERATOR = np.random.default_rng(0)


def test_sums_over_edges_are_matrix_products_within_the_mask() -> None:
    mask = GENERATOR.random((7, 40)) < 0.2
    mask[3] = False  # a unit without weights
    weights = np.where(mask, GENERATOR.normal(size=mask.shape), 0.0).astype(np.float32)
    bias = GENERATOR.normal(size=7).astype(np.float32)
    v, s = (GENERATOR.random((n, 33)).astype(np.float32) for n in (40, 7))
    edges = edges_of(mask)
    inputs = weights @ v + bias[:, None]
    np.testing.assert_allclose(edges.inputs(weights[mask], bias, v), inputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(edges.products(s, v), (s @ v.T)[mask], rtol=1e-5)


def test_the_logistic_function() -> None:
    x = np.linspace(-20, 20, 9)
    expected = 1.0 / (1.0 + np.exp(-x))
    np.testing.assert_allclose(sigmoid(x.astype(np.float32)), expected, atol=1e-7)


def test_up_to_a_quarter_of_all_weights_is_sparse() -> None:
    assert is_sparse(50, 20, 10)
    assert not is_sparse(51, 20, 10)
    assert product_work(50, 20, 10) == 150
    assert product_work(51, 20, 10) == 200
