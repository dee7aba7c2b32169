"""What is said to stand behind numbers is what stands behind them."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from psiprune.io import provenance
from psiprune.io.provenance import LATER, describe_machine, other_stages


def git(folder: Path, *arguments: str) -> str:
    fingerprint = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(folder), *fingerprint, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module that takes itself for the one in use, in a checkout that ignores it."""
    copy = tmp_path / "env" / "provenance.py"
    copy.parent.mkdir()
    shutil.copy(provenance.__file__, copy)
    monkeypatch.setattr(provenance, "__file__", str(copy))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "of another project")
    return copy


def test_the_processor_is_named_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: A 9000 @ 2 GHz\nmodel name\t: A 9000 @ 2 GHz\n")
    monkeypatch.setattr(provenance, "_CPUS", file)
    assert describe_machine()["processor"] == "A 9000 @ 2 GHz"
    file.unlink()
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert describe_machine()["processor"] == "arm"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert "processor" not in describe_machine()


def test_git_is_not_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_machine()["git"] == "not a checkout"


def test_the_revision_is_that_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    git(tmp_path, "add", str(installed))
    git(tmp_path, "commit", "--quiet", "--message", "ours")
    revision = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert describe_machine()["git"] == revision
    installed.write_text("changed")
    assert describe_machine()["git"] == f"{revision}-dirty"


@pytest.mark.usefixtures("installed")
def test_the_revision_of_a_checkout_around_the_environment_is_not_ours() -> None:
    assert describe_machine()["git"] == "not a checkout"


def test_stages_by_other_code_are_told_with_what_differs() -> None:
    run = {"numpy": "2.2", "git": "abc", "machine": "m", LATER: [{"numpy": "2.3", "git": "abc"}]}
    same = {"numpy": "2.2", "git": "abc", "machine": "another", "processor": "p"}
    stages: dict[str, dict[str, Any]] = {
        "study": same,
        "sparse": {**same, "git": "def"},
        "frontier": {**same, LATER: [{**same, "numpy": "2.3", "git": "ghi"}]},
        "graph": {"git": "abc"},
    }
    assert other_stages(run, stages) == {
        "sparse": "git def",
        "frontier": "as the run; later start: numpy 2.3, git ghi",
        "graph": "numpy unknown",
    }
