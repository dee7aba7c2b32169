"""The full run in docs/paper: all verdicts again from what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import tiny
from outcomes import json_of
from psiprune.paper.claims.judge import CLAIMS

KEPT = Path(__file__).parents[2] / "docs" / "paper"


def test_the_kept_run_is_judged_as_it_was() -> None:
    printed = json_of(tiny.call("paper", "--judge", KEPT, "--json"))
    assert printed["differences"] == []
    assert printed["equal"] is True
    assert [claim["key"] for claim in printed["claims"]] == [claim.key for claim in CLAIMS]
    assert printed["counts"] == json.loads((KEPT / "claims.json").read_text())["counts"]


def test_the_kept_run_is_small() -> None:
    files = list(KEPT.rglob("*.nc"))
    assert max(file.stat().st_size for file in files) < 2**20
    assert not list(KEPT.rglob("shots.nc"))
