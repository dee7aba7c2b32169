"""Hand-written mutants: mistakes in the physics, each with the test that must fail."""

from __future__ import annotations

import ast
import fnmatch
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mutation.baseline import SOURCE

FOLDER = Path(__file__).parent / "by_hand"
ROOT = FOLDER.parents[2]


class ByHand(NamedTuple):
    """A change of a source file from `old` to `new`, and the test that kills it."""

    what: str
    file: str
    old: str
    new: str
    test: str

    @property
    def name(self) -> str:
        """Name in the results."""
        return f"by hand/{self.file}: {self.what}"

    @property
    def source(self) -> str:
        """The mutated source file."""
        return (SOURCE / self.file).read_text().replace(self.old, self.new)


def by_hand(patterns: Sequence[str] = ("*",)) -> list[ByHand]:
    """Return the mutants whose file or name matches a pattern."""
    return [
        mutant
        for file in sorted(FOLDER.glob("*.toml"))
        for mutant in _entries(file)
        if any(fnmatch.fnmatchcase(t, p) for t in (mutant.file, mutant.name) for p in patterns)
    ]


def _entries(file: Path) -> list[ByHand]:
    entries = tomllib.loads(file.read_text())["mutant"]
    return [
        ByHand(*(entry[key] for key in ("name", "file", "old", "new", "test"))) for entry in entries
    ]


def changed_functions(mutant: ByHand) -> list[str] | None:
    """Return the functions that a mutant changes; None if it changes code outside functions."""
    before, after = (
        ast.parse(text) for text in ((SOURCE / mutant.file).read_text(), mutant.source)
    )
    old, new = dict(_bodies(before, "")), dict(_bodies(after, ""))
    if ast.dump(before) != ast.dump(after):  # the rest, without function bodies
        return None
    return [name for name in new if old[name] != new[name]]


def _bodies(node: ast.AST, prefix: str) -> list[tuple[str, str]]:
    """Remove the bodies of functions from a tree, and return them by name as text."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            found.append((prefix + child.name, "".join(map(ast.dump, child.body))))
            child.body = []
        else:
            name = f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix
            found += _bodies(child, name)
    return found


def fails_in_a_process(mutant: ByHand, folder: Path) -> bool:
    """Run the test of a mutant against a mutated copy of the package; return whether it fails."""
    shutil.copytree(SOURCE, folder / "psiprune", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "psiprune" / mutant.file).write_text(mutant.source)
    options = ["-qqx", "-m", "", "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, mutant.test],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    return done.returncode == 1  # 1: a test failed; 0: passed; others: not collected
