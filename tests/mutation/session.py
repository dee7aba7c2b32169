"""A session of pytest that collects the tests once and tries mutants in forks of itself."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from mutation.by_hand import ByHand, changed_functions, fails_in_a_process
from mutation.covering import SOURCE, Test, measure, own_folder, run
from mutation.kernel_users import users_of_kernels
from mutation.live import put
from mutation.operators import Mutant, mutated
from mutation.processes import each_in_a_fork
from mutation.results import Results

#: A mutant's tests take at most so long in all; the slowest are left out.
MOST_SECONDS = 60.0
#: Seconds to compile the kernels that a test calls.
COMPILATION = 120.0
#: Seconds for a test without a mutant, or for one of a mistake by hand, which may be slow.
SLOW = 900.0
#: What notices a mutant that runs into a limit.
STOPPED = "stopped: too slow, too large, or a crash"


class Session:
    """Replaces pytest's loop over tests by one over mutants."""

    def __init__(
        self,
        chosen: list[tuple[Mutant, int]],
        mistakes: list[ByHand],
        tests: list[Path],
        results: Results,
        processes: int,
    ) -> None:
        """Take mutants with their numbers and mistakes by hand, tests of mutants, and results."""
        self.chosen, self.mistakes, self.tests = chosen, mistakes, tests
        self.results, self.processes = results, processes
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, then with each mutant."""
        for file in {m.file for m, _ in self.chosen} | {m.file for m in self.mistakes}:
            importlib.import_module(f"psiprune.{file[:-3].replace('/', '.')}")
        tests = self._measure(session) if self.chosen else []
        if not self.failed:
            self._try(session, tests)
            self._try_by_hand(session)
        return True

    def _measure(self, session: pytest.Session) -> list[Test]:
        items = [
            item
            for item in session.items
            if item.get_closest_marker("slow") is None
            and any(item.path.is_relative_to(test) for test in self.tests)
        ]
        each = each_in_a_fork(items, partial(_measured, session), lambda _: SLOW, self.processes)
        tests: list[Test] = []
        for item, test in tqdm(each, "each test by itself", len(items), unit="test"):
            if test is None:
                self.failed.append(item.nodeid)
            else:
                tests.append(test)
        return tests

    def _try(self, session: pytest.Session, tests: list[Test]) -> None:
        items = {item.nodeid: item for item in session.items}
        users = users_of_kernels()
        jobs = []
        for mutant, number in self.chosen:
            lines = {(mutant.file, k) for k in range(mutant.first, mutant.last + 1)}
            lines |= users.get((mutant.file, mutant.function), set())
            jobs.append((mutant, number, _quickest(tests, lines)))
        each = each_in_a_fork(jobs, partial(_noticed, session, items), _limit, self.processes)
        for (mutant, *_), result in tqdm(each, "mutants", len(jobs), unit="mutant"):
            self.results.add(mutant.name, STOPPED if result is None else result)

    def _try_by_hand(self, session: pytest.Session) -> None:
        def limit(_: ByHand) -> float:
            return SLOW

        each = each_in_a_fork(self.mistakes, partial(_by_hand, session), limit, self.processes)
        for mistake, noticed in tqdm(each, "by hand", len(self.mistakes), unit="mistake"):
            self.results.add(mistake.name, STOPPED if noticed is None else noticed)


def _measured(session: pytest.Session, item: pytest.Item, folder: Path) -> Test | None:
    own_folder(session, folder)
    return measure(item)


def _quickest(tests: list[Test], lines: set[tuple[str, int]]) -> list[Test]:
    """Return the tests that run one of the lines, the quickest first."""
    found: list[Test] = []
    total = 0.0
    for test in sorted(tests, key=lambda test: test.seconds):
        if not lines.isdisjoint(test.lines):
            total += test.seconds
            if found and total > MOST_SECONDS:
                break
            found.append(test)
    return found


Job = tuple[Mutant, int, list[Test]]


def _limit(job: Job) -> float:
    mutant, _, tests = job
    compilation = COMPILATION if mutant.file.startswith("kernels/") else 0.0
    return 20 + 5 * sum(test.seconds for test in tests) + compilation


def _noticed(session: pytest.Session, items: dict[str, Any], job: Job, folder: Path) -> str:
    """Return the test that fails under a mutant, "" if none does."""
    mutant, number, tests = job
    own_folder(session, folder)
    file = SOURCE / mutant.file
    try:
        put(mutated(file.read_text(), number), file, mutant.function)
    except (LookupError, SyntaxError, ValueError) as error:
        return f"error: {error}"
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        if not run(items[test.name], following and items[following.name]):
            return test.name
    return ""


def _by_hand(session: pytest.Session, mistake: ByHand, folder: Path) -> str:
    """Return the test of a mistake if it fails, "" if it passes."""
    functions = changed_functions(mistake)
    if functions is None:
        return mistake.test if fails_in_a_process(mistake, folder) else ""
    own_folder(session, folder)
    put(mistake.source, SOURCE / mistake.file, *functions)
    tests = [item for item in session.items if item.nodeid.startswith(mistake.test)]
    tests = [item for item in tests if item.nodeid[len(mistake.test) :][:1] in ("", "[")]
    passes = [run(*each) for each in zip(tests, [*tests[1:], None], strict=True)]
    return "" if all(passes) else mistake.test
