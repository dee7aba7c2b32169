"""What all formats share: a file, the settings, a reading, and strict parts to build it from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.io.bytes import read_bytes

#: Bits of one file, one byte each in memory: 1 GiB.
MOST_BITS = 1 << 30
#: Bytes of one file.
MOST_BYTES = 1 << 31
#: Shots and bits that counts may stand for. Of these a line of a file can claim any number, so they
#: are held lower: every step behind the reader takes a few bytes a shot and a bit once more.
MOST_COUNTED, MOST_COUNTED_BITS = 1 << 24, 1 << 28
_NUMBERED = re.compile(r"([^0-9]*)([0-9]+)(.*)", re.DOTALL)  # of a name that is read backwards
_PIECE = 1 << 22  # values that are checked at a time
SIGNS_HINT = (
    "; convert +1/-1 data by bits = (1 - z) // 2, as `psiprune import FORMAT FILE --spin` does"
)


@dataclass(frozen=True, eq=False)
class File:
    """A file's name and content, parsed once.

    Attributes:
        path: the name, for messages.
        content: all of its bytes.
    """

    path: Path
    content: bytes

    def check_unpacked(self) -> None:
        """Refuse a file that gzip has packed."""
        if self.content.startswith(b"\x1f\x8b"):
            raise InputError(f"{self.path}: is packed by gzip; unpack it first (gunzip)")

    @cached_property
    def text(self) -> str:
        """The content as UTF-8, not blank, or `InputError`."""
        if not self.content.strip():
            raise InputError(f"{self.path}: the file is empty; it needs at least one shot")
        self.check_unpacked()
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.path}: must be UTF-8 text, found the byte "
                f"{self.content[error.start]:#04x} at {error.start}; save it as UTF-8"
            ) from None

    @cached_property
    def json(self) -> Any:
        """The content as JSON without keys that stand twice, or `InputError`."""
        return parse_json(self.text, str(self.path))


@dataclass(frozen=True, eq=False)
class ParsedShots:
    """Shots as a format holds them, and what became of the rest.

    Attributes:
        bits: uint8 [shot, site], 0 or 1, read-only.
        order: what column 0 is in the words of the format, and what 1 means where that is not Z.
        dropped: how many shots were left out, by reason.
        notes: what else is worth keeping (keys, qubits, vacant sites), as JSON can hold it.
    """

    bits: NDArray[np.uint8]
    order: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def read_content(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file.

    Raises:
        InputError: it cannot be read, is empty, or larger than 2 GiB.
    """
    path = Path(path)
    try:
        content = read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES} bytes; split it, or pack it as .npz")
    if not content:
        raise InputError(f"{path}: the file is empty; it needs at least one shot")
    return content


def parse_json(text: str, place: str) -> Any:
    """JSON without keys that stand twice; `InputError` otherwise, with line and column."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{place}: the key {twice[:60]!r} stands twice in one JSON object")
        return found

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place}: not valid JSON, line {error.lineno}, column {error.colno}: {error.msg}; "
            "the file may be truncated"
        ) from None
    except RecursionError:
        raise InputError(f"{place}: JSON nested too deeply for a file of shots") from None
    except InputError:
        raise
    except ValueError:  # all that Python refuses beside is an integer of thousands of digits
        raise InputError(
            f"{place}: holds an integer of thousands of digits, which is no number of shots; the "
            "file may be damaged"
        ) from None


def part(value: Any, name: str, kind: type, place: str) -> Any:
    """The entry `name` of a JSON object, which must be of a kind; `InputError` if not."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        words = {dict: "an object", list: "a list", str: "a string", int: "an integer"}
        raise InputError(f"{place}: needs {words[kind]} named '{name}', found {brief(found)}")
    return found


def brief(value: Any) -> str:
    """A value in a few words for a message."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(map(_short, list(value)[:4])) or "nothing in it")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else _short(value)


def _short(value: Any) -> str:
    return repr(value)[:60]


def choose(names: Sequence[str], wanted: Sequence[str], what: str, place: str) -> list[str]:
    """The names that are wanted, in the order wanted; without a wish the only one there is.

    '*' stands for any characters; what it matches comes in natural order, q2 before q10.

    Raises:
        InputError: nothing is wanted among several, or something is not there or wanted twice.
    """
    listed = ", ".join(map(_short, names[:12])) + (", ..." if len(names) > 12 else "")
    if not wanted:
        if len(names) == 1:
            return list(names)
        raise InputError(
            f"{place}: holds {len(names)} {what}s: {listed}; choose by --key (key=...)"
        )
    chosen: list[str] = []
    for wish in wanted:
        form = re.compile(".*".join(map(re.escape, wish.split("*"))), re.DOTALL)
        found = [name for name in names if name == wish]
        found = found or sorted((name for name in names if form.fullmatch(name)), key=_natural)
        if not found:
            raise InputError(f"{place}: key: there is no {what} {_short(wish)}; it has {listed}")
        chosen += found
    if len(set(chosen)) < len(chosen):
        twice = next(name for name in chosen if chosen.count(name) > 1)
        raise InputError(f"{place}: key: the {what} {_short(twice)} is chosen twice; name it once")
    return chosen


def choose_one(names: Sequence[str], wanted: Sequence[str], what: str, place: str) -> str:
    """As `choose`, and just one."""
    chosen = choose(names, wanted, what, place)
    if len(chosen) > 1:
        raise InputError(
            f"{place}: key: takes one {what} at a time, found {len(chosen)}; import them one by one"
        )
    return chosen[0]


def in_order(names: Sequence[str]) -> bool:
    """Whether names that differ in their last number alone, such as q0 and q1, rise by it.

    True also where that is not how they differ, as then they tell nothing of an order.
    """
    # From the end, where each part is followed by what it cannot hold: in linear time.
    matches = [_NUMBERED.fullmatch(name[::-1]) for name in names]
    stems = {(match[3], match[1]) if match else None for match in matches}
    if len(stems) != 1 or None in stems:
        return True
    values = [_value(match[2][::-1]) for match in matches if match]
    return all(a < b for a, b in pairwise(values))


def rising(values: NDArray[Any]) -> bool:
    """Whether a coordinate rises: as numbers, or as `in_order` tells of names."""
    if values.dtype.kind in "iuf":
        return bool((values[1:] > values[:-1]).all())
    return in_order([str(value) for value in values.tolist()])


def _natural(name: str) -> list[tuple[int, str]]:
    """A key for sorting: numbers in a name count as numbers."""
    pieces = re.split(r"([0-9]+)", name)
    return [_value(piece) if k % 2 else (0, piece) for k, piece in enumerate(pieces)]


def _value(digits: str) -> tuple[int, str]:
    """What sorts as the number does; Python makes no number of thousands of digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def as_table(data: Any, source: str) -> NDArray[Any]:
    """A table of numbers of two dimensions, not empty."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(f"{source}: {_ragged(data)}") from None
    if array.ndim != 2:
        raise InputError(
            f"{source}: shots must be a table [shot, site] of 2 dimensions, found {array.ndim}"
        )
    if array.size == 0:
        shape = f"{array.shape[0]} shots of {array.shape[1]} sites"
        raise InputError(f"{source}: holds no bits, found {shape}")
    if np.ma.is_masked(data):
        row, column = np.argwhere(np.ma.getmaskarray(data))[0]
        raise InputError(
            f"{source}: row {row}, column {column}: is masked, so it is no outcome; leave such "
            "shots out: bits[~bits.mask.any(axis=1)]"
        )
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: bits must be numbers 0 or 1, found values of type {array.dtype}"
        )
    return array


def as_bits(data: Any, source: str) -> NDArray[np.uint8]:
    """A read-only uint8 table of zeros and ones; `InputError` names the first that is neither."""
    array = as_table(data, source)
    for row, column in _others(array, 0, 1):
        value = array[row, column].item()
        hint = SIGNS_HINT if value == -1 else "; each value is the outcome of one site"
        raise InputError(
            f"{source}: row {row}, column {column}: a bit must be 0 or 1, found {value}{hint}"
        )
    if array.dtype == np.uint8 and array.flags.owndata and not array.flags.writeable:
        return array
    bits = np.array(array, dtype=np.uint8, order="C")
    bits.setflags(write=False)
    return bits


def bits_from_spins(data: Any, source: str) -> NDArray[np.uint8]:
    """Bits (1 - z)/2 of a table of z = +1 and -1; `InputError` names the first that is neither."""
    array = as_table(data, source)
    for row, column in _others(array, 1, -1):
        value = array[row, column].item()
        hint = "; leave out --spin for data of 0 and 1" if value == 0 else ""
        raise InputError(
            f"{source}: row {row}, column {column}: a spin must be +1 or -1, found {value}{hint}"
        )
    return as_bits(array == -1, source)


def _others(array: NDArray[Any], one: int, other: int) -> Iterator[tuple[int, int]]:
    """Row and column of values that are neither; some rows at a time, to take little memory."""
    step = max(1, _PIECE // array.shape[1])
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        wrong = (rows != one) & (rows != other)  # NaN is neither
        if wrong.any():
            row, column = np.unravel_index(np.argmax(wrong), rows.shape)
            yield start + int(row), int(column)


def bits_of_strings(rows: Sequence[Any], place: str) -> NDArray[np.uint8]:
    """Zeros and ones of strings such as "0110", character by character: [string, character]."""
    for number, row in enumerate(rows):
        if not isinstance(row, str) or row.strip("01") or not row:
            raise InputError(
                f"{place}: entry {number}: must be a string of 0 and 1, found {brief(row)}"
            )
        if len(row) != len(rows[0]):
            raise InputError(
                f"{place}: {row[:60]!r} has {len(row)} bits, but {rows[0][:60]!r} has "
                f"{len(rows[0])}; every shot needs the same number of sites"
            )
    flat = np.frombuffer("".join(rows).encode(), dtype=np.uint8) - np.uint8(ord("0"))
    return flat.reshape(len(rows), -1)


def expand_counts(
    outcomes: NDArray[np.uint8], numbers: Iterable[Any], place: str
) -> NDArray[np.uint8]:
    """Each outcome [outcome, site] as often as it was counted: [shot, site], in the file's order.

    Raises:
        InputError: a number is not a whole number of at least 0, or all are 0, or too many.
    """
    counts = list(numbers)
    for row, count in enumerate(counts):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            outcome = "".join(map(str, outcomes[row].tolist()))[:60]
            hint = (
                "; probabilities say nothing of the number of shots, so give the counts"
                if isinstance(count, float)
                else ""
            )
            raise InputError(
                f"{place}: the number of shots with outcome {outcome} (site 0 first) must be an "
                f"integer of at least 0, found {brief(count)}{hint}"
            )
    shots, sites = sum(counts), outcomes.shape[1]
    if shots > MOST_COUNTED or shots * sites > MOST_COUNTED_BITS:
        raise InputError(
            f"{place}: holds {_brief_number(shots)} shots of {sites} sites, more than the "
            f"{MOST_COUNTED} shots and {MOST_COUNTED_BITS} bits that counts may stand for here; "
            "take a random part of them"
        )
    if not shots:
        raise InputError(f"{place}: all counts are 0; it needs at least one shot")
    return np.repeat(outcomes, counts, axis=0)


def check_size(shots: int, sites: int, place: str) -> None:
    """Refuse more bits than fit."""
    if shots * sites > MOST_BITS:
        raise InputError(
            f"{place}: holds {shots} shots of {sites} sites, more than the {MOST_BITS} bits that "
            "fit in memory here; take a random part of them"
        )


def _brief_number(value: int) -> str:
    return str(value) if value < 10**18 else "more than 10^18"


def _ragged(data: Any) -> str:
    """Say which row of a nested list differs in length from the first."""
    try:
        lengths = [len(row) for row in data]
        row = next(i for i, length in enumerate(lengths) if length != lengths[0])
    except (TypeError, StopIteration):
        return "shots must be a table [shot, site] of zeros and ones"
    return (
        f"row {row} has {lengths[row]} values, but row 0 has {lengths[0]};"
        " every shot needs the same number of sites"
    )
