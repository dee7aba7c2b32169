"""What a dry run tells: points, shared stages, and hours by what is done in the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.sweeps.plan import plan, told
from psiprune.sweeps.points import points_of, steps_of
from psiprune.sweeps.settings import GridSettings, SweepSettings
from psiprune.sweeps.stages import KINDS
from psiprune.sweeps.tables import points_text


def settings(fields: tuple[float, ...] = (1.0,), **product: Any) -> SweepSettings:
    grid = (GridSettings(product=product),) if product else None
    return SweepSettings(study=tiny.settings(fields=fields), grid=grid)


def finish(own: SweepSettings, folder: Path, seconds: float) -> None:
    """Leave what stages leave beside their files."""
    for point in points_of(own):
        for stage in steps_of(point):
            stage.folder(folder).mkdir(parents=True, exist_ok=True)
            (stage.folder(folder) / "inputs.json").write_bytes(stage.inputs)
            (stage.folder(folder) / "seconds.json").write_text(json.dumps({"seconds": seconds}))


@pytest.fixture
def no_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psiprune.sweeps.plan._PILOTS", {kind: lambda *_: 1e6 for kind in KINDS})


@pytest.mark.usefixtures("no_pilots")
def test_rates_are_of_whatever_field_and_seed_is_done(tmp_path: Path) -> None:
    finish(settings((0.5, 3.0)), tmp_path, 2.0)
    found = plan(settings((0.7, 1.3), seed=[4, 5], coupling=[1.0, 2.0]), tmp_path)
    assert [(each.done, each.pilots) for each in found] == [(0, 0)] * 4
    assert [each.seconds / each.stages for each in found] == [2.0] * 4


@pytest.mark.usefixtures("no_pilots")
def test_rates_are_of_the_settings_that_cost(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    found = {each.kind: each for each in plan(settings((2.0,), shots=[300, 400]), tmp_path)}
    assert found["state"].seconds == 2.0
    assert found["shots"].seconds == 2.0 + 1e6
    assert found["point"].pilots == 1


@pytest.mark.usefixtures("no_pilots")
def test_damaged_records_are_no_rates(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    for file in tmp_path.glob("*/*/inputs.json"):
        file.write_text("[]" if "dense" in str(file) else "{")
    assert [each.pilots for each in plan(settings((2.0,)), tmp_path)] == [1] * 4


def test_points_are_told_by_what_differs() -> None:
    own = settings((1.0, 2.0), **{"sites": [4, 6], "prune.criterion": ["magnitude", "random"]})
    points = points_of(own)
    found = told(points)
    assert len(found) == 8
    assert found[1] == {
        **{"point": points[1].last.key, "sites": 4, "field": 2.0, "seed": 0},
        "prune_criterion": "magnitude",
    }
    assert "shots_seed" in told(points_of(settings(seed=[1, 2])))[0]


def test_twenty_points_are_printed() -> None:
    points = told(points_of(settings(seeds=[22])))
    lines = points_text(points).splitlines()
    assert lines[0].split() == ["point", "sites", "field", "seed"]
    assert len(lines) == 1 + 20 + 1
    assert lines[20].split()[1:] == ["4", "1", "19"]
    assert lines[-1] == "and 2 more"
    assert len(points_text(points[:20]).splitlines()) == 21


def test_a_dry_run_lists_points(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text("[study]\nsites = 4\nshots = 50\ntrain.epochs = 1\nseeds = 11\n")
    command = ("sweep", config, "--out", tmp_path / "run", "--dry-run")
    found = tiny.call(*command)
    assert found.status == 0
    assert "and 2 more\n" in found.out
    assert found.out.splitlines()[-1].startswith("about ")
    assert len(json.loads(tiny.call(*command, "--json").out)["points"]) == 22
