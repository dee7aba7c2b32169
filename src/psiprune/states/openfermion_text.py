"""Sums of Pauli strings as OpenFermion prints them: "-1.0 [Z0 Z1] + 0.5 [X0]"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from psiprune.core.exceptions import InputError

Letters = Mapping[int, str]
#: Where a term was found, its coefficient, and the letter of each site.
Term = tuple[str, Any, Letters]

_FORM = "must be terms such as -1.0 [Z0 Z1] + 0.5 [X0]"
_BREAK = "\n"
_TEXT_LETTER = re.compile(r"([A-Za-z])(\d{1,9})")
#: Characters of text in a message.
_SHOWN = 40


def bracket_terms(text: str, source: str) -> Iterator[Term]:
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
