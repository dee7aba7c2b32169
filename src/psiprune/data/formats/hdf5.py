"""Shots in HDF5 and NetCDF files of any program: one two-dimensional table of numbers."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import ParsedShots, SourceFile
from psiprune.data.formats.bits import as_bits
from psiprune.data.formats.names import choose_one, rising
from psiprune.data.formats.settings import ReadSettings
from psiprune.io.hdf5_guard import Opened, opened
from psiprune.io.hdf5_wire import HDF5, NETCDF3

#: Words in dimension names, without a plural s, that identify the dimension of sites or shots.
_SITES = frozenset({"site", "qubit", "atom", "ion", "spin"})
_SHOTS = frozenset({"shot", "repetition", "rep", "repeat", "sample", "trial", "realization"})
_LONGEST_NAME = 1000
_MOST_USER_BLOCK = 1 << 16
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
    if not file.content.startswith((HDF5, *NETCDF3)):
        raise InputError(f"{file.path}: {_not_hdf5(file.content)}")
    with opened(file.content, file.path) as content:
        tables = content.tables()
        if not tables:
            raise InputError(f"{file.path}: has no table of numbers of two dimensions [shot, site]")
        wanted = settings.key or (("bits",) if "bits" in tables else ())
        name = choose_one(tables, wanted, "table", file.place)
        table = _read_table(content, name, file)
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


def _read_table(content: Opened, name: str, file: SourceFile) -> _Table:
    values = np.asarray(content.read(name))
    dimensions: list[str] = []
    coordinates: list[NDArray[Any] | None] = []
    for (label, scale), length in zip(content.dimensions(name), values.shape, strict=True):
        dimensions.append(label or (scale or "").rpartition("/")[2])
        coordinate = None
        # Text of NetCDF 3 has a second dimension, along its characters.
        if scale is not None and (content.shape(scale) or [])[:1] == [length]:
            coordinate = _names(content.read(scale), f"{file.path}: {scale}")
        coordinates.append(coordinate)
    return _Table(values, dimensions, coordinates)


def _names(values: Any, place: str) -> NDArray[Any] | None:
    """Return numbers as they are, texts as objects of any length; None for anything else."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind != "S":
            return values if values.ndim == 1 and values.dtype.kind in "iuf" else None
        if values.ndim == 2:  # NetCDF 3 stores text as characters
            values = np.array([b"".join(row) for row in values])
        values = [text.decode(errors="replace") for text in values.tolist()]
    if not all(isinstance(text, str) for text in values):
        return None
    longest = max(map(len, values), default=0)
    if longest > _LONGEST_NAME:
        raise InputError(
            f"{place}: site names too long: one has {longest} characters, the limit is "
            f"{_LONGEST_NAME}; shorten them, or save the table without them"
        )
    return np.array(values, dtype=object)


def _not_hdf5(content: bytes) -> str:
    """Say why content that starts with neither signature is not read, and what to do."""
    if content.startswith(b"CDF"):
        return "NetCDF of a version that is not read here; convert it (nccopy -k nc4 OLD NEW)"
    if HDF5 in content[:_MOST_USER_BLOCK]:
        return "HDF5 behind a user block; copy its table to a file without one (h5repack -u)"
    return "not HDF5 or NetCDF, truncated, or damaged"
