"""The examples of docs/formats.md that need only files of this repository."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import tiny
from psiprune.formats import FORMATS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "formats.md").read_text()
COMMANDS = re.findall(r"^\$ psiprune (import \S+ tests/.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    *words, out = shlex.split(command)
    done = tiny.call(*words, tmp_path / out)
    assert done.status == 0, done
    shown = TEXT.split(f"$ psiprune {command}\n")[1].split("\n")[0]
    if shown.startswith(out):
        assert done.out == f"{tmp_path / shown}\n"


def test_there_are_examples_and_one_shows_its_output() -> None:
    assert len(COMMANDS) == 5
    assert TEXT.count("\nshots.nc: ") == 1


def test_every_format_has_its_line() -> None:
    listed = set(re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.M))))
    assert set(FORMATS) <= listed
