"""What all formats share: the source file, the parsed shots, and entries of JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.printed import parse_printed
from psiprune.data.pauli_bases import PauliBases
from psiprune.io.bytes import read_bytes, size_of

Bits = NDArray[np.uint8]
#: Bytes of one file.
MOST_BYTES = 1 << 31
#: How the order of bits begins that was reversed on reading.
REVERSED = "reversed; as listed, "


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
        """The content as JSON; a dict of counts may also be as Python prints it.

        Raises:
            InputError: it is neither, or repeats a key.
        """
        printed = parse_printed(self.text, self.place)
        return parse_json(self.text, self.place) if printed is None else printed


@dataclass(frozen=True, eq=False)
class ParsedShots:
    """The shots of one file, and what happened to the rest of it.

    Attributes:
        bits: uint8 [shot, site], 0 or 1, read-only.
        order: which qubit column 0 is, in the words of the format, and what 1 means if not Z = -1.
        dropped: how many shots were dropped, by reason.
        notes: keys, qubits, vacant sites and the like, in a form that JSON can hold.
        basis: as in `Shots`; None if the file does not hold it.
        circuits: the number of shots of each circuit, if there are several.
    """

    bits: Bits = field(repr=False)
    order: str
    dropped: Mapping[str, int] = field(default_factory=dict, repr=False)
    notes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    basis: str | PauliBases | None = None
    circuits: tuple[int, ...] = ()

    @classmethod
    def of_circuits(cls, parts: Sequence[ParsedShots]) -> ParsedShots:
        """Return the shots of several circuits, one after the other."""
        sites = parts[0].bits.shape[1]
        sizes = tuple(len(part.bits) for part in parts)
        basis = None
        if all(part.basis for part in parts):
            names = [str(part.basis) for part in parts]
            names = [name * sites if len(name) == 1 else name for name in names]
            basis = PauliBases.of_groups(names, sizes)
        bits = np.concatenate([part.bits for part in parts])
        return replace(parts[0], bits=bits, basis=basis, circuits=sizes)


def read_content(path: str | os.PathLike[str]) -> bytes:
    """Return all bytes of a file.

    Raises:
        InputError: the file cannot be read, is empty, or is larger than 2 GiB.
    """
    path = Path(path)
    try:
        large = size_of(path) > MOST_BYTES
        content = b"" if large else read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if large or len(content) > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES} bytes; split it into several files")
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


def holders(data: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield every object within JSON that has an entry of this name, in the order of the file."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if name in value:
                yield value
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def brief(value: Any) -> str:
    """Describe a JSON value in a few words, for a message."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(map(short, list(value)[:4])) or "no entries")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else short(value)


def short(value: Any) -> str:
    """Return the beginning of a value's repr."""
    return repr(value)[:60]


def _first_repeated(names: Sequence[str]) -> str:
    return next(name for name, count in Counter(names).items() if count > 1)
