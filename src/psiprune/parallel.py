"""Independent pieces of work over all cores, with results in the order of the pieces."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    task: Callable[[Item], Result], items: Sequence[Item], stop: threading.Event | None = None
) -> list[Result]:
    """[task(item) for item in items] in threads; pays where the task lets go of Python's lock.

    On Ctrl-C, or when a task raises, pieces that have not begun are dropped, and `stop` is set so
    that long tasks which look at it can end early.
    """
    if len(items) == 1:
        return [task(items[0])]
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        return list(pool.map(task, items))
    except BaseException:
        if stop is not None:
            stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
