"""Work over all cores: independent pieces in threads, and BLAS held to one thread below them."""

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
_alone = 0


def _withheld() -> int:
    """Cores of the machine on which this process may not run, as in a container or a Slurm job."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux has it
        return 0
    return max(0, (os.cpu_count() or 1) - len(os.sched_getaffinity(0)))


#: The mask is set by who starts the process.
_WITHHELD = _withheld()


def cores() -> int:
    """Cores that this process may use, by its mask; one at least."""
    return max(1, (os.cpu_count() or 1) - _WITHHELD)


def threads() -> int:
    """The most threads that a piece of work may take: one a core, or one inside `single_thread`."""
    return 1 if _alone else cores()


@contextmanager
def single_thread() -> Iterator[None]:
    """Hold the whole process to one thread a caller, where others keep the other cores busy."""
    global _alone
    with _lock:
        _alone += 1
    try:
        yield
    finally:
        with _lock:
            _alone -= 1


def map_threads(
    task: Callable[[Item], Result], items: Sequence[Item], stop: threading.Event | None = None
) -> list[Result]:
    """[task(item) for item in items] in threads; pays where the task lets go of Python's lock.

    On Ctrl-C, or when a task raises, pieces that have not begun are dropped, and `stop` is set so
    that long tasks which look at it can end early.
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
    """Hold BLAS to one thread while any caller is inside.

    The matrices are small, so more threads cost time, and their number would show in the last bit
    of a sum. The limit belongs to the process: it ends when the last of several threads leaves.
    """
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
    """From 3.8 on threadpoolctl lets the thread that first set a limit alone set another.

    All others do nothing, silently. Here the thread that enters first need not be the one that
    leaves last, nor that which enters next.
    """
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
