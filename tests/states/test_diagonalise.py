"""Lowest states of small Hamiltonians against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

import exact
from psiprune.states.diagonalise import lowest_states
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.signs import positive_frame
from psiprune.states.spin_models import XXZ, IsingChain, Rydberg
from refusals import refuses


@pytest.mark.parametrize(
    "model",
    [
        IsingChain(sites=5, field=0.5),  # even, dense
        IsingChain(sites=8, field=0.5, boundary="periodic"),  # even, Lanczos
        IsingChain(sites=5, field=0.5, longitudinal_field=0.1),
        IsingChain(sites=8, field=0.8, longitudinal_field=0.1),
        XXZ(sites=8, delta=0.5),
        XXZ(sites=7, delta=0.5),
        Rydberg(sites=7, spacing=0.8, delta=2.0),
    ],
    ids=repr,
)
def test_against_a_dense_matrix(model: IsingChain | XXZ | Rydberg) -> None:
    h = model.hamiltonian()
    dense = h.to_sparse().toarray()
    if h.is_even:  # the space of even parity
        flip = np.eye(len(dense))[::-1]
        basis = np.linalg.eigh(flip)[1][:, len(dense) // 2 :]
        dense = basis.T @ dense @ basis
    energies, vectors = np.linalg.eigh(dense)
    ground = basis @ vectors[:, 0] if h.is_even else vectors[:, 0]
    found = lowest_states(h)
    assert found.energy == pytest.approx(energies[0], abs=1e-12)
    assert found.gap == pytest.approx(energies[1] - energies[0], abs=1e-10)
    assert abs(ground @ found.vector) == pytest.approx(1, abs=1e-11)
    assert found.vector.sum() >= 0
    np.testing.assert_array_equal(found.vector, lowest_states(h).vector)


@pytest.mark.parametrize("sites", [4, 9])
def test_a_degenerate_ground_state_has_no_gap(sites: int) -> None:
    """The Heisenberg ferromagnet: N + 1 states, about half of them even."""
    assert lowest_states(XXZ(sites=sites, coupling=-1.0).hamiltonian()).gap < 1e-12


def test_free_fermions() -> None:
    """Without the Z couplings an open chain is one of free fermions, e_k = cos(pi k / (N + 1))."""
    modes = np.cos(np.pi * np.arange(1, 11) / 11)
    found = lowest_states(positive_frame(XXZ(sites=10, delta=0.0).hamiltonian()))
    assert found.energy == pytest.approx(-modes[modes > 0].sum(), abs=1e-12)


@pytest.mark.parametrize(("sites", "energy"), [(4, -2.0), (6, -1 - 13**0.5 / 2)])
def test_small_rings_of_heisenberg(sites: int, energy: float) -> None:
    ring = XXZ(sites=sites, boundary="periodic").hamiltonian()
    assert lowest_states(positive_frame(ring)).energy == pytest.approx(energy, abs=1e-12)


def test_rings_tend_to_the_bethe_ansatz() -> None:
    """e(N) = 1 / 4 - log 2 - pi^2 / (12 N^2), up to logarithms (Bethe 1931; Affleck 1986)."""
    limit = 0.25 - np.log(2)
    for sites, distance in ((8, 4e-4), (12, 2e-4)):
        ring = XXZ(sites=sites, boundary="periodic").hamiltonian()
        energy = lowest_states(positive_frame(ring)).energy / sites
        assert abs(energy + np.pi**2 / 12 / sites**2 - limit) < distance


def test_the_sum_of_the_amplitudes_is_not_negative() -> None:
    for sites in (2, 7):
        terms = [(1.0, {i: "X"}) for i in range(sites)]
        found = lowest_states(Hamiltonian([*terms, (-0.1, {0: "Z"})])).vector
        z = 1 - 2.0 * exact.basis(sites)
        # All spins along -X: amplitudes alternate, but for the small field.
        assert (np.sign(found) == np.sign(found[0]) * z.prod(axis=1)).all()
        assert found.sum() > 0


def test_the_largest_size() -> None:
    with refuses("sites", 16, 17):
        lowest_states(IsingChain(sites=17).hamiltonian())
