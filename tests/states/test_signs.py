"""Rotations that make a ground state positive: found where there are any, refused elsewhere."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import exact
from psiprune.states import signs
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.signs import likely_rotation, positive_frame, positive_rotation
from psiprune.states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg
from psiprune.states.tfim import TFIM
from refusals import refused, refuses


def stoquastic(model: Hamiltonian) -> bool:
    matrix = model.to_sparse().toarray()
    return bool((matrix - np.diag(matrix.diagonal()) <= 1e-12).all())


@pytest.mark.parametrize(
    ("model", "sites", "unique"),
    [
        (TFIM(sites=4), (), True),
        (IsingChain(sites=4, field=-1.0), (0, 1, 2, 3), True),
        (IsingChain(sites=4, fields=(1.0, -1.0, 1.0, -1.0)), (1, 3), True),
        (IsingChain(sites=4, fields=(1.0, -1.0, 1.0, 0.0)), (1,), False),
        (IsingChain(sites=4, fields=(0.0, -1.0, 1.0, 1.0)), (1,), False),
        (XXZ(sites=4, delta=0.3), (0, 2), False),
        (XXZ(sites=5, delta=0.3), (1, 3), False),
        (XXZ(sites=4, coupling=-1.0), (), False),
        (XXZ(sites=4, boundary="periodic"), (0, 2), False),
        (Rydberg(sites=3), (0, 1, 2), True),
        (TFIM2D(length=2, width=2), (), True),
    ],
)
def test_rotations_of_known_models(model: Any, sites: tuple[int, ...], unique: bool) -> None:
    found = positive_rotation(model.hamiltonian())
    assert found == (sites, unique, "")
    assert likely_rotation(model.hamiltonian()) == found
    frame = positive_frame(model.hamiltonian())
    assert stoquastic(frame)
    assert frame == model.hamiltonian().rotated(sites)
    ground = np.linalg.eigh(frame.to_sparse().toarray())[1][:, 0]
    if unique:
        assert (ground * np.sign(ground.sum()) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_any_rotation_is_found(seed: int) -> None:
    """Flips of one to three sites with negative elements, hidden by a rotation."""
    rng = np.random.default_rng(seed)
    terms: list[tuple[float, dict[int, str]]] = []
    for _ in range(6):
        sites = rng.choice(6, rng.integers(1, 4), replace=False).tolist()
        other = int(rng.integers(6))
        terms.append((-1.0, dict.fromkeys(sites, "X")))
        if other not in sites:
            terms.append((float(rng.uniform(-1, 1)), {**dict.fromkeys(sites, "X"), other: "Z"}))
    terms += [(float(rng.normal()), {i: "Z"}) for i in range(6)]
    plain = Hamiltonian(terms, 6)
    given = plain.rotated(np.flatnonzero(rng.random(6) < 0.5).tolist())
    assert stoquastic(given.rotated(positive_rotation(given).sites))


def test_exchange_alone_is_marshalls_rule_and_a_frustrated_chain_is_refused() -> None:
    def exchange(i: int, j: int, value: float) -> list[tuple[float, dict[int, str]]]:
        return [(value, {i: letter, j: letter}) for letter in "XYZ"]

    nearest = [term for i in range(3) for term in exchange(i, i + 1, 1.0)]
    further = [term for i in range(2) for term in exchange(i, i + 2, 0.3)]
    assert positive_rotation(Hamiltonian(nearest)).sites == (0, 2)
    ferromagnetic = [(-value, letters) for value, letters in further]
    assert positive_rotation(Hamiltonian([*nearest, *ferromagnetic])).sites == (0, 2)
    frustrated = Hamiltonian([*nearest, *further])
    turned = (np.flatnonzero(each).tolist() for each in product((0, 1), repeat=4))
    assert not any(stoquastic(frustrated.rotated(sites)) for sites in turned)
    with refuses("hamiltonian", "frustrated", "[X0 X1]", "[X1 X2]", "[X0 X2]", "sqrt(p)"):
        positive_rotation(frustrated)
    likely = likely_rotation(frustrated)
    assert likely.sites == (0, 2)  # Marshall's, of the stronger terms
    assert "frustrated" in likely.doubt
    ring = XXZ(sites=7, boundary="periodic").hamiltonian()
    with refuses("hamiltonian", "frustrated", "[X0 X1]", "and 3 more"):
        positive_rotation(ring)


@pytest.mark.parametrize(
    ("terms", "facts"),
    [
        ({"ZZ": -1.0, "ZI": 0.5}, ("only Z", "field along X")),
        ({"XZX": -1.0}, ("[X0 Z1 X2]", "both signs", "another basis")),
        ({"XI": -1.0, "XZ": 1.5}, ("[X0]", "both signs")),
        ({"YX": 1.0}, ("odd number of Y",)),
        ({"X" + "Z" * 17: -1.0}, ("[X0", 17, 16)),
    ],
)
def test_refusals(terms: dict[str, float], facts: tuple[object, ...]) -> None:
    with refuses("hamiltonian", *facts):
        positive_rotation(Hamiltonian(terms))


def test_limits_and_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    assert -0.3 + 0.1 + 0.2 > 0
    exact_zero = Hamiltonian({"XIII": -0.3, "XZII": 0.1, "XIZI": 0.2})
    assert positive_rotation(exact_zero) == ((), False, "")
    with refuses("hamiltonian", "both signs"):
        positive_rotation(Hamiltonian({"XIII": -0.3 + 1e-9, "XZII": 0.1, "XIZI": 0.2}))
    monkeypatch.setattr(signs, "_MOST_SITES", 2)
    assert positive_rotation(exact_zero).sites == ()
    monkeypatch.setattr(signs, "_MOST_SITES", 1)
    with refuses("hamiltonian", 2, 1):
        positive_rotation(exact_zero)


@pytest.mark.parametrize(
    "terms",
    [{"XXII": -1.0, "IIXX": -1.0}, {"XI": -0.5, "XZ": 0.5, "IX": -1.0}],
    ids=["two sites", "an element of 0"],
)
def test_only_flips_of_one_site_everywhere_make_the_state_unique(terms: dict[str, float]) -> None:
    assert not positive_rotation(Hamiltonian(terms)).unique


def test_elements_are_those_of_all_configurations_in_any_units() -> None:
    both = Hamiltonian({"XIII": -0.25, "XZII": 0.1, "XIZI": -0.2})
    one = Hamiltonian({"XIII": -0.3, "XZII": 0.1, "XIZI": 0.2})
    for scale in (1e-9, 1.0, 1e9):
        with refuses("hamiltonian", "both signs"):
            positive_rotation(scale * both)
        assert positive_rotation(scale * one).sites == ()


def test_four_frustrated_terms_are_all_listed() -> None:
    signs_of = (1.0, 1.0, 1.0, -1.0)
    bonds = [(sign, {i: "X", (i + 1) % 4: "X"}) for i, sign in enumerate(signs_of)]
    line = refused("frustrated", positive_rotation, Hamiltonian(bonds))
    assert "[X0 X1], [X1 X2], [X0 X3], [X2 X3] all" in line


def test_only_terms_that_contradict_one_another_are_named() -> None:
    triangle = [(1.0, {i: "X", j: "X"}) for i, j in ((1, 2), (2, 3), (1, 3))]
    model = Hamiltonian([(-1.0, {0: "X"}), *triangle])
    line = refused("frustrated", positive_rotation, model)
    assert "elements of [X1 X2], [X1 X3], [X2 X3] all" in line


def test_signs_of_a_dense_matrix() -> None:
    model = Rydberg(sites=3, delta=1.0).hamiltonian()
    z = exact.pauli_sum(3, [(1.0, dict.fromkeys(range(3), "Z"))]).real
    wanted = z @ model.to_sparse().toarray() @ z
    np.testing.assert_array_equal(positive_frame(model).to_sparse().toarray(), wanted)
