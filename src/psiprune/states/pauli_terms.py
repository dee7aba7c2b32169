"""Sums of Pauli strings as users write them: labels, lists, text, operators of other packages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Complex
from typing import Any, Protocol

import numpy as np

from psiprune.core.exceptions import InputError


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


Letters = Mapping[int, str]
#: What `Hamiltonian` takes.
Terms = (
    Mapping[str, float]
    | Sequence[tuple[float, Letters]]
    | PauliList
    | QubitOperator
    | TenpyModel
    | str
)
#: Where a term was found, its coefficient, and the letter of each site.
Term = tuple[str, Any, Letters]

_FORM = "must be terms such as -1.0 [Z0 Z1] + 0.5 [X0]"
_BREAK = "\n"
_TEXT_LETTER = re.compile(r"([A-Za-z])(\d{1,9})")
#: Characters of text in a message.
_SHOWN = 40


def terms_of(given: Terms) -> tuple[int | None, Iterator[Term]]:
    """Return the number of sites, None if it is not fixed, and the terms, not yet checked.

    Raises:
        InputError: what is given has none of the forms of `Hamiltonian`.
    """
    if isinstance(given, str):
        return None, text_terms(given, "terms")
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


def text_terms(text: str, source: str) -> Iterator[Term]:
    """Yield the terms of a text as OpenFermion prints it: "-1.0 [Z0 Z1] + 0.5 [X0]".

    Sites count from 0; [] is the identity. Lines may break anywhere, and # begins a comment.

    Raises:
        InputError: with the line, a coefficient is missing or no number, a letter has no site, a
            site occurs twice in a string, or something stands outside the terms.
    """
    *pieces, rest = re.sub("#.*", "", text).split("]")
    line = 1
    for piece in pieces:
        before, bracket, inside = piece.partition("[")
        place = f"{source}: line {line + before.count(_BREAK)}"
        line += piece.count(_BREAK)
        if not bracket or "[" in inside:
            raise InputError(f"{place}: {_FORM}, found {piece.strip()[:_SHOWN]!r}")
        written, string = "".join(before.split()), " ".join(inside.split())
        try:
            value = complex(written.removeprefix("+"))
        except ValueError:
            raise InputError(
                f"{place}: must have a number before [{string[:_SHOWN]}], found"
                f" {written[:_SHOWN]!r}"
            ) from None
        yield place, value, _letters(string, place)
    last = rest.strip().removeprefix("+").strip()
    if last or not pieces:
        line += rest[: rest.index(last)].count(_BREAK)
        raise InputError(f"{source}: line {line}: {_FORM}, found {last[:_SHOWN]!r}")


def _letters(string: str, place: str) -> dict[int, str]:
    """Return the letters of "Z0 Z1" by site."""
    letters: dict[int, str] = {}
    for word in string.split():
        letter = _TEXT_LETTER.fullmatch(word)
        if letter is None:
            raise InputError(
                f"{place}: must have a letter X, Y or Z with a site, such as Z0, found "
                f"{word[:_SHOWN]!r}"
            )
        site = int(letter[2])
        if site in letters:
            raise InputError(
                f"{place}: has site {site} twice in [{string[:_SHOWN]}]; multiply the letters of"
                " one site"
            )
        letters[site] = letter[1]
    return letters


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
