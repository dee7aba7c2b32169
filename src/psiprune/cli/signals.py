"""Ctrl-C ends a command within a second or two, also in the middle of a long compiled call.

Python tells of a signal in the main thread, between two of its own instructions. A sum over 2^30
states, or a thread pool that waits for one, may be a minute away from there. The system tells of it
at once by a byte in a pipe; a thread that waits for this byte gives the tidy way, which keeps where
trainings stand, a second and then ends the process. No file is half written by that: they are
all made beside their place and moved there whole. While nothing has begun, as libraries are
loaded, nothing needs the tidy way, and some libraries take an interruption ill: then the process
ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from psiprune.io.work_status import Fate, fate

_LINES: Mapping[Fate, str] = {
    "not begun": "interrupted; nothing was written: the same command begins anew, or goes on from "
    "what an earlier start kept",
    "kept": "interrupted; the same command goes on from what was finished",
    "lost": "interrupted; nothing of it is kept, so start it again",
}
#: Seconds for the tidy way.
_GRACE = 1.0


def interrupted() -> str:
    """The line on a command that Ctrl-C has ended."""
    return _LINES[fate()]


def fail(line: str, status: int) -> int:
    """Tell one line on standard error; the status."""
    print(f"psiprune: {' '.join(line.split())}", file=sys.stderr)
    return status


def end_at_once(status: int) -> NoReturn:
    """End the process without taking Python apart, which takes longer than the tidy way."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # also where the signal came amid such a flush, which forbids another
        os._exit(status)


@contextmanager
def heard_within_a_second(say: Callable[[], int]) -> Iterator[None]:
    """While a command runs: after Ctrl-C, at the latest a second later, end with status `say()`.

    After the tidy way `say` is not called: the command has told it itself. While nothing has begun
    the end comes at once.

    Where Ctrl-C is ignored, as in a shell's background jobs, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    ended = threading.Event()

    def end() -> None:
        os.read(reading, 1)
        if not ended.wait(_GRACE):
            end_at_once(say())

    def interrupt(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only break the tidy way
        if fate() == "not begun" and not ended.is_set():
            end_at_once(say())
        # Raised in a callback that may not raise, Python would tell of it in words of its own.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    threading.Thread(target=end, daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        ended.set()
