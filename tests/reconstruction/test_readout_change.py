"""How far misread bits move a state with phases: against fits of all amplitudes, and of shots."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from psiprune.rbm.phase_likelihood import BasisFrequencies, basis_frequencies
from psiprune.reconstruction.bases.readout_change import (
    change_by_readout,
    readout_sentence,
    refitted,
)
from psiprune.training.mirror_images import likeliest_vector
from psiprune.training.natural_phase import fit_phases
from psiprune.training.phase_starts import PhaseUnits, new_phase_rbm

BASES = ["".join(each) for each in product("XYZ", repeat=3)]
GHZ = np.zeros(8, complex)
GHZ[[0, 7]] = 1, np.exp(1.2j)
W = np.zeros(8, complex)
W[[1, 2, 4]] = 1, np.exp(0.5j), np.exp(2j)
STATES = {"+++": np.ones(8, complex), "GHZ": GHZ, "W": W}


def fitted(psi: NDArray[np.complex128]) -> tuple[pp.PhaseRBM, BasisFrequencies]:
    """The fit to 300 shots in each basis."""
    state = pp.mps_from_vector(psi / np.linalg.norm(psi))
    shots = pp.sample(state, 300 * 27, bases=BASES, seed=1, progress=False)
    data = basis_frequencies(shots.by_basis())
    return fit_phases(new_phase_rbm(shots, PhaseUnits(3, 6), 0), data, 100).rbm, data


@pytest.mark.parametrize("name", [*STATES])
def test_the_change_by_flips_is_that_of_the_likeliest_of_all_states(name: str) -> None:
    rbm, data = fitted(STATES[name])
    change = change_by_readout(rbm, data, 0)
    flips = pp.ReadoutError.from_rates(0.01, sites=3)
    weight = np.concatenate([flips.apply(rbm.probabilities(basis)) for basis in data.bases]) / 27
    basis, outcome = np.divmod(np.arange(27 * 8), 8)
    records = data._replace(basis=basis, outcome=outcome, weight=weight)
    vector = likeliest_vector(rbm.vector, records)
    assert 1e-6 < 1 - rbm.fidelity(vector) < 0.05
    assert change == pytest.approx(1 - rbm.fidelity(vector), rel=0.3, abs=1e-4)
    assert readout_sentence(None, change).startswith("read without errors; 1% flips per qubit")


def test_right_rates_move_nothing_and_other_rates_do() -> None:
    rbm, data = fitted(np.arange(1, 9) * np.exp(1j * np.arange(8) ** 2))
    rates = pp.ReadoutError.from_rates(0.03, 0.04, sites=3)
    misread = data._replace(readout=rates)
    assert rbm.fidelity(refitted(rbm, misread, None, rates)) == pytest.approx(1, abs=1e-9)
    double = pp.ReadoutError.from_rates(0.06, 0.08, sites=3)
    most = 1 - rbm.fidelity(refitted(rbm, misread, None, double))
    assert 1e-6 < change_by_readout(rbm, misread, 0) < most
