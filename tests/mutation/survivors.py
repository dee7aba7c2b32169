"""Mutants that no test notices, with the reason: survivors.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path


def reasons() -> dict[str, str]:
    """Return the reason of each mutant that is known to survive, by its name."""
    text = (Path(__file__).parent / "survivors.toml").read_text()
    return {
        name: group["reason"]
        for group in tomllib.loads(text).get("group", [])
        for name in group["mutants"]
    }
