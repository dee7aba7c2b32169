"""Sums over rotated sites of a shot, against all amplitudes rotated by other code."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from exact import basis
from machines import random_phase_rbm
from psiprune.rbm import phase_terms
from psiprune.rbm.likelihood import WeightedConfigurations, data_moments, flatten
from psiprune.rbm.phase_likelihood import basis_frequencies, log_likelihood
from psiprune.rbm.phase_terms import log_amplitudes, terms_likelihood, terms_of

KETS = {
    "X": np.array([[1, 1], [1, -1]]) / np.sqrt(2),
    "Y": np.array([[1, 1], [1j, -1j]]) / np.sqrt(2),
    "Z": np.eye(2),
}
"""Eigenvectors of the Pauli matrices in columns, that of +1 first."""
BASES = ("ZZZZZZ", "XYZZZZ", "ZYYXZY", "XZZZZX", "YYYYYY")


def turned(psi: NDArray[np.complex128], letters: str) -> NDArray[np.complex128]:
    """The amplitudes of all outcomes, by a dense product of matrices."""
    whole = np.eye(1)
    for letter in letters:  # site 0 is the lowest bit
        whole = np.kron(KETS[letter].conj().T, whole)
    return np.asarray(whole @ psi)


def shots(sites: int = 6) -> dict[str, NDArray[np.uint8]]:
    generator = np.random.default_rng(5)
    return {
        name[:sites]: generator.integers(0, 2, (20 + 5 * k, sites), dtype=np.uint8)
        for k, name in enumerate(BASES)
    }


@pytest.mark.parametrize("letters", BASES)
def test_the_amplitude_of_every_outcome(letters: str) -> None:
    rbm = random_phase_rbm(6, 4, 5)
    pieces = terms_of({letters: basis(6)})
    logs = np.concatenate(log_amplitudes(rbm, pieces)) - rbm.amplitude.log_partition()
    order = np.lexsort(basis(6).T[::-1])  # unique shots are in lexicographic order
    np.testing.assert_allclose(np.exp(logs), np.abs(turned(rbm.vector, letters)[order]) ** 2)
    if "Y" in letters:  # the conjugate state, which a wrong sign of Y would measure, does not fit
        wrong = np.abs(turned(rbm.vector.conj(), letters)[order]) ** 2
        assert np.abs(np.exp(logs) - wrong).max() > 0.01


@pytest.mark.parametrize("size", [1 << 16, 64])  # all shots at once, and in many pieces
def test_likelihood_and_gradient_are_those_over_all_states(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phase_terms, "_TERMS", size)
    whole = random_phase_rbm(6, 4, 5)
    rbm = whole.with_masks(whole.amplitude.weights > -0.5, whole.phase.weights > -0.2)
    pieces = terms_of(shots())
    assert (len(pieces) == 1) == (size > 64)
    value, slope = terms_likelihood(rbm, pieces)
    expected, gradient = log_likelihood(rbm, basis_frequencies(shots()))
    assert value - rbm.amplitude.log_partition() == pytest.approx(expected, rel=1e-12)
    model = WeightedConfigurations(basis(6).T.astype(float), np.abs(rbm.vector) ** 2)
    of_z = flatten(rbm.amplitude.mask, data_moments(rbm.amplitude, model)[1])
    slope[: len(of_z)] -= of_z
    np.testing.assert_allclose(slope, gradient, atol=1e-13)


def test_amplitudes_beyond_the_range_of_floats() -> None:
    flat = pp.RBM(np.zeros((1, 2)), np.zeros(2), np.zeros(1))
    steep = pp.PhaseRBM(pp.RBM(np.zeros((1, 2)), np.array([3000.0, -3000.0]), np.zeros(1)), flat)
    logs = log_amplitudes(steep, terms_of({"XZ": np.array([[0, 0], [1, 0]], np.uint8)}))
    # log p~ + log Z cancel: |<x; XZ|psi>|^2 = 1/2 for site 1 at 0.
    np.testing.assert_allclose(logs[0] - steep.amplitude.log_partition(), np.log(0.5))


def test_an_impossible_outcome_has_a_finite_likelihood() -> None:
    flat = pp.RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1))
    value, slope = terms_likelihood(pp.PhaseRBM(flat, flat), terms_of({"X": np.array([[1]], "u1")}))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_many_sites_in_one_word_or_more() -> None:
    # Flat amplitudes on 70 sites: each outcome of X X is certain, each of Z is 1/2.
    flat = pp.RBM(np.zeros((1, 70)), np.zeros(70), np.zeros(1))
    bits = np.random.default_rng(0).integers(0, 2, (30, 70), dtype=np.uint8)
    bits[:, [3, 66]] = 0
    name = "".join("X" if site in (3, 66) else "Z" for site in range(70))
    logs = np.concatenate(log_amplitudes(pp.PhaseRBM(flat, flat), terms_of({name: bits})))
    np.testing.assert_allclose(logs - 71 * np.log(2), -68 * np.log(2), atol=1e-10)


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {"X" * 9 + "Z" * 11: np.zeros((1, 20), np.uint8)}
    with pytest.raises(pp.InputError, match=r"rotates 9 of 20 sites, .* sum of 2\^9 amplitudes"):
        terms_of(many)
    monkeypatch.setattr(phase_terms, "PHASE_TERMS", 100)
    with pytest.raises(pp.InputError, match=r"are sums of .* more than the limit of 100"):
        terms_of(shots())
