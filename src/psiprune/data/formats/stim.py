"""Shots as Stim writes them: the formats 01 and b8 (Stim's doc/result_formats.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import File, ParsedShots, bits_of_strings, check_size
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is the first measurement of the circuit"


def read_01(file: File, settings: ReadSettings) -> ParsedShots:
    """One shot a line, a character 0 or 1 for each measurement, in the order of the circuit.

    Raises:
        InputError: another character, lines of different lengths, or not `qubits` of them.
    """
    rows = file.text.split("\n")
    rows = [row.removesuffix("\r") for row in (rows[:-1] if rows[-1] == "" else rows)]
    bits = bits_of_strings(rows, f"{file.path}: shots counted from 0")
    if settings.qubits not in (None, bits.shape[1]):
        raise InputError(
            f"{file.path}: shots have {bits.shape[1]} bits, but qubits is {settings.qubits}"
        )
    return ParsedShots(bits, _ORDER)


def read_b8(file: File, settings: ReadSettings) -> ParsedShots:
    """Each shot in ceil(N/8) bytes; measurement k is bit k mod 8, from the lowest, of byte k // 8.

    Raises:
        InputError: `qubits` is not given, the length does not fit it, or a bit beyond it is set.
    """
    sites = settings.qubits
    if sites is None:
        raise InputError(
            f"{file.path}: b8 does not tell the number of measurements in a shot; give --qubits N "
            "(qubits=N)"
        )
    width = -(-sites // 8)
    shots, rest = divmod(len(file.content), width)
    if rest or not shots:
        raise InputError(
            f"{file.path}: {len(file.content)} bytes are no whole number of shots of {width} bytes "
            f"(qubits = {sites}); the file is truncated, or the number is another"
        )
    check_size(shots, sites, str(file.path))
    packed = np.frombuffer(file.content, dtype=np.uint8).reshape(shots, width)
    if sites % 8 and (packed[:, -1] >> np.uint8(sites % 8)).any():
        row = int(np.argmax(packed[:, -1] >> np.uint8(sites % 8) != 0))
        raise InputError(
            f"{file.path}: shot {row} has a bit set beyond the {sites} of qubits; the number is "
            "another, or the file is not b8"
        )
    return ParsedShots(np.unpackbits(packed, axis=1, count=sites, bitorder="little"), _ORDER)


def write_b8(bits: NDArray[np.uint8]) -> bytes:
    """The bytes that `read_b8` reads."""
    return np.packbits(bits, axis=1, bitorder="little").tobytes()
