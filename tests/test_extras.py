"""Each optional extra in an empty environment: it brings what its part of psiprune needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
SWEEP = """\
[study]
sites = 4
shots = 200
train = { method = "exact", epochs = 5 }
fine_tune = { method = "exact", epochs = 2 }

[[grid]]
product = { "prune.criterion" = ["magnitude", "surgeon"] }
"""
#: A program for each extra that works with it, and what it says without.
PROGRAMS = {
    "sklearn": ("from psiprune.sklearn import RBMDensity; RBMDensity()", "psiprune[sklearn]"),
    "sweep": (
        "from psiprune.cli.main import main; import sys;"
        "sys.exit(main(['sweep', 'mine.toml', '--out', 'run', '--scheduler', 'serial'])"
        " or main(['query', 'select count(*) from levels', 'run']))",
        "psiprune[sweep]",
    ),
    "notebooks": ("import nbclient, ipykernel, ipywidgets", "nbclient"),
    "docs": ("import mkdocs, mkdocstrings, latex2mathml.converter", "mkdocs"),
}
#: Extras that need gigabytes, or that only combine others or are for the tests themselves.
UNTESTED = {"all", "dev", "torch", "vendors"}


def test_every_extra_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == {*PROGRAMS, *UNTESTED}


def installed(folder: Path, extra: str) -> Path:
    """The Python of a new environment with psiprune and an extra, installed from this checkout."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    quiet = ("--quiet", "--disable-pip-version-check")
    constraints = str(ROOT / "constraints.txt")
    command = [str(python), "-m", "pip", "install", *quiet, "-c", constraints, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if missing_index(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return python


def missing_index(text: str) -> bool:
    """Whether pip has found no index of packages."""
    return "No matching distribution" in text or "Temporary failure" in text


def run(python: Path, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program away from the checkout."""
    (folder / "mine.toml").write_text(SWEEP)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("extra", PROGRAMS)
def test_an_extra_brings_what_it_needs(tmp_path: Path, extra: str) -> None:
    python = installed(tmp_path / "env", extra)
    done = run(python, tmp_path, PROGRAMS[extra][0])
    assert done.returncode == 0, done.stderr


def test_without_extras_the_example_runs_and_the_rest_says_what_is_missing(tmp_path: Path) -> None:
    python = installed(tmp_path / "env", "")
    example = "from psiprune.cli.main import main; main(['example', 'shots.txt'])"
    assert run(python, tmp_path, example).stdout.startswith("shots.txt: 10000 shots")
    for program, named in PROGRAMS.values():
        done = run(python, tmp_path, program)
        assert done.returncode != 0
        assert named in done.stderr
    # The way out that it names: pip takes an extra from the installed package, of no index.
    program, _ = PROGRAMS["sklearn"]
    (command,) = re.findall("pip install '([^']*)'", run(python, tmp_path, program).stderr)
    pip = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, command], check=True, cwd=tmp_path)
    assert run(python, tmp_path, program).returncode == 0
