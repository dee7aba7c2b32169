"""Why a file of HDF5 or NetCDF cannot be read: open elsewhere, incomplete, or damaged."""

from __future__ import annotations

import os
from pathlib import Path

from psiprune.core.exceptions import InputError
from psiprune.io.hdf5_wire import HDF5

#: Place of the flags of a superblock that say who has the file open, and of the end of the file, by
#: its version.
_FLAGS, _END = {0: 20, 1: 20, 2: 11, 3: 11}, {0: 40, 1: 44, 2: 28, 3: 28}
_OPEN_FOR_WRITING = 1


def damaged(path: str | os.PathLike[str], content: bytes, why: str = "") -> InputError:
    """Return the exception for a file that cannot be read, with what to do; it may be whole."""
    path = Path(path)
    reason = f" ({why})" if why else ""
    if _locked(path):
        return InputError(
            f"{path}: is open for writing in another program; close it there and read it again"
        )
    if _marked_open(content):
        return InputError(
            f"{path}: marked as open for writing: a program still has it open, or ended before it "
            "closed it; close it there, or remove the mark in a copy (h5clear -s COPY)"
        )
    if _size(path) not in (None, len(content)):
        return InputError(f"{path}: is still being written; read it again when that is done")
    end = _declared_end(content)
    if len(content) < end:
        return InputError(
            f"{path}: truncated or damaged: it has {len(content)} of the {end} bytes that its "
            "header declares; if it is still being copied, wait; else copy it again, or move it "
            "away and make it again"
        )
    return InputError(
        f"{path}: truncated or damaged{reason}; restore it from a copy, or move it away and make "
        "it again"
    )


def _locked(path: Path) -> bool:
    """Whether another process has locked a file, as the HDF5 library does while it writes.

    On file systems that cannot lock (ENOLCK), no.
    """
    if not path.is_file():
        return False
    try:
        import fcntl
    except ImportError:  # Windows refuses to open such a file
        return False
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _marked_open(content: bytes) -> bool:
    flags = _FLAGS.get(_version(content))
    return flags is not None and len(content) > flags and bool(content[flags] & _OPEN_FOR_WRITING)


def _declared_end(content: bytes) -> int:
    """Return the length of an HDF5 file by its own header; 0 if that says nothing."""
    end = _END.get(_version(content), 0)
    return int.from_bytes(content[end : end + 8], "little") if end else 0


def _version(content: bytes) -> int:
    return content[8] if content.startswith(HDF5) and len(content) > 8 else -1


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
