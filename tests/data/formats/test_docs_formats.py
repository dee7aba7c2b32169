"""docs/formats.md has a line for each format; its examples are run by test_docs.py."""

from __future__ import annotations

import re
from pathlib import Path

from psiprune.data.formats import FORMATS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "formats.md").read_text()


def test_every_format_has_its_line() -> None:
    listed = set(re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.M))))
    assert set(FORMATS) <= listed
