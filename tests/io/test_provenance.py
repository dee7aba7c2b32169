"""What is said to stand behind numbers is what stands behind them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from psiprune.io import provenance
from psiprune.io.provenance import (
    LATER,
    arithmetic,
    code_changes,
    describe_machine,
    other_stages,
    same_start,
    why_not_same_bits,
)


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


def test_git_is_not_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_machine()["git"] == "not a checkout"


def test_the_revision_is_that_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert describe_machine()["git"] == "not a checkout"  # of another project around ours
    git(tmp_path, "add", str(installed))
    git(tmp_path, "commit", "--quiet", "--message", "ours")
    revision = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert describe_machine()["git"] == revision
    installed.write_text("changed")
    assert describe_machine()["git"] == f"{revision}-dirty"


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


SAME = {"numpy": "2.2", "git": "abc", "vector instructions": "znver4, AVX-512"}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({**SAME, "numpy": "2.3"}, "numpy: 2.2 and 2.3"),
        ({**SAME, "vector instructions": "haswell, AVX2"}, "znver4, AVX-512 and haswell, AVX2"),
        ({**SAME, LATER: [{**SAME, "git": "def"}]}, "git: abc and def"),
        ({"numpy": "2.2", "git": "abc"}, "vector instructions: znver4, AVX-512 and not recorded"),
    ],
)
def test_why_runs_need_not_agree_to_the_bit(other: dict[str, Any], reason: str) -> None:
    (found,) = why_not_same_bits(SAME, other)
    assert reason in found
    assert len(why_not_same_bits(other, SAME)) == 1
    assert why_not_same_bits(SAME, {**SAME, "machine": "64 cores", "processor": "another"}) == ()
    dirty = {**SAME, "git": "abc-dirty"}  # unknown code
    assert "unknown" in why_not_same_bits(dirty, dirty)[0]


def test_a_resumed_run_notices_another_cpu_family_but_not_a_folder_without_the_record() -> None:
    here = describe_machine()
    assert "vector instructions" in code_changes({**here, "vector instructions": "power10"}, here)
    old = {name: value for name, value in here.items() if name not in arithmetic()}
    assert code_changes(old, here) == ""
    assert same_start(old, here)
