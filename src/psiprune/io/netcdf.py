"""Datasets in NetCDF files: written atomically with a checksum, validated before they are read."""

from __future__ import annotations

import io
import math
import os
import re
import secrets
import threading
import zlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.io.bytes import read_bytes, read_start

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: The netCDF library must not be entered by two threads.
_ONE_AT_A_TIME = threading.Lock()
_TRAILER = re.compile(rb"psiprune-crc32=([0-9a-f]{8})\n\Z")


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file atomically: readers see the old content or the new one, never a part.

    Raises:
        OSError: the folder is missing, read-only or full; the old file is then untouched.
    """
    path = Path(path)
    # Not the process's number: on a shared disk two machines may have the same.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:  # a name that the user knows, not the draft's or none
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        # What cannot be written cannot be removed either, and the first error is the one to tell.
        with suppress(OSError):
            draft.unlink()
    return path


def clear_drafts(path: Path) -> None:
    """Remove what killed writers of a file, or of a hidden one beside it, have left of it.

    Nobody else may write it meanwhile.
    """
    name = re.escape(path.name)
    draft = re.compile(rf"\.({name}|\.{name}\.(\d+\.checkpoint|begun))\.[0-9a-f]{{8}}\.draft")
    for other in path.parent.iterdir():
        if draft.fullmatch(other.name):
            other.unlink()


def write_dataset(path: str | os.PathLike[str], dataset: xr.Dataset, kind: str) -> Path:
    """Write a dataset as one NetCDF file of the given kind, atomically.

    Raises:
        OSError: as `write_bytes`.
    """
    labelled = dataset.assign_attrs(psiprune_kind=kind, psiprune_version=version("psiprune"))
    # HDF5 can compress arrays only, not scalars or empty arrays; what is missing is NaN by itself.
    filters = {"zlib": True, "complevel": 1, "shuffle": True}
    encoding = {
        name: {"_FillValue": None}
        | (filters if variable.size > 1 and variable.dtype.kind not in "OUT" else {})
        for name, variable in labelled.variables.items()
    }
    # By h5netcdf, as netCDF4 would write the time of day into the file, and through memory, so that
    # a full disk is met by `write_bytes` and not inside the HDF5 library.
    content = bytes(labelled.to_netcdf(engine="h5netcdf", encoding=encoding, unlimited_dims=()))
    return write_bytes(path, content + b"psiprune-crc32=%08x\n" % zlib.crc32(content))


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of a file by its content; None where it is not NetCDF 4 or names no kind.

    Raises:
        InputError: the file cannot be read, or is a damaged NetCDF 4 file.
    """
    try:
        start = read_start(Path(path), len(_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if start != _SIGNATURE:
        return None
    content = _whole(Path(path))
    try:
        with h5py.File(io.BytesIO(content), "r") as opened:
            kind = opened.attrs.get("psiprune_kind")
    except Exception:  # the HDF5 library raises many types on damaged content
        raise _damaged(path) from None
    return None if kind is None else str(kind)


def read_dataset(path: str | os.PathLike[str], kind: str | None = None) -> xr.Dataset:
    """Read a whole file into memory and check that it is of the given kind.

    Raises:
        InputError: the file is missing, empty, truncated, damaged, not NetCDF 4 or of another kind,
            or claims more than it holds, which is found before memory is taken.
    """
    path = Path(path)
    content = _whole(path)
    try:
        check_variables(content)
        # By netCDF4, which takes a tenth of h5netcdf's time.
        with _ONE_AT_A_TIME, xr.open_dataset(content, engine="netcdf4") as lazily:
            dataset = lazily.load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception:  # the HDF5 library raises many types on damaged content
        raise _damaged(path) from None
    found = dataset.attrs.get("psiprune_kind")
    if kind is not None and found != kind:
        raise InputError(f"{path}: expected a file of kind '{kind}', found {found!r}")
    return dataset


def verify(path: str | os.PathLike[str]) -> None:
    """Check that a file is whole, by its checksum alone where it has one.

    Raises:
        InputError: as `read_dataset`.
    """
    if not _TRAILER.search(_whole(Path(path))[-24:]):
        read_dataset(path)


def _whole(path: Path) -> bytes:
    """All bytes of a NetCDF 4 file that agree with its checksum, if it has one."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not content:
        raise InputError(f"{path}: the file is empty; write it again")
    if not content.startswith(_SIGNATURE):
        raise InputError(f"{path}: not a NetCDF 4 file, so not one written by psiprune")
    trailer = _TRAILER.search(content[-24:])
    if trailer is not None and int(trailer[1], 16) != zlib.crc32(memoryview(content)[:-24]):
        raise _damaged(path)
    return content


def _damaged(path: str | os.PathLike[str]) -> InputError:
    return InputError(f"{path}: truncated or damaged; delete it and make it again")


#: Bytes that a packed array may unpack to, which is where a small file can become a large table.
MOST_UNPACKED = 1 << 30
#: Deflate packs to a thousandth at best; what claims more than that is a claim without content.
_MOST_PACKED = 1100
_SMALL = 1 << 24
_DIMENSION = b"This is a netCDF dimension but not a netCDF variable"


def check_stored(item: Any) -> None:
    """Check the shape that an `h5py.Dataset` claims against the bytes that are stored.

    Raises:
        InputError: parts were never written, or it unpacks to more than fits in memory.
        ValueError: the data lie in other files, or are fewer than any packing leaves.
    """
    if item.shape is None:
        return
    if item.is_virtual or item.external:
        raise ValueError("data in other files")
    stored, size = item.id.get_storage_size(), item.size * item.dtype.itemsize
    if item.chunks is None:
        if stored < size:
            raise _never_written("the table was never written, or not to its end")
    elif size:
        grid = [-(-length // step) for length, step in zip(item.shape, item.chunks, strict=True)]
        parts, there = math.prod(grid), item.id.get_num_chunks()
        if there < parts:
            raise _never_written(f"of the {parts} parts of the table {there} were ever written")
        # A part is unpacked whole, however little of it lies within the shape.
        size = parts * math.prod(item.chunks) * item.dtype.itemsize
    if size > MOST_UNPACKED and size > stored:
        raise InputError(
            f"the table unpacks to {size} bytes, more than the {MOST_UNPACKED} that fit in memory "
            "here; save its bits as uint8, or a random part of the shots"
        )
    if size > max(_SMALL, _MOST_PACKED * stored):
        raise ValueError("claims more than it holds")


def check_variables(content: bytes) -> None:
    """`check_stored` for every variable of a NetCDF 4 file, and for all of them together.

    Raises:
        InputError, ValueError: as `check_stored`; a message of InputError names the variable.
        Exception: of any type, by the HDF5 library, where the content is damaged.
    """
    import h5py

    claimed = 0
    with h5py.File(io.BytesIO(content), "r") as opened:
        for name in opened:
            if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
                raise ValueError("data in other files")
            item = opened[name]
            # NetCDF 4 keeps a dimension without values as an array that is never written.
            scale = bytes(item.attrs.get("NAME", b"")).startswith(_DIMENSION)
            if scale or not isinstance(item, h5py.Dataset):
                continue
            try:
                check_stored(item)
            except InputError as error:
                raise InputError(f"{name[:60]}: {error}") from None
            claimed += (item.size or 0) * item.dtype.itemsize
    # Many variables may share the same bytes.
    if claimed > max(_SMALL, _MOST_PACKED * len(content)):
        raise ValueError("claims more than it holds")


def _never_written(what: str) -> InputError:
    return InputError(f"{what}; what is missing would be read as zeros, so write the file again")
