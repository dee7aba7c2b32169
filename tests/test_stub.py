"""The stub of the package, from which names are loaded on first use, agrees with the run time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_stub_has_what_is_there() -> None:
    """stubtest also compares modules without a stub with themselves; of them it reports nothing."""
    command = [sys.executable, "-m", "mypy.stubtest", "psiprune", "--concise"]
    done = subprocess.run(
        [*command, "--mypy-config-file", str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "psiprune.__main__ failed to import" in done.stdout, done  # it has looked at all modules
    assert re.findall(r"^psiprune(?:\.\w+)? (?!failed to import).*", done.stdout, re.M) == []
