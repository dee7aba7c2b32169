"""Confusion matrices of a group: what is refused, marginals, scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from confusions import random_matrix
from psiprune.data.confusion import (
    Confusion,
    checked,
    frequencies,
    marginal,
    near,
    pooled,
    scaled,
    with_unseen,
)
from refusals import refuses

GOOD = [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("sites", "matrix", "facts"),
    [
        ((0,), np.eye(4), ("site 0", "2 x 2", "(4, 4)")),
        ((0, 3), np.eye(2), ("sites 0, 3", "4 x 4", "(2, 2)")),
        ((2,), [[1.1, -0.1], [0, 1]], ("site 2", 0, 1, "1.1")),
        ((0,), [[np.nan, 1], [0, 1]], ("site 0", "nan")),
        ((0,), [[0.9, 0.2], [0.1, 0.9]], ("site 0", 1, "1.1", "row 0")),
        ((0,), [[0.9, 0.2], [0.1, 0.8]], ("site 0", "transpose it")),
        ((4,), [[0.4, 0.6], [0.1, 0.9]], ("p(1|0)", "site 4", 0.5, 0.6)),
        ((4,), [[0.9, 0.1], [0.5, 0.5]], ("p(0|1)", "site 4", 0.5)),
        ((0,), [[0.52, 0.48], [0.49, 0.51]], ("site 0", "nearly singular", 0.05, "0.03")),
        ((), [[1.0]], (1, 6, "[]")),
        ((0, 0), np.eye(4), (1, 6, "[0, 0]")),
        (tuple(range(7)), np.eye(128), (1, 6)),
    ],
)
def test_refusals(sites: tuple[int, ...], matrix: Any, facts: tuple[object, ...]) -> None:
    with refuses("readout", *facts):
        checked(Confusion(sites, matrix))


@pytest.mark.parametrize("prepared", [[10], [10, 0], [[1, 1], [1, 1]]])
def test_prepared_shots_are_one_number_per_row(prepared: Any) -> None:
    with refuses("readout", "site 0", 2, 1):
        checked(Confusion((0,), np.array(GOOD), np.array(prepared)))


def test_rows_rounded_in_a_file_are_normalized() -> None:
    found = checked(Confusion((0,), np.array([[0.333333, 0.666666][::-1], [0.1, 0.900001]])))
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1, rtol=1e-15)
    with pytest.raises(ValueError, match="read-only"):
        found.matrix[0, 0] = 1


def test_marginals_of_a_product_are_its_factors() -> None:
    generator = np.random.default_rng(0)
    a, b, c = (random_matrix(1, generator) for _ in range(3))
    matrix = np.asarray(np.kron(c, np.kron(b, a)), np.float64)  # position 0 is the lowest bit
    np.testing.assert_allclose(marginal(matrix, 0), a)
    np.testing.assert_allclose(marginal(matrix, 1), b)
    np.testing.assert_allclose(marginal(matrix, 2), c)
    np.testing.assert_allclose(marginal(matrix, 2, 0), np.kron(a, c))
    np.testing.assert_allclose(marginal(matrix, 0, 1, 2), matrix)


def test_pooled_shots() -> None:
    prepared = np.array([1, 10, 100, 1000])
    assert pooled(prepared, 2, [0]).tolist() == [101, 1010]
    assert pooled(prepared, 2, [1]).tolist() == [11, 1100]
    assert pooled(prepared, 2, [1, 0]).tolist() == [1, 100, 10, 1000]


def test_unseen_states_get_a_part_of_a_shot() -> None:
    shots = np.array([3, 10])
    found = with_unseen(Confusion((0,), np.array([[1.0, 0.0], [0.2, 0.8]]), shots))
    np.testing.assert_allclose(found.matrix, [[3 / 3.5, 0.5 / 3.5], [0.2, 0.8]])
    # Four states share a shot, so the rates of a site gain half of one as alone.
    pair = with_unseen(Confusion((0, 1), np.eye(4), np.full(4, 9)))
    np.testing.assert_allclose(marginal(pair.matrix, 0)[0, 1], 0.5 / 9.75)
    assumed = Confusion((0,), np.eye(2))
    assert with_unseen(assumed) is assumed


def test_scaled_rows_stay_probabilities() -> None:
    matrix = np.array(GOOD)
    np.testing.assert_allclose(scaled(matrix, np.array([2.0, 0.5])), [[0.8, 0.2], [0.1, 0.9]])
    np.testing.assert_allclose(scaled(matrix, np.array([-1.0, 2.0])), [[1.0, 0.0], [0.4, 0.6]])
    for factor in (3.0, 5.0, 100.0):
        found = checked(Confusion((0,), scaled(matrix, np.full(2, factor)))).matrix
        assert (found[[0, 1], [1, 0]] > [0.1, 0.2]).all()


def test_matrices_around_an_almost_singular_one_can_be_inverted() -> None:
    almost = np.array([[0.53, 0.47], [0.475, 0.525]])
    checked(Confusion((0,), almost))
    checked(Confusion((0,), near(np.array([[0.52, 0.48], [0.48, 0.52]]), almost)))
    np.testing.assert_array_equal(near(almost, np.eye(2)), almost)
    factors = [[0.75, 0.25], [0.3, 0.7]], [[0.8, 0.2], [0.2, 0.8]]
    pair = np.asarray(np.kron(*map(np.array, factors)), np.float64)
    for seed in range(50):
        counts = np.random.default_rng(seed).multinomial(20, pair)
        checked(Confusion((0, 1), near(frequencies(counts), pair)))
