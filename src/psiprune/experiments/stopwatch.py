"""Processor time of trainings, beside their results: it differs from run to run."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psiprune.core.threads import single_thread
from psiprune.io.netcdf import write_bytes

#: The file's name in the folder of a run.
FILE = "processor_seconds.json"


class Stopwatch:
    """Processor seconds of what threads of a run compute, by name, in a JSON file."""

    def __init__(self, folder: Path) -> None:
        """Read what earlier starts measured, if the file is readable."""
        self._file, self._lock = folder / FILE, threading.Lock()
        try:
            known = json.loads(self._file.read_text())
            self._seconds = {str(name): float(value) for name, value in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._seconds = {}

    def seconds(self, name: str) -> float:
        """Return the seconds of a result; NaN if unknown, as after a kill."""
        return self._seconds.get(name, math.nan)

    def note(self, name: str, seconds: float) -> None:
        """Write the seconds of a result; NaN deletes those of an earlier one."""
        with self._lock:
            self._seconds.pop(name, None)
            if math.isfinite(seconds):
                self._seconds[name] = seconds
            text = json.dumps(self._seconds, indent=1, sort_keys=True)
            write_bytes(self._file, f"{text}\n".encode())

    @contextmanager
    def timed(self, name: str, before: float = 0.0) -> Iterator[None]:
        """Add the seconds of this thread in the block to `before`, and write them.

        What is computed meanwhile uses one thread, as those of others would not count.
        """
        begin = time.thread_time()
        with single_thread():
            yield
        self.note(name, before + time.thread_time() - begin)
