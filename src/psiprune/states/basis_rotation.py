"""Amplitudes of a state in product bases: one Pauli letter per site, "ZXYZ" in the order of sites.

Outcome 0 is the eigenvalue +1 of the letter. With |0>, |1> the eigenstates of Z, those of X are
(|0> +- |1>) / sqrt(2) and those of Y (|0> +- i |1>) / sqrt(2), so an amplitude of outcomes x is

    A(x) = sum_v prod_i <x_i; letter_i | v_i> psi(v),
    X: <x|v> = (-1)^(x v) / sqrt(2),  Y: <x|v> = (-1)^(x v) (-i)^v / sqrt(2),  Z: <x|v> = 1[x = v].

Vectors over all states have the index sum_i v_i 2^i.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.pauli_bases import check_basis

Complex128 = NDArray[np.complex128]
_HALF = 0.5**0.5
#: <x; letter | v> as a matrix [outcome, physical], None for Z, which needs none.
MATRICES: dict[str, NDArray[Any] | None] = {
    "X": np.array([[_HALF, _HALF], [_HALF, -_HALF]]),
    "Y": np.array([[_HALF, -1j * _HALF], [_HALF, 1j * _HALF]]),
    "Z": None,
}
#: Sites of a basis other than Z up to which a shot is expanded. Memory: 2^8 states for each shot.
ROTATED_SITES = 8


def letters_of(bases: Sequence[str]) -> NDArray[np.uint8]:
    """Return the ASCII codes of the letters, [basis, site].

    Raises:
        InputError: there are no bases, a letter is not X, Y or Z, or bases differ in length.
    """
    if len(bases) == 0:
        raise InputError("bases: must be at least one string such as 'ZZXY', found none")
    for basis in bases:
        if len(check_basis(basis)) != len(bases[0]):
            raise InputError(
                f"bases: all must have one letter per site, found {bases[0]!r} and {basis!r}"
            )
    return np.frombuffer("".join(bases).encode(), np.uint8).reshape(len(bases), -1)


def rotate(vectors: Complex128, bases: Sequence[str]) -> Complex128:
    """Return the amplitudes of each vector in its basis, [basis, 2^N] -> [basis, outcome].

    A single vector [2^N] is rotated into all bases. N additions per amplitude, site by site.

    Raises:
        InputError: as in `letters_of`, or a vector has not 2^N entries.
    """
    letters = letters_of(bases)
    out = _copies(vectors, letters)
    for site, rows, turned in _rotated_sites(letters):
        part = out[rows].reshape(len(rows), -1, 2, 1 << site)
        part[turned, :, 1] *= -1j
        out[rows] = _sums_and_differences(part)
    return out


def rotate_back(vectors: Complex128, bases: Sequence[str]) -> Complex128:
    """Return the inverse of `rotate`, its adjoint: [basis, outcome] -> [basis, 2^N].

    Raises:
        InputError: as in `rotate`.
    """
    letters = letters_of(bases)
    out = _copies(vectors, letters)
    for site, rows, turned in _rotated_sites(letters):
        both = _sums_and_differences(out[rows].reshape(len(rows), -1, 2, 1 << site))
        both.reshape(len(rows), -1, 2, 1 << site)[turned, :, 1] *= 1j
        out[rows] = both
    return out


def check_few_rotated(bases: Sequence[str], source: str) -> None:
    """Raise InputError if a basis has more than 8 letters other than Z."""
    for basis in bases:
        rotated = len(basis) - basis.count("Z")
        if rotated > ROTATED_SITES:
            raise InputError(
                f"{source}: the basis {basis[:40]} rotates {rotated} of {len(basis)} sites, and a "
                f"shot would be a sum of 2^{rotated} amplitudes; above 16 sites bases may have at "
                f"most {ROTATED_SITES} letters other than Z: measure in such bases, or leave these "
                "shots out"
            )


def expand(bits: NDArray[np.uint8], basis: str) -> tuple[NDArray[np.uint8], Complex128]:
    """Return the states whose amplitudes make up those of shots in one basis, and their factors.

    With k letters other than Z, A(x) = sum_s factor[x, s] psi(states[x, s]) has 2^k terms.

    Args:
        bits: outcomes x, [shot, site].
        basis: one letter per site.

    Returns:
        States [shot, 2^k, site] and factors [shot, 2^k].

    Raises:
        InputError: more than 8 letters are not Z, or their number is not that of the sites.
    """
    letters = letters_of([basis])[0]
    if len(letters) != bits.shape[1]:
        raise InputError(
            f"bases: {basis!r} has {counted(len(letters), 'letter')}, but the shots have "
            f"{counted(bits.shape[1], 'site')}"
        )
    sites = np.flatnonzero(letters != ord("Z"))
    if len(sites) > ROTATED_SITES:
        raise InputError(
            f"bases: sums over rotated sites are limited to {ROTATED_SITES} letters other than Z, "
            f"found {len(sites)} in {basis!r}; measure in bases of fewer"
        )
    terms = ((np.arange(1 << len(sites))[:, None] >> np.arange(len(sites))) & 1).astype(np.uint8)
    states = np.repeat(bits[:, None], len(terms), axis=1)
    states[:, :, sites] = terms
    signs = bits[:, sites].astype(np.int64) @ terms.T.astype(np.int64)
    turns = terms[:, letters[sites] == ord("Y")].sum(axis=1, dtype=np.int64)
    factors = np.array([1, -1j, -1, 1j])[(2 * signs + turns) % 4]
    return states, factors * 2.0 ** (-0.5 * len(sites))


def _copies(vectors: Complex128, letters: NDArray[np.uint8]) -> Complex128:
    """Return one vector for each basis, a copy, normalised for the sums that follow."""
    bases, sites = letters.shape
    if np.shape(vectors) not in ((1 << sites,), (bases, 1 << sites)):
        raise InputError(
            f"vectors: must have 2^N amplitudes for N = {sites} letters of a basis, that is shape "
            f"({1 << sites},) or ({bases}, {1 << sites}), found {np.shape(vectors)}"
        )
    scale = 2.0 ** (-0.5 * (letters != ord("Z")).sum(axis=1))
    return np.asarray(vectors, np.complex128) * scale[:, None]


def _rotated_sites(
    letters: NDArray[np.uint8],
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield each site that a basis rotates, these bases, and which of them have Y there."""
    for site, column in enumerate(letters.T):
        rows = np.flatnonzero(column != ord("Z"))
        if len(rows):
            yield site, rows, column[rows] == ord("Y")


def _sums_and_differences(part: Complex128) -> Complex128:
    """Return (zero + one, zero - one) of axis 2, as [basis, 2^N]."""
    both = np.empty_like(part)
    np.add(part[:, :, 0], part[:, :, 1], out=both[:, :, 0])
    np.subtract(part[:, :, 0], part[:, :, 1], out=both[:, :, 1])
    return both.reshape(len(part), -1)
