"""Lattices against distances worked out by hand, and models on them against their definitions."""

from __future__ import annotations

from dataclasses import replace
from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from psiprune.states.lattices import lattice_positions, neighbours
from psiprune.states.spin_models import TFIM2D, IsingChain, SpinModel
from refusals import refuses


def degrees(model: TFIM2D) -> list[int]:
    """Return the number of neighbours of each site, sorted."""
    return sorted(np.bincount(np.ravel(model.bonds)).tolist())


@pytest.mark.parametrize("kind", ["square", "triangular"])
@pytest.mark.parametrize("cylinder", [False, True])
def test_neighbours_are_one_apart(kind: Any, cylinder: bool) -> None:
    for width in (3, 4, 7):
        positions = lattice_positions(kind, 3, width, cylinder=cylinder)
        apart = np.linalg.norm(positions[:, None] - positions, axis=2)
        for i, j in neighbours(positions):
            assert apart[i, j] == pytest.approx(1)
        # Sites in a row of the snake are neighbours.
        assert {(i, i + 1) for i in range(len(positions) - 1)} <= set(neighbours(positions))
        assert np.sort(apart[np.triu_indices(len(apart), 1)])[len(neighbours(positions))] > 1.2


def test_numbers_of_neighbours() -> None:
    assert degrees(TFIM2D(length=3, width=3)) == [2] * 4 + [3] * 4 + [4]
    assert degrees(TFIM2D(length=3, width=4, boundary="cylinder")) == [3] * 8 + [4] * 4
    triangular = TFIM2D(length=3, width=4, lattice="triangular", boundary="cylinder")
    assert degrees(triangular) == [4] * 8 + [6] * 4
    # A rhombus of two triangles above another one: corners with 2, 3, 3 and 2, and so on.
    assert degrees(TFIM2D(length=2, width=3, lattice="triangular")) == [2, 2, 3, 3, 4, 4]


def test_second_neighbours_by_reach() -> None:
    both = TFIM2D(length=3, width=3, reach=1.5)
    assert len(both.bonds) == 12 + 8  # sides and diagonals
    assert len(TFIM2D(length=3, width=3, reach=sqrt(2)).bonds) == 20  # up to rounding errors


def test_titles() -> None:
    """For figures; a model that has no words of its own is named by its parameters."""
    square = TFIM2D(length=6, width=4, field=3.04)
    assert square.title == "6 x 4 square lattice, h = 3.04"
    other = {"lattice": "triangular", "boundary": "cylinder", "coupling": -1, "reach": 1.5}
    odd = square.model_copy(update=other)
    assert odd.title == "6 x 4 triangular cylinder, h = 3.04, J = -1, reach 1.5"
    given = TFIM2D(positions=((0, 0), (1, 0), (0, 1)))
    assert given.title == "3 sites at given positions, h = 1"
    assert IsingChain(sites=4, alpha=3).title == "IsingChain(sites=4, alpha=3.0)"


def test_given_positions_are_those_of_the_lattice(tmp_path: Path) -> None:
    lattice = TFIM2D(length=2, width=3, field=2.0)
    places = tuple(map(tuple, 5.5 * np.array(lattice.places) + 0.1))
    given = TFIM2D(positions=places, field=2.0)
    assert given.hamiltonian() == lattice.hamiltonian()
    assert given.size == 6
    state = replace(pp.mps_from_vector(np.ones(64)), model=given.hamiltonian())
    again = pp.load_mps(state.save(tmp_path / "state.nc"))
    for found in (state, again):
        assert isinstance(found.model, pp.Hamiltonian)
        assert found.model.positions is not None
        np.testing.assert_array_equal(found.model.positions, places)
    shots = pp.sample(again, 10)
    joined = pp.join_shots([shots, pp.read_shots(shots.save(tmp_path / "shots.nc"))])
    for each in (shots, joined):
        assert each.positions is not None
        np.testing.assert_array_equal(each.positions, places)
    chain = pp.Shots(shots.bits)
    assert chain.positions is None
    assert pp.join_shots([shots, chain]).positions is None


def test_models_and_their_positions() -> None:
    places = ((0.0, 0.0), (1.0, 0.5), (2.0, 0.0))
    rydberg = pp.Rydberg(positions=places).hamiltonian()
    assert rydberg.positions == places
    models: list[SpinModel] = [IsingChain(sites=3), pp.Rydberg(sites=3)]
    assert all(model.hamiltonian().positions is None for model in models)
    assert pp.Hamiltonian("1.0 [Z0 Z1]", positions=[[0], [1]]) == pp.Hamiltonian("1.0 [Z0 Z1]")


def test_a_cylinder_is_round() -> None:
    x, *across = np.transpose(TFIM2D(length=2, width=5, boundary="cylinder").places)
    assert x.tolist() == [0] * 5 + [1] * 5
    radius = 0.5 / np.sin(pi / 5)  # of a pentagon with sides of 1
    np.testing.assert_allclose(np.hypot(*across), radius, atol=1e-12)
    assert len(np.unique(np.round(np.arctan2(*across), 6))) == 5


@pytest.mark.parametrize(
    ("given", "states"),
    [
        ({"length": 2}, ("width", "missing", "positions")),
        ({"positions": ((0, 0), (1, 0)), "length": 2}, ("length, positions", "not both")),
        ({"positions": ((0, 0), (1, 0)), "lattice": "triangular"}, ("lattice, positions",)),
        ({"positions": ((0, 0),)}, ("positions", "from 2", "found 1")),
        ({"positions": ((0, 0), (1, 0), (0, 0))}, ("positions", "differ", "site 0", "[0.0, 0.0]")),
        ({"positions": ((0, 0), (1, 0), (3, 0))}, ("positions", "site 2", "2 away", "least 2")),
        ({"length": 2, "width": 2, "reach": 0.5}, ("reach", 1, 0.5)),
    ],
)
def test_refusals(given: dict[str, Any], states: tuple[Any, ...]) -> None:
    with refuses(*states):
        TFIM2D(**given)


def test_the_way_out_of_a_lone_site_works() -> None:
    assert len(TFIM2D(positions=((0, 0), (1, 0), (3, 0)), reach=2).bonds) == 2


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        (("kagome", 2, 2), ("kind", "square", "kagome")),
        (("square", 0, 2), ("length", 1, 0)),
        (("square", 65, 65), ("length, width", "4,225")),
    ],
)
def test_refused_lattices(arguments: tuple[Any, ...], states: tuple[Any, ...]) -> None:
    with refuses(*states):
        lattice_positions(*arguments)
    with refuses("width", 3, 2):
        lattice_positions("square", 2, 2, cylinder=True)


@pytest.mark.parametrize("table", [[[0.0], [1.0]], [[0], [1, 2], [3]], [[0], [np.nan], [1]]])
def test_refused_positions_of_hamiltonians(table: Any) -> None:
    with refuses("positions"):
        pp.Hamiltonian("1.0 [Z0 Z2]", positions=table)
