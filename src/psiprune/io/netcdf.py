"""Datasets in NetCDF files: written atomically with a checksum, validated before they are read.

Importing xarray takes longer than a small training, so what every training reads and writes passes
as plain arrays (`write_arrays`, `read_arrays`).
"""

from __future__ import annotations

import io
import os
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.memory import FRACTION, free_memory
from psiprune.io.bytes import read_bytes, read_start, size_of, sync_folder
from psiprune.io.damage import damaged
from psiprune.io.hdf5_checks import check_memory
from psiprune.io.hdf5_guard import mark_own, opened
from psiprune.io.hdf5_wire import HDF5, NETCDF3
from psiprune.io.paths import draft_file, side_file

if TYPE_CHECKING:
    import xarray as xr

#: Variables of a file by name: dimensions, values and attributes.
Arrays = Mapping[str, tuple[Sequence[str], NDArray[Any], Mapping[str, Any]]]
#: Characters of one array of texts of equal width.
_MOST_PADDED = 1 << 24
#: What tells drafts of a file apart.
_TOKEN = re.compile("[0-9a-f]{8}")
_TRAILER = re.compile(rb"psiprune-crc32=([0-9a-f]{8})\n\Z")


class Stored(NamedTuple):
    """What a file holds: name -> dimensions and values, and the attributes of the whole file."""

    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]]
    attributes: dict[str, Any]


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


def write_dataset(
    path: str | os.PathLike[str], dataset: xr.Dataset, kind: str, compress_above: int = 0
) -> Path:
    """Write a dataset as one NetCDF file of the given kind, atomically.

    Variables of more than `compress_above` bytes are compressed; each takes 3 kB more for that.

    Raises:
        OSError: as `write_bytes`.
    """
    labelled = dataset.assign_attrs(**_identity(kind))
    # HDF5 cannot compress scalars or empty arrays; missing values are NaN, so no fill value.
    filters = {"zlib": True, "complevel": 1, "shuffle": True}

    def compressible(variable: xr.Variable) -> bool:
        return variable.size > 1 and variable.dtype.kind not in "OUT"

    encoding = {
        name: {"_FillValue": None}
        | (filters if compressible(variable) and variable.nbytes > compress_above else {})
        for name, variable in labelled.variables.items()
    }
    # h5netcdf, as netCDF4 would store the time of writing; in memory, so that a full disk is
    # reported by `write_bytes` and not inside the HDF5 library.
    content = labelled.to_netcdf(engine="h5netcdf", encoding=encoding, unlimited_dims=())
    return _write_checked(path, bytes(content))


def write_arrays(
    path: str | os.PathLike[str], arrays: Arrays, attributes: Mapping[str, Any], kind: str
) -> Path:
    """Write arrays of numbers as one NetCDF file of the given kind, atomically.

    The file has the bytes that `write_dataset` writes of the same arrays.

    Raises:
        OSError: as `write_bytes`.
    """
    import h5netcdf

    memory = io.BytesIO()
    with h5netcdf.File(memory, "w", format="NETCDF4") as file:
        for name, value in {**attributes, **_identity(kind)}.items():
            file.attrs[name] = value
        for dimensions, values, _ in arrays.values():
            for dimension, size in zip(dimensions, values.shape, strict=True):
                if dimension not in file.dimensions:
                    file.dimensions[dimension] = size
        for name, (dimensions, values, labels) in arrays.items():
            filters: dict[str, Any] = {}
            if values.size > 1:
                filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            variable = file.create_variable(name, tuple(dimensions), values.dtype, **filters)
            for label, value in labels.items():
                variable.attrs[label] = value
            variable[...] = values
    return _write_checked(path, memory.getvalue())


def _identity(kind: str) -> dict[str, str]:
    return {"psiprune_kind": kind, "psiprune_version": version("psiprune")}


def _write_checked(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file atomically, with a checksum at its end."""
    content += b"psiprune-crc32=%08x\n" % zlib.crc32(content)
    mark_own(content)
    return write_bytes(path, content)


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Return the kind of a file by its content; None if it is not NetCDF or has no kind.

    Raises:
        InputError: the file cannot be read, or is a damaged NetCDF file.
    """
    try:
        start = read_start(Path(path), len(HDF5))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not start.startswith((HDF5, *NETCDF3)):
        return None
    with opened(_read_checked(Path(path)), Path(path)) as file:
        kind = file.attributes().get("psiprune_kind")
    return None if kind is None else str(kind)


def read_dataset(path: str | os.PathLike[str], kind: str | None = None) -> xr.Dataset:
    """Read a complete file into memory and check that it is of the given kind.

    The file may have been saved again by another program, also as NetCDF 3.

    Raises:
        InputError: the file is missing, empty, truncated, damaged, not NetCDF or of another kind,
            or claims more data than it holds or memory allows, which is detected before memory is
            allocated.
    """
    path = Path(path)
    content = _read_checked(path)
    return _decoded(path, content, *_raw(path, content), kind)


def read_arrays(path: str | os.PathLike[str], kind: str) -> Stored:
    """Read a complete file into memory, as `read_dataset`, which decodes what others have saved.

    Raises:
        InputError: as `read_dataset`.
    """
    path = Path(path)
    content = _read_checked(path)
    variables, attributes = _raw(path, content)
    if not _TRAILER.search(content[-24:]):
        dataset = _decoded(path, content, variables, attributes, kind)
        found = {
            str(name): (tuple(map(str, each.dims)), each.values)
            for name, each in dataset.variables.items()
        }
        return Stored(found, dataset.attrs)
    _check_kind(path, attributes, kind)
    attributes.pop("coordinates", None)  # which variables xarray labels others by
    return Stored(
        {name: (tuple(names), _as_array(values)) for name, names, _, values in variables},
        attributes,
    )


def _raw(
    path: Path, content: bytes
) -> tuple[list[tuple[str, list[str], dict[str, Any], Any]], dict[str, Any]]:
    """Return what `Opened.variables` and `Opened.attributes` do."""
    with opened(content, path) as file:
        attributes = file.attributes()
        return file.variables(), attributes


def _decoded(
    path: Path,
    content: bytes,
    raw: list[tuple[str, list[str], dict[str, Any], Any]],
    attributes: dict[str, Any],
    kind: str | None,
) -> xr.Dataset:
    """Return a dataset by the conventions of NetCDF files (missing values, scales, times)."""
    import xarray as xr
    from xarray.backends import InMemoryDataStore

    variables = {
        name: _variable(names, values, of_variable) for name, names, of_variable, values in raw
    }
    try:
        dataset = xr.open_dataset(InMemoryDataStore(variables, attributes)).load()  # type: ignore[no-untyped-call]
    except Exception as error:  # dimensions that contradict each other, times without a start, ...
        raise damaged(path, content, " ".join(str(error).split())[:80]) from None
    if kind is not None:
        _check_kind(path, dataset.attrs, kind)
    return dataset


def _check_kind(path: Path, attributes: Mapping[str, Any], kind: str) -> None:
    if (actual := attributes.get("psiprune_kind")) != kind:
        order = "; give the RBM first, then SHOTS" if (kind, actual) == ("rbm", "shots") else ""
        raise InputError(f"{path}: expected a file of kind '{kind}', found {actual!r}{order}")


def _variable(names: list[str], values: Any, attributes: dict[str, Any]) -> xr.Variable:
    """Return a variable; xarray decodes its texts to one width, if that pads them little."""
    import xarray as xr

    texts = _as_array(values)
    if texts.dtype != object:
        return xr.Variable(names, texts, attributes)
    padded = texts.size * max((len(text) for text in texts.flat), default=0)
    encoding = {"dtype": str} if padded <= _MOST_PADDED else {}
    return xr.Variable(names, texts, attributes, encoding)


def _as_array(values: Any) -> NDArray[Any]:
    return values if isinstance(values, np.ndarray) else np.array(values, dtype=object)


def verify(path: str | os.PathLike[str]) -> None:
    """Check that a file is intact, by its checksum alone if it has one.

    Raises:
        InputError: as `read_dataset`.
    """
    if not _TRAILER.search(_read_checked(Path(path))[-24:]):
        read_dataset(path)


def _read_checked(path: Path) -> bytes:
    """Return all bytes of a NetCDF file, compared with its checksum if it has one.

    A file larger than its data may be in memory is refused unread.
    """
    try:
        check_memory(size_of(path), free_memory() // FRACTION)
        content = read_bytes(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not content:
        raise InputError(f"{path}: the file is empty; write it again")
    if not content.startswith((HDF5, *NETCDF3)):
        raise InputError(f"{path}: not a NetCDF file, so not one written by psiprune")
    trailer = _TRAILER.search(content[-24:])
    if trailer is not None and int(trailer[1], 16) != zlib.crc32(memoryview(content)[:-24]):
        raise damaged(path, content)
    return content
