"""Information of shots about a state: theory against fits, and what further bases would tell."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.inference.phase_fisher import classical_fisher, quantum_fisher
from psiprune.metrics.phase_information import (
    candidate_bases,
    distinguishing_bases,
    phase_information,
    suggested_bases,
)
from psiprune.rbm.phase_likelihood import basis_frequencies
from psiprune.training.natural_phase import fit_phases

BASES, SHARE = ("ZZ", "XY", "YX", "XZ"), np.array([0.4, 0.2, 0.2, 0.2])


def test_fractions_are_those_of_the_information_of_the_state() -> None:
    rbm = random_phase_rbm(2, 1, 1)
    information = phase_information(rbm, BASES, SHARE)
    fisher, u = classical_fisher(rbm, BASES, SHARE), information.directions
    amplitude, phase = quantum_fisher(rbm)
    bound = np.zeros(fisher.shape)
    bound[: len(amplitude), : len(amplitude)], bound[len(amplitude) :, len(amplitude) :] = (
        amplitude,
        phase,
    )
    assert len(information.fractions) == 6  # 2 (2^2 - 1) changes of the state, of 10 parameters
    np.testing.assert_allclose(u @ bound @ u.T, np.eye(6), atol=1e-8)
    np.testing.assert_allclose(u @ fisher @ u.T, np.diag(information.fractions), atol=1e-8)
    assert 0 < information.fractions[0] <= information.fractions[-1] < 1


def test_shots_in_z_alone_tell_nothing_about_phases() -> None:
    rbm = random_phase_rbm(2, 1, 1)
    fractions = phase_information(rbm, ["ZZ"], np.ones(1)).fractions
    np.testing.assert_allclose(fractions, [0, 0, 0, 1, 1, 1], atol=1e-8)
    assert phase_information(rbm, ["ZZ"], np.ones(1)).infidelity(10**9) == pytest.approx(0.75)


def test_fits_have_the_infidelity_of_theory() -> None:
    """The mean of 20 sums of 6 squares of normal numbers has an error of about 13 % of it."""
    rbm, generator, each = random_phase_rbm(2, 1, 1), np.random.default_rng(0), 500
    sizes = (SHARE * 5 * each).astype(int)
    expected = phase_information(rbm, BASES, SHARE).infidelity(int(sizes.sum()))
    found = []
    for _ in range(20):
        seed = int(generator.integers(1 << 30))
        bits = {
            basis: rbm.sample(size, basis, seed=seed + k)
            for k, (basis, size) in enumerate(zip(BASES, sizes, strict=True))
        }
        fit = fit_phases(rbm, basis_frequencies(bits), 40)
        found.append(1 - fit.rbm.fidelity(rbm))
    assert np.mean(found) == pytest.approx(expected, rel=0.5)
    assert expected < 0.01


def test_suggested_bases_lower_the_infidelity_to_what_they_say() -> None:
    rbm, shots = random_phase_rbm(2, 1, 1), 1000
    information = phase_information(rbm, BASES, SHARE)
    candidates = candidate_bases(2)
    assert sorted(candidates) == sorted(["XZ", "ZX", "YZ", "ZY", "XX", "XY", "YX", "YY"])
    suggested = suggested_bases(rbm, information, shots, candidates, count=2)
    bases, share = [*BASES], SHARE * shots
    for basis, infidelity in suggested:
        others = []
        for candidate in candidates:
            more = np.append(share, shots / 10)
            fractions = phase_information(rbm, [*bases, candidate], more / more.sum())
            others.append(fractions.infidelity(int(more.sum())))
        assert candidates[int(np.argmin(others))] == basis
        assert infidelity == pytest.approx(min(others), rel=1e-6)
        bases, share = [*bases, basis], np.append(share, shots / 10)
    assert suggested[1][1] < suggested[0][1] < information.infidelity(shots)


def test_the_basis_that_tells_two_states_apart() -> None:
    # (|00> +- i |11>) / sqrt(2): XY and YX alone differ.
    pair = pp.RBM(np.array([[45.0, 45.0]]), np.array([-15.0, -15.0]), np.array([-60.0]))
    one, other = (
        pp.PhaseRBM(pair, pp.RBM(np.zeros((1, 2)), np.full(2, sign * np.pi / 2), np.zeros(1)))
        for sign in (1, -1)
    )
    found = distinguishing_bases(one.vector, other.vector, candidate_bases(2), count=3)
    assert {basis for basis, _ in found[:2]} == {"XY", "YX"}
    assert found[1][1] > 1
    assert found[2][1] == pytest.approx(0, abs=1e-4)


def test_no_infidelity_exceeds_one() -> None:
    rbm = random_phase_rbm(3, 3, 3)
    found = phase_information(rbm, ["ZZZ"], np.ones(1))
    assert found.infidelity(10) == 1.0
    suggested = suggested_bases(rbm, found, 10, ["XZZ", "ZXZ"])
    assert [after for _, after in suggested] == [1.0] * 3
