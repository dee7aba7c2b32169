"""Mutation testing: change the numerical code in one place at a time; does a test fail?

    PYTHONPATH=tests python -m mutation [--only 'metrics/*' 'by hand/*' ...]
        [--tests tests/metrics ...] [--every K] [--results FILE [--again]]

First each test runs on its own under coverage. Then each mutant runs in a forked process against
the tests that execute the mutated statement, fastest first, until one fails and the mutant is
killed. `operators.py` generates mutants; the folder by_hand has hand-written ones, mistakes in the
physics, each with the test that must fail; the folder survivors lists known survivors with the
reason. The exit status is 1 if another mutant survives, or if a package scores less than 95 %.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mutation.baseline import SOURCE
from mutation.by_hand import ROOT, by_hand
from mutation.operators import Mutant, mutants
from mutation.results import WANTED, Results, scores, table
from mutation.session import Session
from mutation.survivors import reasons

#: Packages whose tests run, beside those of random streams, and which may be mutated.
PACKAGES = ("rbm", "inference", "training", "pruning", "metrics", "states", "kernels")
#: Mutated if nothing else is named: no kernels, each mutant of which is compiled again.
DEFAULT = (*(f"{package}/*" for package in PACKAGES[:-1]), "by hand/*")


def choose(patterns: Sequence[str]) -> list[tuple[Mutant, int]]:
    """Return the mutants whose file or name matches a pattern, with their numbers in the file."""
    found = []
    for package in PACKAGES:
        for file in sorted((SOURCE / package).glob("*.py")):
            name = f"{package}/{file.name}"
            for number, mutant in enumerate(mutants(file.read_text(), name)):
                if any(fnmatch.fnmatchcase(t, p) for t in (mutant.name, name) for p in patterns):
                    found.append((mutant, number))
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        "python -m mutation", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", nargs="+", default=DEFAULT, help="patterns of files or mutants")
    parser.add_argument("--every", type=int, default=1, help="run every K-th mutant")
    parser.add_argument("--tests", nargs="+", help="tests to run, default: those of the packages")
    parser.add_argument("--results", type=Path, help="file for results (JSON lines)")
    parser.add_argument("--again", action="store_true", help="skip mutants killed in RESULTS")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(arguments)


def problems(results: Results) -> Iterator[str]:
    """Yield unknown survivors, wrong entries in the lists, and low scores."""
    known = reasons()
    for name, killer in results.items():
        if not killer and name not in known:
            yield f"survived: {name}"
        elif killer and name in known:
            yield f"listed as a survivor, but killed by {killer}: {name}"
    for package, (killed, survived) in scores(results).items():
        if killed < WANTED * (killed + survived):
            yield f"{package}: the score is below {WANTED:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit status."""
    options = parse(arguments)
    since = time.perf_counter()
    chosen = choose(options.only)[:: options.every]
    if options.results and not options.again:
        options.results.unlink(missing_ok=True)
    mistakes = [] if options.tests else by_hand(options.only)
    names = [*(mutant.name for mutant, _ in chosen), *(mistake.name for mistake in mistakes)]
    results = Results(options.results, names)
    tests = [
        ROOT / test
        for test in options.tests
        or [f"tests/{each}" for each in (*PACKAGES, "core/test_random.py")]
    ]
    session = Session(
        [(mutant, number) for mutant, number in chosen if not results.get(mutant.name)],
        [mistake for mistake in mistakes if not results.get(mistake.name)],
        tests,
        results,
        options.processes,
    )
    os.chdir(ROOT)
    files = {*map(str, tests), *(str(ROOT / mistake.test.split("::")[0]) for mistake in mistakes)}
    plain = ["-qqs", "-m", "", "-p", "no:cacheprovider", "-p", "no:xdist"]
    status = pytest.main([*plain, *sorted(files)], plugins=[session])
    if session.failed or status != pytest.ExitCode.OK:
        print(*(f"fails alone, without a mutant: {name}" for name in session.failed), sep="\n")
        return 1
    wrong = list(problems(results))
    print(*table(results), *wrong, sep="\n")
    print(f"{time.perf_counter() - since:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
