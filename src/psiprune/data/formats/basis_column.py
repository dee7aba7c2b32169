"""Text in which each line holds the basis of its shot beside the bits: `0101 ZZXY`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.formats.base import SourceFile
from psiprune.data.formats.bases import ACCEPTED, CAPITALS
from psiprune.data.formats.lines import numbered_lines


class SplitText(NamedTuple):
    """A text file without its columns of letters, and what these hold.

    Attributes:
        bits: the file with the same line numbers.
        names: the basis of each shot.
        lines: the line of each shot.
    """

    bits: SourceFile
    names: list[str]
    lines: list[int]

    def check(self, shots: int, sites: int) -> None:
        """Raise `InputError` unless there is a letter for each bit of each shot."""
        for number, name in zip(self.lines, self.names, strict=True):
            if len(name) != sites:
                raise InputError(
                    f"{self.bits.path}: line {number} has a basis of "
                    f"{counted(len(name), 'letter')}, but {counted(sites, 'bit')}; "
                    "give a letter for each bit"
                )
        if shots != len(self.names):
            raise InputError(
                f"{self.bits.path}: lines of counts cannot hold bases; write a line for each shot, "
                "or a file of counts for each basis, with --bases"
            )


def split_bases(
    file: SourceFile,
    skip: int,
    split: Callable[[str], list[str]],
    header: Callable[[str], bool],
    is_word: Callable[[str], bool],
) -> SplitText | None:
    """Separate the columns of letters of a text file; None if the first shot has no words.

    Args:
        file: the file.
        skip: lines to skip at the top.
        split: returns the values of a line.
        header: whether a line is one of names.
        is_word: whether a value is neither a number nor one of its names, such as nan.

    Raises:
        InputError: a line has other letters than X, Y, Z and I in these columns, or lacks them.
    """
    lines = iter(numbered_lines(file, skip))
    first = next(lines, None)
    if first is None:
        return None
    top = [first]
    named = header(first[1])
    if named and (shot := next(lines, None)) is not None:
        top.append(shot)
    columns = [k for k, value in enumerate(split(top[-1][1])) if is_word(value)]
    values = split(top[-1][1])
    if not columns or len(columns) == len(values) or (named and len(top) == 1):
        return None
    names, numbers, rest = [], [], [""] * (top[-1][0] - 1)
    for number, line in (*top, *lines):
        values = split(line)
        letters = [values[k] if k < len(values) else "" for k in columns]
        if not named or number != first[0]:
            for k, letter in zip(columns, letters, strict=True):
                if not letter or letter.strip(ACCEPTED):
                    raise InputError(
                        f"{file.path}: line {number}, column {k + 1}: a basis must be of letters "
                        f"{CAPITALS}, found {letter[:40]!r}"
                    )
            names.append("".join(letters).replace("I", "Z"))
            numbers.append(number)
        rest += [""] * (number - len(rest))
        kept = [value for k, value in enumerate(values) if k not in columns]
        mark = next((mark for mark in ",;" if mark in line), " ")
        rest[number - 1] = mark.join(kept)
    return SplitText(SourceFile(file.path, "\n".join(rest).encode()), names, numbers)
