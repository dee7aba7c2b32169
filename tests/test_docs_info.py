"""The examples of docs/info.md, one after the other, with what they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import tiny

TEXT = (Path(__file__).parents[1] / "docs" / "info.md").read_text()
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
#: Those whose digits are the same on every machine, as no training is behind them.
EXACT = ("info shots.nc", "info doubtful.nc")


def without_numbers(line: str) -> str:
    """The words of a line; of the versions behind a run the first."""
    words = re.sub(r"[-+]?\d[\d.]*(e[-+]\d+)?", "#", " ".join(line.split()))
    return words.partition(";")[0] if words.startswith("made by psiprune") else words


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = 0
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "docs/info.md", "exec"), {})
            continue
        for part in block.split("$ psiprune ")[1:]:
            command, *lines = part.splitlines()
            done = tiny.call(*shlex.split(command))
            assert (done.status, done.err) == (0, ""), command
            if not lines:
                continue
            shown += 1
            printed = done.out.splitlines()
            if lines[-1] == "...":
                lines, printed = lines[:-1], printed[: len(lines) - 1]
            if command not in EXACT:
                lines, printed = ([without_numbers(x) for x in each] for each in (lines, printed))
            assert printed == lines
    assert shown == 5
