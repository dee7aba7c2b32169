"""The one door to HDF5 and NetCDF files that this process did not write itself.

On damaged content the HDF5 library may crash, never return or take all memory, and no check in
Python can prevent that. So it is another process (`io.hdf5_worker`) that opens such content; what
kills or stalls that process is refused in one line.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.platform == "linux":
    import fcntl

from psiprune.core.exceptions import InputError, PsipruneError
from psiprune.core.memory import FRACTION, free_memory
from psiprune.io.damage import damaged
from psiprune.io.hdf5_wire import open_reader, outcome, receive, send
from psiprune.io.hdf5_worker import BEGIN, BY_SIGNAL, READY

#: CPU time for one file, and time on the clock for one answer, which also passes while others work.
CPU_SECONDS, CLOCK_SECONDS = 10, 25
#: Content that may take a second more.
_BYTES_A_SECOND = 20_000_000
_START_SECONDS = 60
_STOP_SECONDS = 5
_PIPE_BYTES = 1 << 20
_CODE = "import sys; sys.path[:] = {!r}; from psiprune.io.hdf5_worker import serve; serve()"
#: Digests of what this process wrote, which needs no other process to be read, by length and end.
_own: dict[tuple[int, bytes], bytes] = {}


@dataclass(frozen=True, eq=False)
class Opened:
    """One file, as `HDF5Reader` and `NetCDF3Reader` describe it.

    Each method raises `InputError` if the file breaks a rule, is damaged, or takes too long.

    Attributes:
        ask: takes a method's name and arguments, returns an outcome as in `hdf5_wire.outcome`.
        path: the file, for messages.
        content: all its bytes.
    """

    ask: Callable[..., tuple[str, Any]]
    path: Path
    content: bytes

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the whole file."""
        return _as_dict(self._answer("attributes"))

    def variables(self) -> list[tuple[str, list[str], dict[str, Any], Any]]:
        """Return name, dimensions, attributes and values of each variable."""
        return [
            (name, names, _as_dict(attributes), values)
            for name, names, attributes, values in self._answer("variables")
        ]

    def tables(self) -> list[str]:
        """Return the names of all tables of numbers of two dimensions."""
        return self._answer("tables")

    def dimensions(self, name: str) -> list[tuple[str, str | None]]:
        """Return label and coordinate of each dimension of a table, if it has them."""
        return self._answer("dimensions", name)

    def shape(self, name: str) -> list[int] | None:
        """Return the shape of a dataset; None if it has no content."""
        return self._answer("shape", name)

    def read(self, name: str) -> NDArray[Any] | list[Any] | str:
        """Return an array, or texts as nested lists."""
        return self._answer("read", name)

    def _answer(self, *question: str) -> Any:
        return self.checked(*self.ask(*question))

    def checked(self, kind: str, answer: Any) -> Any:
        """Return an answer, or raise what it says."""
        if kind == "value":
            return answer
        if kind == "refused":
            raise InputError(f"{self.path}: {answer}")
        raise damaged(self.path, self.content, answer)


def mark_own(content: bytes) -> None:
    """Note that this process wrote a file of this content."""
    _own[_key(content)] = _digest(content)


@contextmanager
def opened(content: bytes, path: Path) -> Iterator[Opened]:
    """Open the content of a file of HDF5, NetCDF 4 or NetCDF 3, where it can do no harm.

    Its data may take 1/`FRACTION` of the free memory, its reading `CPU_SECONDS` and a second more
    for every 20 MB.

    Raises:
        InputError: the file is damaged.
        PsipruneError: Python can start no other process.
    """
    limit = free_memory() // FRACTION
    own = _own.get(_key(content))
    if own is not None and own == _digest(content):
        kind, reader = outcome(open_reader, content, limit)

        def read(method: str, *arguments: Any) -> tuple[str, Any]:
            return outcome(getattr(reader, method), *arguments)

        file = Opened(read, path, content)
        file.checked(kind, reader)
        yield file
        return
    with _lock, _conversation(content, limit) as ask:
        yield Opened(ask, path, content)


class _Worker:
    """The other process, started and ready."""

    def __init__(self) -> None:
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE.format([*map(str, sys.path)])],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **threads},
                process_group=0,  # Ctrl-C is for this process, and its forks end with it
            )
        except (OSError, TypeError, ValueError) as error:  # TypeError: sys.executable is None
            raise _not_started(str(error)) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        if sys.platform == "linux":  # fewer changes between the two processes for large files
            for pipe in (self._in, self._out):
                with suppress(OSError):
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._late = False
        self.ended = False
        self.served = 0
        self._seconds = (_START_SECONDS, _START_SECONDS)
        with self._deadline():
            ready = os.read(self._out, len(READY))
        if ready != READY:
            self.stop()
            raise _not_started(f"exit status {self._process.returncode}")

    def begin(self, content: bytes, limit: int) -> tuple[str, Any]:
        """Hand over a file, and return the outcome of opening it."""
        more = len(content) // _BYTES_A_SECOND
        self._seconds = CLOCK_SECONDS + more, CPU_SECONDS + more
        file = [limit, CPU_SECONDS + more, np.frombuffer(content, np.uint8)]
        return self.talk(file, limit, BEGIN)

    def talk(self, message: Any, limit: int, first: bytes = b"") -> tuple[str, Any]:
        """Return the answer to a message, an outcome; if the process crashes, "crashed" and why."""
        if self.ended:  # its pipes are closed
            return self._end()
        try:
            with self._deadline():
                os.write(self._in, first)
                send(self._in, message)
                kind, answer = receive(self._out, 2 * limit)  # attributes come on top
            if kind not in ("value", "refused", "damaged"):
                raise ValueError(kind)
            return kind, answer
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            pass
        except BaseException:  # Ctrl-C amid an answer
            self.stop()
            raise
        with suppress(subprocess.TimeoutExpired):  # it ends itself; its status says why
            self._process.wait(_STOP_SECONDS)
        self.stop()
        return self._end()

    def finish(self) -> None:
        """Say that there are no more questions about the file."""
        if not self.ended:
            self.served += 1
            with suppress(OSError):  # it has ended, which the next file will find
                send(self._in, [])

    def stop(self) -> None:
        """End the process, and the one that it has forked."""
        self.ended = True
        self._kill()
        self._process.communicate()  # closes the pipes

    def _end(self) -> tuple[str, str]:
        clock, cpu = self._seconds
        if self._late:
            return "damaged", f"reading it takes more than {clock} s"
        number = self._process.returncode - BY_SIGNAL
        name = signal.Signals(number).name if number in set(signal.Signals) else "no signal"
        if name == "SIGXCPU":
            return "damaged", f"reading it takes more than {cpu} s of CPU time"
        return "crashed", f"the HDF5 library crashed while reading it: {name}"

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """Kill the process if it has not answered in time; pipes have no time limit of theirs."""
        timer = threading.Timer(self._seconds[0], self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)

    def abandon(self) -> None:
        """Let go of the process in a fork of this one, where it belongs to the parent."""
        self._process.returncode = 0
        os.close(self._in)
        os.close(self._out)


_lock = threading.Lock()
_started: _Worker | None = None


@contextmanager
def _conversation(content: bytes, limit: int) -> Iterator[Callable[..., tuple[str, Any]]]:
    """Open content in the other process; yield the function that asks about it."""
    worker = _running()
    opening = worker.begin(content, limit)

    def ask(*question: str) -> tuple[str, Any]:
        nonlocal worker, opening
        for _ in range(2):
            kind, answer = worker.talk(question, limit) if opening[0] == "value" else opening
            if kind != "crashed" or not worker.served:
                break
            # Perhaps not by this file, but by one before.
            worker = _running()
            opening = worker.begin(content, limit)
        return kind, answer

    try:
        yield ask
    finally:
        worker.finish()


def _running() -> _Worker:
    """Return the other process, started if there is none."""
    global _started
    if _started is None or _started.ended:
        _started = _Worker()
    return _started


@atexit.register
def stop() -> None:
    """End the process that reads files; the next file starts one."""
    if _started is not None and not _started.ended:
        _started.stop()


def _forked() -> None:
    """Start anew in a fork: two processes cannot talk over one pipe."""
    global _lock, _started
    if _started is not None and not _started.ended:
        _started.abandon()
    _lock, _started = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _key(content: bytes) -> tuple[int, bytes]:
    return len(content), content[-24:]  # of own files the checksum


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return attributes by name, numbers as NumPy scalars."""
    return {
        name: value[()] if isinstance(value, np.ndarray) and not value.ndim else value
        for name, value in pairs
    }


def _not_started(why: str) -> PsipruneError:
    return PsipruneError(
        f"{sys.executable}: cannot be started to read an HDF5 file ({' '.join(why.split())}); it "
        "must be a Python that can import h5py"
    )
