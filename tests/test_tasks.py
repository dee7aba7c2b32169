"""What a new user does first works from the pages alone: their commands, in a shell, as printed.

`test_docs` runs the same pages quickly, in this process and with smaller sizes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pages
from pages import ROOT, Block, blocks_of, run

#: Task -> page, and words of the first and the last of its blocks that answer it.
TASKS = {
    "read a file of Qiskit's and look at it": ("docs/howto/own-data.md", "import json", "-o mine"),
    "reconstruct and say whether to trust it": (
        "README.md",
        "$ psiprune example",
        "import psiprune",
    ),
    "the same from the first page of the site": ("docs/index.md", "example shots", "-o result"),
    "find the smallest model": ("docs/howto/smallest.md", "ground-state", "damage"),
    "plot what pruning cost": ("docs/howto/figures.md", "plot_path", "plot_path"),
    "use an own observable": ("docs/howto/observables.md", "ground-state", "pp.Hamiltonian"),
    "run a sweep of four points": ("docs/sweep.md", "[study]", "psiprune sweep mine.toml"),
    "reproduce Fig. 2": ("docs/paper.md", "--only fig2", "--only fig2"),
}


def blocks_for(task: str) -> list[Block]:
    """The blocks of a task, none of them shortened for tests."""
    page, first, last = TASKS[task]
    blocks = blocks_of(ROOT / page)
    start = next(k for k, block in enumerate(blocks) if first in block.code)
    end = max(k for k, block in enumerate(blocks) if last in block.code)
    chosen = blocks[start : end + 1]
    return [
        replace(block, fate="printed") if block.fate in ("small", "parse", "skip") else block
        for block in chosen
    ]


def run_in_shell(line: str, place: str, fails: bool = False) -> str:
    """Run a line of a page in bash; return what it prints, or why it is refused."""
    done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True, check=False)
    assert done.returncode == (2 if fails else 0), f"{place}: {line}\n{done.stderr}"
    return done.stderr if fails else done.stdout


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_its_blocks(task: str) -> None:
    found = blocks_for(task)
    assert found
    assert not [block for block in found if block.fate not in ("printed", "setup", "file")]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_done_by_what_its_page_prints(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "empty").mkdir()
    command = tmp_path / "bin" / "psiprune"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m psiprune "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setattr(pages, "_run_line", run_in_shell)
    monkeypatch.chdir(tmp_path / "empty")
    names: dict[str, Any] = {"__name__": "task"}
    for block in blocks_for(task):
        run(block, names)


@pytest.mark.slow
def test_install(tmp_path: Path) -> None:
    """The first block of README, in a copy of the checkout, and the first command after it."""
    (block,) = (each for each in blocks_of(ROOT / "README.md") if "pip install ." in each.code)
    checkout = tmp_path / "psiprune"
    checkout.mkdir()
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    script = f"{block.code}\nsource env/bin/activate\ncd {tmp_path}\npsiprune example shots.txt\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution" in done.stderr or "Temporary failure" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("next: psiprune info shots.txt\n")
