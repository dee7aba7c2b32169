"""Sums of Pauli strings in the notation of papers: "X0 X3", "0.5 sum_i Z_i Z_{i+1} - X_2".

The grammar, with blanks anywhere between its parts:

    sum    = [sign] term { sign term }            sign = "+" | "-"
    term   = [number ["*"]] ["sum_i" ["(-1)^i"]] { letter site }
    letter = "X" | "Y" | "Z"
    site   = digits | "_" digits | "_i" | "_{" index "}"
    index  = digits | "i" | "i+" digits | "i-" digits

Sites count from 0. `sum_i` applies to its own term and is over all i from 0 to N - 1 for which all
sites of the term exist (open ends); (-1)^i is +1 on site 0. A number alone is a multiple of the
identity. Text with brackets, "-1.0 [Z0 Z1] + 0.5 [X0]", is read as OpenFermion prints it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Hamiltonian
from psiprune.states.pauli_terms import text_terms

_SIGN = re.compile(r"\s*([+-])\s*")
#: A plain number, with j if imaginary, or a complex number in parentheses.
_NUMBER = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?j?|\((?!-1\)\^)[^()]*\))\s*\*?")
_SUM = re.compile(r"\s*sum_i(?![A-Za-z0-9_{])\s*\*?")
_ALTERNATING = re.compile(r"\s*\(-1\)\^i\b\s*\*?")
_LETTER = re.compile(r"\s*([A-Za-z])(?:(\d+)|_(\d+|i)(?![A-Za-z0-9_])|_\{\s*([^{}]*?)\s*\})\s*\*?")
#: Z_i+1 without braces is more likely a slip than Z_i plus 1.
_SLIP = re.compile(r"\s*[A-Za-z]_i[+-]\d")
_INDEX = re.compile(r"(\d{1,9})|i(?:\s*([+-])\s*(\d{1,9}))?")
_FORM = "must be Pauli strings such as 'X0 X3' or '0.5 sum_i Z_i Z_{i+1} - X_2'"
#: Characters of text in a message.
_SHOWN = 40


class _Site(NamedTuple):
    """A site: `offset`, relative to i if `moving`."""

    offset: int
    moving: bool

    def at(self, i: int) -> int:
        return self.offset + i * self.moving


class _Term(NamedTuple):
    """A term of the sum before i is replaced by numbers."""

    text: str
    coefficient: float
    summed: bool
    alternating: bool
    letters: list[tuple[str, _Site]]


def pauli_sum(text: str, sites: int) -> Hamiltonian:
    """Return the sum of Pauli strings that a text stands for, on this number of sites.

    Raises:
        InputError: the text has another form, a coefficient is not a real number, a letter is
            unknown, a site is out of range or occurs twice in a string, or nothing remains.

    Examples:
        >>> pauli_sum("sum_i Z_i Z_{i+1} - 0.5 X0", 3)
        Hamiltonian(sites=3, terms=3: 1.0 [Z0 Z1] + -0.5 [X0] + 1.0 [Z1 Z2])
    """
    try:
        if "[" in text:
            terms = text_terms(text, "terms")
            return Hamiltonian([(_real(value), letters) for _, value, letters in terms], sites)
        strings = [string for term in _terms(text) for string in _strings(term, sites)]
        return Hamiltonian(strings, sites)
    except InputError as error:
        raise InputError(f"observable: {_shown(text)!r}: {error}") from None


def _terms(text: str) -> Iterator[_Term]:
    """Yield the terms of a sum."""
    position, first = 0, True
    while first or position < len(text):
        start, factor = position, 1.0
        if sign := _SIGN.match(text, position):
            factor, position = float(f"{sign[1]}1"), sign.end()
        elif not first:
            raise InputError(_unknown(text[position:]))
        first, number = False, None
        if number := _NUMBER.match(text, position):
            factor, position = factor * _real(_number(number[1])), number.end()
        if summed := _SUM.match(text, position):
            position = summed.end()
        if alternating := _ALTERNATING.match(text, position):
            position = alternating.end()
        letters = []
        while letter := _LETTER.match(text, position):
            if _SLIP.match(text, position):
                raise InputError(
                    f"{letter[0].strip()} is followed by a sign without a blank; write "
                    f"{letter[1]}_{{i+1}} for the next site, or put blanks around the sign"
                )
            letters.append((_pauli(letter[1]), _site(letter)))
            position = letter.end()
        moving = any(site.moving for _, site in letters) or alternating is not None
        if summed is None and moving:
            raise InputError(
                f"{text[start:position].strip()[:_SHOWN]!r} has i without sum_i; begin each term "
                "over i with sum_i"
            )
        if summed is not None and not any(site.moving for _, site in letters):
            raise InputError("sum_i needs a site with i after it, such as Z_i")
        if not letters and number is None:
            raise InputError(_unknown(text[position:]))
        yield _Term(
            text[start:position].strip(),
            factor,
            summed is not None,
            alternating is not None,
            letters,
        )


def _strings(term: _Term, sites: int) -> Iterator[tuple[float, dict[int, str]]]:
    """Yield the Pauli strings of a term with their coefficients."""
    for _, site in term.letters:
        if not site.moving and site.offset >= sites:
            raise InputError(
                f"sites must be from 0 to {sites - 1}, found {site.offset}; sites count from 0"
            )
    found = False
    for i in range(sites) if term.summed else [0]:
        places = [site.at(i) for _, site in term.letters]
        if not all(0 <= place < sites for place in places):
            continue
        found = True
        if len(set(places)) < len(places):
            twice = next(place for place in places if places.count(place) > 1)
            raise InputError(
                f"{term.text[:_SHOWN]!r} has site {twice} twice; multiply the letters of one site"
            )
        sign = -1.0 if term.alternating and i % 2 else 1.0
        yield sign * term.coefficient, dict(zip(places, [p for p, _ in term.letters], strict=True))
    if not found:
        raise InputError(
            f"{term.text[:_SHOWN]!r} fits nowhere on {sites} sites; use smaller distances"
        )


def _number(written: str) -> complex:
    """Return a coefficient; 2j and (1+2j) are read only to say that they are not allowed."""
    try:
        return complex(written.strip("()").replace(" ", ""))
    except ValueError:
        raise InputError(
            f"parentheses may only hold a number, found {_shown(written)!r}; write the terms one "
            "by one"
        ) from None


def _real(value: complex) -> float:
    if value.imag or not math.isfinite(value.real):
        raise InputError(
            f"coefficients must be finite and real, as an observable is Hermitian, found {value}; "
            "give the real and the imaginary part as two observables"
        )
    return value.real


def _pauli(letter: str) -> str:
    if letter not in "XYZ":
        raise InputError(f"letters must be X, Y or Z, found {letter!r}; write n as 0.5 - 0.5 Z")
    return letter


def _site(letter: re.Match[str]) -> _Site:
    written = letter[2] or letter[3] or letter[4]
    index = _INDEX.fullmatch(written)
    if index is None:
        raise InputError(f"a site must be a number, i, i+1 or i-1, found {_shown(written)!r}")
    if index[1] is not None:
        return _Site(int(index[1]), False)
    return _Site(int(f"{index[2]}{index[3]}") if index[2] else 0, True)


def _unknown(rest: str) -> str:
    return f"{_FORM}, found {_shown(rest.strip())!r}"


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
