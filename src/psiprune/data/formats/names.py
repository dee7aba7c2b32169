"""Names of parts of a file and of columns: chosen by `key`, compared by their numbers."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import short

_NUMBERED = re.compile(r"([^0-9]*)([0-9]+)(.*)", re.DOTALL)  # matches a reversed name


def choose(
    names: Sequence[str], wanted: Sequence[str], what: str, place: str, before: Sequence[str] = ()
) -> list[str]:
    """Return the wanted names in the order wanted; if none is wanted, the only one there is.

    '*' matches any characters; its matches come in natural order, q2 before q10. `before` are keys
    that have chosen the part of the file with these names.

    Raises:
        InputError: none is wanted but there are several, or one is missing or wanted twice.
    """
    listed = ", ".join(map(short, names[:12])) + (", ..." if len(names) > 12 else "")
    if not wanted:
        if len(names) == 1:
            return list(names)
        example = f", such as --key {shlex.join([*before, names[0][:60]])}" if names else ""
        raise InputError(
            f"{place}: holds {len(names)} {what}s: {listed}; choose by --key (key=...){example}"
        )
    chosen: list[str] = []
    for wish in wanted:
        pattern = re.compile(".*".join(map(re.escape, wish.split("*"))), re.DOTALL)
        matches = [wish] if wish in names else sorted(filter(pattern.fullmatch, names), key=natural)
        if not matches:
            raise InputError(f"{place}: key: there is no {what} {short(wish)}; it has {listed}")
        chosen += matches
    if len(set(chosen)) < len(chosen):
        twice = short(next(name for name, count in Counter(chosen).items() if count > 1))
        raise InputError(f"{place}: key: the {what} {twice} is chosen twice; name it once")
    return chosen


def choose_one(
    names: Sequence[str], wanted: Sequence[str], what: str, place: str, before: Sequence[str] = ()
) -> str:
    """Return the one name that `choose` finds; raise `InputError` if it finds several."""
    chosen = choose(names, wanted, what, place, before)
    if len(chosen) > 1:
        raise InputError(
            f"{place}: key: takes one {what} at a time, found {len(chosen)}; import them one by one"
        )
    return chosen[0]


def refuse_key(wanted: Sequence[str], what: str, place: str) -> None:
    """Raise `InputError` if a key is given for content that has no parts to choose from."""
    if wanted:
        raise InputError(f"{place}: key: {what} has nothing to choose from; leave out --key")


def in_order(names: Sequence[str]) -> bool:
    """Whether names that differ only in their last number, such as q0 and q1, rise by it.

    True also if they differ otherwise: such names imply no order.
    """
    # Backwards, each group ends at a character that it cannot hold, so the time is linear.
    matches = [_NUMBERED.fullmatch(name[::-1]) for name in names]
    stems = {(match[3], match[1]) if match else None for match in matches}
    if len(stems) != 1 or None in stems:
        return True
    values = [_number_key(match[2][::-1]) for match in matches if match]
    return all(a < b for a, b in pairwise(values))


def rising(values: NDArray[Any]) -> bool:
    """Whether a coordinate rises: numbers by value, names as in `in_order`."""
    if values.dtype.kind in "iuf":
        return bool((values[1:] > values[:-1]).all())
    return in_order([str(value) for value in values.tolist()])


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key in which the digits of a name count as numbers."""
    pieces = re.split(r"([0-9]+)", name)
    return [_number_key(piece) if k % 2 else (0, piece) for k, piece in enumerate(pieces)]


def _number_key(digits: str) -> tuple[int, str]:
    """Return what sorts like the number; Python refuses to parse thousands of digits."""
    significant = digits.lstrip("0")
    return len(significant), significant
