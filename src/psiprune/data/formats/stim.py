"""Shots as Stim writes them: the formats 01 and b8 (Stim's doc/result_formats.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats import base
from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first measurement of the circuit"


def read_01(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read one shot per line, a character 0 or 1 for each measurement, in circuit order.

    Raises:
        InputError: another character, lines of different lengths, or not `qubits` of them.
    """
    rows = file.text.split("\n")
    rows = [row.removesuffix("\r") for row in (rows[:-1] if rows[-1] == "" else rows)]
    bits = base.bits_of_strings(rows, f"{file.path}: shots counted from 0")
    base.check_qubits(settings.qubits, bits.shape[1], file.place)
    return ParsedShots(bits, _ORDER)


def read_b8(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read shots of ceil(N/8) bytes: measurement k is bit k mod 8, the lowest first, of byte k//8.

    Raises:
        InputError: `qubits` is missing, does not fit the length, or a bit beyond it is set.
    """
    sites = settings.qubits
    if sites is None:
        raise InputError(
            f"{file.path}: b8 does not hold the number of measurements per shot; give --qubits N "
            "(qubits=N)"
        )
    width = -(-sites // 8)
    shots, rest = divmod(len(file.content), width)
    if rest or not shots:
        raise InputError(
            f"{file.path}: {len(file.content)} bytes are not a multiple of {width} bytes per shot "
            f"(qubits = {sites}); check qubits, or whether the file is truncated"
        )
    base.check_size(shots, sites, file.place)
    packed = np.frombuffer(file.content, dtype=np.uint8).reshape(shots, width)
    beyond = packed[:, -1] >> np.uint8(sites % 8) if sites % 8 else np.zeros(1, np.uint8)
    if beyond.any():
        raise InputError(
            f"{file.path}: shot {int(np.argmax(beyond != 0))} has a bit set beyond the {sites} of "
            "qubits; check qubits, or whether the file is b8"
        )
    return ParsedShots(np.unpackbits(packed, axis=1, count=sites, bitorder="little"), _ORDER)


def write_b8(bits: NDArray[np.uint8]) -> bytes:
    """Return the bytes that `read_b8` reads."""
    return np.packbits(bits, axis=1, bitorder="little").tobytes()
