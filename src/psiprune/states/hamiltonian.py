"""Hamiltonians: real sums of Pauli strings, with their terms grouped by the sites that they flip.

A string is two integers: bit i of `flips` is set where site i has X or Y, bit i of `signs` where it
has Z or Y. With f = flips, s = signs and n the number of Y,

    <v xor f| string |v> = i^n (-1)^(number of 1 bits of s and v),

which is real if n is even. Bit 0 is Z = +1, bit 1 is Z = -1; configuration sum_i bit_i 2^i.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import CHAIN_SITES, DIAGONALISED_SITES, EXACT_SITES, PAULI_TERMS
from psiprune.core.repr import WIDTH
from psiprune.core.validation import check_count, check_number
from psiprune.data.shots import Shots
from psiprune.io.bytes import read_bytes
from psiprune.states.pauli_terms import Terms, masks, real_coefficient, terms_of
from psiprune.states.pauli_text import text_terms

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Index = NDArray[np.int64]
Float64 = NDArray[np.float64]
#: Coordinates of each site.
Positions = tuple[tuple[float, ...], ...]
#: Bytes of a file of terms. Memory: 64 MiB hold more terms than are allowed.
_MOST_BYTES = 1 << 26
#: Smallest distance of sites, in units of their extent: six digits of all distances are kept.
_CLOSEST = 1e-9
_NO_TERMS = "terms: needs at least one with a coefficient other than 0"


class PauliTerm(NamedTuple):
    """A Pauli string with its coefficient; see the module for `flips` and `signs`."""

    flips: int
    signs: int
    coefficient: float

    @property
    def letters(self) -> dict[int, str]:
        """The letter X, Y or Z of each site that has one."""
        both = self.flips | self.signs
        return {
            site: "-XZY"[(self.flips >> site & 1) | (self.signs >> site & 1) << 1]
            for site in range(both.bit_length())
            if both >> site & 1
        }

    @property
    def real_weight(self) -> float:
        """The coefficient times i^(number of Y), for an even number of Y."""
        return -self.coefficient if self._y % 4 == 2 else self.coefficient

    @property
    def weight(self) -> complex:
        """The coefficient times i^(number of Y)."""
        return self.coefficient * (1, 1j, -1, -1j)[self._y % 4]

    @property
    def is_real(self) -> bool:
        """Whether the matrix elements are real: the number of Y is even."""
        return self._y % 2 == 0

    @property
    def _y(self) -> int:
        return (self.flips & self.signs).bit_count()

    @property
    def string(self) -> str:
        """The string alone, such as [Z0 Z1]."""
        return f"[{' '.join(f'{letter}{site}' for site, letter in self.letters.items())}]"

    def __str__(self) -> str:
        """Return it as OpenFermion prints it: -1.0 [Z0 Z1]."""
        return f"{self.coefficient!r} {self.string}"


class Flip(NamedTuple):
    """All terms that flip the same sites.

    Attributes:
        flips: bits of the sites.
        signs: of each term.
        weights: the coefficient of each term times i^(number of Y).
    """

    flips: int
    signs: tuple[int, ...]
    weights: tuple[float, ...]

    def elements(self, index: Index) -> Float64:
        """Return <v xor flips| H |v> of configurations [v], which is that of v xor flips, too."""
        total = np.zeros(len(index))
        for signs, weight in zip(self.signs, self.weights, strict=True):
            total += weight * (1.0 - 2.0 * (np.bitwise_count(index & signs) & 1))
        return total


@dataclass(frozen=True, init=False, repr=False)
class Hamiltonian:
    """A sum of Pauli strings with real coefficients, on N sites.

    Equal sums are equal and have the same hash, however they were given; `h + other`, `2 * h` and
    `-h` are sums again.

    Args:
        terms: labels with coefficients, {"ZZI": -1.0}, the first letter for site 0; a list of
            (coefficient, {site: letter}); text such as "-Z0 Z1 + 0.5 X0", with `sites` also
            "-sum_i Z_i Z_{i+1}", or as OpenFermion prints it, "-1.0 [Z0 Z1] + 0.5 [X0]"; a
            SparsePauliOp of Qiskit, whose labels have qubit 0 last: qubit i is site i; a
            QubitOperator of OpenFermion; or a finite model of TeNPy on spins 1/2, up for bit 0.
        sites: N; needed only if the last sites have no letter and there are no labels.
        name: what messages and files call it.
        positions: of the sites, [site, axis], if they are not in a row; for observables by distance
            or wave vector.

    Attributes:
        sites: N.
        terms: the strings with coefficients other than 0, each once.
        name, positions: as given; they do not matter for equality.

    Raises:
        InputError: a coefficient is not a finite real number, a letter is unknown, a site is out of
            range, labels differ in length, there are no terms, or positions are not finite and
            different.

    Examples:
        >>> Hamiltonian({"ZZ": -1.0, "XI": -0.5, "IX": -0.5})
        Hamiltonian(sites=2, terms=3: -1.0 [Z0 Z1] + -0.5 [X0] + -0.5 [X1])
    """

    sites: int
    terms: tuple[PauliTerm, ...]
    name: str = field(compare=False)
    positions: Positions | None = field(compare=False)

    def __init__(
        self,
        terms: Terms,
        sites: int | None = None,
        *,
        name: str = "",
        positions: ArrayLike | None = None,
    ) -> None:
        """Check the terms, add up equal strings, and put them in order."""
        if sites is not None:
            sites = check_count("sites", sites, 2, CHAIN_SITES)
        length, listed = terms_of(terms, sites)
        given = list(listed)
        if not given:
            raise InputError(_NO_TERMS)
        if sites is None:
            whole = [site for _, _, letters in given for site in letters if isinstance(site, int)]
            sites = max(whole, default=-1) + 1 if length is None else length
            for place, _, letters in given:  # of which none gives a number of sites
                masks(letters, max(2, sites), place)
            if length is None and sites < 2:
                raise InputError(
                    "terms: have no site above 0, and two sites are the least; give sites=2, or "
                    "--sites 2 on the command line"
                )
        sites = check_count("sites", sites, 2, CHAIN_SITES)
        if length not in (None, sites):
            raise InputError(f"terms: labels must have {sites} letters, found {length}")
        found = [
            (*masks(letters, sites, place), real_coefficient(value, place))
            for place, value, letters in given
        ]
        places = None if positions is None else _checked_positions(positions, sites)
        self._fill(sites, found, name, places)

    def _fill(
        self,
        sites: int,
        terms: Iterable[tuple[int, int, float]],
        name: str,
        positions: Positions | None,
    ) -> None:
        sums: dict[tuple[int, int], float] = {}
        for flips, signs, coefficient in terms:
            sums[flips, signs] = sums.get((flips, signs), 0.0) + coefficient
        kept = tuple(PauliTerm(*key, value) for key, value in sorted(sums.items()) if value != 0)
        if not kept:
            raise InputError(_NO_TERMS)
        if len(kept) > PAULI_TERMS:
            raise InputError(
                f"terms: at most {PAULI_TERMS:,} fit in memory, found {len(kept):,}; use fewer "
                "sites, or interactions of shorter range"
            )
        for term in kept:
            if not math.isfinite(term.coefficient):
                raise InputError(
                    f"terms: the coefficient of {term.string} must be finite, found "
                    f"{term.coefficient}; give energies in other units"
                )
        for attribute, value in (
            *(("sites", sites), ("terms", kept)),
            *(("name", name), ("positions", positions)),
        ):
            object.__setattr__(self, attribute, value)

    def _like(self, terms: Iterable[tuple[int, int, float]]) -> Hamiltonian:
        """Return a nameless sum on the same sites, where they are."""
        made = object.__new__(Hamiltonian)
        made._fill(self.sites, terms, "", self.positions)
        return made

    def __repr__(self) -> str:
        """Return the number of sites and terms, and the first terms, in one line."""
        named = f"{self.name!r}, " if self.name else ""
        head = f"Hamiltonian({named}sites={self.sites}, terms={len(self.terms)}: "
        text, *more = map(str, self.terms)
        for term in more:
            text += f" + {term}"
            if len(head) + len(text) > WIDTH:
                break
        whole = f"{head}{text})"
        return whole if len(whole) <= WIDTH else f"{whole[: WIDTH - 4]}...)"

    def __str__(self) -> str:
        """Return all terms as OpenFermion prints them; `Hamiltonian` and a file take this text."""
        return " +\n".join(map(str, self.terms))

    def __add__(self, other: Hamiltonian) -> Hamiltonian:
        """Return the sum; raise `InputError` if the numbers of sites differ."""
        if not isinstance(other, Hamiltonian):
            return NotImplemented
        if other.sites != self.sites:
            raise InputError(
                f"sites: sums need equal numbers of sites, found {self.sites} and {other.sites}"
            )
        return self._like((*self.terms, *other.terms))

    def __mul__(self, factor: float) -> Hamiltonian:
        """Return the Hamiltonian times a real number other than 0."""
        scale = check_number("factor", factor, "a real number other than 0", lambda x: x != 0)
        return self._like(
            term._replace(coefficient=scale * term.coefficient) for term in self.terms
        )

    __rmul__ = __mul__

    def __neg__(self) -> Hamiltonian:
        """Return -H."""
        return -1.0 * self

    def __sub__(self, other: Hamiltonian) -> Hamiltonian:
        """Return the difference; raise `InputError` if the numbers of sites differ."""
        return self + -other

    @property
    def sha256(self) -> str:
        """The SHA-256 checksum of sites and terms."""
        return hashlib.sha256(f"{self.sites} sites: {self}".encode()).hexdigest()

    @property
    def offset(self) -> float:
        """The coefficient of the identity, tr H / 2^N."""
        flips, signs, coefficient = self.terms[0]
        return 0.0 if flips or signs else coefficient

    @property
    def is_even(self) -> bool:
        """Whether H commutes with prod X_i: each string has an even number of Z and Y."""
        return all(term.signs.bit_count() % 2 == 0 for term in self.terms)

    @cached_property
    def flips(self) -> tuple[Flip, ...]:
        """The terms by the sites that they flip; the diagonal, which flips none, comes first.

        Raises:
            InputError: a string has an odd number of Y, so H and its eigenvectors are complex.
        """
        for term in self.terms:
            if not term.is_real:
                raise InputError(
                    f"hamiltonian: {term.string} has an odd number of Y, so psi is complex, but "
                    "states here are real; turn the sites about z, X to Y and Y to -X"
                )
        found = []
        for flips, terms in groupby(self.terms, key=lambda term: term.flips):
            signs, weights = zip(*((term.signs, term.real_weight) for term in terms), strict=True)
            found.append(Flip(flips, signs, weights))
        return tuple(found)

    def rotated(self, sites: Iterable[int]) -> Hamiltonian:
        """Return Z H Z with a Z on each of these sites: their X and Y change sign."""
        turned = sum(1 << site for site in sites)
        return self._like(
            (flips, signs, -value if (flips & turned).bit_count() % 2 else value)
            for flips, signs, value in self.terms
        )

    def apply_hamiltonian(self, vector: NDArray[Any]) -> NDArray[Any]:
        """Return H |vector> for amplitudes over all 2^N configurations, shape [configuration].

        Raises:
            InputError: there are more than 20 sites, the length of the vector is not 2^N, or H is
                complex.
        """
        self._check_size(EXACT_SITES)
        if np.shape(vector) != (2**self.sites,):
            raise InputError(f"vector: must have shape ({2**self.sites},), found {vector.shape}")
        index = np.arange(2**self.sites)
        total = np.zeros(len(index), dtype=np.result_type(vector, np.float64))
        for flip in self.flips:
            total += flip.elements(index) * vector[index ^ flip.flips]
        return total

    def to_sparse(self) -> csr_array:
        """Return H as a sparse matrix [2^N, 2^N].

        Raises:
            InputError: there are more than 16 sites, or H is complex.
        """
        from scipy.sparse import csr_array

        self._check_size(DIAGONALISED_SITES)
        index = np.arange(2**self.sites)
        entries = np.concatenate([flip.elements(index) for flip in self.flips])
        columns = np.concatenate([index ^ flip.flips for flip in self.flips])
        rows = np.tile(index, len(self.flips))
        return csr_array((entries, (rows, columns)))

    def summary(self) -> dict[str, Any]:
        """Return what the provenance of shots has: name, sites, number of terms, checksum."""
        return {
            "hamiltonian": self.name or repr(self),
            "sites": self.sites,
            "terms": len(self.terms),
            "sha256": self.sha256,
        }

    def _check_size(self, most: int) -> None:
        if self.sites > most:
            raise InputError(
                f"sites: all 2^N configurations are limited to {most} sites here, found "
                f"{self.sites}; use ground_state"
            )


def positions_of(of: object) -> Positions | None:
    """Return the positions of the sites of a Hamiltonian or of shots; None where none are known."""
    if isinstance(of, Shots):
        return None if of.positions is None else tuple(map(tuple, of.positions.tolist()))
    return of.positions if isinstance(of, Hamiltonian) else None


def _checked_positions(given: ArrayLike, sites: int) -> Positions:
    try:
        table = np.asarray(given, np.float64)
    except (TypeError, ValueError):  # rows of different lengths, or no numbers
        raise InputError("positions: must be a table of numbers [site, axis]") from None
    if table.ndim != 2 or len(table) != sites or not table.size:
        raise InputError(
            f"positions: must have a row for each of {sites} sites, found shape {table.shape}"
        )
    if not np.isfinite(table).all():
        site = int((~np.isfinite(table)).any(axis=1).argmax())
        raise InputError(f"positions: must be finite, found {table[site].tolist()} for site {site}")
    from scipy.spatial import KDTree

    extent = float(np.ptp(table / 2, axis=0).max()) * 2  # of halves, which do not overflow
    if not 0 < extent < math.inf:
        raise InputError(f"positions: must span a finite extent, found {extent:g}")
    scaled = (table - table[0]) / extent
    distance, nearest = KDTree(scaled).query(scaled, k=[1, 2])  # a site and its nearest, or both
    if not (distance[:, 1] > _CLOSEST).all():
        site = int(distance[:, 1].argmin())
        other = next(int(k) for k in nearest[site] if k != site)
        raise InputError(
            f"positions: must all differ, by {_CLOSEST:g} of their extent, found "
            f"{table[site].tolist()} and {table[other].tolist()} for sites {site} and {other}"
        )
    places: Positions = tuple(map(tuple, table.tolist()))
    return places


def read_hamiltonian(path: str | os.PathLike[str], sites: int | None = None) -> Hamiltonian:
    """Read a Hamiltonian from a text file of terms such as -Z0 Z1 + 0.5 X0.

    Or as OpenFermion prints a QubitOperator, -1.0 [Z0 Z1] + 0.5 [X0], where [] is the identity.
    Sites count from 0, lines may break anywhere, and # begins a comment. With `sites` terms may be
    sums such as sum_i Z_i Z_{i+1}.

    Raises:
        InputError: the file cannot be read or is larger than 64 MiB, or as in `Hamiltonian`, with
            the line.
    """
    try:
        content = read_bytes(Path(path), _MOST_BYTES)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: must be UTF-8 text, found the byte {error.object[error.start]:#04x}; save it "
            "as UTF-8"
        ) from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path}: must have at most {_MOST_BYTES} bytes; use fewer terms")
    if sites is not None:
        sites = check_count("sites", sites, 2, CHAIN_SITES)
    listed = []
    for place, value, letters in text_terms(text, str(path), sites):
        masks(letters, CHAIN_SITES if sites is None else sites, place)
        listed.append((real_coefficient(value, place), letters))
    try:
        return Hamiltonian(listed, sites, name=Path(path).name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
