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
from psiprune.data.formats.base import (
    File,
    ParsedShots,
    bits_of_strings,
    brief,
    check_size,
    choose,
    choose_one,
    expand_counts,
    part,
)
from psiprune.data.formats.numpy import list_npz, load_npy, load_npz
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.netcdf import MOST_UNPACKED

_ORDER = "site 0 is bit 0, the rightmost character of a Qiskit bit string"
_HEX = re.compile(r"0x[0-9a-fA-F]+")


def read_qiskit(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of what Qiskit gives for a circuit measured in Z, with qubit 0 as site 0.

    JSON of `get_counts()` (bit strings, with blanks between registers, or hexadecimal with
    `qubits`), of `get_memory()` or `BitArray.get_bitstrings()`, of `Result.to_dict()`, or of a
    `BitArray` or `PrimitiveResult` by qiskit-ibm-runtime's `RuntimeEncoder`. A `BitArray` as
    `numpy.savez(file, array=b.array, num_bits=b.num_bits)`, or `b.array` as .npy with `qubits`.
    `key` chooses a register, or the circuit of several in one file.

    Raises:
        InputError: the structure is another, the number of qubits is not told or does not fit, or
            counts are not counts.
    """
    place = str(file.path)
    if file.content.startswith((b"PK", b"\x93NUMPY")):
        if settings.key:
            raise InputError(f"{place}: key: a BitArray in NumPy's format is one register")
        return ParsedShots(_unpack(*_numpy_bit_array(file, settings), place), _ORDER)
    data = file.json
    kind = data.get("__type__") if isinstance(data, dict) else None
    if kind is not None:
        return _read_encoded(data, settings, place)
    if isinstance(data, dict) and "results" in data:
        return _read_result(data, settings, place)
    if settings.key:
        raise InputError(f"{place}: key: there is nothing to choose from in counts or memory")
    if isinstance(data, dict):
        outcomes = _bits(list(data), settings.qubits, place)
        return ParsedShots(expand_counts(outcomes, data.values(), place), _ORDER)
    if isinstance(data, list) and data and all(isinstance(item, dict) for item in data):
        raise InputError(
            f"{place}: holds the counts of {len(data)} circuits; save those of one, "
            "result.get_counts(0)"
        )
    if isinstance(data, list) and data:
        return ParsedShots(_bits(data, settings.qubits, place), _ORDER)
    raise InputError(
        f"{place}: needs Qiskit's counts as an object, or memory as a list, found {brief(data)}"
    )


def write_counts(bits: NDArray[np.uint8]) -> bytes:
    """Counts as JSON: bit string -> number of shots, site 0 rightmost, in order of the strings."""
    # Bytes sort as the strings do, and much faster than rows.
    packed = np.packbits(bits[:, ::-1], axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    found, numbers = np.unique(rows, return_counts=True)
    table = found.view(np.uint8).reshape(len(found), -1)
    outcomes = np.unpackbits(table, axis=1, count=bits.shape[1])
    keys = ("".join(map(str, row)) for row in outcomes.tolist())
    return json.dumps(dict(zip(keys, numbers.tolist(), strict=True)), indent=1).encode() + b"\n"


def _bits(keys: Sequence[Any], qubits: int | None, place: str) -> NDArray[np.uint8]:
    """Outcomes as bits, [outcome, site]: bit strings or hexadecimal numbers, not both."""
    if not keys:
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")
    if all(isinstance(key, str) and _HEX.fullmatch(key) for key in keys):
        return _hexadecimal(keys, qubits, place)
    joined = []
    for key in keys:
        if not isinstance(key, str) or not re.fullmatch("[01]+( [01]+)*", key):
            raise InputError(
                f"{place}: an outcome must be a bit string such as '0110', '01 10' or '0x6', all "
                f"of one kind, found {brief(key)}"
            )
        joined.append(key.replace(" ", ""))
    bits = bits_of_strings(joined, place)
    if len({tuple(map(len, key.split())) for key in keys}) > 1:
        raise InputError(f"{place}: outcomes differ in where the blanks between registers stand")
    if qubits not in (None, bits.shape[1]):
        raise InputError(
            f"{place}: outcomes have {bits.shape[1]} bits, but qubits is {qubits}; leave it out"
        )
    return bits[:, ::-1]


def _hexadecimal(keys: Sequence[str], qubits: int | None, place: str) -> NDArray[np.uint8]:
    numbers = [int(key, 16) for key in keys]
    needed = max(1, max(numbers).bit_length())
    if qubits is None:
        raise InputError(
            f"{place}: hexadecimal outcomes do not tell the number of qubits (at least {needed}); "
            "give --qubits N (qubits=N)"
        )
    if needed > qubits:
        raise InputError(
            f"{place}: the outcome {hex(max(numbers))[:60]} needs {needed} bits, but qubits is "
            f"{qubits}"
        )
    check_size(len(numbers), qubits, place)
    width = -(-qubits // 8)
    packed = b"".join(number.to_bytes(width, "little") for number in numbers)
    table = np.frombuffer(packed, dtype=np.uint8).reshape(len(numbers), width)
    return np.unpackbits(table, axis=1, count=qubits, bitorder="little")


def _read_result(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """`Result.to_dict()`: the memory where there is one, as it keeps the order of the shots."""
    results = part(data, "results", list, place)
    names = [str(number) for number in range(len(results))]
    chosen = choose_one(names, settings.key, "experiment", place)
    result, place = results[int(chosen)], f"{place}: experiment {chosen}"
    found = part(result, "data", dict, place)
    header = result.get("header")
    slots = header.get("memory_slots") if isinstance(header, dict) else None
    qubits = slots if isinstance(slots, int) and slots > 0 else settings.qubits
    if settings.qubits not in (None, qubits):
        raise InputError(
            f"{place}: has {qubits} bits by its header, but qubits is {settings.qubits}"
        )
    memory = found.get("memory")
    if isinstance(memory, list) and memory:
        return ParsedShots(_bits(memory, qubits, place), _ORDER)
    counts = part(found, "counts", dict, place)
    outcomes = _bits(list(counts), qubits, place)
    return ParsedShots(expand_counts(outcomes, counts.values(), place), _ORDER)


def _read_encoded(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """What `RuntimeEncoder` writes: {"__type__": ..., "__value__": ...}, boxes within boxes."""
    kind, wanted = data["__type__"], settings.key
    notes = {}
    if kind == "PrimitiveResult":
        pubs = part(part(data, "__value__", dict, place), "pub_results", list, place)
        # With several circuits the first key is the circuit's number, further ones registers.
        names = [str(number) for number in range(len(pubs))]
        chosen = choose_one(names, wanted[:1] if len(pubs) > 1 else (), "circuit", place)
        wanted = wanted[1:] if len(pubs) > 1 else wanted
        data = pubs[int(chosen)]
        kind = data.get("__type__") if isinstance(data, dict) else None
    if kind in ("SamplerPubResult", "PubResult"):
        data = part(part(data, "__value__", dict, place), "data", dict, place)
        kind = data.get("__type__")
    if kind == "DataBin":
        fields = part(part(data, "__value__", dict, place), "fields", dict, place)
        registers = choose(list(fields), wanted, "register", place)
        tables = [_encoded_bit_array(fields[name], f"{place}: {name[:60]}") for name in registers]
        if len({len(table) for table in tables}) > 1:
            raise InputError(f"{place}: the registers chosen differ in their number of shots")
        notes["registers"] = ", ".join(registers)
        order = f"{_ORDER}; registers {notes['registers']} one after the other"
        return ParsedShots(np.concatenate(tables, axis=1), order, notes=notes)
    if wanted:
        raise InputError(f"{place}: key: a single BitArray is one register, nothing to choose")
    return ParsedShots(_encoded_bit_array(data, place), _ORDER)


def _encoded_bit_array(data: Any, place: str) -> NDArray[np.uint8]:
    if not isinstance(data, dict) or data.get("__type__") != "BitArray":
        raise InputError(f"{place}: needs a BitArray of measured bits, found {brief(data)}")
    value = part(data, "__value__", dict, place)
    packed = part(part(value, "array", dict, place), "__value__", str, place)
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(packed, validate=True), MOST_UNPACKED // 4)
    except (ValueError, zlib.error):
        raise InputError(f"{place}: the array of the BitArray is damaged") from None
    array = load_npy(File(Path(place), content))
    return _unpack(array, part(value, "num_bits", int, place), place)


def _numpy_bit_array(file: File, settings: ReadSettings) -> tuple[NDArray[Any], int]:
    """The packed array and its number of bits."""
    if file.content.startswith(b"\x93NUMPY"):
        if settings.qubits is None:
            raise InputError(
                f"{file.path}: a packed array does not tell the number of bits; give --qubits N "
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
    if number.size != 1 or number.dtype.kind not in "iu" or int(number.ravel()[0]) < 1:
        raise InputError(f"{file.path}: num_bits must be one positive integer")
    bits = int(number.ravel()[0])
    if settings.qubits not in (None, bits):
        raise InputError(f"{file.path}: num_bits is {bits}, but qubits is {settings.qubits}")
    return load_npz(file, "array"), bits


def _unpack(array: NDArray[Any], bits: int, place: str) -> NDArray[np.uint8]:
    """A BitArray's bytes, big-endian by shot, as bits with bit 0 first: [shot, site]."""
    if array.dtype != np.uint8 or array.ndim < 2 or not array.size:
        raise InputError(
            f"{place}: a BitArray is an array of uint8 [..., shot, byte], not empty, found "
            f"{array.dtype} of shape {array.shape}"
        )
    packed = array.reshape(-1, *array.shape[-2:])
    if len(packed) != 1:
        raise InputError(
            f"{place}: the BitArray has the shape {array.shape[:-2]}, a circuit for each set of "
            "parameters; save one, b[0]"
        )
    packed = packed[0]
    if bits < 1 or packed.shape[1] != -(-bits // 8):
        raise InputError(
            f"{place}: {packed.shape[0]} shots of {packed.shape[1]} bytes do not hold {bits} bits "
            "each; the number of bits is another"
        )
    check_size(len(packed), bits, place)
    if bits % 8 and (packed[:, 0] >> np.uint8(bits % 8)).any():
        raise InputError(f"{place}: a bit beyond the {bits} is set; the number of bits is another")
    return np.unpackbits(packed[:, ::-1], axis=1, count=bits, bitorder="little")
