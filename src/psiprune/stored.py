"""Whether HDF5 datasets hold what their shapes claim, told before any of it is read."""

from __future__ import annotations

import io
import math
from typing import Any

from psiprune.inputs import InputError

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
