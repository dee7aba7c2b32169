"""Shots of Cirq: a `Result` as `cirq.to_json` writes it in two layouts, or its table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile, brief, part
from psiprune.data.formats.bits import as_bits, check_qubits, check_size, join_columns
from psiprune.data.formats.cirq_table import read_table
from psiprune.data.formats.names import choose
from psiprune.data.formats.numpy import load_npy
from psiprune.data.formats.settings import ReadSettings

_RESULTS = ("Result", "ResultDict", "TrialResult")  # current and older class names


def read_cirq(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read a measurement key, its qubits in the order in which they were measured.

    Text that is not JSON is the table of `result.data.to_csv`, see `cirq_table.read_table`.

    `records` [repetition, instance, qubit], in older versions `measurements` [repetition, qubit],
    both as hexadecimal strings of packed bits or of an .npy file. Several keys are joined
    in the order that `key` gives; '*' takes all in natural order, q(2) before q(10).

    Raises:
        InputError: the file is not a result of Cirq, lacks the key, measures it more than once in
            a shot, has levels beyond 0 and 1, or digits that do not fit their shape.
    """
    if file.text.lstrip()[:1] not in ("{", "["):
        return read_table(file, settings)
    place, data = file.place, file.json
    if settings.order == "numbered":
        raise InputError(
            f"{place}: order: 'numbered' is for tables; --key '*' takes keys by number, q(2) "
            "before q(10)"
        )
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, list):
        if len(settings.bases) != len(data) or not data:
            raise InputError(
                f"{place}: holds {len(data)} objects; save one result by cirq.to_json, or give the "
                "basis of each by --bases"
            )
        results = [_read_result(result, settings, f"{place}: {k}") for k, result in enumerate(data)]
        return ParsedShots.of_circuits(results)
    return _read_result(data, settings, place)


def _read_result(data: Any, settings: ReadSettings, place: str) -> ParsedShots:
    kind = data.get("cirq_type") if isinstance(data, dict) else None
    if kind not in _RESULTS:
        raise InputError(
            f"{place}: needs a result written by cirq.to_json, of cirq_type 'ResultDict', found "
            f"{brief(data if kind is None else kind)}"
        )
    records = part(data, "records" if "records" in data else "measurements", dict, place)
    if not records:
        raise InputError(f"{place}: the result holds no measurement; measure at least one qubit")
    keys = choose(list(records), settings.key, "measurement key", place)
    tables = [_record(records[key], f"{place}: key {brief(key)}") for key in keys]
    order = f"sites are the qubits of {', '.join(keys)} in the order of measurement"
    bits = join_columns(tables, "chosen keys", place)
    check_qubits(settings.qubits, bits.shape[1], place)
    return ParsedShots(bits, order, notes={"keys": ", ".join(keys)})


def _record(record: Any, place: str) -> Bits:
    """Return the bits [repetition, qubit] of one key."""
    digits = part(record, "packed_digits", str, place)
    try:
        content = bytes.fromhex(digits)
    except ValueError:
        raise InputError(f"{place}: packed_digits must be a hexadecimal string") from None
    if record.get("binary") is True:
        array = _unpack(content, part(record, "shape", list, place), place)
    else:
        array = load_npy(SourceFile(Path(place), content))
    if array.ndim == 3:
        if array.shape[1] != 1:
            raise InputError(
                f"{place}: was measured {array.shape[1]} times in each shot; psiprune needs one "
                "measurement of each site"
            )
        array = array[:, 0, :]
    return as_bits(array, place)


def _unpack(content: bytes, shape: list[Any], place: str) -> Bits:
    shown = str(shape)[:60]
    integers = all(isinstance(size, int) and not isinstance(size, bool) for size in shape)
    if not integers or len(shape) not in (2, 3) or min(shape) < 1:
        raise InputError(f"{place}: the shape must be 2 or 3 positive integers, found {shown}")
    count = math.prod(shape)
    check_size(count, 1, place)
    if len(content) != -(-count // 8):
        raise InputError(
            f"{place}: {len(content)} bytes of packed_digits do not fit the shape {shown}; the "
            "file is damaged"
        )
    return np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=count).reshape(shape)
