"""Everything that is read from NetCDF 3, with the methods of `HDF5Reader`."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import netcdf_file

from psiprune.io.hdf5_checks import check_memory


class NetCDF3Reader:
    """One file of NetCDF 3 in memory."""

    def __init__(self, content: bytes, limit: int) -> None:
        """Open a file of which each array may take `limit` bytes."""
        self._file = netcdf_file(io.BytesIO(content), "r", mmap=False)
        self._limit = limit

    def attributes(self) -> list[tuple[str, Any]]:
        """Return names and values of the attributes of the whole file."""
        return _attributes(self._file)

    def variables(self) -> list[tuple[str, list[str], list[tuple[str, Any]], NDArray[Any]]]:
        """Return name, dimensions, attributes and values of each variable."""
        return [
            (name, list(map(str, variable.dimensions)), _attributes(variable), self.read(name))
            for name, variable in self._file.variables.items()
        ]

    def tables(self) -> list[str]:
        """Return the names of all tables of numbers of two dimensions."""
        return [
            name
            for name, variable in self._file.variables.items()
            if len(variable.shape) == 2 and variable.data.dtype.kind in "biuf"
        ]

    def dimensions(self, name: str) -> list[tuple[str, str | None]]:
        """Return the name of each dimension, and of its coordinate, if it has one."""
        names = map(str, self._file.variables[name].dimensions)
        return [(each, each if each in self._file.variables else None) for each in names]

    def shape(self, name: str) -> list[int]:
        """Return the shape of a variable."""
        return list(self._file.variables[name].shape)

    def read(self, name: str) -> NDArray[Any]:
        """Return an array in the byte order of this machine; text as single characters."""
        data = self._file.variables[name].data
        check_memory(data.size * data.itemsize, self._limit)
        return np.array(data, dtype=data.dtype.newbyteorder("="))


def _attributes(item: Any) -> list[tuple[str, Any]]:
    return [
        (name, value.decode(errors="replace") if isinstance(value, bytes) else value)
        for name, value in item._attributes.items()
    ]
