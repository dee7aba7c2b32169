"""Qiskit's `BitArray`: packed bytes in NumPy's files, or in the JSON of qiskit-ibm-runtime."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_UNPACKED
from psiprune.data.formats.base import Bits, SourceFile, brief, part
from psiprune.data.formats.bits import check_qubits, check_size
from psiprune.data.formats.numpy import list_npz, load_npy, load_npz
from psiprune.data.formats.settings import ReadSettings


def encoded_bit_array(data: Any, place: str) -> Bits:
    """Return the bits [shot, site] of a `BitArray` as `RuntimeEncoder` writes it."""
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


def numpy_bit_array(file: SourceFile, settings: ReadSettings) -> Bits:
    """Return the bits [shot, site] of a `BitArray` in .npz, or of its array in .npy."""
    return _unpack(*_packed(file, settings), file.place)


def _packed(file: SourceFile, settings: ReadSettings) -> tuple[NDArray[Any], int]:
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


def _unpack(array: NDArray[Any], bits: int, place: str) -> Bits:
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
    check_size(len(packed), bits, place)
    if bits % 8 and (packed[:, 0] >> np.uint8(bits % 8)).any():
        raise InputError(f"{place}: a bit beyond the {bits} is set; check the number of qubits")
    return np.unpackbits(packed[:, ::-1], axis=1, count=bits, bitorder="little")
