"""Datasets in NetCDF files: written atomically with a checksum, validated before they are read."""

from __future__ import annotations

import io
import os
import re
import secrets
import threading
import zlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import h5py
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.io.bytes import read_bytes, read_start, sync_folder
from psiprune.io.hdf5_checks import check_variables
from psiprune.io.paths import draft_file, side_file

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: The netCDF library is not thread-safe.
_NETCDF_LOCK = threading.Lock()
#: What tells drafts of a file apart.
_TOKEN = re.compile("[0-9a-f]{8}")
_TRAILER = re.compile(rb"psiprune-crc32=([0-9a-f]{8})\n\Z")


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file atomically: readers see the old content or the new one, never a part.

    Raises:
        OSError: the folder is missing, read-only or full; an old file is then unchanged.
    """
    path = Path(path)
    # Random, not the process id: on a shared disk two machines may have the same.
    draft = draft_file(path, secrets.token_hex(4))
    try:
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:  # name the user's file, not the draft
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        # If removal fails too, the first error is the one to report.
        with suppress(OSError):
            draft.unlink()
    return path


def clear_drafts(path: Path) -> None:
    """Remove what killed writers of a file, or of its checkpoints and notes, have left of it.

    No other process may write the file at the same time.
    """
    side = re.escape(side_file(path, "").name)
    sides = re.compile(rf"{side}(\d+\.checkpoint|begun|lock\.[0-9a-f]{{8}}\.owner)")
    for other in path.parent.glob(".*.draft"):
        written, _, token = other.name[1:].removesuffix(".draft").rpartition(".")
        if _TOKEN.fullmatch(token) and (
            other.name == draft_file(path, token).name or sides.fullmatch(written)
        ):
            other.unlink()


def write_dataset(path: str | os.PathLike[str], dataset: xr.Dataset, kind: str) -> Path:
    """Write a dataset as one NetCDF file of the given kind, atomically.

    Raises:
        OSError: as `write_bytes`.
    """
    labelled = dataset.assign_attrs(psiprune_kind=kind, psiprune_version=version("psiprune"))
    # HDF5 cannot compress scalars or empty arrays; missing values are NaN, so no fill value.
    filters = {"zlib": True, "complevel": 1, "shuffle": True}
    encoding = {
        name: {"_FillValue": None}
        | (filters if variable.size > 1 and variable.dtype.kind not in "OUT" else {})
        for name, variable in labelled.variables.items()
    }
    # h5netcdf, as netCDF4 would store the time of writing; in memory, so that a full disk is
    # reported by `write_bytes` and not inside the HDF5 library.
    content = bytes(labelled.to_netcdf(engine="h5netcdf", encoding=encoding, unlimited_dims=()))
    return write_bytes(path, content + b"psiprune-crc32=%08x\n" % zlib.crc32(content))


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Return the kind of a file by its content; None if it is not NetCDF 4 or has no kind.

    Raises:
        InputError: the file cannot be read, or is a damaged NetCDF 4 file.
    """
    try:
        start = read_start(Path(path), len(_SIGNATURE))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if start != _SIGNATURE:
        return None
    content = _read_checked(Path(path))
    try:
        with h5py.File(io.BytesIO(content), "r") as opened:
            kind = opened.attrs.get("psiprune_kind")
    except Exception:  # the HDF5 library raises many types on damaged content
        raise _damaged(path) from None
    return None if kind is None else str(kind)


def read_dataset(path: str | os.PathLike[str], kind: str | None = None) -> xr.Dataset:
    """Read a complete file into memory and check that it is of the given kind.

    Raises:
        InputError: the file is missing, empty, truncated, damaged, not NetCDF 4 or of another kind,
            or claims more data than it holds, which is detected before memory is allocated.
    """
    path = Path(path)
    content = _read_checked(path)
    try:
        check_variables(content)
        # netCDF4 takes a tenth of h5netcdf's time.
        with _NETCDF_LOCK, xr.open_dataset(content, engine="netcdf4") as opened:
            dataset = opened.load()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception:  # the HDF5 library raises many types on damaged content
        raise _damaged(path) from None
    actual = dataset.attrs.get("psiprune_kind")
    if kind is not None and actual != kind:
        raise InputError(f"{path}: expected a file of kind '{kind}', found {actual!r}")
    return dataset


def verify(path: str | os.PathLike[str]) -> None:
    """Check that a file is intact, by its checksum alone if it has one.

    Raises:
        InputError: as `read_dataset`.
    """
    if not _TRAILER.search(_read_checked(Path(path))[-24:]):
        read_dataset(path)


def _read_checked(path: Path) -> bytes:
    """Return all bytes of a NetCDF 4 file, compared with its checksum if it has one."""
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
