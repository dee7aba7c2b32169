"""Shots as NumPy arrays: .npy, and .npz with one array of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError, PsipruneError
from psiprune.data.formats.base import File, ParsedShots, as_bits, bits_from_spins, choose_one
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.netcdf import MOST_UNPACKED

ORDER = "site 0 is column 0"


def read_numpy(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of an array [shot, site]: of an .npz the one named, else `bits`, else the only one.

    Raises:
        InputError: the file is damaged, holds objects or claims more than it holds; there is no
            such array, or it is not a table of bits (with `spin`, of +1 and -1).
    """
    notes = {}
    if file.content.startswith(b"PK"):
        arrays = list_npz(file)
        wanted = settings.key or (("bits",) if "bits" in arrays else ())
        if not wanted and len(arrays) != 1:
            raise InputError(
                f"{file.path}: needs one array, or one named 'bits'; found "
                f"{str(arrays)[:200]}; choose by --key (key=...)"
            )
        name = choose_one(list(arrays), wanted, "array", str(file.path))
        array, notes["array"] = load_npz(file, name), name
    else:
        if settings.key:
            raise InputError(f"{file.path}: key: a .npy file has one array without a name")
        array = load_npy(file)
    convert = bits_from_spins if settings.spin else as_bits
    return ParsedShots(convert(array, str(file.path)), ORDER, notes=notes)


def list_npz(file: File) -> list[str]:
    """The names of the arrays in an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception as error:  # zipfile raises many types on damaged content
        raise _damaged(file, error) from None


def load_npz(file: File, name: str) -> NDArray[Any]:
    """One array of an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > MOST_UNPACKED:
                raise _RefusedError(
                    f"the array {name[:60]!r} unpacks to {entry.file_size} bytes, more than the "
                    f"{MOST_UNPACKED} that fit in memory here; save its bits as uint8 (array.astype"
                    "('u1')), or a random part of the shots"
                )
            with archive.open(entry) as stream:
                return _load(stream, entry.file_size)
    except Exception as error:
        raise _damaged(file, error) from None


def load_npy(file: File) -> NDArray[Any]:
    """The array of an .npy file."""
    try:
        return _load(io.BytesIO(file.content), len(file.content))
    except Exception as error:
        raise _damaged(file, error) from None


def write_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Named arrays as an .npz file, packed."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _load(stream: IO[bytes], size: int) -> NDArray[Any]:
    """An array of `size` bytes with its header, which is believed only where it fits the size."""
    major, _ = np.lib.format.read_magic(stream)
    if major == 1:
        header = np.lib.format.read_array_header_1_0(stream)
    else:
        header = np.lib.format.read_array_header_2_0(stream)
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise _RefusedError("holds Python objects, which are never loaded; save numbers 0 and 1")
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise _RefusedError(
            f"its header claims an array of the shape {str(shape)[:60]}, which is more than the "
            "file holds; it is truncated or damaged"
        )
    content = stream.read(count * dtype.itemsize)
    flat = np.frombuffer(content, dtype=dtype, count=count)
    return flat.reshape(shape, order="F" if fortran else "C")


class _RefusedError(PsipruneError, ValueError):
    """What is wrong with an array, in words of ours."""


def _damaged(file: File, error: Exception) -> InputError:
    if isinstance(error, _RefusedError):
        return InputError(f"{file.path}: {error}")
    return InputError(
        f"{file.path}: truncated, damaged, or not a plain array ({type(error).__name__})"
    )
