"""Isometries of positions: all of them, and nothing else."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from psiprune.rbm.isometries import isometries, unit_images

RING = 2 * np.pi * np.arange(5) / 5
GIVEN = {
    "square": pp.lattice_positions("square", 2, 3),
    "rhombus": pp.lattice_positions("triangular", 2, 3),
    "cross": np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [2, 0]], float),
    "ring": np.stack([np.cos(RING), np.sin(RING)], axis=1),
    "cylinder": pp.lattice_positions("square", 2, 3, cylinder=True),
    "row": np.arange(5.0)[:, None],
    "lone": np.zeros((1, 2)),
    "pair": np.array([[0, 0], [1, 1]]),
    "irregular": np.random.default_rng(0).random((6, 2)),
    "turned": pp.lattice_positions("square", 2, 3) @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 7.0,
}


@pytest.mark.parametrize("name", GIVEN)
def test_all_permutations_that_keep_the_distances(name: str) -> None:
    positions = GIVEN[name]
    apart = np.linalg.norm(positions[:, None] - positions, axis=2)
    orders: list[NDArray[np.intp]] = [np.array(p) for p in permutations(range(len(positions)))]
    expected = [p.tolist() for p in orders if np.allclose(apart[np.ix_(p, p)], apart)]
    assert isometries(positions).tolist() == expected


def test_numbers_of_isometries() -> None:
    numbers = [
        len(isometries(pp.lattice_positions("square", length, width, cylinder=cylinder)))
        for length, width, cylinder in ((8, 8, False), (8, 7, False), (4, 6, True))
    ]
    assert numbers == [8, 4, 24]


def test_rounded_positions_count_as_equal() -> None:
    positions = pp.lattice_positions("triangular", 3, 4)
    assert len(isometries(positions)) == len(isometries(positions.round(6))) == 2
    assert len(isometries(positions + 1e-3 * np.eye(12, 2))) == 1


def test_units_move_with_their_sites() -> None:
    sites = isometries(GIVEN["row"][:3])
    assert unit_images(sites, 3).tolist() == [[0, 1, 2], [2, 1, 0]]
    assert unit_images(sites, 6)[1].tolist() == [4, 5, 2, 3, 0, 1]
    assert unit_images(sites, 5)[1].tolist() == [2, 1, 0, 3, 4]  # two of no site
