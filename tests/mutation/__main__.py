"""Make small mistakes in the numerical code, one at a time, and see whether a test notices.

    PYTHONPATH=tests python -m mutation [--only 'metrics/*' 'by hand/*' ...]
        [--tests tests/metrics ...] [--every K] [--results FILE [--again]]

First each test runs once by itself, watched line by line. Then each mutant is put into a fork of
this process, where the tests that run the changed statement go, the quickest first, until one
fails. Beside these mutants, which `operators.py` makes, are those of the folder by_hand: mistakes
in the physics, each with the test that must fail. Mutants that no test notices are in the folder
survivors, with the reason. The exit status is 1 if another one survives, or if a package scores
less than 95 %.
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

from mutation.by_hand import ROOT, by_hand
from mutation.covering import SOURCE
from mutation.operators import Mutant, mutants
from mutation.results import WANTED, Results, scores, table
from mutation.session import Session
from mutation.survivors import reasons

PACKAGES = ("rbm", "inference", "training", "pruning", "metrics", "states", "kernels")


def choose(patterns: Sequence[str]) -> list[tuple[Mutant, int]]:
    """Return the mutants of files or with names that a pattern fits, and their numbers in files."""
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
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of files or mutants")
    parser.add_argument("--every", type=int, default=1, help="take one of so many")
    parser.add_argument("--tests", nargs="+", help="these tests, not those of the packages")
    parser.add_argument("--results", type=Path, help="a file for what noticed each mutant")
    parser.add_argument("--again", action="store_true", help="go on: only what RESULTS lacks")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(arguments)


def problems(results: Results) -> Iterator[str]:
    """Yield what is not as it should be."""
    known = reasons()
    for name, noticed in results.items():
        if noticed.startswith("error"):
            yield f"{name}: {noticed}"
        elif not noticed and name not in known:
            yield f"survives: {name}"
        elif noticed and name in known:
            yield f"is listed as a survivor, but {noticed} notices it: {name}"
    for package, (found, survived) in scores(results).items():
        if found < WANTED * (found + survived):
            yield f"{package}: fewer than {WANTED:.0%} were noticed"


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
    tests = [ROOT / test for test in options.tests or [f"tests/{each}" for each in PACKAGES]]
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
    pytest.main([*plain, *sorted(files)], plugins=[session])
    if session.failed:
        print(*(f"fails by itself, without a mutant: {name}" for name in session.failed), sep="\n")
        return 1
    wrong = list(problems(results))
    print(*table(results), *wrong, sep="\n")
    print(f"{time.perf_counter() - since:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
