"""Fisher information of outcomes in bases, against finite differences of their probabilities."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.inference.phase_fisher import classical_fisher, quantum_fisher
from psiprune.rbm.phase_likelihood import (
    from_parameters,
    recorded_probabilities,
    to_parameters,
)

BASES, SHARE = ("ZZZ", "XYZ", "YXX"), np.array([0.5, 0.3, 0.2])


MISREAD = pp.ReadoutError.from_rates([0.03, 0.1, 0.02], [0.08, 0.05, 0.2])


@pytest.mark.parametrize("readout", [None, MISREAD])
def test_the_information_of_outcomes_is_that_of_their_probabilities(
    readout: pp.ReadoutError | None,
) -> None:
    whole = random_phase_rbm(3, 3, 2)
    rbm = whole.with_masks(whole.amplitude.weights > -0.5, whole.phase.weights > -0.5)
    x = to_parameters(rbm)
    expected = np.zeros((len(x), len(x)))
    for basis, share in zip(BASES, SHARE, strict=True):
        slopes = []
        for shift in 1e-5 * np.eye(len(x)):
            ends = [
                recorded_probabilities(from_parameters(rbm, x + sign * shift), basis, readout)
                for sign in (1, -1)
            ]
            slopes.append((ends[0] - ends[1]) / 2e-5)
        rows, prob = np.array(slopes), recorded_probabilities(rbm, basis, readout)
        expected += share * (rows / prob) @ rows.T
    found = classical_fisher(rbm, BASES, SHARE, readout)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    if readout is not None:  # errors hide a part
        assert np.trace(found) < 0.9 * np.trace(classical_fisher(rbm, BASES, SHARE))


def test_no_basis_has_more_information_than_the_state() -> None:
    rbm = random_phase_rbm(3, 2, 2)
    amplitude, phase = quantum_fisher(rbm)
    size = len(amplitude)
    bound = np.zeros((size + len(phase),) * 2)
    bound[:size, :size], bound[size:, size:] = amplitude, phase
    for basis in BASES:
        fisher = classical_fisher(rbm, [basis], np.ones(1))
        assert np.linalg.eigvalsh(bound - fisher).min() > -1e-12
        assert np.linalg.eigvalsh(fisher).max() > 0.01
    # Outcomes in Z have all the information about amplitudes and none about phases.
    in_z = classical_fisher(rbm, ["ZZZ"], np.ones(1))
    np.testing.assert_allclose(in_z[:size, :size], amplitude, atol=1e-12)
    np.testing.assert_allclose(in_z[size:], 0, atol=1e-12)
