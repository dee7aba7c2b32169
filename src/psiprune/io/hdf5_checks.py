"""Does an HDF5 file hold what it claims? Checks before its arrays are read."""

from __future__ import annotations

import math
from typing import Any

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_UNPACKED
from psiprune.core.memory import FRACTION

#: Deflate compresses at most to a thousandth, so a larger claim has no content behind it.
MOST_PACKED = 1100
_SMALL = 1 << 24
#: Bytes that Python takes for a text in addition to its characters.
_TEXT_OVERHEAD = 64


def check_stored(item: Any, limit: int) -> None:
    """Check the shape that an `h5py.Dataset` claims against the bytes that are stored.

    Raises:
        InputError: parts were never written, or it unpacks to more than `limit` bytes (a part of
            the free memory) or `MOST_UNPACKED`.
        ValueError: the data are in other files, or too few for the shape at any compression.
    """
    shape, dtype, parts = item.shape, item.dtype, item.chunks
    if shape is None:
        return
    if item.is_virtual or item.external:
        raise ValueError("data in other files")
    count = math.prod(shape)
    stored, size = item.id.get_storage_size(), count * dtype.itemsize
    missing = ""
    if parts is None:
        if stored < size:
            missing = "the table was never written, or not completely"
    elif size:
        grid = [-(-length // step) for length, step in zip(shape, parts, strict=True)]
        chunks, written = math.prod(grid), item.id.get_num_chunks()
        if written < chunks:
            missing = f"only {written} of the {chunks} chunks of the table were written"
        # A chunk is unpacked completely, even if little of it lies within the shape.
        size = chunks * math.prod(parts) * dtype.itemsize
    if missing:
        raise InputError(f"{missing}; HDF5 would read the rest as zeros, so write the file again")
    if size > MOST_UNPACKED and size > stored:
        raise InputError(
            f"the table unpacks to {size} bytes, more than the limit of {MOST_UNPACKED}; save its "
            "bits as uint8, or a random subset of the shots"
        )
    if size > max(_SMALL, MOST_PACKED * stored):
        raise ValueError("claims more than it holds")
    check_memory(size + (count * _TEXT_OVERHEAD if dtype.kind in "OS" else 0), limit)


def check_memory(size: int, limit: int) -> None:
    """Raise `InputError` if `size` bytes are more than the limit, a part of the free memory."""
    if size > limit:
        raise InputError(
            f"takes {size / 1e6:,.1f} MB of memory, more than the limit of {limit / 1e6:,.1f} MB "
            f"(1/{FRACTION} of the free memory); free memory, or split the file"
        )


def check_total(claimed: int, content: int) -> None:
    """Raise `ValueError` if variables claim more than `content` bytes can hold: they may share."""
    if claimed > max(_SMALL, MOST_PACKED * content):
        raise ValueError("claims more than it holds")


def check_text(length: int, content: int, name: str) -> None:
    """Raise `InputError` if texts, which HDF5 never compresses, are longer than the file."""
    if length > max(_SMALL, content):
        raise InputError(
            f"{name[:60]}: its texts take at least {length} bytes, but the file has only "
            f"{content}, so many refer to the same long text; write them as short names"
        )
