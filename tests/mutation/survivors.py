"""Read the known survivors and the reason for each: a file per package in survivors/."""

from __future__ import annotations

import tomllib
from pathlib import Path


def reasons() -> dict[str, str]:
    """Return the reason for each known survivor, by name."""
    files = sorted((Path(__file__).parent / "survivors").glob("*.toml"))
    groups = [group for file in files for group in tomllib.loads(file.read_text())["group"]]
    return {name: group["reason"] for group in groups for name in group["mutants"]}
