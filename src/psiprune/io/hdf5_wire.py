"""How the process that reads HDF5 files and its client talk: JSON, and the bytes of arrays."""

from __future__ import annotations

import json
import math
import os
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError

#: First bytes of files of HDF5, and of NetCDF 3.
HDF5, NETCDF3 = b"\x89HDF\r\n\x1a\n", (b"CDF\x01", b"CDF\x02")
_LENGTH = struct.Struct("<Q")
_DTYPE = re.compile(r"[<>|=][biufcS][0-9]+")
_MOST_MESSAGE = 1 << 31
_PIECE = 1 << 20


def send(descriptor: int, value: Any) -> None:
    """Write lists, texts, numbers and arrays.

    Raises:
        OSError: the other side is gone.
    """
    arrays: list[np.ndarray[Any, Any]] = []

    def describe(array: Any) -> dict[str, Any]:
        arrays.append(np.ascontiguousarray(array))
        return {"dtype": arrays[-1].dtype.str, "shape": np.shape(array)}

    message = json.dumps(value, default=describe).encode()
    for part in (_LENGTH.pack(len(message)), message, *map(_bytes, arrays)):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(descriptor, rest[:_PIECE]) :]


def receive(descriptor: int, limit: int) -> Any:
    """Read what `send` wrote.

    Raises:
        EOFError: the other side is gone.
        ValueError: it sent nonsense, or arrays of more than `limit` bytes.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    left = limit

    def allocate(described: dict[str, Any]) -> np.ndarray[Any, Any]:
        nonlocal left
        if not _DTYPE.fullmatch(described["dtype"]):
            raise ValueError("no type of numbers or text")
        dtype = np.dtype(described["dtype"])
        left -= math.prod(described["shape"]) * dtype.itemsize
        if left < 0:
            raise ValueError("more than the limit")
        arrays.append(np.empty(described["shape"], dtype))
        return arrays[-1]

    (length,) = _LENGTH.unpack(_read(descriptor, bytearray(_LENGTH.size)))
    if length > _MOST_MESSAGE:
        raise ValueError("more than the limit")
    value = json.loads(_read(descriptor, bytearray(length)), object_hook=allocate)
    for array in arrays:
        _read(descriptor, _bytes(array))
    return value


def _bytes(array: np.ndarray[Any, Any]) -> Any:
    """Return the memory of a contiguous array as bytes."""
    return array.reshape(-1).view(np.uint8).data if array.nbytes else bytearray()


def _read(descriptor: int, buffer: Any) -> Any:
    """Fill a buffer."""
    rest = memoryview(buffer)
    while rest:
        piece = os.read(descriptor, min(len(rest), _PIECE))
        if not piece:
            raise EOFError
        rest[: len(piece)] = piece
        rest = rest[len(piece) :]
    return buffer


def outcome(call: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    """Return ("value", what the call returns), ("refused", why) or ("damaged", why)."""
    try:
        return "value", call(*arguments)
    except InputError as error:
        return "refused", str(error)
    except MemoryError:
        return "refused", "takes more memory than the limit; free memory, or split the file"
    except Exception as error:  # the HDF5 library raises many types on damaged content
        why = str(error) if isinstance(error, ValueError) else ""
        return "damaged", " ".join(why.split())[:80]


def open_reader(content: bytes, limit: int) -> Any:
    """Return the reader for the content of a file of HDF5, NetCDF 4 or NetCDF 3."""
    if content.startswith(NETCDF3):  # SciPy is not for every file
        from psiprune.io.netcdf3_reader import NetCDF3Reader

        return NetCDF3Reader(content, limit)
    from psiprune.io.hdf5_reader import HDF5Reader

    return HDF5Reader(content, limit)
