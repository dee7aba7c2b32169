"""Which lines of psiprune a test runs, and how long it takes."""

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
    """A test that passes by itself.

    Attributes:
        name: pytest's name of it.
        seconds: its time, with that of the fixtures that it needs.
        lines: the lines that it runs, those of fixtures too: a path below SOURCE and a number.
    """

    name: str
    seconds: float
    lines: frozenset[tuple[str, int]]


def run(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run a test without a word; return whether it passed or was skipped."""
    reports = runtestprotocol(item, nextitem=following, log=False)
    return not any(report.failed for report in reports)


def own_folder(session: pytest.Session, folder: Path) -> None:
    """Have `tmp_path` and its kind in a folder of this process."""
    factory: Any = session.config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = folder


def measure(item: pytest.Item) -> Test | None:
    """Run a test, watched line by line; None if it fails."""
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
