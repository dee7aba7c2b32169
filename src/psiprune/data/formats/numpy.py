"""Shots as NumPy arrays: .npy, and .npz with one array of them."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError, PsipruneError
from psiprune.core.limits import MOST_UNPACKED
from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.bits import as_bits
from psiprune.data.formats.names import choose_one, refuse_key
from psiprune.data.formats.settings import ReadSettings
from psiprune.data.pauli_bases import PauliBases

ORDER = "site 0 is column 0"


def read_numpy(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read an array [shot, site]: of an .npz the one named, else `bits`, else the only one.

    An array `bases` of an .npz holds a string for each shot, or letters [shot, site]; I is Z.

    Raises:
        InputError: the file is damaged, holds Python objects or claims more than it holds; there
            is no such array, or it is not a table of bits (with `spin`, of +1 and -1); the bases
            are not strings of X, Y and Z, or not as many as shots.
    """
    notes, basis = {}, None
    if file.content.startswith(b"PK"):
        arrays = list_npz(file)
        wanted = settings.key or (("bits",) if "bits" in arrays else ())
        if not settings.bases and "bases" in arrays:
            basis = _bases(load_npz(file, "bases"), file.place)
        others = [name for name in arrays if name != "bases"]
        name = choose_one(others, wanted, "array", file.place)
        array, notes["array"] = load_npz(file, name), name
    else:
        refuse_key(settings.key, "a .npy file", file.place)
        array = load_npy(file)
    bits = as_bits(array, file.place, settings.spin)
    if basis is not None and (len(basis.index), basis.sites) != bits.shape:
        raise InputError(
            f"{file.place}: the array 'bases' has {len(basis.index)} bases of {basis.sites} sites, "
            f"but there are {bits.shape[0]} shots of {bits.shape[1]}; both need a row per shot"
        )
    return ParsedShots(bits, ORDER, notes=notes, basis=basis)


def _bases(array: NDArray[Any], place: str) -> PauliBases:
    """Return bases from strings [shot] or letters [shot, site]."""
    rows = array.tolist() if array.dtype.kind in "US" and array.ndim in (1, 2) else []
    if not rows:
        raise InputError(
            f"{place}: the array 'bases' must hold a string for each shot, or letters [shot, "
            f"site], found {array.dtype} of shape {array.shape}"
        )
    parts = [row if array.ndim == 2 else [row] for row in rows]
    joined = ["".join(b.decode("latin-1") if isinstance(b, bytes) else b for b in p) for p in parts]
    try:
        return PauliBases.of_shots(name.replace("I", "Z") for name in joined)
    except InputError as error:
        raise InputError(f"{place}: the array 'bases': {error}") from None


def list_npz(file: SourceFile) -> list[str]:
    """Return the names of the arrays in an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception as error:  # zipfile raises many types on damaged content
        raise _damaged(file, error) from None


def load_npz(file: SourceFile, name: str) -> NDArray[Any]:
    """Return one array of an .npz file."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > MOST_UNPACKED:
                raise _RefusedError(
                    f"the array {name[:60]!r} unpacks to {entry.file_size} bytes, more than the "
                    f"limit of {MOST_UNPACKED}; save its bits as uint8 (array.astype('u1')), or a "
                    "random subset of the shots"
                )
            with archive.open(entry) as stream:
                return _load(stream, entry.file_size)
    except Exception as error:
        raise _damaged(file, error) from None


def load_npy(file: SourceFile) -> NDArray[Any]:
    """Return the array of an .npy file."""
    try:
        return _load(io.BytesIO(file.content), len(file.content))
    except Exception as error:
        raise _damaged(file, error) from None


def write_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return named arrays as a compressed .npz file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _load(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Return an array from `size` bytes with a header, checked before memory is allocated."""
    major, _ = np.lib.format.read_magic(stream)
    if major == 1:
        header = np.lib.format.read_array_header_1_0(stream)
    else:
        header = np.lib.format.read_array_header_2_0(stream)
    shape, fortran, dtype = header
    if dtype.hasobject:
        raise _RefusedError("holds Python objects, which are never loaded; save numbers 0 and 1")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise _RefusedError(
            f"its header claims an array of the shape {str(shape)[:60]}, which is more than the "
            "file holds; it is truncated or damaged"
        )
    content = stream.read(count * dtype.itemsize)
    flat = np.frombuffer(content, dtype=dtype, count=count)
    return flat.reshape(shape, order="F" if fortran else "C")


class _RefusedError(PsipruneError, ValueError):
    """Our own complaint about an array, whose message `_damaged` shows as it is."""


def _damaged(file: SourceFile, error: Exception) -> InputError:
    if isinstance(error, _RefusedError):
        return InputError(f"{file.path}: {error}")
    return InputError(
        f"{file.path}: truncated, damaged, or not a plain array ({type(error).__name__})"
    )
