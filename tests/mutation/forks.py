"""Run jobs in forked processes with time and memory limits, each in a temporary folder."""

from __future__ import annotations

import os
import pickle
import resource
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Job = TypeVar("Job")
#: Memory limit of a process, in bytes beyond what its parent uses.
MOST_BYTES = 8 << 30


class _Raised(NamedTuple):
    traceback: str


class _Running(NamedTuple):
    job: Any
    reader: int
    until: float
    folder: str


def run_in_forks(
    jobs: Iterable[Job],
    work: Callable[[Job, Path], Any],
    limit: Callable[[Job], float],
    processes: int,
) -> Iterator[tuple[Job, Any]]:
    """Yield each job and its result as jobs finish; None if the process died or timed out.

    Args:
        jobs: arguments of `work`.
        work: function of a job and an empty folder, which is deleted afterwards.
        limit: time limit of a job in seconds.
        processes: number of processes that run at a time.

    Raises:
        RuntimeError: `work` raised an exception.
    """
    waiting, running = iter(jobs), dict[int, _Running]()
    try:
        while True:
            while len(running) < processes and (job := next(waiting, None)) is not None:
                pid, started = _start(job, work, limit(job))
                running[pid] = started
            if not running:
                return
            for pid in _ended(running):
                started = running.pop(pid)
                yield started.job, _result(pid, started)
    finally:
        for pid, started in running.items():
            _result(pid, started)


def _start(job: Any, work: Callable[[Any, Path], Any], seconds: float) -> tuple[int, _Running]:
    folder = tempfile.mkdtemp(prefix="mutant-")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()  # to kill its child processes with it
            os.close(reader)
            quiet = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(quiet, standard)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, used + MOST_BYTES))
            try:
                result = work(job, Path(folder))
            except MemoryError:
                result = None  # as if the process had died of it
            except Exception:
                result = _Raised(traceback.format_exc())
            with os.fdopen(writer, "wb") as stream:
                pickle.dump(result, stream)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    return pid, _Running(job, reader, time.monotonic() + seconds, folder)


def _ended(running: dict[int, _Running]) -> list[int]:
    """Wait for results or timeouts; return the processes concerned."""
    soonest = min(each.until for each in running.values())
    readers = [each.reader for each in running.values()]
    ready = select.select(readers, [], [], max(0.0, soonest - time.monotonic()))[0]
    now = time.monotonic()
    return [pid for pid, each in running.items() if each.reader in ready or each.until <= now]


def _result(pid: int, started: _Running) -> Any:
    """Return the result of a process; kill it and its children, and delete its folder."""
    result = None
    if select.select([started.reader], [], [], 0)[0]:
        with suppress(EOFError, pickle.UnpicklingError), os.fdopen(started.reader, "rb") as stream:
            result = pickle.load(stream)
    else:
        os.close(started.reader)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    shutil.rmtree(started.folder, ignore_errors=True)
    if isinstance(result, _Raised):
        raise RuntimeError(result.traceback)
    return result
