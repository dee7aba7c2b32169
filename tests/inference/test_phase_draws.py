"""Fidelities and means by draws, against sums over all states."""

from __future__ import annotations

import pytest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.inference.phase_draws import draws_of, fidelity_by_draws, mean_by_draws

#: Standard errors within which an average lies: a normal one exceeds them once in 15,000 cases.
ERRORS = 4.0


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_fidelity_by_draws(scale: float) -> None:
    rbm, other = (random_phase_rbm(6, 3, 4, seed, scale) for seed in (1, 2))
    exact = rbm.fidelity(other)
    for state in (other, pp.mps_from_vector(other.vector)):
        found, error = fidelity_by_draws(rbm, state, 20_000, seed=3)
        assert error < 0.02
        assert abs(found - exact) < ERRORS * error
    # The conjugate state has the same probabilities, and another fidelity.
    conjugate = pp.mps_from_vector(other.vector.conj())
    assert abs(rbm.fidelity(conjugate) - exact) > 0.05
    found, error = fidelity_by_draws(rbm, conjugate, 20_000, seed=3)
    assert abs(found - exact) > 2 * ERRORS * error


def test_a_state_has_fidelity_one_with_itself() -> None:
    rbm = random_phase_rbm(5, 3, 4)
    found, error = fidelity_by_draws(rbm, rbm, 1000)
    assert found == pytest.approx(1.0)
    assert error < 1e-6


def test_means_of_pauli_strings_by_draws() -> None:
    rbm = random_phase_rbm(5, 3, 4, seed=1)
    bits = draws_of(rbm.amplitude, 40_000, 2)
    mirrored = []
    for text in ("Y0", "X1 Y2", "Y0 Y1", "Z0 Y3 X4", "Z2", "0.7 X0 - 1.3 Z1 Y2 + 0.4 Z0 Z4 + 2"):
        operator = pp.Hamiltonian(text, 5)
        found, error = mean_by_draws(rbm, operator, bits)
        exact = rbm.expectation(operator)
        assert error < 0.03
        assert abs(found - exact) < ERRORS * error, text
        mirrored.append(abs(found + exact) / error)
    assert mirrored[0] > 2 * ERRORS  # the sign of Y shows


def test_other_sizes_are_refused() -> None:
    rbm = random_phase_rbm(4, 2, 2)
    with pytest.raises(pp.InputError, match="other: must have the 4 sites of the state, found 3"):
        fidelity_by_draws(rbm, random_phase_rbm(3, 2, 2))
    with pytest.raises(pp.InputError, match="a sum on 3 sites, but the state has 4"):
        mean_by_draws(rbm, pp.Hamiltonian({"XYZ": 1.0}), draws_of(rbm.amplitude, 10, 0))
