"""Parallel work: independent tasks in threads over all cores, and BLAS limited to one thread."""

from __future__ import annotations

import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import OpenBLASController, threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")
_lock = threading.Lock()
_single = 0
_occupied = 0


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

    The caller and one thread for each free core take items in turn. A call within a task of
    another one finds no core free, until threads of the other one have ended. On Ctrl-C, or if a
    task raises, no other item is begun, and `stop` is set so that long tasks can check it and end
    early; the first error is raised.
    """
    numbers = itertools.count()
    results: list[Any] = [None] * len(items)
    errors: list[BaseException] = []

    def end(error: BaseException) -> None:
        errors.append(error)
        if stop is not None:
            stop.set()

    def work() -> None:
        try:
            while not errors and (number := next(numbers)) < len(items):
                results[number] = task(items[number])
        except BaseException as error:
            end(error)

    def help_out() -> None:
        work()
        _occupy(-1)

    helpers = [
        threading.Thread(target=contextvars.copy_context().run, args=(help_out,))
        for _ in range(_occupy_free(len(items) - 1))
    ]
    for helper in helpers:
        helper.start()
    work()
    if helpers:
        _occupy(-1)  # the core of this thread, which waits
        for helper in helpers:
            while helper.is_alive():
                try:
                    helper.join()
                except BaseException as error:  # Ctrl-C
                    end(error)
        _occupy(1)
    if errors:
        raise errors.pop(0)
    return results


def alone() -> bool:
    """Return whether no call of `map_threads` has started threads that still run."""
    return _occupied <= 0


def _occupy(cores: int) -> None:
    """Count cores that threads of `map_threads` use, apart from one for each first caller."""
    global _occupied
    with _lock:
        _occupied += cores


def _occupy_free(most: int) -> int:
    """Occupy the free cores, at most so many; return their number."""
    global _occupied
    with _lock:
        number = max(0, min(most, threads() - 1 - _occupied))
        _occupied += number
    return number


def _after_fork() -> None:
    """Forget the threads of the parent process, which a fork does not have."""
    global _lock, _occupied
    _lock, _occupied = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
