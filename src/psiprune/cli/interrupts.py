"""Ctrl-C ends a command within a second or two, also in the middle of a long compiled call.

Python tells of a signal in the main thread, between two of its own instructions. A sum over 2^30
states, or a thread pool that waits for one, may be a minute away from there. The system tells of it
at once by a byte in a pipe; a thread that waits for this byte gives the tidy way, which keeps where
trainings stand, a second and then ends the process. No file is half written by that: they are
all made beside their place and moved there whole.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from psiprune.kept import is_kept

_KEPT = "interrupted; the same command goes on from what was finished"
_LOST = "interrupted; nothing of it is kept, so start it again"
#: Seconds for the tidy way.
_GRACE = 1.0


def interrupted() -> str:
    """The line on a command that Ctrl-C has ended."""
    return _KEPT if is_kept() else _LOST


def end_at_once(status: int) -> NoReturn:
    """End the process without taking Python apart, which takes longer than the tidy way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def heard_within_a_second(say: Callable[[], int]) -> Iterator[None]:
    """While a command runs: after Ctrl-C, at the latest a second later, end with status `say()`.

    After the tidy way `say` is not called: the command has told it itself.

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
        raise KeyboardInterrupt

    threading.Thread(target=end, daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        ended.set()
