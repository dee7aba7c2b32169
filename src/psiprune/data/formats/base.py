"""What all formats share: the source file, the parsed shots, and strict building blocks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.io.bytes import read_bytes

Bits = NDArray[np.uint8]
#: Bits of one file, one byte each in memory: 1 GiB.
MOST_BITS = 1 << 30
#: Bytes of one file.
MOST_BYTES = 1 << 31
#: Shots and bits that counts may stand for. A short line can claim any number of shots, so these
#: limits are lower: every later step takes a few bytes per shot and per bit again.
MOST_COUNTED, MOST_COUNTED_BITS = 1 << 24, 1 << 28
_NUMBERED = re.compile(r"([^0-9]*)([0-9]+)(.*)", re.DOTALL)  # matches a reversed name
_CHUNK = 1 << 22  # values that are checked at a time
SIGNS_HINT = "; read +1/-1 data with --spin (spin=True), or convert it by bits = (1 - z) // 2"


@dataclass(frozen=True, eq=False)
class SourceFile:
    """A file's name and content; text and JSON are parsed once.

    Attributes:
        path: the name, for messages.
        content: all bytes, not shown by repr.
    """

    path: Path
    content: bytes = field(repr=False)

    @property
    def place(self) -> str:
        """The name as messages begin with it."""
        return str(self.path)

    def check_unpacked(self) -> None:
        """Raise `InputError` if the file is compressed by gzip."""
        if self.content.startswith(b"\x1f\x8b"):
            raise InputError(f"{self.path}: is compressed by gzip; decompress it first (gunzip)")

    @cached_property
    def text(self) -> str:
        """The content decoded from UTF-8; `InputError` if it is blank or not UTF-8."""
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
        """The content as JSON; `InputError` if it is invalid or repeats a key."""
        return parse_json(self.text, self.place)


@dataclass(frozen=True, eq=False)
class ParsedShots:
    """The shots of one file, and what happened to the rest of it.

    Attributes:
        bits: uint8 [shot, site], 0 or 1, read-only.
        order: which qubit column 0 is, in the words of the format, and what 1 means if not Z = -1.
        dropped: how many shots were dropped, by reason.
        notes: keys, qubits, vacant sites and the like, in a form that JSON can hold.
    """

    bits: Bits = field(repr=False)
    order: str
    dropped: Mapping[str, int] = field(default_factory=dict, repr=False)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_content(path: str | os.PathLike[str]) -> bytes:
    """Return all bytes of a file.

    Raises:
        InputError: the file cannot be read, is empty, or is larger than 2 GiB.
    """
    path = Path(path)
    try:
        content = read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{path}: is larger than {MOST_BYTES} bytes; split it, or compress it as .npz"
        )
    if not content:
        raise InputError(f"{path}: the file is empty; it needs at least one shot")
    return content


def parse_json(text: str, place: str) -> Any:
    """Parse JSON; raise `InputError` with line and column if it is invalid or repeats a key."""

    def unique_pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs = dict(items)
        if len(pairs) != len(items):
            key = _first_repeated([name for name, _ in items])
            raise InputError(f"{place}: the key {key[:60]!r} occurs twice in one JSON object")
        return pairs

    try:
        return json.loads(text, object_pairs_hook=unique_pairs)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place}: not valid JSON, line {error.lineno}, column {error.colno}: {error.msg}; "
            "the file may be truncated"
        ) from None
    except RecursionError:
        raise InputError(f"{place}: the JSON is nested too deeply for a file of shots") from None
    except InputError:
        raise
    except ValueError:  # the only other one: Python refuses integers of thousands of digits
        raise InputError(
            f"{place}: contains an integer of thousands of digits, which cannot be a number of "
            "shots; the file may be damaged"
        ) from None


def part(value: Any, name: str, kind: type, place: str) -> Any:
    """Return the entry `name` of a JSON object; raise `InputError` if it is not of this type."""
    entry = value.get(name) if isinstance(value, dict) else None
    if not isinstance(entry, kind) or (kind is int and isinstance(entry, bool)):
        words = {dict: "an object", list: "a list", str: "a string", int: "an integer"}
        raise InputError(f"{place}: needs {words[kind]} named '{name[:60]}', found {brief(entry)}")
    return entry


def brief(value: Any) -> str:
    """Describe a JSON value in a few words, for a message."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(map(_short, list(value)[:4])) or "no entries")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else _short(value)


def _short(value: Any) -> str:
    return repr(value)[:60]


def choose(names: Sequence[str], wanted: Sequence[str], what: str, place: str) -> list[str]:
    """Return the wanted names in the order wanted; if none is wanted, the only one there is.

    '*' matches any characters; its matches come in natural order, q2 before q10.

    Raises:
        InputError: none is wanted but there are several, or one is missing or wanted twice.
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
        pattern = re.compile(".*".join(map(re.escape, wish.split("*"))), re.DOTALL)
        matches = (
            [wish] if wish in names else sorted(filter(pattern.fullmatch, names), key=_natural)
        )
        if not matches:
            raise InputError(f"{place}: key: there is no {what} {_short(wish)}; it has {listed}")
        chosen += matches
    if len(set(chosen)) < len(chosen):
        twice = _short(_first_repeated(chosen))
        raise InputError(f"{place}: key: the {what} {twice} is chosen twice; name it once")
    return chosen


def choose_one(names: Sequence[str], wanted: Sequence[str], what: str, place: str) -> str:
    """Return the one name that `choose` finds; raise `InputError` if it finds several."""
    chosen = choose(names, wanted, what, place)
    if len(chosen) > 1:
        raise InputError(
            f"{place}: key: takes one {what} at a time, found {len(chosen)}; import them one by one"
        )
    return chosen[0]


def refuse_key(wanted: Sequence[str], what: str, place: str) -> None:
    """Raise `InputError` if a key is given for content that has no parts to choose from."""
    if wanted:
        raise InputError(f"{place}: key: {what} has nothing to choose from; leave out --key")


def _first_repeated(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


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


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key in which the digits of a name count as numbers."""
    pieces = re.split(r"([0-9]+)", name)
    return [_number_key(piece) if k % 2 else (0, piece) for k, piece in enumerate(pieces)]


def _number_key(digits: str) -> tuple[int, str]:
    """Return what sorts like the number; Python refuses to parse thousands of digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def as_table(data: Any, source: str) -> NDArray[Any]:
    """Return a non-empty array [shot, site] of numbers, or raise `InputError`."""
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
            f"{source}: row {row}, column {column}: is masked, so its outcome is unknown; drop "
            "such shots: bits[~bits.mask.any(axis=1)]"
        )
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{source}: bits must be numbers 0 or 1, found values of type {array.dtype}"
        )
    return array


def as_bits(data: ArrayLike, source: str, spin: bool = False) -> Bits:
    """Return a read-only uint8 table of zeros and ones, [shot, site].

    With `spin` the data are z = +1 or -1, and bit = (1 - z) / 2.

    Raises:
        InputError: a value is neither of the two; row and column count from 0.
    """
    array = as_table(data, source)
    zero, one = (1, -1) if spin else (0, 1)
    step = max(1, _CHUNK // array.shape[1])  # a few rows at a time, to take little memory
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        wrong = (rows != zero) & (rows != one)  # true for NaN
        if wrong.any():
            row, column = np.unravel_index(np.argmax(wrong), rows.shape)
            place = f"{source}: row {start + int(row)}, column {column}"
            value = rows[row, column].item()
            raise InputError(f"{place}: {wrong_value(value, value, spin)}")
    if spin:
        array = array == -1
    elif array.dtype == np.uint8 and array.flags.owndata and not array.flags.writeable:
        return array
    bits = np.array(array, dtype=np.uint8, order="C")
    bits.setflags(write=False)
    return bits


def wrong_value(shown: Any, value: float, spin: bool, otherwise: str = "") -> str:
    """Return the rule that a value breaks, the value as shown, and what to do."""
    if spin:
        hint = "; leave out --spin for data of 0 and 1" if value == 0 else ""
        return f"a spin must be +1 or -1, found {shown}{hint}"
    return f"a bit must be 0 or 1, found {shown}{SIGNS_HINT if value == -1 else otherwise}"


def bits_of_strings(rows: Sequence[Any], place: str) -> Bits:
    """Return the zeros and ones of strings such as "0110", [string, character]."""
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


def bits_of_counts(counts: Mapping[Any, Any], place: str) -> Bits:
    """Return bits [shot, site] of counts such as {"0110": 3}; site 0 is the first character.

    Raises:
        InputError: there are none, a key is not a bit string or of another length, or as for
            `expand_counts`.
    """
    check_outcomes(counts, place)
    return expand_counts(bits_of_strings(list(counts), place), counts.values(), place)


def expand_counts(outcomes: Bits, counts: Iterable[Any], place: str) -> Bits:
    """Repeat each outcome [outcome, site] as often as it was counted: [shot, site].

    Raises:
        InputError: a count is not an integer of at least 0, all are 0, or the sum is too large.
    """
    numbers = list(counts)
    for row, count in enumerate(numbers):
        if isinstance(count, bool) or not isinstance(count, Integral) or int(count) < 0:
            outcome = "".join(map(str, outcomes[row].tolist()))[:60]
            hint = "; give counts, not probabilities" if isinstance(count, float) else ""
            raise InputError(
                f"{place}: the count of outcome {outcome} (site 0 first) must be an integer of at "
                f"least 0, found {brief(count)}{hint}"
            )
    shots, sites = sum(map(int, numbers)), outcomes.shape[1]
    if shots > MOST_COUNTED or shots * sites > MOST_COUNTED_BITS:
        number = str(shots) if shots < 10**18 else "more than 10^18"
        raise InputError(
            f"{place}: holds {number} shots of {sites} sites, but counts may stand for at most "
            f"{MOST_COUNTED} shots and {MOST_COUNTED_BITS} bits; take a random subset"
        )
    if not shots:
        raise InputError(f"{place}: all counts are 0; it needs at least one shot")
    return np.repeat(outcomes, np.array(numbers, dtype=np.int64), axis=0)


def check_outcomes(outcomes: Any, place: str) -> None:
    """Raise `InputError` if there are no outcomes at all."""
    if not len(outcomes):
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")


def join_columns(tables: Sequence[Bits], what: str, place: str) -> Bits:
    """Return tables [shot, site] side by side; raise `InputError` if their lengths differ."""
    if len({len(table) for table in tables}) > 1:
        lengths = ", ".join(str(len(table)) for table in tables[:12])
        raise InputError(f"{place}: the {what} must have equally many shots, found {lengths}")
    return np.concatenate(tables, axis=1)


def check_qubits(wanted: int | None, number: int, place: str) -> None:
    """Raise `InputError` if the setting `qubits` is given and the file has another number."""
    if wanted not in (None, number):
        raise InputError(f"{place}: has {number} bits per shot, but qubits is {wanted}")


def check_size(shots: int, sites: int, place: str) -> None:
    """Raise `InputError` if there are more than `MOST_BITS` bits."""
    if shots * sites > MOST_BITS:
        raise InputError(
            f"{place}: holds {shots} shots of {sites} sites, more than the limit of {MOST_BITS} "
            "bits; take a random subset of the shots"
        )


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
