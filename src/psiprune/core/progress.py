"""One progress bar with the time left, on standard error, in terminals and notebooks.

What computes counts its steps here and need not know whether a bar is shown: a training counts
epochs whoever has called it. A bar that is opened while another is shown, also in another thread,
is not shown, so bars never nest.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from tqdm.std import tqdm

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
#: Seconds before a bar appears: what is done sooner needs none.
_DELAY = 0.5
_lock = threading.Lock()


class _Shown:
    """The bar on the screen, what it counts, and the thread that opened it."""

    def __init__(self, bar: tqdm[Any], unit: str) -> None:
        self.bar = bar
        self.unit = unit
        self.thread = threading.get_ident()


_shown: _Shown | None = None
#: How many blocks that show no bar are running.
_off = 0


def in_notebook() -> bool:
    """Return whether this process runs the cells of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def visible() -> bool:
    """Return whether somebody watches: standard error is a terminal, or this is a notebook."""
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


@contextmanager
def progress_bar(
    total: int | None, what: str, unit: str = "epochs", progress: bool = True
) -> Iterator[None]:
    """Show a bar while the block runs, if somebody watches and no other bar is shown.

    Args:
        total: steps expected; more than that extend it. None if unknown, or for `expect` to set.
        what: title.
        unit: what `count` must count for this bar to advance.
        progress: False for no bar, and none inside the block either.
    """
    if not progress:
        with no_progress_bars():
            yield
        return
    bar = _open(total, what, unit)
    try:
        yield
        _complete(bar)
    finally:
        _close(bar)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Show no bar that is opened while the block runs."""
    global _off
    with _lock:
        _off += 1
    try:
        yield
    finally:
        with _lock:
            _off -= 1


def _open(total: int | None, what: str, unit: str) -> _Shown | None:
    """Open a bar and return it, or None if it is not to be shown."""
    global _shown
    if not visible():
        return None
    from tqdm.auto import tqdm

    with _lock:
        if _off or _shown is not None:
            return None
        bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            unit_scale=unit == "Gibbs steps",  # millions
            delay=_DELAY,
            disable=False,
            file=sys.stderr,
        )
        _shown = _Shown(bar, unit)
        return _shown


def _complete(mine: _Shown | None) -> None:
    """Expect no more than was done, as the number expected may have been too large."""
    if mine is not None and mine.bar.total is not None:
        with _lock:
            mine.bar.total = mine.bar.n


def _close(mine: _Shown | None) -> None:
    global _shown
    if mine is not None:
        with _lock:
            _shown = None
            mine.bar.close()


def count(unit: str, steps: int = 1) -> None:
    """Advance the bar that is shown by some steps, if it counts this unit."""
    if _shown is None:
        return
    with _lock:
        if _shown is not None and _shown.unit == unit:
            bar = _shown.bar
            if bar.total is not None:
                bar.total = max(bar.total, bar.n + steps)
            bar.update(steps)


def expect(unit: str, change: int) -> None:
    """Let the bar that is shown expect some steps more, or fewer, if it counts this unit."""
    if _shown is None:
        return
    with _lock:
        if _shown is not None and _shown.unit == unit:
            bar = _shown.bar
            bar.total = max(bar.n, (bar.total or 0) + change)


def describe(text: str) -> None:
    """Name what is being done behind the bar; ignored where several threads do such things.

    The text appears with the next step.
    """
    from psiprune.core.threads import alone

    with _lock:
        if _shown is not None and _shown.thread == threading.get_ident() and alone():
            _shown.bar.set_postfix_str(text, refresh=False)


def with_progress_bar(
    what: str,
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Show a bar over epochs while a function runs; its argument `progress` turns it off."""

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def shown(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            with progress_bar(None, what, progress=bool(kwargs.get("progress", True))):
                return function(*args, **kwargs)

        return shown

    return decorate
