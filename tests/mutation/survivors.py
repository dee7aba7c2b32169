"""Mutants that no test notices, with the reason: a file for each package in survivors/."""

from __future__ import annotations

import tomllib
from pathlib import Path


def reasons() -> dict[str, str]:
    """Return the reason of each mutant that is known to survive, by its name."""
    files = sorted((Path(__file__).parent / "survivors").glob("*.toml"))
    groups = [group for file in files for group in tomllib.loads(file.read_text())["group"]]
    return {name: group["reason"] for group in groups for name in group["mutants"]}
