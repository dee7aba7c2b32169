"""Does an HDF5 file hold what it claims? Checks before its arrays are read."""

from __future__ import annotations

import io
import math
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_UNPACKED

#: Deflate compresses at most to a thousandth, so a larger claim has no content behind it.
_MOST_PACKED = 1100
_SMALL = 1 << 24
_DIMENSION = b"This is a netCDF dimension but not a netCDF variable"


def check_stored(item: Any) -> None:
    """Check the shape that an `h5py.Dataset` claims against the bytes that are stored.

    Raises:
        InputError: parts were never written, or it unpacks to more than `MOST_UNPACKED`.
        ValueError: the data are in other files, or too few for the shape at any compression.
    """
    if item.shape is None:
        return
    if item.is_virtual or item.external:
        raise ValueError("data in other files")
    stored, size = item.id.get_storage_size(), item.size * item.dtype.itemsize
    missing = ""
    if item.chunks is None:
        if stored < size:
            missing = "the table was never written, or not completely"
    elif size:
        grid = [-(-length // step) for length, step in zip(item.shape, item.chunks, strict=True)]
        chunks, written = math.prod(grid), item.id.get_num_chunks()
        if written < chunks:
            missing = f"only {written} of the {chunks} chunks of the table were written"
        # A chunk is unpacked completely, even if little of it lies within the shape.
        size = chunks * math.prod(item.chunks) * item.dtype.itemsize
    if missing:
        raise InputError(f"{missing}; HDF5 would read the rest as zeros, so write the file again")
    if size > MOST_UNPACKED and size > stored:
        raise InputError(
            f"the table unpacks to {size} bytes, more than the limit of {MOST_UNPACKED}; save its "
            "bits as uint8, or a random subset of the shots"
        )
    if size > max(_SMALL, _MOST_PACKED * stored):
        raise ValueError("claims more than it holds")


def check_variables(content: bytes) -> None:
    """Apply `check_stored` to every variable of a NetCDF 4 file, and to their total size.

    Raises:
        InputError, ValueError: as `check_stored`; a message of InputError names the variable.
        Exception: of any type, by the HDF5 library, if the content is damaged.
    """
    import h5py  # not for every --help

    claimed = 0
    with h5py.File(io.BytesIO(content), "r") as opened:
        for name in opened:
            if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
                raise ValueError("data in other files")
            item = opened[name]
            # NetCDF 4 stores a dimension without values as an array that is never written.
            scale = bytes(item.attrs.get("NAME", b"")).startswith(_DIMENSION)
            if scale or not isinstance(item, h5py.Dataset):
                continue
            try:
                check_stored(item)
            except InputError as error:
                raise InputError(f"{name[:60]}: {error}") from None
            claimed += (item.size or 0) * item.dtype.itemsize
    # Several variables may share the same bytes.
    if claimed > max(_SMALL, _MOST_PACKED * len(content)):
        raise ValueError("claims more than it holds")
