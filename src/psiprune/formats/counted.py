"""Counts as text: a bit string and its number of shots in each line, `0101,12`.

Such a line is told apart from a shot by its first value, a bit string, beside one whole number. It
does not tell which end of the string is site 0, so that has to be said by `order`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from psiprune.formats.reading import Reading, ReadSettings, bits_of_strings, expand_counts
from psiprune.inputs import InputError

_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_BITS = re.compile(r"[01]+")


def is_counted(values: list[str]) -> bool:
    """Whether the values of a line are a bit string and a count, and no bits of a shot."""
    if len(values) != 2 or not _BITS.fullmatch(values[0]) or not values[1].isdecimal():
        return False
    return len(values[0]) > 1 or values[1] not in ("0", "1")


def read_counted(
    lines: Iterable[tuple[int, list[str]]], path: Path, named: bool, settings: ReadSettings
) -> Reading:
    """Each bit string as often as it was counted.

    Args:
        lines: number and values of each line.
        path: of the file, for messages.
        named: whether a header names two columns, so that the second is a number and not bits.
        settings: of which `order` must be given.

    Raises:
        InputError: a line is not a bit string and a count, all counts might be bit strings as well,
            a bit string stands twice, or `order` is not given.
    """
    outcomes: dict[str, int] = {}
    plain = True
    for number, values in lines:
        if len(values) != 2 or not _BITS.fullmatch(values[0]) or not _COUNT.fullmatch(values[1]):
            raise InputError(
                f"{path}: line {number}: must be a bit string and its count such as 0101,12, as "
                f"the lines before, found {' '.join(values)[:40]!r}"
            )
        if values[0] in outcomes:
            raise InputError(
                f"{path}: line {number}: {values[0][:60]} stands twice; add its counts up"
            )
        outcomes[values[0]] = int(values[1])
        plain = plain and not values[1].strip("01")
    if plain and not named:
        raise InputError(
            f"{path}: lines of two strings of 0 and 1, which may be two registers or a bit string "
            "and a count; write a header line bitstring,count above counts, or join the registers"
        )
    if settings.order is None:
        raise InputError(
            f"{path}: counts of bit strings do not tell which end is site 0; say --order listed "
            "(the first character) or --order reversed (the last, as Qiskit writes them)"
        )
    bits = bits_of_strings(list(outcomes), str(path))
    order = "site 0 is the first character of a bit string"
    return Reading(expand_counts(bits, outcomes.values(), str(path)), order)
