"""Shots of Qiskit: counts, memory, `Result.to_dict()`, and `BitArray` packed or as JSON.

Qubit 0 (bit 0 of the classical register) is the RIGHTMOST character of a bit string and the lowest
bit of a hexadecimal number; a register declared first stands rightmost. Here it becomes site 0.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_UNPACKED
from psiprune.data.formats import base
from psiprune.data.formats.base import ParsedShots, SourceFile, brief, check_qubits, part
from psiprune.data.formats.numpy import list_npz, load_npy, load_npz
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is bit 0, the rightmost character of a Qiskit bit string"
_HEX = re.compile(r"0x[0-9a-fA-F]+")


def read_qiskit(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read what Qiskit returns for a circuit measured in Z, with qubit 0 as site 0.

    JSON of `get_counts()` (bit strings, with blanks between registers, or hexadecimal with
    `qubits`), of `get_memory()` or `BitArray.get_bitstrings()`, of `Result.to_dict()`, or of a
    `BitArray` or `PrimitiveResult` by qiskit-ibm-runtime's `RuntimeEncoder`. A `BitArray` as
    `numpy.savez(file, array=b.array, num_bits=b.num_bits)`, or `b.array` as .npy with `qubits`.
    `key` chooses a register, or the circuit of several in one file.

    Raises:
        InputError: the structure is another, the number of qubits is missing or does not fit, or
            a count is not an integer of at least 0.
    """
    place = file.place
    if file.content.startswith((b"PK", b"\x93NUMPY")):
        base.refuse_key(settings.key, "a BitArray in NumPy's format", place)
        return ParsedShots(_unpack(*_numpy_bit_array(file, settings), place), _ORDER)
    data = file.json
    if isinstance(data, dict) and data.get("__type__") is not None:
        return _read_encoded(data, settings, place)
    if isinstance(data, dict) and "results" in data:
        return _read_result(data, settings, place)
    base.refuse_key(settings.key, "counts or memory", place)
    if isinstance(data, dict) or (isinstance(data, list) and data):
        if isinstance(data, list) and all(isinstance(item, dict) for item in data):
            raise InputError(
                f"{place}: holds the counts of {len(data)} circuits; save those of one, "
                "result.get_counts(0)"
            )
        return _read_outcomes(data, settings.qubits, place)
    raise InputError(
        f"{place}: needs Qiskit's counts as an object, or memory as a list, found {brief(data)}"
    )


def write_counts(bits: base.Bits) -> bytes:
    """Return counts as JSON: bit string -> number of shots, site 0 rightmost, in sorted order."""
    # Bytes sort as the strings do, and much faster than rows.
    packed = np.packbits(bits[:, ::-1], axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    unique, numbers = np.unique(rows, return_counts=True)
    table = unique.view(np.uint8).reshape(len(unique), -1)
    outcomes = np.unpackbits(table, axis=1, count=bits.shape[1])
    keys = ("".join(map(str, row)) for row in outcomes.tolist())
    return json.dumps(dict(zip(keys, numbers.tolist(), strict=True)), indent=1).encode() + b"\n"


def _read_outcomes(data: dict[str, Any] | list[Any], qubits: int | None, place: str) -> ParsedShots:
    """Read counts (an object) or memory (a list, which preserves the order of the shots)."""
    bits = _bits(list(data), qubits, place)
    if isinstance(data, dict):
        bits = base.expand_counts(bits, data.values(), place)
    return ParsedShots(bits, _ORDER)


def _bits(keys: Sequence[Any], qubits: int | None, place: str) -> base.Bits:
    """Return outcomes [outcome, site]: all bit strings or all hexadecimal numbers."""
    base.check_outcomes(keys, place)
    if all(isinstance(key, str) and _HEX.fullmatch(key) for key in keys):
        return _hexadecimal(keys, qubits, place)
    for key in keys:
        if not isinstance(key, str) or not re.fullmatch("[01]+( [01]+)*", key):
            raise InputError(
                f"{place}: an outcome must be a bit string such as '0110', '01 10' or '0x6', all "
                f"of one kind, found {brief(key)}"
            )
    bits = base.bits_of_strings([key.replace(" ", "") for key in keys], place)
    if len({tuple(map(len, key.split())) for key in keys}) > 1:
        raise InputError(f"{place}: outcomes must have their blanks between the same registers")
    check_qubits(qubits, bits.shape[1], place)
    return bits[:, ::-1]


def _hexadecimal(keys: Sequence[str], qubits: int | None, place: str) -> base.Bits:
    numbers = [int(key, 16) for key in keys]
    needed = max(1, max(numbers).bit_length())
    if qubits is None:
        raise InputError(
            f"{place}: hexadecimal outcomes do not show the number of qubits (at least {needed}); "
            "give --qubits N (qubits=N)"
        )
    if needed > qubits:
        raise InputError(
            f"{place}: the outcome {hex(max(numbers))[:60]} needs {needed} bits, but qubits is "
            f"{qubits}"
        )
    base.check_size(len(numbers), qubits, place)
    width = -(-qubits // 8)
    packed = b"".join(number.to_bytes(width, "little") for number in numbers)
    table = np.frombuffer(packed, dtype=np.uint8).reshape(len(numbers), width)
    return np.unpackbits(table, axis=1, count=qubits, bitorder="little")


def _read_result(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read `Result.to_dict()`: the memory if present, else the counts."""
    results = part(data, "results", list, place)
    names = [str(number) for number in range(len(results))]
    chosen = base.choose_one(names, settings.key, "experiment", place)
    result, place = results[int(chosen)], f"{place}: experiment {chosen}"
    experiment = part(result, "data", dict, place)
    header = result.get("header")
    qubits = header.get("memory_slots") if isinstance(header, dict) else None
    if isinstance(qubits, int) and qubits > 0:
        check_qubits(settings.qubits, qubits, f"{place}: header")
    else:
        qubits = settings.qubits
    memory = experiment.get("memory")
    if isinstance(memory, list) and memory:
        return _read_outcomes(memory, qubits, place)
    return _read_outcomes(part(experiment, "counts", dict, place), qubits, place)


def _read_encoded(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read what `RuntimeEncoder` writes: nested {"__type__": ..., "__value__": ...}."""
    kind, wanted = data["__type__"], settings.key
    notes = {}
    if kind == "PrimitiveResult":
        pubs = part(part(data, "__value__", dict, place), "pub_results", list, place)
        # Of several circuits, the first key is the circuit's number; the others are registers.
        names = [str(number) for number in range(len(pubs))]
        chosen = base.choose_one(names, wanted[:1] if len(pubs) > 1 else (), "circuit", place)
        wanted = wanted[1:] if len(pubs) > 1 else wanted
        data = pubs[int(chosen)]
        kind = data.get("__type__") if isinstance(data, dict) else None
    if kind in ("SamplerPubResult", "PubResult"):
        data = part(part(data, "__value__", dict, place), "data", dict, place)
        kind = data.get("__type__")
    if kind == "DataBin":
        fields = part(part(data, "__value__", dict, place), "fields", dict, place)
        registers = base.choose(list(fields), wanted, "register", place)
        tables = [_encoded_bit_array(fields[name], f"{place}: {name[:60]}") for name in registers]
        bits = base.join_columns(tables, "chosen registers", place)
        notes["registers"] = ", ".join(registers)
        order = f"{_ORDER}; registers {notes['registers']} one after the other"
        return ParsedShots(bits, order, notes=notes)
    base.refuse_key(wanted, "a single BitArray", place)
    return ParsedShots(_encoded_bit_array(data, place), _ORDER)


def _encoded_bit_array(data: Any, place: str) -> base.Bits:
    if not isinstance(data, dict) or data.get("__type__") != "BitArray":
        raise InputError(f"{place}: needs a BitArray of measured bits, found {brief(data)}")
    value = part(data, "__value__", dict, place)
    packed = part(part(value, "array", dict, place), "__value__", str, place)
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(packed, validate=True), MOST_UNPACKED // 4)
    except (ValueError, zlib.error):
        raise InputError(f"{place}: the array of the BitArray is damaged") from None
    array = load_npy(SourceFile(Path(place), content))
    return _unpack(array, part(value, "num_bits", int, place), place)


def _numpy_bit_array(file: SourceFile, settings: ReadSettings) -> tuple[NDArray[Any], int]:
    """Return the packed array and its number of bits."""
    if file.content.startswith(b"\x93NUMPY"):
        if settings.qubits is None:
            raise InputError(
                f"{file.path}: a packed array does not hold the number of bits; give --qubits N "
                "(qubits=N)"
            )
        return load_npy(file), settings.qubits
    names = list_npz(file)
    if not {"array", "num_bits"} <= set(names):
        raise InputError(
            f"{file.path}: a BitArray in .npz needs the arrays 'array' and 'num_bits', found "
            f"{str(names)[:60]}; write it by numpy.savez(file, array=b.array, num_bits=b.num_bits)"
        )
    number = load_npz(file, "num_bits")
    bits = int(number.item()) if number.size == 1 and number.dtype.kind in "iu" else 0
    if bits < 1:
        raise InputError(f"{file.path}: num_bits must be one positive integer")
    check_qubits(settings.qubits, bits, f"{file.path}: num_bits")
    return load_npz(file, "array"), bits


def _unpack(array: NDArray[Any], bits: int, place: str) -> base.Bits:
    """Return the bits [shot, site] of a BitArray: bytes of each shot big-endian, bit 0 first."""
    if array.dtype != np.uint8 or array.ndim < 2 or not array.size:
        raise InputError(
            f"{place}: a BitArray must be a non-empty uint8 array [..., shot, byte], found "
            f"{array.dtype} of shape {array.shape}"
        )
    packed = array.reshape(-1, *array.shape[-2:])
    if len(packed) != 1:
        raise InputError(
            f"{place}: the BitArray holds circuits of several parameter sets, shape "
            f"{array.shape[:-2]}; save one, b[0]"
        )
    packed = packed[0]
    if bits < 1 or packed.shape[1] != -(-bits // 8):
        raise InputError(
            f"{place}: {packed.shape[0]} shots of {packed.shape[1]} bytes do not hold {bits} bits "
            "each; check the number of qubits"
        )
    base.check_size(len(packed), bits, place)
    if bits % 8 and (packed[:, 0] >> np.uint8(bits % 8)).any():
        raise InputError(f"{place}: a bit beyond the {bits} is set; check the number of qubits")
    return np.unpackbits(packed[:, ::-1], axis=1, count=bits, bitorder="little")
