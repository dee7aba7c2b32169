"""Shots of Cirq: a `Result` as `cirq.to_json` writes it, today's and the older layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import File, ParsedShots, as_bits, brief, check_size, choose, part
from psiprune.data.formats.numpy import load_npy
from psiprune.data.formats.settings import ReadSettings

_RESULTS = ("Result", "ResultDict", "TrialResult")  # names of then and now


def read_cirq(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of a measurement key, its qubits in the order in which they were measured.

    `records` [repetition, instance, qubit], in older versions `measurements` [repetition, qubit],
    both as hexadecimal strings of packed bits or of an .npy file. Several keys are joined
    in the order that `key` gives; '*' takes all in natural order, q(2) before q(10).

    Raises:
        InputError: no result of Cirq, no such key, a key measured more than once in a shot, levels
            beyond 0 and 1, or digits that do not fit their shape.
    """
    place, data = str(file.path), file.json
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, list):
        raise InputError(f"{place}: holds {len(data)} objects; save one result by cirq.to_json")
    kind = data.get("cirq_type") if isinstance(data, dict) else None
    if kind not in _RESULTS:
        raise InputError(
            f"{place}: needs a result as cirq.to_json writes it, of cirq_type 'ResultDict', found "
            f"{brief(data if kind is None else kind)}"
        )
    records = part(data, "records" if "records" in data else "measurements", dict, place)
    if not records:
        raise InputError(f"{place}: the result holds no measurement")
    keys = choose(list(records), settings.key, "measurement key", place)
    tables = [_record(records[key], f"{place}: key {brief(key)}") for key in keys]
    if len({len(table) for table in tables}) > 1:
        raise InputError(f"{place}: the keys chosen differ in their number of repetitions")
    order = f"sites are the qubits of {', '.join(keys)} in the order of measurement"
    return ParsedShots(np.concatenate(tables, axis=1), order, notes={"keys": ", ".join(keys)})


def _record(record: Any, place: str) -> NDArray[np.uint8]:
    """Bits [repetition, qubit] of one key."""
    digits = part(record, "packed_digits", str, place)
    try:
        content = bytes.fromhex(digits)
    except ValueError:
        raise InputError(f"{place}: packed_digits must be a hexadecimal string") from None
    if record.get("binary") is True:
        array = _unpack(content, part(record, "shape", list, place), place)
    else:
        array = load_npy(File(Path(place), content))
    if array.ndim == 3:
        if array.shape[1] != 1:
            raise InputError(
                f"{place}: was measured {array.shape[1]} times in each shot; a shot here is one "
                "measurement of each site"
            )
        array = array[:, 0, :]
    return as_bits(array, place)


def _unpack(content: bytes, shape: list[Any], place: str) -> NDArray[np.uint8]:
    told = str(shape)[:60]
    whole = all(isinstance(length, int) and not isinstance(length, bool) for length in shape)
    if not whole or len(shape) not in (2, 3) or min(shape) < 1:
        raise InputError(f"{place}: the shape must be 2 or 3 positive integers, found {told}")
    count = 1
    for length in shape:
        count *= length
    check_size(count, 1, place)
    if len(content) != -(-count // 8):
        raise InputError(
            f"{place}: {len(content)} bytes of packed_digits do not fit the shape {told}; the "
            "file is damaged"
        )
    return np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=count).reshape(shape)
