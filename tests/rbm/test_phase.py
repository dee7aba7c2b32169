"""PhaseRBM: amplitudes, probabilities in bases, means and files, against dense matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from exact import PAULI, basis, chi_squared_p, pauli_sum, rbm_distribution, rbm_joint
from machines import random_phase_rbm
from psiprune.rbm.phase import PhaseRBM


def psi_of(rbm: PhaseRBM) -> NDArray[np.complex128]:
    """The amplitudes by sums over hidden states."""
    amplitude, phase = rbm.amplitude, rbm.phase
    prob = rbm_distribution(amplitude.weights, amplitude.visible_bias, amplitude.hidden_bias)
    joint = rbm_joint(phase.weights, phase.visible_bias, phase.hidden_bias)
    return np.sqrt(prob) * np.exp(0.5j * np.log(np.exp(joint).sum(axis=1)))


def test_amplitudes_are_those_of_both_networks() -> None:
    rbm = random_phase_rbm(4, 3, 2)
    np.testing.assert_allclose(rbm.vector, psi_of(rbm), atol=1e-14)
    np.testing.assert_allclose(np.exp(rbm.log_psi(basis(4))), rbm.vector, atol=1e-14)
    with pytest.raises(ValueError, match="read-only"):
        rbm.vector[0] = 0


def test_phases_turn_with_the_sign_of_y() -> None:
    # (|0> + i |1>) / sqrt(2) on site 0 and (|0> - i |1>) / sqrt(2) on site 1.
    flat = pp.RBM(np.zeros((1, 2)), np.zeros(2), np.zeros(1))
    turned = pp.RBM(np.zeros((1, 2)), np.array([np.pi, -np.pi]), np.zeros(1))
    rbm = PhaseRBM(flat, turned)
    np.testing.assert_allclose(rbm.probabilities("YY"), [0, 0, 1, 0], atol=1e-14)
    for letters, mean in (("YI", 1.0), ("IY", -1.0), ("YY", -1.0), ("XI", 0.0)):
        assert rbm.expectation(pp.Hamiltonian({letters: 1.0})) == pytest.approx(mean, abs=1e-14)


def test_means_of_pauli_strings_are_those_of_matrices() -> None:
    rbm = random_phase_rbm(4, 3, 2)
    terms = [
        (0.7, {0: "X", 1: "Y"}),
        (-1.3, {0: "Z", 2: "Y"}),
        (0.4, {1: "Y", 2: "Y", 3: "Y"}),
        (0.9, {3: "Z"}),
        (2.0, {}),
    ]
    psi = psi_of(rbm)
    expected = (psi.conj() @ pauli_sum(4, terms) @ psi).real
    assert rbm.expectation(pp.Hamiltonian(terms, 4)) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(pp.InputError, match="a sum on 3 sites, but the state has 16 amplitudes"):
        rbm.expectation(pp.Hamiltonian({"XYZ": 1.0}))


def test_fidelity_is_squared_and_ignores_norm_and_phase() -> None:
    rbm, other = random_phase_rbm(3, 2, 2), random_phase_rbm(3, 2, 2, seed=1)
    overlap = abs(np.vdot(psi_of(rbm), psi_of(other))) ** 2
    assert rbm.fidelity(other) == pytest.approx(overlap, abs=1e-14)
    assert rbm.fidelity(3j * psi_of(other)) == pytest.approx(overlap, abs=1e-14)
    assert rbm.fidelity(rbm) == pytest.approx(1, abs=1e-14)
    with pytest.raises(
        pp.InputError, match=r"other: must have 2\^3 amplitudes, found shape \(4,\)"
    ):
        rbm.fidelity(np.ones(4))
    with pytest.raises(pp.InputError, match="other: has no amplitude other than 0"):
        rbm.fidelity(np.zeros(8))


def test_shots_follow_the_probabilities_of_their_basis() -> None:
    rbm = random_phase_rbm(3, 2, 2)
    drawn = rbm.sample(20_000, "XYZ", seed=2)
    turned = np.eye(1, dtype=complex)
    for letter in "XYZ":
        values, kets = np.linalg.eigh(PAULI[letter])
        turned = np.kron(kets[:, np.argsort(-values)].conj().T, turned)
    expected = np.abs(turned @ psi_of(rbm)) ** 2
    assert chi_squared_p(drawn, expected) > 1e-3
    assert chi_squared_p(drawn, rbm.probabilities("XXZ")) < 1e-6
    np.testing.assert_array_equal(rbm.sample(20, "XYZ", seed=2), drawn[:20])


def test_a_file_holds_both_networks(tmp_path: Path) -> None:
    rbm = random_phase_rbm(3, 4, 2)
    masked = rbm.with_masks(rbm.amplitude.weights > 0, rbm.phase.weights < 0.3)
    saved = PhaseRBM(masked.amplitude, masked.phase, {"seed": 3, "epochs": 40})
    loaded = pp.load_phase_rbm(saved.save(tmp_path / "phase.nc"))
    assert loaded.provenance == {"seed": 3, "epochs": 40}
    assert repr(loaded) == repr(saved)
    assert loaded.number_of_parameters == loaded.number_of_weights + 2 * 3 + 4 + 2
    for one, other in ((loaded.amplitude, saved.amplitude), (loaded.phase, saved.phase)):
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.weights, other.weights)
    with pytest.raises(pp.InputError, match=r"plain\.nc: .*kind"):
        pp.load_phase_rbm(rbm.amplitude.save(tmp_path / "plain.nc"))


def test_networks_of_different_sites_are_refused() -> None:
    one, other = random_phase_rbm(3, 2, 2), random_phase_rbm(4, 2, 2)
    with pytest.raises(pp.InputError, match=r"phase: must have the 3 sites .* found 4"):
        PhaseRBM(one.amplitude, other.phase)


def test_repr_counts_weights_of_both() -> None:
    rbm = random_phase_rbm(3, 4, 2)
    assert repr(rbm) == "PhaseRBM(visible=3, hidden=4 + 2, weights=18 of 18)"
