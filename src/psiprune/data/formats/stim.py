"""Shots as Stim writes them, in all of its formats (Stim's doc/result_formats.md).

Text: 01, a character for each measurement; hits, the numbers of the ones; dets, the same with a
letter. Binary: b8, packed bits; r8, distances between ones; ptb64, packed over 64 shots.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile
from psiprune.data.formats.bits import bits_of_strings, check_qubits, check_size
from psiprune.data.formats.names import choose_one
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first measurement of the circuit"
_KINDS = {"M": "measurement", "D": "detector", "L": "logical observable"}
_LONG, _CHUNK = 255, 1 << 20
_HITS = re.compile(r"(?:[0-9]{1,18}(?:,[0-9]{1,18})*)?")
_DETS = re.compile(r"shot((?: [MDL][0-9]{1,18})*)")


def read_01(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read one shot per line, a character 0 or 1 for each measurement, in circuit order.

    Raises:
        InputError: another character, lines of different lengths, or not `qubits` of them.
    """
    rows = file.text.split("\n")
    rows = [row.removesuffix("\r") for row in (rows[:-1] if rows[-1] == "" else rows)]
    bits = bits_of_strings(rows, f"{file.path}: shots counted from 0")
    check_qubits(settings.qubits, bits.shape[1], file.place)
    return ParsedShots(bits, _ORDER)


def read_hits(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read a line for each shot with the numbers of the measurements that are 1: "0,4".

    Raises:
        InputError: `qubits` is missing, a number is not below it or occurs twice in a line, or the
            last line is cut off.
    """
    sites = _sites(file, settings, "hits")
    rows = []
    for number, line in enumerate(_whole_lines(file), 1):
        if not _HITS.fullmatch(line):
            raise InputError(
                f"{file.path}: line {number}: must be numbers such as 0,4, found {line[:40]!r}"
            )
        rows.append([int(hit) for hit in line.split(",")] if line else [])
    return ParsedShots(_from_hits(rows, sites, file, "measurement"), _ORDER)


def read_dets(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read lines such as "shot M0 M4": the measurements, detectors or observables that are 1.

    A file with more than one of these letters needs `key` to choose one, M, D or L.

    Raises:
        InputError: as `read_hits`, or a line does not begin with "shot".
    """
    sites = _sites(file, settings, "dets")
    lines = []
    for number, line in enumerate(_whole_lines(file), 1):
        match = _DETS.fullmatch(line.rstrip(" "))
        if not match:
            raise InputError(
                f"{file.path}: line {number}: must be 'shot' and hits such as M0, D4 or L1, found "
                f"{line[:40]!r}"
            )
        lines.append(match[1].split())
    letters = sorted({hit[0] for line in lines for hit in line}, key="MDL".index)
    kind = choose_one(letters, settings.key, "letter", file.place) if letters else "M"
    rows = [[int(hit[1:]) for hit in line if hit[0] == kind] for line in lines]
    order = _ORDER if kind == "M" else f"site 0 is the first {_KINDS[kind]} of the circuit"
    return ParsedShots(_from_hits(rows, sites, file, _KINDS[kind]), order)


def read_b8(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read shots of ceil(N/8) bytes: measurement k is bit k mod 8, the lowest first, of byte k//8.

    Raises:
        InputError: `qubits` is missing, does not fit the length, or a bit beyond it is set.
    """
    sites = _sites(file, settings, "b8")
    width = -(-sites // 8)
    shots = _whole_blocks(file, width, f"{width} bytes per shot", sites)
    check_size(shots, sites, file.place)
    packed = np.frombuffer(file.content, dtype=np.uint8).reshape(shots, width)
    beyond = packed[:, -1] >> np.uint8(sites % 8) if sites % 8 else np.zeros(1, np.uint8)
    if beyond.any():
        raise InputError(
            f"{file.path}: shot {int(np.argmax(beyond != 0))} has a bit set beyond the {sites} of "
            "qubits; check qubits, or whether the file is b8"
        )
    return ParsedShots(np.unpackbits(packed, axis=1, count=sites, bitorder="little"), _ORDER)


def read_r8(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read the number of zeros before each one, a byte each; a one follows every shot.

    The byte 255 stands for 255 zeros that the next byte continues.

    Raises:
        InputError: `qubits` is missing, a distance leads beyond it, or the last shot is cut off.
    """
    sites = _sites(file, settings, "r8")
    steps = np.frombuffer(file.content, dtype=np.uint8)
    # With the one at its end, a shot has one bit more.
    total = int(steps.sum(dtype=np.int64)) + int(np.count_nonzero(steps != _LONG))
    shots, rest = divmod(total, sites + 1)
    wrong = InputError(
        f"{file.path}: is not made of shots of {sites} bits; check qubits, or whether the file is "
        "r8 and complete"
    )
    if rest or steps[-1] == _LONG:
        raise wrong
    check_size(shots, sites, file.place)
    bits, end = np.zeros(total, dtype=np.uint8), 0
    for start in range(0, len(steps), _CHUNK):
        chunk = steps[start : start + _CHUNK]
        ends = end + np.cumsum(chunk + (chunk != _LONG).astype(np.int64))
        bits[ends[chunk != _LONG] - 1] = 1
        end = int(ends[-1])
    table = bits.reshape(shots, sites + 1)
    if not table[:, sites].all():
        raise wrong
    return ParsedShots(table[:, :sites], _ORDER)


def read_ptb64(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read blocks of 64 shots: for each measurement 8 bytes, shot k in bit k mod 8 of byte k//8.

    Raises:
        InputError: `qubits` is missing or does not fit the length.
    """
    sites = _sites(file, settings, "ptb64")
    width = 8 * sites
    blocks = _whole_blocks(file, width, f"{width} bytes per 64 shots", sites)
    check_size(64 * blocks, sites, file.place)
    packed = np.frombuffer(file.content, dtype=np.uint8).reshape(blocks, sites, 8)
    bits = np.unpackbits(packed, axis=2, bitorder="little")  # [block, measurement, shot]
    return ParsedShots(bits.transpose(0, 2, 1).reshape(-1, sites), _ORDER)


def write_b8(bits: NDArray[np.uint8]) -> bytes:
    """Return the bytes that `read_b8` reads."""
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def _sites(file: SourceFile, settings: ReadSettings, form: str) -> int:
    if settings.qubits is None:
        raise InputError(
            f"{file.path}: {form} does not hold the number of measurements per shot; give --qubits "
            "N (qubits=N)"
        )
    return settings.qubits


def _whole_blocks(file: SourceFile, width: int, unit: str, sites: int) -> int:
    blocks, rest = divmod(len(file.content), width)
    if rest or not blocks:
        raise InputError(
            f"{file.path}: {len(file.content)} bytes are not a multiple of {unit} (qubits = "
            f"{sites}); check qubits, or whether the file is truncated"
        )
    return blocks


def _whole_lines(file: SourceFile) -> list[str]:
    """Return all lines, of which empty ones count; a last line that is cut off could be any."""
    file.check_unpacked()
    try:
        lines = file.content.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{file.path}: must be text, found bytes beyond ASCII") from None
    if lines.pop() != "":
        raise InputError(f"{file.path}: the last line has no end; the file may be truncated")
    return [line.removesuffix("\r") for line in lines]


def _from_hits(rows: Sequence[Sequence[int]], sites: int, file: SourceFile, what: str) -> Bits:
    """Return bits [shot, site] that are 1 at the numbers of each row."""
    check_size(len(rows), sites, file.place)
    bits = np.zeros((len(rows), sites), dtype=np.uint8)
    for number, row in enumerate(rows, 1):
        place = f"{file.path}: line {number}: {what}"
        if len(set(row)) < len(row):
            raise InputError(f"{place} numbers must differ, found {str(row)[1:-1][:40]}")
        if row and max(row) >= sites:
            raise InputError(f"{place} {max(row)} is beyond the {sites} of qubits; check qubits")
        bits[number - 1, list(row)] = 1
    return bits
