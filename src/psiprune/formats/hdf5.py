"""Shots in HDF5 and NetCDF files of any make: one table of numbers in them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.formats.reading import (
    File,
    Reading,
    ReadSettings,
    as_bits,
    bits_from_spins,
    choose_one,
)
from psiprune.inputs import InputError
from psiprune.stored import check_stored

#: Names of the dimension along a shot; a table [site, shot] with such a name is turned.
_SITES = frozenset({"site", "sites", "qubit", "qubits", "atom", "atoms", "spin", "spins"})


def read_hdf5(file: File, settings: ReadSettings) -> Reading:
    """Bits of a dataset [shot, site] of HDF5 or NetCDF 4, or of a variable of NetCDF 3.

    The one named by `key`, else `bits`, else the only table of numbers. Where dimensions have names
    and the first is that of the sites, the table is turned. Links are not followed.

    Raises:
        InputError: the file is damaged, has no such table, or it holds anything but bits (with
            `spin`, +1 and -1).
    """
    try:
        classic = file.content.startswith(b"CDF")
        tables = _netcdf3_tables(file.content) if classic else _hdf5_tables(file.content)
    except Exception as error:  # the HDF5 library raises many types on damaged content
        raise _damaged(file, error) from None
    if not tables:
        raise InputError(f"{file.path}: has no table of numbers of two dimensions [shot, site]")
    wanted = settings.key or (("bits",) if "bits" in tables else ())
    name = choose_one(list(tables), wanted, "table", str(file.path))
    try:
        table = tables[name]()
    except InputError as error:
        raise InputError(f"{file.path}: {name}: {error}") from None
    except Exception as error:
        raise _damaged(file, error) from None
    convert = bits_from_spins if settings.spin else as_bits
    bits = convert(table.values, str(file.path))
    order = f"site 0 is the first along the dimension '{table.sites}'" if table.sites else ""
    return Reading(bits, order or "site 0 is column 0", notes={"dataset": name})


class _Table:
    """A table [shot, site], and what the file calls its sites."""

    def __init__(self, values: NDArray[Any], dimensions: list[str]) -> None:
        turned = dimensions[0].lower() in _SITES and dimensions[1].lower() not in _SITES
        self.values = values.T if turned else values
        self.sites = dimensions[0] if turned else dimensions[1]


def _hdf5_tables(content: bytes) -> dict[str, Any]:
    """Name -> a function that reads it, for each table of numbers."""
    import h5py

    found = {}
    opened = h5py.File(io.BytesIO(content), "r")

    def visit(name: str, item: Any) -> None:
        table = isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "biuf"
        if table:
            found[name] = lambda: _read_hdf5(item)

    opened.visititems(visit)
    return found


def _read_hdf5(item: Any) -> _Table:
    check_stored(item)
    return _Table(item[()], [_dimension(item, axis) for axis in (0, 1)])


def _dimension(item: Any, axis: int) -> str:
    """The name of a dimension: its label, or that of the scale which NetCDF 4 attaches."""
    dimension = item.dims[axis]
    if dimension.label:
        return str(dimension.label)
    return str(dimension[0].name).rpartition("/")[2] if len(dimension) else ""


def _netcdf3_tables(content: bytes) -> dict[str, Any]:
    from scipy.io import netcdf_file

    opened = netcdf_file(io.BytesIO(content), "r", mmap=False)
    return {
        name: lambda variable=variable: _Table(
            np.array(variable[:]), [str(name) for name in variable.dimensions]
        )
        for name, variable in opened.variables.items()
        if len(variable.shape) == 2 and variable.data.dtype.kind in "biuf"
    }


def _damaged(file: File, error: Exception) -> InputError:
    why = str(error) if isinstance(error, ValueError) else type(error).__name__
    return InputError(
        f"{file.path}: not HDF5 or NetCDF, truncated, or damaged ({' '.join(why.split())[:80]})"
    )
