"""Parallel work: independent tasks in threads over all cores, and BLAS limited to one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import OpenBLASController, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")
_lock = threading.Lock()
_single = 0


def _excluded() -> int:
    """Return how many cores this process may not use, as in a container or a Slurm job."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux has it
        return 0
    return max(0, (os.cpu_count() or 1) - len(os.sched_getaffinity(0)))


#: The affinity mask is set by whoever starts the process.
_EXCLUDED = _excluded()


def cores() -> int:
    """Return the number of cores that this process may use, at least one."""
    return max(1, (os.cpu_count() or 1) - _EXCLUDED)


def threads() -> int:
    """Return the threads that a task may use: one per core, or one inside `single_thread`."""
    return 1 if _single else cores()


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit each caller in this process to one thread, as other processes use the other cores."""
    global _single
    with _lock:
        _single += 1
    try:
        yield
    finally:
        with _lock:
            _single -= 1


def map_threads(
    task: Callable[[Item], Result], items: Sequence[Item], stop: threading.Event | None = None
) -> list[Result]:
    """Return [task(item) for item in items], computed in threads; tasks must release the GIL.

    On Ctrl-C, or if a task raises, tasks that have not begun are cancelled, and `stop` is set so
    that long tasks can check it and end early.
    """
    number = threads()
    if number == 1 or len(items) == 1:
        return [task(item) for item in items]
    pool = ThreadPoolExecutor(number)
    try:
        return list(pool.map(task, items))
    except BaseException:
        if stop is not None:
            stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_holders = 0
_limits: threadpool_limits | None = None


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread while any caller is inside.

    The matrices are small, so more threads cost time, and their number would change the last bits
    of sums. The limit is that of the process: it ends when the last of several threads leaves.
    """
    from psiprune.core import lapack  # noqa: F401  (loads SciPy's BLAS, else loaded without limit)

    global _holders, _limits
    with _lock:
        _holders += 1
        if _holders == 1:
            _any_thread_may_limit()
            _limits = threadpool_limits(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0 and _limits is not None:
                _any_thread_may_limit()
                _limits.restore_original_limits()
                _any_thread_may_limit()


def _any_thread_may_limit() -> None:
    """Undo threadpoolctl's rule, from 3.8 on, that only the first thread may change the limit.

    Changes by others are silently ignored, but here another thread may leave last or enter next.
    """
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
