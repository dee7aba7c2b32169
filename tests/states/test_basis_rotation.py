"""Rotation into product bases, against Kronecker products of the eigenstates themselves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from exact import PAULI, basis, index
from psiprune.states.basis_rotation import expand, rotate, rotate_back

BASES = ("ZZZZ", "XZZZ", "ZZZY", "YXZY", "XXYX")


def eigenstates(letter: str) -> NDArray[np.complex128]:
    """The bras of the eigenvalues +1 and -1 of a Pauli matrix, [outcome, physical]."""
    matrix = PAULI[letter]
    kets = [np.linalg.eigh(sign * matrix)[1][:, 1] for sign in (1, -1)]
    kets = [ket * np.exp(-1j * np.angle(ket[np.flatnonzero(np.abs(ket) > 0.1)[0]])) for ket in kets]
    return np.array(kets).conj()


def kronecker(letters: str) -> NDArray[np.complex128]:
    """The unitary of a basis, built from eigenstates; site 0 is the lowest bit."""
    matrix = np.eye(1, dtype=complex)
    for letter in letters:
        matrix = np.kron(eigenstates(letter), matrix)
    return matrix


def random_psi(sites: int) -> NDArray[np.complex128]:
    generator = np.random.default_rng(sites)
    psi = generator.normal(size=(2, 2**sites)) * [[1], [1]]
    return (psi[0] + 1j * psi[1]) / np.linalg.norm(psi)


def test_amplitudes_are_those_of_the_eigenstates() -> None:
    psi = random_psi(4)
    expected = [kronecker(letters) @ psi for letters in BASES]
    np.testing.assert_allclose(rotate(psi, BASES), expected, atol=1e-14)
    np.testing.assert_allclose(rotate(np.stack([psi] * 5), BASES), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("letter", "ket", "outcome"),
    [
        ("X", [1, 1], 0),
        ("X", [1, -1], 1),
        ("Y", [1, 1j], 0),
        ("Y", [1, -1j], 1),
        ("Z", [1, 0], 0),
        ("Z", [0, 1], 1),
    ],
)
def test_an_eigenstate_on_one_site_has_a_certain_outcome(
    letter: str, ket: list[complex], outcome: int
) -> None:
    for site in range(3):
        psi = np.eye(1, dtype=complex)[0]
        for place in range(3):
            one = np.array(ket) / np.linalg.norm(ket) if place == site else np.array([0, 1])
            psi = np.kron(one, psi)
        letters = "".join(letter if place == site else "Z" for place in range(3))
        bits = [1, 1, 1]
        bits[site] = outcome
        probability = np.abs(rotate(psi, [letters])[0]) ** 2
        assert probability[index(np.array([bits]))[0]] == pytest.approx(1, abs=1e-14)


def test_rotate_back_is_the_inverse() -> None:
    vectors = np.stack([random_psi(4) * (k + 1) for k in range(len(BASES))])
    np.testing.assert_allclose(rotate_back(rotate(vectors, BASES), BASES), vectors, atol=1e-13)


@pytest.mark.parametrize("letters", BASES)
def test_sums_over_rotated_sites_are_the_amplitudes(letters: str) -> None:
    psi, bits = random_psi(4), basis(4)
    states, factors = expand(bits, letters)
    assert states.shape == (16, 2 ** sum(letter != "Z" for letter in letters), 4)
    terms = psi[index(states.reshape(-1, 4))].reshape(factors.shape)
    np.testing.assert_allclose((factors * terms).sum(axis=1), rotate(psi, [letters])[0], atol=1e-14)


@pytest.mark.parametrize(
    ("bases", "message"),
    [
        (["ZXA"], "must be X, Y or Z for each site, such as 'ZZXY', found 'A' in 'ZXA'"),
        (["ZZX", "zzx"], "found 'z' in 'zzx'"),
        (["ZZX", "ZX"], r"one letter per site, found 'ZZX' and 'ZX'"),
        ([], r"at least one string such as 'ZZXY', found none"),
        (["ZZXX"], r"2\^N amplitudes for N = 4 letters .* found \(8,\)"),
    ],
)
def test_bases_are_checked(bases: list[str], message: str) -> None:
    with pytest.raises(pp.InputError, match=message):
        rotate(random_psi(3), bases)


def test_too_many_rotated_sites_are_refused() -> None:
    with pytest.raises(pp.InputError, match="limited to 8 letters other than Z, found 9"):
        expand(np.zeros((1, 10), np.uint8), "Z" + "X" * 9)
    with pytest.raises(pp.InputError, match="'XX' has 2 letters, but the shots have 3 sites"):
        expand(np.zeros((1, 3), np.uint8), "XX")
