"""Sums of Pauli strings as users write them: labels, lists, text, operators of other packages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Complex
from typing import Any, Protocol

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.states.pauli_text import Letters, Term, text_terms


class QubitOperator(Protocol):
    """An operator of OpenFermion."""

    @property
    def terms(self) -> Mapping[tuple[tuple[int, str], ...], complex]:
        """The coefficient of each string, ((0, "Z"), (1, "Z"))."""
        ...


class TenpyModel(Protocol):
    """A finite model of TeNPy on spins 1/2, such as XXZChain."""

    @property
    def H_MPO(self) -> Any:
        """The Hamiltonian as a matrix product operator."""
        ...


class PauliList(Protocol):
    """An operator of Qiskit, such as SparsePauliOp."""

    def to_list(self) -> list[tuple[str, complex]]:
        """Return (label, coefficient) of each string; the last letter of a label is qubit 0."""
        ...


#: What `Hamiltonian` takes.
Terms = (
    Mapping[str, float]
    | Sequence[tuple[float, Letters]]
    | PauliList
    | QubitOperator
    | TenpyModel
    | str
)
#: Characters of text in a message.
_SHOWN = 40


def terms_of(given: Terms, sites: int | None = None) -> tuple[int | None, Iterator[Term]]:
    """Return the number of sites, None if it is not fixed, and the terms, not yet checked.

    `sites` is N if it is known, over which text may sum.

    Raises:
        InputError: what is given has none of the forms of `Hamiltonian`.
    """
    if isinstance(given, str):
        return None, text_terms(given, "terms", sites)
    if isinstance(given, Mapping):
        return _labelled(list(given.items()))
    if hasattr(given, "H_MPO"):
        from psiprune.states.tenpy_terms import tenpy_strings

        sites, found = tenpy_strings(given)
        return sites, (
            (f"terms: {' '.join(f'{letter}{i}' for i, letter in key)}", value, dict(key))
            for key, value in found.items()
        )
    strings = getattr(given, "terms", None)
    if isinstance(strings, Mapping):  # a QubitOperator of OpenFermion
        return None, _listed([(value, dict(key)) for key, value in strings.items()])
    if hasattr(given, "to_list"):  # Qiskit writes qubit 0 last
        return _labelled([(label[::-1], value) for label, value in given.to_list()])
    if not isinstance(given, Sequence):
        raise InputError(
            "terms: must be labels with coefficients {'ZZI': -1.0}, a list of (coefficient, "
            "{site: letter}), text, or an operator of Qiskit, OpenFermion or TeNPy, found "
            f"{type(given).__name__}"
        )
    return None, _listed(given)


def _labelled(terms: list[tuple[str, Any]]) -> tuple[int | None, Iterator[Term]]:
    sites = len(terms[0][0]) if terms else None
    for label, _ in terms:
        if len(label) != sites:
            raise InputError(
                f"terms: all labels must have a letter for each site, found {terms[0][0]!r} and "
                f"{label!r}; write I for the identity"
            )
    return sites, ((f"terms: {label}", value, dict(enumerate(label))) for label, value in terms)


def _listed(terms: Sequence[Any]) -> Iterator[Term]:
    for number, term in enumerate(terms):
        place = f"terms: entry {number}"
        if not isinstance(term, Sequence) or len(term) != 2 or not isinstance(term[1], Mapping):
            raise InputError(
                f"{place}: must be (coefficient, {{site: letter}}), found {str(term)[:_SHOWN]}"
            )
        letters = term[1].items()
        yield place, term[0], {int(i) if isinstance(i, np.integer) else i: p for i, p in letters}


def real_coefficient(value: Any, place: str) -> float:
    """Return a coefficient as a float.

    Raises:
        InputError: it is not a finite real number, so the sum is not Hermitian.
    """
    number = complex(value) if isinstance(value, Complex) else complex("nan")
    if isinstance(value, bool) or number.imag != 0 or not math.isfinite(number.real):
        raise InputError(
            f"{place}: the coefficient must be a finite real number, as H is Hermitian, found "
            f"{value!r}"
        )
    return number.real


def masks(letters: Letters, sites: int, place: str) -> tuple[int, int]:
    """Return the bits of the sites that a string flips (X, Y) and whose signs it takes (Z, Y).

    Raises:
        InputError: a site is not from 0 to N - 1, or a letter is not I, X, Y or Z.
    """
    flips = signs = 0
    for site, letter in letters.items():
        if not isinstance(site, int) or not 0 <= site < sites:
            raise InputError(
                f"{place}: sites must be integers from 0 to {sites - 1}, found {site!r}; more need "
                "a larger `sites`"
            )
        if letter not in ("I", "X", "Y", "Z"):
            raise InputError(f"{place}: letters must be I, X, Y or Z, found {letter!r}")
        flips |= (letter in "XY") << site
        signs |= (letter in "YZ") << site
    return flips, signs
