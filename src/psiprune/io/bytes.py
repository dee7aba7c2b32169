"""Bytes of files, and of pipes, which can be read only once: their content is cached."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_CHUNK = 1 << 24
#: A device such as /dev/zero has no end.
_MOST_OF_PIPE = 1 << 31
#: Content of pipes by device and inode, as one pipe may have several names.
_pipes: ContextVar[dict[tuple[int, int], bytes] | None] = ContextVar("pipes", default=None)


@contextmanager
def cached_pipes() -> Iterator[None]:
    """Cache in memory what pipes deliver, so that within this block they can be read again."""
    token = None if _pipes.get() is not None else _pipes.set({})
    try:
        yield
    finally:
        if token is not None:
            _pipes.reset(token)


def read_start(path: Path, count: int) -> bytes:
    """Return the first `count` bytes of a file; a pipe is read completely.

    Raises:
        OSError: it cannot be read.
    """
    if _pipe(path) is not None:
        return read_bytes(path)[:count]
    with path.open("rb") as stream:
        return stream.read(count)


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return all bytes of a file, or slightly more than `most` of a larger one (pipes: 2 GiB).

    Raises:
        OSError: it cannot be read.
    """
    pipe, cache = _pipe(path), _pipes.get()
    if pipe is None:
        return _read(path, most)
    if cache is None:
        return _read(path, _MOST_OF_PIPE)
    if pipe not in cache:
        cache[pipe] = _read(path, _MOST_OF_PIPE)
    return cache[pipe]


def size_of(path: Path) -> int:
    """Return the size of a file without reading it; 0 for what is no regular file.

    Raises:
        OSError: it does not exist.
    """
    status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a loss of power, where the system can do that.

    Raises:
        OSError: the disk failed or is full.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder in which one may write but not read; Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def _read(path: Path, most: int | None) -> bytes:
    # In chunks: the size of a pipe or device is unknown, and read(n) allocates n bytes.
    chunks, size = [], 0
    with path.open("rb") as stream:
        while (most is None or size <= most) and (chunk := stream.read(_CHUNK)):
            chunks.append(chunk)
            size += len(chunk)
    return b"".join(chunks)


def _pipe(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a pipe or device; None for a file or a folder."""
    status = path.stat()
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return None
    return status.st_dev, status.st_ino
