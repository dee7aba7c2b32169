"""Ctrl-C ends a command within a second or two, even during a long compiled call.

Python handles a signal in the main thread, between two of its own instructions, which may be a
minute away during a sum over 2^30 states or while a thread pool waits for one. But the system
writes a byte to a pipe at once; a thread that waits for this byte gives the regular shutdown, which
saves checkpoints, one second and then ends the process. No file is left half written, because all
are made under another name and then renamed. Before any work has begun there is nothing to save,
and some libraries do not survive an interrupted import, so the process ends at once.
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

from psiprune.cli.streams import tell
from psiprune.io.work_status import WorkStatus, work_status

_LINES: Mapping[WorkStatus, str] = {
    "not begun": "interrupted before anything was written; rerun the same command to start, or to "
    "resume an earlier run",
    "kept": "interrupted; rerun the same command to resume",
    "lost": "interrupted; nothing was saved, so run the command again",
}
#: Seconds for the regular shutdown.
_GRACE = 1.0
_received = threading.Event()


def interrupted() -> str:
    """Return the line to print when Ctrl-C has ended a command."""
    return _LINES[work_status()]


def fail(line: str, status: int) -> int:
    """Print one line on standard error and return the status.

    After Ctrl-C that is what ended the command, whatever a library made of the KeyboardInterrupt
    that reached it (HDF5 takes it for a damaged file).
    """
    if _received.is_set():
        line, status = interrupted(), 130
    tell(f"psiprune: {' '.join(line.split())}")
    return status


def exit_now(status: int) -> NoReturn:
    """End the process without Python's slower cleanup."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # also if the signal came during such a flush, which forbids another one
        os._exit(status)


@contextmanager
def prompt_interrupts(report: Callable[[], int]) -> Iterator[None]:
    """While a command runs, end at most a second after Ctrl-C, with the status of `report()`.

    After a regular shutdown `report` is not called, as the command has printed its line itself.
    Where Ctrl-C is ignored, as in a shell's background jobs, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    ended = threading.Event()
    _received.clear()

    def callback() -> None:
        os.read(reading, 1)
        if not ended.wait(_GRACE):
            exit_now(report())

    def interrupt(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only break the shutdown
        _received.set()
        if work_status() == "not begun" and not ended.is_set():
            exit_now(report())
        # If raised in a callback that may not raise, Python would print a message of its own.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    threading.Thread(target=callback, daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        ended.set()
