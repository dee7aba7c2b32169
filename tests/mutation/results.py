"""Results of a mutation run: the test that kills each mutant, and the score of each package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: The lowest mutation score, killed / all, that a package may have.
WANTED = 0.95


class Results(dict[str, str]):
    """The test that kills each mutant, "" if it survives; saved to a file as results arrive."""

    def __init__(self, file: Path | None, names: Sequence[str]) -> None:
        """Read the results of these mutants from the file, if there is one."""
        super().__init__()
        self._file = file
        if file is not None and file.exists():
            for line in file.read_text().splitlines():
                name, killer = json.loads(line)
                if name in names:
                    self[name] = killer

    def add(self, name: str, killer: str) -> None:
        """Add a result, and append it to the file at once, so that a run can be resumed."""
        self[name] = killer
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps([name, killer]) + "\n")


def table(results: Mapping[str, str]) -> Iterator[str]:
    """Yield a Markdown table of the packages."""
    yield "| package | mutants | killed | survived | score |"
    yield "|---|---|---|---|---|"
    for package, (killed, survived) in scores(results).items():
        total = killed + survived
        yield f"| {package} | {total:,} | {killed:,} | {survived:,} | {killed / total:.1%} |"


def scores(results: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return the numbers of killed and surviving mutants, by package and in total."""
    counts: dict[str, tuple[int, int]] = {}
    for name, killer in sorted(results.items()):
        for package in (name.split("/")[0], "all"):
            killed, survived = counts.pop(package, (0, 0))
            counts[package] = killed + bool(killer), survived + (not killer)
    return counts
