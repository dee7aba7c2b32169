"""Sums of Pauli strings in the notation of papers: "X0 X3", "0.5 sum_i Z_i Z_{i+1} - X_2".

The grammar, with blanks anywhere between its parts:

    sum    = [sign] term { sign term }            sign = "+" | "-"
    term   = [number ["*"]] ["sum_i" ["(-1)^i"]] { letter site }
    letter = "X" | "Y" | "Z"
    site   = digits | "_" digits | "_i" | "_{" index "}"
    index  = digits | "i" | "i+" digits | "i-" digits

Sites count from 0. `sum_i` applies to its own term and is over all i from 0 to N - 1 for which all
sites of the term exist (open ends); (-1)^i is +1 on site 0. A number alone is a multiple of the
identity. Text with brackets, "-1.0 [Z0 Z1] + 0.5 [X0]", is read as OpenFermion prints it. There
lines may break anywhere, here not between the letters of a term. # begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.states.openfermion_text import Letters, Term, bracket_terms

__all__ = ["Letters", "Term", "text_terms"]

_SIGN = re.compile(r"\s*([+-])\s*")
#: A plain number, with j if imaginary, or a complex number in parentheses.
_NUMBER = re.compile(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?j?|\((?!-1\)\^)[^()]*\))\s*\*?")
_SUM = re.compile(r"\s*sum_i(?![A-Za-z0-9_{])\s*\*?")
_ALTERNATING = re.compile(r"\s*\(-1\)\^i\b\s*\*?")
_LETTER = re.compile(r"\s*([A-Za-z])(?:(\d+)|_(\d+|i)(?![A-Za-z0-9_])|_\{\s*([^{}]*?)\s*\})\s*\*?")
_BLANKS = re.compile(r"\s*")
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


class _Written(NamedTuple):
    """A term of the sum before i is replaced by numbers."""

    place: str
    text: str
    coefficient: complex
    summed: bool
    alternating: bool
    letters: list[tuple[str, _Site]]


def text_terms(text: str, source: str, sites: int | None = None) -> Iterator[Term]:
    """Yield the terms of a text in either notation.

    Args:
        text: of the sum.
        source: of the text, which begins messages.
        sites: N; needed for `sum_i` alone.

    Raises:
        InputError: the text has another form, a letter is unknown or has no site, a site occurs
            twice in a string, or in a sum is out of range.
    """
    text = re.sub("#.*", "", text)
    if not text.strip():
        raise InputError(f"{source}: is empty; write Pauli strings such as 'X0 X3 - 0.5 Z1'")
    if "[" in text or "]" in text:
        yield from bracket_terms(text, source)
        return
    for term in _terms(text, source):
        try:
            for value, letters in _strings(term, sites):
                yield term.place, value, letters
        except InputError as error:
            raise InputError(f"{term.place}: {error}") from None


def _terms(text: str, source: str) -> Iterator[_Written]:
    """Yield the terms of a sum."""
    begin = position = _blanks(text, 0)
    line = 1 + text.count("\n", 0, begin)
    while position == begin or position < len(text):
        place = f"{source}: line {line}"
        try:
            term, end = _term(text, position, position == begin, place)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        yield term
        line += text.count("\n", position, end)
        position = end


def _blanks(text: str, position: int) -> int:
    """Return where the blanks at a position end."""
    found = _BLANKS.match(text, position)
    return position if found is None else found.end()


def _term(text: str, start: int, first: bool, place: str) -> tuple[_Written, int]:
    """Return the term that begins at a position, and where it and the blanks after it end."""
    position, factor = start, complex(1.0)
    if sign := _SIGN.match(text, position):
        position = sign.end()
    elif not first:
        raise InputError(_unknown(text[position:]))
    if number := _NUMBER.match(text, position):
        factor, position = _number(number[1]), number.end()
    if sign is not None and sign[1] == "-":
        factor = -factor  # a product with -1 would make inf NaN
    if summed := _SUM.match(text, position):
        position = summed.end()
    if alternating := _ALTERNATING.match(text, position):
        position = alternating.end()
    letters: list[tuple[str, _Site]] = []
    last = position
    while letter := _LETTER.match(text, position):
        if letters and "\n" in text[last : letter.start(1)]:
            raise InputError(
                f"a line must begin with + or -, found {letter[0].strip()!r}; write the letters of "
                "a product in one line"
            )
        if _SLIP.match(text, position):
            raise InputError(
                f"{letter[0].strip()} is followed by a sign without a blank; write "
                f"{letter[1]}_{{i+1}} for the next site, or put blanks around the sign"
            )
        letters.append((_pauli(letter[1]), _site(letter)))
        last, position = letter.start(1), letter.end()
    written = text[start:position].strip()
    moving = any(site.moving for _, site in letters)
    if summed is None and (moving or alternating is not None):
        raise InputError(
            f"{written[:_SHOWN]!r} has i without sum_i; begin each term over i with sum_i"
        )
    if summed is not None and not moving:
        raise InputError("sum_i needs a site with i after it, such as Z_i")
    if not letters and number is None:
        raise InputError(_unknown(text[position:]))
    sums = summed is not None, alternating is not None
    return _Written(place, written, factor, *sums, letters), _blanks(text, position)


def _strings(term: _Written, sites: int | None) -> Iterator[tuple[complex, dict[int, str]]]:
    """Yield the Pauli strings of a term with their coefficients."""
    if sites is None:
        if term.summed:
            raise InputError(
                "sum_i needs the number of sites N; give sites=N, or --sites N on the command line"
            )
        sites = 1 + max((site.offset for _, site in term.letters), default=0)
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
        # A product of an infinite number with a sign would have an imaginary part.
        value = -term.coefficient if term.alternating and i % 2 else term.coefficient
        yield value, dict(zip(places, [p for p, _ in term.letters], strict=True))
    if not found:
        raise InputError(
            f"{term.text[:_SHOWN]!r} fits nowhere on {sites} sites; use smaller distances"
        )


def _number(written: str) -> complex:
    """Return a coefficient, which may be complex, such as (1+2j), for the caller to refuse."""
    try:
        return complex(written.strip("()").replace(" ", ""))
    except ValueError:
        raise InputError(
            f"parentheses may only hold a number, found {_shown(written)!r}; write the terms one "
            "by one"
        ) from None


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
