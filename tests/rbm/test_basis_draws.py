"""Outcomes of few rotated sites given draws in Z, against the probabilities of all outcomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import exact
import psiprune as pp
from exact import chi_squared_p
from machines import random_phase_rbm
from psiprune.core import limits
from psiprune.rbm import phase
from psiprune.rbm.basis_draws import draw_in_basis
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_export import equal_units, export_phase_rbm
from psiprune.rbm.phase_shots import shots_of, without_phases
from psiprune.states.basis_rotation import rotate
from refusals import refuses


@pytest.mark.parametrize("basis", ["ZZZZ", "XZYZ", "ZYYX"])
def test_outcomes_follow_the_probabilities_of_their_basis(basis: str) -> None:
    rbm = random_phase_rbm(4, 3, 3)
    drawn = draw_in_basis(rbm.amplitude, rbm.phase, basis, 20_000, 0, 2)
    assert chi_squared_p(drawn, rbm.probabilities(basis)) > 1e-3
    if "Y" in basis:  # the conjugate state, which a wrong sign of Y would measure, does not fit
        wrong = np.abs(rotate(rbm.vector.conj(), [basis])[0]) ** 2
        assert chi_squared_p(drawn, wrong) < 1e-6


def test_states_of_more_sites_are_drawn_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_phase_rbm(4, 3, 3)
    expected = draw_in_basis(rbm.amplitude, rbm.phase, "XZYZ", 50, 1000, 7)
    monkeypatch.setattr(phase, "EXACT_SITES", 3)
    np.testing.assert_array_equal(rbm.sample(50, "XZYZ", seed=7), expected)
    assert limits.EXACT_SITES == 20


def test_many_sites() -> None:
    # Flat amplitudes on 30 sites, phases of |+i> on site 3 and |-> on site 8.
    flat = pp.RBM(np.zeros((30, 30)), np.zeros(30), np.zeros(30))
    turns = np.zeros(30)
    turns[3], turns[8] = np.pi, 2 * np.pi
    rbm = PhaseRBM(flat, pp.RBM(np.zeros((1, 30)), turns, np.zeros(1)))
    basis = "".join({3: "Y", 8: "X", 9: "X"}.get(site, "Z") for site in range(30))
    drawn = rbm.sample(400, basis, steps=5)
    assert (drawn[:, [3, 8, 9]] == [0, 1, 0]).all()
    others = np.delete(drawn, [3, 8, 9], axis=1)
    assert abs(others.mean() - 0.5) < 5 * 0.5 / np.sqrt(others.size)
    with pytest.raises(pp.InputError, match=r"basis: the basis X+ rotates 30 of 30 sites"):
        rbm.sample(1, "X" * 30)
    with pytest.raises(pp.InputError, match="has 3 letters, but the state has 30 sites"):
        rbm.sample(1, "XYZ")


def test_shots_in_several_bases() -> None:
    rbm = random_phase_rbm(3, 2, 2)
    shots = shots_of(rbm, 11, ["Z", "XYZ", "YYY"], seed=4)
    assert {name: len(bits) for name, bits in shots.by_basis().items()} == {
        "ZZZ": 4,
        "XYZ": 4,
        "YYY": 3,
    }
    again = shots_of(rbm, 11, ["Z", "XYZ", "YYY"], seed=4)
    np.testing.assert_array_equal(shots.bits, again.bits)
    assert not np.array_equal(shots.bits, shots_of(rbm, 11, ["Z", "XYZ", "YYY"], seed=5).bits)
    with refuses("shots", 3, 2):
        shots_of(rbm, 2, ["Z", "XYZ", "YYY"])
    positive = without_phases(rbm.amplitude)
    assert positive.fidelity(np.abs(rbm.vector)) == pytest.approx(1, abs=1e-14)


def test_qucumber_reads_the_same_state(tmp_path: Path) -> None:
    # ComplexWaveFunction of QuCumber 1.3.3: psi = exp(-E_am / 2 + i phase), phase = -E_ph / 2, both
    # BinaryRBM.effective_energy, with one number of hidden units.
    rbm, bits = random_phase_rbm(4, 2, 5), exact.basis(4)
    with np.load(export_phase_rbm(rbm, tmp_path / "both.npz", "qucumber")) as file:
        energies = []
        for name in ("rbm_am", "rbm_ph"):
            weights, visible, hidden = (
                file[f"{name}_{key}"] for key in ("weights", "visible_bias", "hidden_bias")
            )
            assert weights.shape == (5, 4)
            softplus = np.log1p(np.exp(bits @ weights.T + hidden))
            energies.append(-(bits @ visible + softplus.sum(axis=1)))
    psi = np.exp(-energies[0] / 2 - 0.5j * energies[1])
    assert rbm.fidelity(psi) == pytest.approx(1, abs=1e-12)
    assert rbm.fidelity(psi.conj()) < 0.9
    assert equal_units(rbm).fidelity(rbm) == pytest.approx(1, abs=1e-12)


def test_numpy_holds_the_masks(tmp_path: Path) -> None:
    whole = random_phase_rbm(3, 2, 4)
    rbm = whole.with_masks(whole.amplitude.weights > 0, whole.phase.weights < 0.3)
    with np.load(export_phase_rbm(rbm, tmp_path / "both.npz", "numpy")) as file:
        for name, network in (("amplitude", rbm.amplitude), ("phase", rbm.phase)):
            names = ("weights", "visible_bias", "hidden_bias", "mask")
            again = pp.RBM(**{key: file[f"{name}_{key}"] for key in names})
            np.testing.assert_array_equal(again.weights, network.weights)
            np.testing.assert_array_equal(again.mask, network.mask)


def test_torch_both_ways(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="pip install 'psiprune[torch]'")
    rbm = random_phase_rbm(3, 2, 4)
    np.testing.assert_array_equal(PhaseRBM.from_torch(rbm.to_torch()).vector, rbm.vector)
    stored = torch.load(export_phase_rbm(rbm, tmp_path / "both.pt", "qucumber"))
    assert PhaseRBM.from_torch(stored).fidelity(rbm) == pytest.approx(1, abs=1e-12)


def test_what_is_refused(tmp_path: Path) -> None:
    rbm = random_phase_rbm(2, 2, 2)
    with refuses("format", "numpy", "qucumber", "'netket'", "RBMModPhase"):
        export_phase_rbm(rbm, tmp_path / "both.npz", "netket")
    with refuses("both.pt", ".npz"):
        export_phase_rbm(rbm, tmp_path / "both.pt", "numpy")
    with refuses("state", "rbm_am", "rbm_ph", "weights"):
        PhaseRBM.from_torch({"weights": {}})


def test_the_table_for_notebooks() -> None:
    table = random_phase_rbm(3, 2, 4)._repr_html_()
    for fact in ("3 sites", "<td>2</td><td>6 of 6</td>", "<td>4</td><td>12 of 12</td>"):
        assert fact in table
