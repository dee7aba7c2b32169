"""The likelihood of shots in several bases and its gradient, against dense rotations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from exact import PAULI, index
from machines import random_phase_rbm
from psiprune.rbm import phase_likelihood
from psiprune.rbm.likelihood import flatten, log_likelihood, unique_configurations
from psiprune.rbm.phase_likelihood import (
    basis_frequencies,
    from_parameters,
    log_likelihood_by_basis,
    simple_log_likelihood,
    to_parameters,
)

BASES = ("ZZZZ", "XYZZ", "YYXX", "ZZZX")


def shots(seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    return {
        basis: generator.integers(0, 2, (5 + 3 * k, 4), dtype=np.uint8)
        for k, basis in enumerate(BASES)
    }


def dense_log_prob(psi: NDArray[np.complex128], basis: str) -> NDArray[np.float64]:
    """log |A|^2 by projectors on eigenstates, one outcome at a time."""
    found = []
    for outcome in range(len(psi)):
        projector = np.eye(1, dtype=complex)
        for site, letter in enumerate(basis):
            sign = 1 - 2 * (outcome >> site & 1)
            projector = np.kron((np.eye(2) + sign * PAULI[letter]) / 2, projector)
        found.append((psi.conj() @ projector @ psi).real)
    return np.log(found)


def test_the_likelihood_of_each_basis_is_that_of_projectors() -> None:
    rbm, bits = random_phase_rbm(4, 3, 2), shots()
    data = basis_frequencies(bits)
    means = [dense_log_prob(rbm.vector, basis)[index(bits[basis])].mean() for basis in BASES]
    np.testing.assert_allclose(log_likelihood_by_basis(rbm, data), means, rtol=1e-12)
    sizes = [len(bits[basis]) for basis in BASES]
    value, _ = phase_likelihood.log_likelihood(rbm, data)
    assert value == pytest.approx(np.average(means, weights=sizes), rel=1e-12)


@pytest.mark.parametrize("amplitudes", [1 << 20, 32])  # all bases at once, and two at a time
def test_the_gradient_is_that_of_finite_differences(
    amplitudes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phase_likelihood, "_AMPLITUDES", amplitudes)
    whole = random_phase_rbm(4, 3, 2)
    rbm = whole.with_masks(whole.amplitude.weights > -0.5, whole.phase.weights > -0.2)
    assert rbm.number_of_weights < whole.number_of_weights
    data = basis_frequencies(shots())
    x = to_parameters(rbm)
    _, gradient = phase_likelihood.log_likelihood(rbm, data)
    for k, step in enumerate(1e-5 * np.eye(len(x))):
        ends = [
            phase_likelihood.log_likelihood(from_parameters(rbm, x + sign * step), data)[0]
            for sign in (1, -1)
        ]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def errors(sites: int = 4) -> pp.ReadoutError:
    """Different for each site, and for 0 and 1."""
    zero, one = 0.02 + 0.03 * np.arange(sites), 0.15 - 0.02 * np.arange(sites)
    return pp.ReadoutError.from_rates(zero, one)


def confusion(error: pp.ReadoutError) -> NDArray[np.float64]:
    """C(y | v) of all states, [v, y], by a dense product."""
    whole: NDArray[np.float64] = np.ones((1, 1))
    for group in error.groups:
        whole = np.asarray(np.kron(group.matrix, whole))
    return whole


def test_the_likelihood_of_records_is_that_of_misread_outcomes() -> None:
    rbm, bits, error = random_phase_rbm(4, 3, 2), shots(), errors()
    data = basis_frequencies(bits, error)
    means, ideal = [], []
    for basis in BASES:
        log_prob = dense_log_prob(rbm.vector, basis)
        recorded = np.exp(log_prob) @ confusion(error)
        means.append(np.log(recorded)[index(bits[basis])].mean())
        ideal.append(log_prob[index(bits[basis])].mean())
    np.testing.assert_allclose(log_likelihood_by_basis(rbm, data), means, rtol=1e-12)
    assert np.abs(np.subtract(means, ideal)).min() > 0.01
    value, gradient = phase_likelihood.log_likelihood(rbm, data)
    assert value == pytest.approx(np.average(means, weights=[len(bits[b]) for b in BASES]))
    x = to_parameters(rbm)
    for k, step in enumerate(1e-5 * np.eye(len(x))):
        ends = [
            phase_likelihood.log_likelihood(from_parameters(rbm, x + sign * step), data)[0]
            for sign in (1, -1)
        ]
        assert gradient[k] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_shots_in_z_alone_give_the_gradient_of_an_rbm() -> None:
    rbm, bits = random_phase_rbm(4, 3, 2), shots()["ZZZZ"]
    value, gradient = phase_likelihood.log_likelihood(rbm, basis_frequencies({"ZZZZ": bits}))
    expected, moments = log_likelihood(rbm.amplitude, unique_configurations(bits))
    assert value == pytest.approx(expected, rel=1e-12)
    amplitude, phase = np.split(gradient, [rbm.amplitude.number_of_parameters])
    np.testing.assert_allclose(amplitude, flatten(rbm.amplitude.mask, moments), atol=1e-12)
    np.testing.assert_allclose(phase, 0, atol=1e-14)


def test_an_impossible_outcome_has_a_finite_likelihood() -> None:
    flat = pp.RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1))
    data = basis_frequencies({"X": np.array([[1]], np.uint8)})
    value, gradient = phase_likelihood.log_likelihood(pp.PhaseRBM(flat, flat), data)
    assert value == pytest.approx(np.log(1e-30))
    assert np.isfinite(gradient).all()


def test_the_simple_likelihood_is_of_uniform_or_of_independent_bits() -> None:
    even = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 30, np.uint8)
    uniform = basis_frequencies({"ZZ": even, "XX": even})
    assert simple_log_likelihood(uniform) == pytest.approx(-2 * np.log(2))
    biased = basis_frequencies({"ZZ": even, "XX": even | np.array([0, 1], np.uint8)})
    assert simple_log_likelihood(biased) == pytest.approx(-1.5 * np.log(2) - 4 / 240)


def test_parameters_come_back() -> None:
    rbm = random_phase_rbm(3, 2, 4)
    again = from_parameters(rbm, to_parameters(rbm))
    np.testing.assert_array_equal(again.vector, rbm.vector)


def test_too_many_sites_are_refused() -> None:
    with pytest.raises(pp.InputError, match=r"N <= 16 sites, as each basis takes .* found 17"):
        basis_frequencies({"Z" * 17: np.zeros((1, 17), np.uint8)})
