"""The ways out that a refusal names: formats and options, as a user would take them."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from typing import NamedTuple

_FLAGS = ("--modulus", "--spin")  # options without a value
_BETWEEN = re.compile(r", such as |,? or (?=with |import |--)|, (?=--)")
_FORMAT = re.compile(r"\bas (cirq|text|qucumber-psi|qucumber|qiskit)\b")


class Way(NamedTuple):
    """A format, if another than the one refused, and options to add to the command."""

    form: str | None
    options: list[str]


def ways_out(message: str, number: int | None = None) -> list[Way]:
    """Return each way out that a message names after its first semicolon; `number` stands for N.

    An option is followed by its value, --key by all words of its clause, and one that "with" joins
    to another belongs to one way.
    """
    advice = re.sub(r" \([a-z_]+=[^)]*\)", "", message.partition("; ")[2])
    ways = []
    for clause in _BETWEEN.split(advice):
        form = _FORMAT.search(clause)
        words = [word.rstrip(",") for word in shlex.split(clause.replace(";", " "))]
        options: list[str] = []
        for place, word in enumerate(words):
            values = [*takewhile(lambda value: not value.startswith("--"), words[place + 1 :])]
            values = values if word == "--key" else values[:1]
            if word in _FLAGS:
                options.append(word)
            elif word.startswith("--") and values and values[0] not in ("with", "and"):
                options += [word, *(str(number) if value == "N" else value for value in values)]
        if options or form:
            ways.append(Way(form[1] if form else None, options))
    return ways
