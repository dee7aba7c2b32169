"""A pytest session that collects the tests once, then runs mutants in forks of itself."""

from __future__ import annotations

import importlib
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from mutation.baseline import SOURCE, Test, measure, run, set_temporary_folder
from mutation.by_hand import ByHand, changed_functions, fails_in_a_process
from mutation.forks import run_in_forks
from mutation.kernel_users import users_of_kernels
from mutation.operators import Mutant, mutated
from mutation.patch import patch
from mutation.results import Results
from mutation.survivors import reasons

#: Time limit for all tests of one mutant; the slowest tests are left out.
MOST_SECONDS = 60.0
#: The same for a mutant listed as a survivor: all these tests run, to notice an outdated entry.
LISTED_SECONDS = 10.0
#: Extra seconds to recompile kernels.
COMPILATION = 120.0
#: Time limit of a baseline test, and of the test of a hand-written mutant, which may be slow.
SLOW = 900.0
#: Recorded for a mutant that exceeds a limit of time or memory, or ends the process.
TIMEOUT = "timeout, out of memory, or crash"


class Session:
    """A pytest plugin whose loop runs mutants instead of tests."""

    def __init__(
        self,
        chosen: list[tuple[Mutant, int]],
        mistakes: list[ByHand],
        tests: list[Path],
        results: Results,
        processes: int,
    ) -> None:
        """Set mutants and their numbers in files, hand-written mutants, test folders, results."""
        self.chosen, self.mistakes, self.tests = chosen, mistakes, tests
        self.results, self.processes = results, processes
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests without a mutant, then with each mutant."""
        for file in {m.file for m, _ in self.chosen} | {m.file for m in self.mistakes}:
            importlib.import_module(f"psiprune.{file[:-3].replace('/', '.')}")
        tests = self._run_baseline(session) if self.chosen else []
        if not self.failed:
            self._run_mutants(session, tests)
            self._run_by_hand(session)
        return True

    def _run_baseline(self, session: pytest.Session) -> list[Test]:
        items = [
            item
            for item in session.items
            if item.get_closest_marker("slow") is None
            and any(item.path.is_relative_to(test) for test in self.tests)
        ]
        each = run_in_forks(items, partial(_measure, session), lambda _: SLOW, self.processes)
        tests: list[Test] = []
        for item, test in tqdm(each, "baseline", len(items), unit="test"):
            if test is None:
                self.failed.append(item.nodeid)
            else:
                tests.append(test)
        return tests

    def _run_mutants(self, session: pytest.Session, tests: list[Test]) -> None:
        items = {item.nodeid: item for item in session.items}
        users, known = users_of_kernels(), reasons()
        jobs = []
        for mutant, number in self.chosen:
            lines = {(mutant.file, k) for k in range(mutant.first, mutant.last + 1)}
            lines |= users.get((mutant.file, mutant.function), set())
            most = LISTED_SECONDS if mutant.name in known else MOST_SECONDS
            jobs.append((mutant, number, _covering_tests(tests, lines, most)))
        each = run_in_forks(jobs, partial(_kill, session, items), _limit, self.processes)
        for (mutant, *_), killer in tqdm(each, "mutants", len(jobs), unit="mutant"):
            self.results.add(mutant.name, TIMEOUT if killer is None else killer)

    def _run_by_hand(self, session: pytest.Session) -> None:
        work = partial(_kill_by_hand, session)
        each = run_in_forks(self.mistakes, work, lambda _: SLOW, self.processes)
        for mistake, killer in tqdm(each, "hand-written", len(self.mistakes), unit="mutant"):
            self.results.add(mistake.name, TIMEOUT if killer is None else killer)


def _measure(session: pytest.Session, item: pytest.Item, folder: Path) -> Test | None:
    set_temporary_folder(session, folder)
    return measure(item)


def _covering_tests(tests: list[Test], lines: set[tuple[str, int]], most: float) -> list[Test]:
    """Return the tests that execute any of the lines, fastest first, in at most so many seconds."""
    found: list[Test] = []
    total = 0.0
    for test in sorted(tests, key=lambda test: test.seconds):
        if not lines.isdisjoint(test.lines):
            total += test.seconds
            if found and total > most:
                break
            found.append(test)
    return found


Job = tuple[Mutant, int, list[Test]]


def _limit(job: Job) -> float:
    mutant, _, tests = job
    compilation = COMPILATION if mutant.file.startswith("kernels/") else 0.0
    return 20 + 5 * sum(test.seconds for test in tests) + compilation


def _kill(session: pytest.Session, items: dict[str, Any], job: Job, folder: Path) -> str:
    """Return the first test that fails with a mutant, "" if all pass."""
    mutant, number, tests = job
    set_temporary_folder(session, folder)
    file = SOURCE / mutant.file
    patch(mutated(file.read_text(), number), file, mutant.function)
    for test, following in zip_longest(tests, tests[1:]):
        if not run(items[test.name], following and items[following.name]):
            return test.name
    return ""


def _kill_by_hand(session: pytest.Session, mistake: ByHand, folder: Path) -> str:
    """Return the test of a hand-written mutant if it fails, "" if it passes."""
    functions = changed_functions(mistake)
    if functions is None:
        return mistake.test if fails_in_a_process(mistake, folder) else ""
    set_temporary_folder(session, folder)
    patch(mistake.source, SOURCE / mistake.file, *functions)
    tests = [item for item in session.items if item.nodeid.startswith(mistake.test)]
    tests = [item for item in tests if item.nodeid[len(mistake.test) :][:1] in ("", "[")]
    passes = [run(*each) for each in zip_longest(tests, tests[1:])]
    return "" if all(passes) else mistake.test
