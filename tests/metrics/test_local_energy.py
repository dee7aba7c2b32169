"""Local energies and energies of an RBM for any sum of Pauli strings, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.metrics import local_energy
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.local_energy import local_energies
from psiprune.metrics.observables import exact_observables, observable_values
from psiprune.metrics.reference import reference_of
from psiprune.rbm.model import RBM
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.mps import mps_from_vector
from psiprune.states.spin_models import XXZ, Rydberg
from refusals import refuses

TERMS = [
    (2.0, {}),
    (-1.0, {0: "Z", 3: "Z"}),
    (0.5, {1: "X"}),
    (-0.7, {1: "X", 2: "Z"}),
    (0.3, {0: "Y", 2: "Y", 4: "X"}),
    (0.4, {0: "X", 2: "X", 4: "X"}),
    (0.2, {0: "Y", 1: "Y", 2: "Y", 3: "Y"}),
]


@pytest.mark.parametrize("hidden", [1, 3])
def test_the_local_energy_of_each_configuration(
    hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_energy, "_SHOTS", 7)  # several parts
    rbm, model = random_rbm(5, hidden), Hamiltonian(TERMS)
    psi = np.sqrt(distribution(rbm))
    dense = exact.pauli_sum(5, TERMS).real
    found = observable_values(rbm, exact.basis(5), model)["energy"]
    np.testing.assert_allclose(found, dense @ psi / psi, rtol=1e-9, atol=1e-12)
    assert float(exact_observables(psi**2, 5, model).energy.value) == pytest.approx(
        psi @ dense @ psi
    )


def test_the_ising_chain_has_one_local_energy() -> None:
    """As `TFIM` and as a sum of Pauli strings, also with 600 hidden units."""
    model = pp.TFIM(sites=6, field=0.7, coupling=-1.3)
    for rbm in (random_rbm(6, 4), random_rbm(6, 600, scale=0.1)):
        bits = exact.basis(6)[::3]
        np.testing.assert_allclose(
            local_energies(rbm, bits, model.hamiltonian()),
            local_energies(rbm, bits, model),
            rtol=1e-9,
        )


def test_elements_of_zero_and_steep_weights() -> None:
    """X X + Y Y flips nothing where the two bits are equal, though psi would overflow there."""
    rbm = RBM(np.full((1, 2), 1e4), np.array([-1e4, 1e4]), np.zeros(1))
    model = XXZ(sites=2, coupling=-1.0).hamiltonian()
    found = local_energies(rbm, exact.basis(2)[[0, 3]], model)
    np.testing.assert_array_equal(found, [-0.25, -0.25])


@pytest.mark.parametrize(
    "model", [XXZ(sites=6, delta=0.5), Rydberg(sites=6, spacing=0.8, delta=1.0)], ids=repr
)
def test_evaluate_measures_in_the_frame_where_the_state_is_positive(
    model: XXZ | Rydberg,
) -> None:
    h = model.hamiltonian()
    energies, vectors = np.linalg.eigh(h.to_sparse().toarray())
    state = mps_from_vector(vectors[:, 0], h)
    reference = reference_of(state)
    assert float(reference.observables.energy.value) == pytest.approx(energies[0])
    rbm = random_rbm(6, 3, scale=0.3)
    root = np.sqrt(distribution(rbm))
    energy = root @ reference.model.apply_hamiltonian(root)  # type: ignore[union-attr]
    # The rotated RBM in the user's frame: psi of the state's signs.
    signs = np.sign(vectors[:, 0]) if (np.abs(vectors[:, 0]) > 1e-12).all() else None
    if signs is not None:
        user = signs * root
        assert energy == pytest.approx(user @ h.apply_hamiltonian(user))
    values = exact_metrics(rbm, reference)
    assert values.energy_bias == pytest.approx(abs(energy / energies[0] - 1))
    q = vectors[:, 0] ** 2
    assert values.infidelity == pytest.approx(1 - (np.sqrt(q) @ root) ** 2)
    report = pp.evaluate(rbm, state, draws=20_000, progress=False)
    assert abs(report.energy.value - energy) < 5 * report.energy.error
    assert report.energy.floor == pytest.approx(energies[0])
    moved = reference.model.apply_hamiltonian(root) - energy * root  # type: ignore[union-attr]
    variance = float(moved @ moved)
    assert abs(report.energy_variance.value - variance) < 5 * report.energy_variance.error
    assert 0 < report.energy_variance.error < 0.1 * variance
    assert report.energy_variance.floor == 0.0
    assert report.energy_variance.value == pytest.approx(report.observables.energy.deviation**2)
    assert report.energy_variance.effective_sample_size == 20_000


def test_a_state_of_mixed_signs_is_refused() -> None:
    model = XXZ(sites=4).hamiltonian()
    vectors = np.linalg.eigh(model.to_sparse().toarray())[1]
    with refuses("state", "both signs"):
        reference_of(mps_from_vector(vectors[:, 0] * np.linspace(-1, 1, 16), model))
    frustrated = model + Hamiltonian({"XIXI": 0.1, "YIYI": 0.1})
    assert reference_of(mps_from_vector(vectors[:, 0], frustrated)).model is not None
    with refuses("hamiltonian", "frustrated", "both signs", "all amplitudes"):
        reference_of(mps_from_vector(vectors[:, 0] * np.linspace(-1, 1, 16), frustrated))
