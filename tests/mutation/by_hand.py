"""Mistakes in the physics, written by hand: each with the test that must fail."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tqdm import tqdm

from mutation.covering import SOURCE

FOLDER = Path(__file__).parent / "by_hand"
ROOT = FOLDER.parents[2]
#: Seconds that the test of a mutant may take.
LIMIT = 900


class ByHand(NamedTuple):
    """A change of a file below src/psiprune, from `old` to `new`, and the test that notices."""

    name: str
    file: str
    old: str
    new: str
    test: str


def by_hand() -> Iterator[ByHand]:
    """Yield the mutants of all files in the folder by_hand."""
    for file in sorted(FOLDER.glob("*.toml")):
        for entry in tomllib.loads(file.read_text())["mutant"]:
            yield ByHand(**entry)


def check_by_hand(patterns: Sequence[str], processes: int) -> list[str]:
    """Run the test of each mutant that a pattern fits; return those that are not noticed."""
    chosen = [m for m in by_hand() if any(fnmatch.fnmatchcase(m.file, p) for p in patterns)]
    with ThreadPoolExecutor(processes) as pool:
        answers = list(tqdm(pool.map(_answer, chosen), "by hand", len(chosen), unit="mutant"))
    for mutant, answer in zip(chosen, answers, strict=True):
        print(f"| {mutant.name} | {mutant.file} | {answer or mutant.test} |")
    return [f"by hand, {m.name}: {a}" for m, a in zip(chosen, answers, strict=True) if a]


def _answer(mutant: ByHand) -> str:
    """Return what is wrong with a mutant, "" if its test fails as it must."""
    text = (SOURCE / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        return f"what it changes occurs {text.count(mutant.old)} times in {mutant.file}"
    with TemporaryDirectory(prefix="by-hand-") as folder:
        copy = Path(folder) / "psiprune"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / mutant.file).write_text(text.replace(mutant.old, mutant.new))
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        if mutant.file.startswith("kernels/"):
            environment["NUMBA_CACHE_DIR"] = str(Path(folder) / "kernels")
        options = ["-qqx", "-m", "", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, mutant.test],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    # 1 says that a test failed; anything else that it passed, or was not found or not read.
    return "" if done.returncode == 1 else done.stdout[-300:] or f"exit status {done.returncode}"
