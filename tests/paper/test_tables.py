"""Table I says how many weights are left, and when the graph of each seed falls apart."""

from __future__ import annotations

import json

import pytest
import xarray as xr

import invented
from psiprune.paper.tables import schedule_numbers, schedule_text

PRINTED = "100.0 90.0 81.0 72.9 65.6 59.0 53.1 47.8 43.0 38.7 34.9 31.4 28.2 25.4 22.9 20.6 18.5"
"""The paper's Table I up to step 16."""


@pytest.fixture(scope="module")
def study() -> xr.Dataset:
    """The paper's schedule; seed 1 falls apart at step 15 at the QCP, and seed 2 never there."""
    made = invented.study(levels=20, fraction=0.1)
    parts = made["components"].copy()
    parts.loc[{"field": 1.0, "seed": 1, "level": slice(15, None)}] = 2
    parts.loc[{"field": 1.0, "seed": 2}] = 1
    return made.assign(components=parts)


def test_as_numbers(study: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(schedule_numbers(study)))
    steps = numbers["steps"]
    assert [row["weights_kept"] for row in steps][:6] == [162, 146, 131, 118, 106, 96]
    assert steps[17]["weights_kept"] == 27
    assert steps[18]["weights_kept"] == 24
    assert steps[18]["percent"] == pytest.approx(14.8, abs=0.05)
    assert [f"{row['paper_percent']:.1f}" for row in steps][:17] == PRINTED.split()
    assert (numbers["tree"], numbers["must_fall_apart"]) == (26, 18)
    qcp, pm = numbers["fields"]["h=1"], numbers["fields"]["h=2"]
    assert qcp["falls_apart"] == {"0": 18, "1": 15, "2": None}
    assert qcp["connected"] == [3] * 15 + [2] * 3 + [1] * 3
    assert pm["falls_apart"] == {"0": 18, "1": 18, "2": 18}


def test_as_text(study: xr.Dataset) -> None:
    head, *lines = schedule_text(study).splitlines()
    assert head.split()[:4] == ["step", "weights", "remaining", "0.9^step"]
    assert lines[5].split()[:6] == ["5", "96", "59.3", "%", "59.0", "%"]
    assert " ".join(lines[5].split()[6:]) == "3 of 3 3 of 3"
    assert " ".join(lines[15].split()[6:]) == "2 of 3 3 of 3"
    assert lines[22] == "26 weights connect all 27 units: fewer are left from step 18 on"
    assert lines[23] == "h/J = 1 (QCP), first disconnected step by seed: 0: 18, 1: 15, 2: never"
    assert lines[24] == "h/J = 2 (PM), first disconnected step by seed: 0: 18, 1: 18, 2: 18"


def test_a_short_path_and_an_unknown_level() -> None:
    short = invented.study(levels=2, fields=(1.0,), seeds=1)
    numbers = schedule_numbers(short)
    assert numbers["must_fall_apart"] is None
    assert numbers["fields"]["h=1"]["falls_apart"] == {"0": None}
    text = schedule_text(invented.without(short, 1))
    assert text.splitlines()[2].split()[:3] == ["1", "-", "-"]
    assert "26 weights connect all 27 units\n" in text
