"""Which tests run which lines of psiprune, and how long each takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest
from _pytest.runner import runtestprotocol

import psiprune

SOURCE = Path(psiprune.__file__).parent


class Test(NamedTuple):
    """A test that passes.

    Attributes:
        name: pytest's name of it.
        seconds: its time, with that of the fixtures that it needs.
        lines: the lines that it runs, fixtures included: pairs of a path below SOURCE and a number.
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


class _Watch:
    """Tell coverage whose lines those are that run now: a test's or a fixture's."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.inner = [""]
        self.seconds: dict[str, float] = defaultdict(float)
        self.since = time.perf_counter()

    def enter(self, name: str) -> None:
        self._count()
        self.inner.append(name)
        self.measured.switch_context(name)

    def leave(self) -> None:
        self._count()
        self.inner.pop()
        self.measured.switch_context(self.inner[-1])

    def _count(self) -> None:
        now = time.perf_counter()
        self.seconds[self.inner[-1]] += now - self.since
        self.since = now

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        self.enter(_fixture(fixturedef))
        try:
            return (yield)
        finally:
            self.leave()


def _fixture(fixturedef: Any) -> str:
    return f"fixture {fixturedef.baseid}::{fixturedef.argname}"


def measure(session: pytest.Session, items: list[pytest.Item]) -> tuple[list[Test], list[str]]:
    """Run tests of this process; return those that passed, and the names of those that failed."""
    measured = coverage.Coverage(data_file=None, config_file=False, include=[f"{SOURCE}/*"])
    watch = _Watch(measured)
    session.config.pluginmanager.register(watch)
    measured.start()
    passed: list[pytest.Item] = []
    failed: list[pytest.Item] = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        watch.enter(item.nodeid)
        (passed if run(item, following) else failed).append(item)
        watch.leave()
    measured.stop()
    lines = _lines(measured.get_data())
    tests = []
    for item in passed:
        parts = [item.nodeid]
        for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
            parts += [_fixture(definitions[-1])]
        seconds = sum(watch.seconds[part] for part in parts)
        tests.append(Test(item.nodeid, seconds, frozenset().union(*(lines[p] for p in parts))))
    return tests, [item.nodeid for item in failed]


def _lines(data: coverage.CoverageData) -> dict[str, set[tuple[str, int]]]:
    lines: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for file in data.measured_files():
        name = str(Path(file).relative_to(SOURCE))
        for line, contexts in data.contexts_by_lineno(file).items():
            for context in contexts:
                lines[context].add((name, line))
    return lines
