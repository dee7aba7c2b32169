"""Ctrl-C while a command is still being loaded: one line, which does not say that work is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tiny

#: `psiprune`, which sends itself Ctrl-C as it begins to import a module.
AS_IT_IMPORTS = (
    *tiny.PROGRAM[:2],
    "import os, signal, sys; wanted = sys.argv.pop(1)\n"
    "class Finder:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name == wanted: os.kill(os.getpid(), signal.SIGINT)\n"
    "sys.meta_path.insert(0, Finder())\n" + tiny.PROGRAM[2],
)


@pytest.mark.parametrize(
    "module",
    [
        *("psiprune.cli.main", "xarray"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cyclopts", "pydantic", "numba")),
    ],
)
def test_ctrl_c_amid_an_import(stages: Path, tmp_path: Path, module: str) -> None:
    checkpoint = tmp_path / ".rbm.nc.1.checkpoint"
    checkpoint.write_text("hours of work")
    command = ("train", stages / "shots.nc", "--out", tmp_path / "rbm.nc")
    running = tiny.start(module, *command, program=AS_IT_IMPORTS)
    out, err = running.communicate()
    outcome = tiny.Outcome(running.returncode, out, err)
    assert tiny.refusal(outcome, status=130) == tiny.NOT_BEGUN
    assert [*tmp_path.iterdir()] == [checkpoint]


def test_it_is_heard_before_other_libraries_are_loaded() -> None:
    code = "import sys, psiprune.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    known = {*sys.stdlib_module_names, "psiprune", "lazy_loader", "__main__"}
    assert not {name for name in roots - known if not name.startswith(("_", "sitecustomize"))}
