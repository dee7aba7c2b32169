"""The ready-made models against dense matrices of their definitions, and what they refuse."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
from psiprune.states import spin_models
from psiprune.states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg, SpinModel
from refusals import refuses


def zz(i: int, j: int) -> dict[int, str]:
    return {i: "Z", j: "Z"}


def check(model: SpinModel, terms: list[tuple[float, dict[int, str]]], offset: float = 0.0) -> None:
    """The model is this sum, plus a multiple of the identity."""
    found = model.hamiltonian()
    assert found.name == repr(model)
    dense = exact.pauli_sum(found.sites, [*terms, (offset, {})])
    np.testing.assert_allclose(found.to_sparse().toarray(), dense, atol=1e-12)


def test_the_ising_chain() -> None:
    fields = [(-0.7, {i: "X"}) for i in range(4)]
    bonds = [(-2.0, zz(i, i + 1)) for i in range(3)]
    open_chain = IsingChain(sites=4, field=0.7, coupling=2.0)
    check(open_chain, [*bonds, *fields])
    assert open_chain.hamiltonian() == pp.TFIM(sites=4, field=0.7, coupling=2.0).hamiltonian()
    ring = IsingChain(sites=4, field=0.7, coupling=2.0, boundary="periodic")
    check(ring, [*bonds, (-2.0, zz(0, 3)), *fields])
    tilted = IsingChain(sites=4, field=0.7, coupling=2.0, longitudinal_field=0.3)
    check(tilted, [*bonds, *fields, *((-0.3, {i: "Z"}) for i in range(4))])


def test_an_ising_chain_of_long_range() -> None:
    terms = [(1.5 / (j - i) ** 3.0, zz(i, j)) for i, j in combinations(range(5), 2)]
    fields = [(-1.0, {i: "X"}) for i in range(5)]
    check(IsingChain(sites=5, coupling=-1.5, alpha=3.0), [*terms, *fields])
    terms = [(-1.0 / min(j - i, 5 - j + i) ** 2.0, zz(i, j)) for i, j in combinations(range(5), 2)]
    check(IsingChain(sites=5, alpha=2.0, boundary="periodic"), [*terms, *fields])


def test_a_disordered_ising_chain() -> None:
    model = IsingChain(sites=3, couplings=(1.0, -2.0), fields=(0.1, 0.2, 0.3))
    fields = [(-0.1, {0: "X"}), (-0.2, {1: "X"}), (-0.3, {2: "X"})]
    check(model, [(-1.0, zz(0, 1)), (2.0, zz(1, 2)), *fields])
    ring = IsingChain(sites=3, boundary="periodic", couplings=(1.0, -2.0, 0.5), field=0.1)
    bonds = [(-1.0, zz(0, 1)), (2.0, zz(1, 2)), (-0.5, zz(0, 2))]
    check(ring, [*bonds, *((-0.1, {i: "X"}) for i in range(3))])


def test_the_xxz_chain() -> None:
    model = XXZ(sites=4, delta=0.5, coupling=2.0, field=0.3, staggered_field=0.1)
    terms = [
        (2.0 * factor / 4, {i: letter, i + 1: letter})
        for i in range(3)
        for letter, factor in (("X", 1.0), ("Y", 1.0), ("Z", 0.5))
    ]
    fields = [(-0.5 * (0.3 + sign * 0.1), {i: "Z"}) for i, sign in enumerate((1, -1, 1, -1))]
    check(model, [*terms, *fields])
    ends = [(0.25, {0: letter, 2: letter}) for letter in "XYZ"]
    bonds = [(0.25, {i: letter, i + 1: letter}) for i in range(2) for letter in "XYZ"]
    check(XXZ(sites=3, boundary="periodic"), [*bonds, *ends])


@pytest.mark.parametrize("row", [True, False])
def test_a_rydberg_array(row: bool) -> None:
    """H by the occupations of each configuration."""
    positions = (
        [(0.0, 0.0), (0.8, 0.0), (1.6, 0.0)] if row else [(0.0, 0.0), (1.0, 1.0), (0.0, 2.0)]
    )
    given: dict[str, Any] = {"sites": 3, "spacing": 0.8} if row else {"positions": positions}
    model = Rydberg(omega=1.3, delta=0.7, c6=2.0, **given).hamiltonian()
    n = exact.basis(3).astype(float)
    energies = -0.7 * n.sum(axis=1)
    for i, j in combinations(range(3), 2):
        distance = np.hypot(*np.subtract(positions[i], positions[j]))
        energies += 2.0 / distance**6 * n[:, i] * n[:, j]
    flips = exact.pauli_sum(3, [(0.65, {i: "X"}) for i in range(3)])
    np.testing.assert_allclose(model.to_sparse().toarray(), flips + np.diag(energies), atol=1e-12)


def test_a_rydberg_array_on_a_lattice() -> None:
    array = Rydberg(length=2, width=3, lattice="triangular", spacing=0.8, delta=1.0)
    places = 0.8 * pp.lattice_positions("triangular", 2, 3)
    same = Rydberg(positions=tuple(map(tuple, places.tolist())), delta=1.0)
    assert array.hamiltonian() == same.hamiltonian()
    assert array.places == array.hamiltonian().positions == same.places
    ring = Rydberg(length=2, width=4, boundary="cylinder", delta=1.0).hamiltonian()
    across = [term.coefficient for term in ring.terms if term.signs in (0b0101, 0b1010)]
    np.testing.assert_allclose(across, [1 / 32] * 2)  # 1/4 at a distance of sqrt(2)


def test_the_ising_model_in_two_dimensions() -> None:
    """Sites of columns 0, 1, 2 of three rows in snake order: 0 1 2, 5 4 3, 6 7 8."""
    rows = [(0, 5, 6), (1, 4, 7), (2, 3, 8)]
    bonds = [pair for row in rows for pair in ((row[0], row[1]), (row[1], row[2]))]
    columns = [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8)]
    fields = [(-3.0, {i: "X"}) for i in range(9)]
    terms = [*((-0.5, zz(i, j)) for i, j in [*bonds, *columns]), *fields]
    check(TFIM2D(length=3, width=3, coupling=0.5, field=3.0), terms)
    rings = [(-0.5, zz(i, j)) for i, j in ((0, 2), (3, 5), (6, 8))]
    cylinder = TFIM2D(length=3, width=3, coupling=0.5, field=3.0, boundary="cylinder")
    check(cylinder, [*terms, *rings])
    assert TFIM2D(length=3, width=2).hamiltonian().sites == 6
    assert [TFIM2D(length=2, width=3).site(1, y) for y in range(3)] == [5, 4, 3]


@pytest.mark.parametrize(
    ("kind", "values", "facts"),
    [
        (IsingChain, {"sites": 2, "boundary": "periodic"}, ("sites", 3, 2)),
        (XXZ, {"sites": 2, "boundary": "periodic"}, ("sites", 3, 2)),
        (IsingChain, {"sites": 3, "boundary": "ring"}, ("boundary", "'open'", "'ring'")),
        (IsingChain, {"sites": 3, "couplings": (1.0,)}, ("couplings", 2, 1)),
        (IsingChain, {"sites": 3, "fields": (1.0, 2.0)}, ("fields", 3, 2)),
        (
            IsingChain,
            {"sites": 3, "couplings": (1.0, 1.0), "coupling": 2.0},
            ("coupling, couplings", "not both"),
        ),
        (
            IsingChain,
            {"sites": 2, "fields": (1.0, 1.0), "field": 2.0},
            ("field, fields", "not both"),
        ),
        (
            IsingChain,
            {"sites": 3, "couplings": (1.0, 1.0), "alpha": 3.0},
            ("alpha, couplings", "J / r^alpha"),
        ),
        (IsingChain, {"sites": 3, "alpha": 0.0}, ("alpha", 0, 0.0)),
        (IsingChain, {"sites": 449, "alpha": 3.0}, ("alpha", 100_000, 100_576, "fewer sites")),
        (IsingChain, {"sites": 1}, ("sites", 2, 1)),
        (XXZ, {"sites": 5000}, ("sites", 4096, 5000)),
        (XXZ, {"sites": 4, "delta": float("nan")}, ("delta", "nan")),
        (XXZ, {"sites": 4, "alpha": 1.0}, ("alpha", "XXZ", "delta")),
        (Rydberg, {}, ("sites", "missing", "positions")),
        (Rydberg, {"sites": 2, "positions": ((0, 0), (1, 0))}, ("sites, positions", "not both")),
        (Rydberg, {"spacing": 2, "positions": ((0, 0), (1, 0))}, ("sites, positions",)),
        (Rydberg, {"positions": ((0, 0),)}, ("positions", "from 2", "found 1")),
        (Rydberg, {"sites": 4, "length": 2}, ("sites, length", "not both")),
        (Rydberg, {"length": 2}, ("width", "missing", "Rydberg")),
        (Rydberg, {"length": 30, "width": 30}, ("positions", 100_000, 404_550)),
        (Rydberg, {"length": 2, "width": 2, "spacing": 0.05}, ("positions", 0.05, "reduce c6")),
        (Rydberg, {"sites": 4000}, ("positions", 100_000, 7_998_000)),
        (
            Rydberg,
            {"positions": ((0, 0), (5, 0), (5, 0.05))},
            ("positions", "1 and 2", 0.05, "tenth", 1, "move them apart"),
        ),
        (
            Rydberg,
            {"positions": ((1, 0), (2, 3), (2, 3)), "c6": 0.0},
            ("positions", "1 and 2", "same place", "2,3"),
        ),
        (Rydberg, {"sites": 3, "omega": 0.0}, ("omega", 0, 0.0)),
        (TFIM2D, {"length": 2, "width": 2, "boundary": "cylinder"}, ("width", 3, 2)),
        (TFIM2D, {"length": 65, "width": 65}, ("length, width", 4096, 4225)),
        (TFIM2D, {"length": 1, "width": 3}, ("length", 2, 1)),
    ],
)
def test_bad_parameters(
    kind: type[SpinModel], values: dict[str, Any], facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        kind(**values)


def test_positions_as_options_give_them() -> None:
    given: Any = ("0,0", "1,0.5")
    assert Rydberg(positions=given) == Rydberg(positions=((0.0, 0.0), (1.0, 0.5)))
    for wrong in ("0", "0,1,2", "0,a"):
        with refuses("positions.0" + (".1" if wrong == "0,a" else ""), "x,y"):
            Rydberg(positions=(wrong, "1,1"))  # type: ignore[arg-type]


def test_the_blockade_radius_sets_how_near_atoms_may_be() -> None:
    near = ((0, 0), (0.05, 0))
    assert Rydberg(positions=near, omega=100.0).hamiltonian().sites == 2
    with refuses("positions", 0.05, 1.25992):
        Rydberg(positions=near, c6=4.0)
    with refuses("positions", 0.2, 2.15443):
        Rydberg(positions=((0, 0), (0.2, 0)), omega=0.01)


def test_limits_are_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Rydberg(positions=((0, 0), (0.1001, 0))).hamiltonian().sites == 2
    assert Rydberg(sites=2, c6=0.0).hamiltonian().offset == 0.0
    assert TFIM2D(length=64, width=64).hamiltonian().sites == 4096
    monkeypatch.setattr(spin_models, "PAULI_TERMS", 3)
    assert Rydberg(sites=3).sites == 3
    assert IsingChain(sites=3, alpha=1.0).alpha == 1.0
    with refuses("positions", 3, 6):
        Rydberg(sites=4)
    with refuses("alpha", 3, 6):
        IsingChain(sites=4, alpha=1.0)
