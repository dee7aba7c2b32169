"""Sites of which a state may be a product with the others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from psiprune.states.blocks import (
    as_matrix,
    blocks,
    clusters,
    joined,
    mutual_information,
    nearest_product,
)


def haar(sites: int, seed: int) -> NDArray[np.complex128]:
    psi = np.random.default_rng(seed).normal(size=(2**sites, 2)) @ [1, 1j]
    return np.asarray(psi / np.linalg.norm(psi))


def test_amplitudes_are_joined_site_by_site() -> None:
    inner, outer = haar(2, 1), haar(2, 2)
    psi = joined(inner, outer, (1, 3))
    for index in range(16):
        bits = [index >> site & 1 for site in range(4)]
        expected = inner[bits[1] + 2 * bits[3]] * outer[bits[0] + 2 * bits[2]]
        assert psi[index] == pytest.approx(expected)
    np.testing.assert_allclose(as_matrix(psi, (1, 3)), np.outer(inner, outer))


@pytest.mark.parametrize("block", [(2,), (0, 3), (0, 1, 3)])
def test_the_nearest_product_has_the_largest_singular_value(block: tuple[int, ...]) -> None:
    psi = haar(4, 3)
    inner, outer, product = nearest_product(psi, block)
    values = np.linalg.svd(as_matrix(psi, block), compute_uv=False)
    assert np.vdot(product, psi) == pytest.approx(values[0])
    assert len(inner) * len(outer) == 16
    assert np.linalg.norm(product) == pytest.approx(1.0)


def test_blocks_of_pairs_that_are_not_neighbours_are_found() -> None:
    psi = joined(haar(2, 1), haar(3, 2), (0, 3))
    shared = mutual_information(psi)
    assert shared[0, 3] > 0.1
    assert abs(shared[0, 1]) < 1e-12
    found = blocks(psi)
    assert {(0, 3), (1, 2, 4), (0,), (4,), (0, 1), (3, 4)} <= set(found)
    assert tuple(range(5)) not in found


def test_bell_pairs_share_two_bits() -> None:
    bell = np.array([1, 0, 0, 1j]) / np.sqrt(2)
    assert mutual_information(bell)[0, 1] == pytest.approx(2 * np.log(2))


def test_clusters_join_the_closest_first() -> None:
    closeness = np.array([[0, 1, 5, 1], [1, 0, 2, 3], [5, 2, 0, 1], [1, 3, 1, 0]])
    assert clusters(closeness * 1.0)[4:] == [(0, 2), (1, 3), (0, 1, 2, 3)]
