"""Rotations that make a ground state positive: found where there are any, refused elsewhere."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import exact
from psiprune.states import signs
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.signs import positive_frame, positive_rotation
from psiprune.states.spin_models import TFIM2D, XXZ, IsingChain, Rydberg
from psiprune.states.tfim import TFIM
from refusals import refuses


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
    assert found == (sites, unique)
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
    assert positive_rotation(exact_zero) == ((), False)
    with refuses("hamiltonian", "both signs"):
        positive_rotation(Hamiltonian({"XIII": -0.3 + 1e-9, "XZII": 0.1, "XIZI": 0.2}))
    monkeypatch.setattr(signs, "_MOST_SITES", 2)
    assert positive_rotation(exact_zero).sites == ()
    monkeypatch.setattr(signs, "_MOST_SITES", 1)
    with refuses("hamiltonian", 2, 1):
        positive_rotation(exact_zero)


def test_signs_of_a_dense_matrix() -> None:
    model = Rydberg(sites=3, delta=1.0).hamiltonian()
    z = exact.pauli_sum(3, [(1.0, dict.fromkeys(range(3), "Z"))]).real
    wanted = z @ model.to_sparse().toarray() @ z
    np.testing.assert_array_equal(positive_frame(model).to_sparse().toarray(), wanted)
