"""The examples of docs/interfaces.md run, and print what stands behind them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "interfaces.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_examples(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="pip install '.[sklearn]' runs the examples")
    names: dict[str, Any] = {}
    expected = []
    run = [block for block in BLOCKS if "logging" not in block]  # that is set for the process
    assert len(run) == 3
    for block in run:
        if "to_torch" in block and importlib.util.find_spec("torch") is None:
            continue
        exec(compile(block, "docs/interfaces.md", "exec"), names)
        expected += re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)
    assert len(expected) >= 2
    assert capsys.readouterr().out.splitlines() == expected
