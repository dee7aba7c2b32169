"""The bytes of files, and of pipes, which give theirs once, however often they are asked for."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_PIECE = 1 << 24
#: A device such as /dev/zero has no end.
_MOST_OF_PIPE = 1 << 31
#: What pipes gave, by device and inode: one pipe may have several names.
_given: ContextVar[dict[tuple[int, int], bytes] | None] = ContextVar("given", default=None)


@contextmanager
def pipes_kept() -> Iterator[None]:
    """Within this, pipes can be read again as files can: what they gave is kept in memory."""
    token = None if _given.get() is not None else _given.set({})
    try:
        yield
    finally:
        if token is not None:
            _given.reset(token)


def read_start(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file; of a pipe, all of it is read.

    Raises:
        OSError: it cannot be read.
    """
    if _pipe(path) is not None:
        return read_bytes(path)[:count]
    with path.open("rb") as stream:
        return stream.read(count)


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """All bytes of a file, or a few more than `most` where there are more; of a pipe, of 2 GiB.

    Raises:
        OSError: it cannot be read.
    """
    pipe, given = _pipe(path), _given.get()
    if pipe is None:
        return _read(path, most)
    if given is None:
        return _read(path, _MOST_OF_PIPE)
    if pipe not in given:
        given[pipe] = _read(path, _MOST_OF_PIPE)
    return given[pipe]


def _read(path: Path, most: int | None) -> bytes:
    # In pieces: of a pipe or a device no size is known, and a read of n takes n bytes.
    pieces, size = [], 0
    with path.open("rb") as stream:
        while (most is None or size <= most) and (piece := stream.read(_PIECE)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


def _pipe(path: Path) -> tuple[int, int] | None:
    """What tells a pipe or a device from all others; None for a file or a folder."""
    found = path.stat()
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return None
    return found.st_dev, found.st_ino
