"""What noticed each mutant: a file with a line for each, and the score of each package."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: At least this share of a package's mutants is noticed.
WANTED = 0.95


class Results(dict[str, str]):
    """By mutant, the test that failed, or "" if it survived; kept in a file, if there is one."""

    def __init__(self, file: Path | None, names: Sequence[str]) -> None:
        """Read the file; forget mutants that are no longer made."""
        super().__init__()
        self._file = file
        if file is not None and file.exists():
            for line in file.read_text().splitlines():
                name, noticed = json.loads(line)
                if name in names:
                    self[name] = noticed

    def add(self, name: str, noticed: str) -> None:
        """Take a result, and write it down at once: a run may be stopped."""
        self[name] = noticed
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps([name, noticed]) + "\n")


def table(results: Mapping[str, str]) -> Iterator[str]:
    """Yield a Markdown table of the packages."""
    yield "| package | mutants | noticed | survived | score |"
    yield "|---|---|---|---|---|"
    for package, (noticed, survived) in scores(results).items():
        total = noticed + survived
        yield f"| {package} | {total:,} | {noticed:,} | {survived:,} | {noticed / total:.1%} |"


def scores(results: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Return how many mutants were noticed and how many survived, by package and of all."""
    counts: dict[str, tuple[int, int]] = {}
    for name, noticed in sorted(results.items()):
        for package in (name.split("/")[0], "all"):
            found, survived = counts.pop(package, (0, 0))
            counts[package] = found + bool(noticed), survived + (not noticed)
    return counts
