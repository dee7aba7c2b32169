"""Make small mistakes in the numerical code, one at a time, and see whether a test notices.

    python tests/mutation/run.py [--only 'metrics/*'] [--tests tests/metrics ...] [--every K]
        [--results FILE] [--again]

First the tests run once, watched line by line. Then each mutant is put into a fork of this process,
where the tests that run the changed statement go, the quickest first, until one fails. Beside
these mutants, which `operators.py` makes, are those of the folder by_hand: mistakes in the physics,
each with the test that must fail. Mutants that no test notices are in survivors.toml, with the
reason. The exit status is 1 if another one survives, or if a package scores less than 95 %.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from by_hand import check_by_hand
from covering import SOURCE, Test, measure, own_folder, run
from live import put
from operators import Mutant, mutants, mutated
from processes import each_in_a_fork
from tqdm import tqdm

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = ("rbm", "inference", "training", "pruning", "metrics", "states", "kernels")
#: At least this share of a package's mutants is noticed.
WANTED = 0.95
#: A mutant's tests take at most so long in all; the slowest are left out.
MOST_SECONDS = 60.0
#: Seconds to compile the kernels that a test calls.
COMPILATION = 120.0
#: Decorators of functions that run as machine code, whose lines nobody sees.
COMPILED = ("@compiled", "@inlined", "@intrinsic", "@overload")
STOPPED = "stopped: too slow, too large, or a crash"


class _Session:
    """Replace pytest's loop over tests by one over mutants."""

    def __init__(self, chosen: list[tuple[Mutant, int]], processes: int) -> None:
        self.chosen, self.processes = chosen, processes
        self.results: dict[str, str] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for file in {mutant.file for mutant, _ in self.chosen}:
            importlib.import_module(f"psiprune.{file[:-3].replace('/', '.')}")
        tests = self._measure(session)
        if not self.failed:
            self._try(session, tests)
        return True

    def _measure(self, session: pytest.Session) -> list[Test]:
        files = sorted({item.path for item in session.items})
        tests: list[Test] = []
        for file, result in tqdm(
            each_in_a_fork(files, partial(_measured, session), lambda _: 1800.0, self.processes),
            "running the tests as they are",
            len(files),
            unit="file",
        ):
            passed, failed = result or ([], [str(file)])
            tests += passed
            self.failed += failed
        return tests

    def _try(self, session: pytest.Session, tests: list[Test]) -> None:
        items = {item.nodeid: item for item in session.items}
        users = _users_of_kernels()
        jobs = []
        for mutant, number in self.chosen:
            lines = {(mutant.file, k) for k in range(mutant.first, mutant.last + 1)}
            lines |= users.get((mutant.file, mutant.function), set())
            jobs.append((mutant, number, _quickest(tests, lines)))
        for (mutant, *_), result in tqdm(
            each_in_a_fork(
                jobs,
                lambda job, folder: _noticed(session, items, *job, folder),
                lambda job: 20 + 5 * sum(test.seconds for test in job[2]) + _compilation(job[0]),
                self.processes,
            ),
            "mutants",
            len(jobs),
            unit="mutant",
        ):
            self.results[mutant.name] = STOPPED if result is None else result


def _measured(session: pytest.Session, file: Path, folder: Path) -> tuple[list[Test], list[str]]:
    own_folder(session, folder)
    return measure(session, [item for item in session.items if item.path == file])


def _quickest(tests: list[Test], lines: set[tuple[str, int]]) -> list[Test]:
    found, total = [], 0.0
    for test in sorted(tests, key=lambda test: test.seconds):
        if not lines.isdisjoint(test.lines):
            total += test.seconds
            if found and total > MOST_SECONDS:
                break
            found.append(test)
    return found


def _compilation(mutant: Mutant) -> float:
    return COMPILATION if mutant.file.startswith("kernels/") else 0.0


def _noticed(
    session: pytest.Session,
    items: dict[str, Any],
    mutant: Mutant,
    number: int,
    tests: list[Test],
    folder: Path,
) -> str:
    """Return the test that fails under a mutant, "" if none does."""
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


def _users_of_kernels() -> dict[tuple[str, str], set[tuple[str, int]]]:
    """Return, for each compiled function, the lines of Python that name it or a kernel with it."""
    texts = {str(file.relative_to(SOURCE)): file.read_text() for file in SOURCE.rglob("*.py")}
    kernels = {}
    for file, text in texts.items():
        if file.startswith("kernels/"):
            for part in text.split("\n\n\n"):
                if part.lstrip("\n").startswith(COMPILED):
                    name = part.split("def ", 1)[1].split("(", 1)[0]
                    kernels[name] = file, part
    users = {}
    for name, (file, _) in kernels.items():
        names, size = {name}, 0
        while len(names) > size:
            size = len(names)
            names |= {k for k, (_, part) in kernels.items() if any(n in part for n in names)}
        users[file, name] = {
            (path, k)
            for path, text in texts.items()
            if not path.startswith("kernels/") or path == "kernels/layout.py"
            for k, line in enumerate(text.split("\n"), 1)
            if any(f"{n}(" in line for n in names)
        }
    return users


def choose(patterns: Sequence[str], every: int) -> list[tuple[Mutant, int]]:
    """Return the mutants that a pattern fits, with their numbers in the file."""
    found = []
    for package in PACKAGES:
        for file in sorted((SOURCE / package).glob("*.py")):
            name = f"{package}/{file.name}"
            for number, mutant in enumerate(mutants(file.read_text(), name)):
                texts = (mutant.name, mutant.file)
                if any(fnmatch.fnmatchcase(t, p) for t in texts for p in patterns):
                    found.append((mutant, number))
    return found[::every]


def reasons() -> dict[str, str]:
    """Return the mutants that are known to survive, with the reason of each."""
    groups = tomllib.loads((HERE / "survivors.toml").read_text()).get("group", [])
    return {name: group["reason"] for group in groups for name in group["mutants"]}


def report(results: dict[str, str]) -> Iterator[str]:
    """Yield a table of the packages."""
    yield "| package | mutants | noticed | survived | score |"
    yield "|---|---|---|---|---|"
    rows = [(p, [r for n, r in results.items() if n.startswith(f"{p}/")]) for p in PACKAGES]
    for package, row in [*rows, ("all", list(results.values()))]:
        if row:
            noticed = sum(map(bool, row))
            share = f"{noticed / len(row):.1%}"
            yield f"| {package} | {len(row)} | {noticed} | {len(row) - noticed} | {share} |"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of files or mutants")
    parser.add_argument("--every", type=int, default=1, help="take one of so many")
    parser.add_argument("--tests", nargs="+", help="the tests, not those of the packages")
    parser.add_argument("--results", type=Path, help="write what noticed each mutant (JSON)")
    parser.add_argument("--again", action="store_true", help="only those that survived RESULTS")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit status."""
    options = parse(arguments)
    since = time.perf_counter()
    before = json.loads(options.results.read_text()) if options.again else {}
    chosen = choose(options.only, options.every)
    if options.again:
        chosen = [(m, k) for m, k in chosen if not before.get(m.name)]
    session = _Session(chosen, options.processes)
    os.chdir(ROOT)
    tests = options.tests or [f"tests/{package}" for package in PACKAGES]
    plain = ["-qqs", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*plain, *tests], plugins=[session])
    for name in session.failed:
        print(f"fails without any mutant: {name}")
    if session.failed:
        return 1
    results = {**before, **session.results}
    if options.results:
        options.results.write_text(json.dumps(results, indent=1))
    for line in report(session.results):
        print(line)
    known = reasons()
    wrong = [f"{r}: {n}" for n, r in session.results.items() if r.startswith("error")]
    new = [f"survives: {n}" for n, r in session.results.items() if not r and n not in known]
    dead = [f"noticed, so not a survivor: {n}" for n in known if session.results.get(n)]
    problems = [*wrong, *new, *dead, *check_by_hand(options.only, options.processes)]
    for line in problems:
        print(line)
    print(f"{len(session.results)} mutants, {time.perf_counter() - since:.0f} s")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
