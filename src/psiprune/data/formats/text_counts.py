"""Text with a bit string and its count in each line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import ParsedShots
from psiprune.data.formats.bits import bits_of_strings, check_qubits, expand_counts
from psiprune.data.formats.settings import ReadSettings

_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_BITS = re.compile(r"[01]+")


def is_counted(values: list[str]) -> bool:
    """Whether the values of a line are a bit string and a count, not the bits of a shot."""
    if len(values) != 2 or not _BITS.fullmatch(values[0]) or not values[1].isdecimal():
        return False
    return len(values[0]) > 1 or values[1] not in ("0", "1")


def read_counts(
    lines: Iterable[tuple[int, list[str]]], path: Path, named: bool, settings: ReadSettings
) -> ParsedShots:
    """Repeat each bit string as often as it was counted.

    Args:
        lines: number and values of each line.
        path: of the file, for messages.
        named: whether a header names two columns, so that the second is a number, not bits.
        settings: of which `order` must be given.

    Raises:
        InputError: a line is not a bit string and a count, all counts could be bit strings too,
            a bit string occurs twice, or `order` is not given.
    """
    counts: dict[str, int] = {}
    plain = True
    for number, values in lines:
        if len(values) != 2 or not _BITS.fullmatch(values[0]) or not _COUNT.fullmatch(values[1]):
            raise InputError(
                f"{path}: line {number}: must be a bit string and its count such as 0101,12, like "
                f"the lines before, found {' '.join(values)[:40]!r}"
            )
        if values[0] in counts:
            raise InputError(
                f"{path}: line {number}: {values[0][:60]} occurs twice; add up its counts"
            )
        counts[values[0]] = int(values[1])
        plain = plain and not values[1].strip("01")
    if plain and not named:
        raise InputError(
            f"{path}: lines of two strings of 0 and 1 may be two registers or a bit string and a "
            "count; write a header line bitstring,count above counts, or join the registers"
        )
    if settings.order not in ("listed", "reversed"):
        raise InputError(
            f"{path}: counts of bit strings do not show which end is site 0; give --order listed "
            "(the first character) or --order reversed (the last, as Qiskit writes them)"
        )
    bits = bits_of_strings(list(counts), str(path))
    check_qubits(settings.qubits, bits.shape[1], str(path))
    order = "site 0 is the first character of a bit string"
    return ParsedShots(expand_counts(bits, counts.values(), str(path)), order)
