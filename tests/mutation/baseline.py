"""Run a test without a mutant: its duration, and the lines of psiprune that it executes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest
from _pytest.runner import runtestprotocol

import psiprune

SOURCE = Path(psiprune.__file__).parent


class Test(NamedTuple):
    """A test that passes on its own.

    Attributes:
        name: pytest's node id.
        seconds: duration, fixtures included.
        lines: executed lines (path below SOURCE, number), fixtures included.
    """

    name: str
    seconds: float
    lines: frozenset[tuple[str, int]]


def run(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run a test without output; return whether it passed or was skipped."""
    reports = runtestprotocol(item, nextitem=following, log=False)
    return not any(report.failed for report in reports)


def set_temporary_folder(session: pytest.Session, folder: Path) -> None:
    """Set the parent folder of `tmp_path` and other temporary folders."""
    factory: Any = session.config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = folder


def measure(item: pytest.Item) -> Test | None:
    """Run a test under coverage; return None if it fails."""
    watch = coverage.Coverage(data_file=None, config_file=False, include=[f"{SOURCE}/*"])
    watch.start()
    since = time.perf_counter()
    passes = run(item, None)
    seconds = time.perf_counter() - since
    watch.stop()
    if not passes:
        return None
    data = watch.get_data()
    lines = {
        (str(Path(file).relative_to(SOURCE)), line)
        for file in data.measured_files()
        for line in data.lines(file) or ()
    }
    return Test(item.nodeid, seconds, frozenset(lines))
