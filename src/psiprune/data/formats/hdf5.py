"""Shots in HDF5 and NetCDF files of any program: one two-dimensional table of numbers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.bits import as_bits
from psiprune.data.formats.names import choose_one, rising
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.hdf5_checks import check_stored

#: Words in dimension names, without a plural s, that identify the dimension of sites or shots.
_SITES = frozenset({"site", "qubit", "atom", "ion", "spin"})
_SHOTS = frozenset({"shot", "repetition", "rep", "repeat", "sample", "trial", "realization"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class _Table(NamedTuple):
    """A table of numbers; name and coordinate of its two dimensions, "" and None if missing."""

    values: NDArray[Any]
    dimensions: list[str]
    coordinates: list[NDArray[Any] | None]


def read_hdf5(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read a dataset [shot, site] of HDF5 or NetCDF 4, or a variable of NetCDF 3.

    The one named by `key`, else `bits`, else the only table of numbers. If dimensions have names
    and the first is that of the sites, or the second that of the shots, the table is transposed.
    Links are not followed.

    Raises:
        InputError: the file is damaged, has no such table, or it holds anything but bits (with
            `spin`, +1 and -1), or the coordinate of its sites does not rise and `order` is not
            given.
    """
    try:
        classic = file.content.startswith(b"CDF")
        tables = _netcdf3_tables(file.content) if classic else _hdf5_tables(file.content)
    except Exception as error:  # the HDF5 library raises many types on damaged content
        raise _damaged(file, error) from None
    if not tables:
        raise InputError(f"{file.path}: has no table of numbers of two dimensions [shot, site]")
    wanted = settings.key or (("bits",) if "bits" in tables else ())
    name = choose_one(list(tables), wanted, "table", file.place)
    try:
        table = tables[name]()
    except InputError as error:
        raise InputError(f"{file.path}: {name}: {error}") from None
    except Exception as error:
        raise _damaged(file, error) from None
    first, second = map(_meaning, table.dimensions)
    transposed = first != second and (first == "site" or second == "shot")
    sites = table.dimensions[0 if transposed else 1]
    coordinate = table.coordinates[0 if transposed else 1]
    if settings.order is None and coordinate is not None and not rising(coordinate):
        names = ", ".join(map(str, coordinate[:20].tolist()))[:80]
        raise InputError(
            f"{file.path}: {name}: the coordinate '{sites}' names the sites {names}, which do not "
            "rise; say which column is site 0 by --order listed or --order reversed"
        )
    bits = as_bits(table.values.T if transposed else table.values, file.place, settings.spin)
    order = f"site 0 is the first along the dimension '{sites}'" if sites else ""
    return ParsedShots(bits, order or "site 0 is column 0", notes={"dataset": name})


def _meaning(dimension: str) -> str:
    """Return what a dimension's name says it runs over: "site", "shot", or "" if unclear."""
    words = {word.lower().removesuffix("s") for word in _WORD.findall(dimension)}
    sites, shots = bool(words & _SITES), bool(words & _SHOTS)
    if sites == shots:
        return ""
    return "site" if sites else "shot"


def _hdf5_tables(content: bytes) -> dict[str, Callable[[], _Table]]:
    """Return a function that reads it, for the name of each table of numbers."""
    import h5py

    tables: dict[str, Callable[[], _Table]] = {}
    opened = h5py.File(io.BytesIO(content), "r")

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "biuf":
            tables[name] = partial(_read_hdf5, item)

    opened.visititems(visit)
    return tables


def _read_hdf5(item: Any) -> _Table:
    check_stored(item)
    dimensions: list[str] = []
    coordinates: list[NDArray[Any] | None] = []
    for dimension, length in zip(item.dims, item.shape, strict=True):
        scale = dimension[0] if len(dimension) else None  # as NetCDF 4 attaches it
        name = "" if scale is None else str(scale.name).rpartition("/")[2]
        dimensions.append(str(dimension.label) or name)
        coordinate = None
        # A scale without storage was never written.
        if scale is not None and scale.shape == (length,) and scale.id.get_storage_size():
            check_stored(scale)
            coordinate = _names(scale[()])
        coordinates.append(coordinate)
    return _Table(item[()], dimensions, coordinates)


def _names(values: NDArray[Any]) -> NDArray[Any] | None:
    """Return numbers as they are, and text as str; None for anything else."""
    if values.dtype.kind == "S" and values.ndim == 2:  # NetCDF 3 stores text as characters
        values = np.array([b"".join(row) for row in values])
    if values.dtype.kind in "SO":
        texts = [
            text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            for text in values.tolist()
        ]
        values = np.array(texts)
    return values if values.ndim == 1 and values.dtype.kind in "iufU" else None


def _netcdf3_tables(content: bytes) -> dict[str, Callable[[], _Table]]:
    from scipy.io import netcdf_file

    opened = netcdf_file(io.BytesIO(content), "r", mmap=False)

    def read(variable: Any) -> _Table:
        dimensions = [str(name) for name in variable.dimensions]
        scales = [opened.variables.get(name) for name in dimensions]
        coordinates = [None if scale is None else _names(np.array(scale[:])) for scale in scales]
        return _Table(np.array(variable[:]), dimensions, coordinates)

    return {
        name: partial(read, variable)
        for name, variable in opened.variables.items()
        if len(variable.shape) == 2 and variable.data.dtype.kind in "biuf"
    }


def _damaged(file: SourceFile, error: Exception) -> InputError:
    why = str(error) if isinstance(error, ValueError) else type(error).__name__
    return InputError(
        f"{file.path}: not HDF5 or NetCDF, truncated, or damaged ({' '.join(why.split())[:80]})"
    )
