"""Make one of the calls to the system that a process makes on the files of a folder fail."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class FailingCalls:
    """Counts the calls of a process that change or open files in a folder; one of them fails."""

    def __init__(self, folder: Path, number: int, code: int, log: Path) -> None:
        """Fail the call with this number; 0 fails none."""
        self.folder, self.number, self.code, self.log = str(folder), number, code, log
        self.calls = 0

    def install(self) -> None:
        """Replace the functions that psiprune, pathlib and filelock call."""
        for name in ("fsync", "replace", "unlink", "mkdir", "link", "truncate", "open"):
            setattr(os, name, self._counted(name, getattr(os, name)))
        opened = io.open

        def open_counted(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if str(file).startswith(self.folder):
                self._check("open")
            stream = opened(file, mode, *rest, **options)
            counted = "w" in mode and str(file).startswith(self.folder)
            return _Stream(stream, self) if counted else stream

        io.open = open_counted

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(first: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(first, int) or str(first).startswith(self.folder):
                self._check(name)
            return call(first, *rest, **options)

        return counted

    def _check(self, name: str) -> None:
        if self.due():
            self.fail(name)

    def due(self) -> bool:
        """Count a call; whether it is the one that must fail."""
        self.calls += 1
        return self.calls == self.number

    def fail(self, name: str) -> None:
        """Note the call, and fail."""
        self.log.write_text(f"{name} {errno.errorcode[self.code]}")
        raise OSError(self.code, os.strerror(self.code))


class _Stream:
    """A file whose writing may fail halfway."""

    def __init__(self, stream: Any, calls: FailingCalls) -> None:
        self._stream, self._calls = stream, calls

    def write(self, data: bytes) -> int:
        if self._calls.due():
            self._stream.write(data[: len(data) // 2])
            self._stream.flush()
            self._calls.fail("write")
        return int(self._stream.write(data))

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
