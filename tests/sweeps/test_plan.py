"""A dry run: points, shared stages, and core-hours from the times of finished stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan, point_rows
from psiprune.sweeps.points import points_of, stages_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import KINDS


def settings(fields: tuple[float, ...] = (1.0,), **product: Any) -> SweepSettings:
    grid = (GridSettings(product=product),) if product else None
    return SweepSettings(study=tiny.settings(fields=fields), grid=grid)


def finish(own: SweepSettings, folder: Path, seconds: float) -> None:
    """Write what stages write besides their results."""
    for point in points_of(own):
        for stage in stages_of(point):
            stage.make_folder(folder)
            (stage.folder(folder) / "seconds.json").write_text(json.dumps({"seconds": seconds}))


@pytest.fixture
def no_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psiprune.sweeps.plan._PILOTS", {kind: lambda *_: 1e6 for kind in KINDS})


@pytest.mark.usefixtures("no_pilots")
def test_rates_come_from_any_field_seed_and_coupling(tmp_path: Path) -> None:
    finish(settings((0.5, 3.0)), tmp_path, 2.0)
    planned = plan(settings((0.7, 1.3), seed=[4, 5], coupling=[1.0, 2.0]), tmp_path)
    assert [(each.done, each.pilots) for each in planned] == [(0, 0)] * 4
    assert [each.seconds / each.stages for each in planned] == [2.0] * 4


@pytest.mark.usefixtures("no_pilots")
def test_rates_depend_on_the_settings_that_cost(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    planned = {each.kind: each for each in plan(settings((2.0,), shots=[300, 400]), tmp_path)}
    assert planned["state"].seconds == 2.0
    assert planned["shots"].seconds == 2.0 + 1e6
    assert planned["point"].pilots == 1


@pytest.mark.usefixtures("no_pilots")
def test_damaged_records_give_no_rates(tmp_path: Path) -> None:
    finish(settings(), tmp_path, 2.0)
    for file in tmp_path.glob("*/*/inputs.json"):
        file.write_text("[]" if "dense" in str(file) else "{")
    assert [each.pilots for each in plan(settings((2.0,)), tmp_path)] == [1] * 4


def test_points_have_the_columns_that_differ() -> None:
    own = settings((1.0, 2.0), **{"sites": [4, 6], "prune.criterion": ["magnitude", "random"]})
    points = points_of(own)
    rows = point_rows(points)
    assert len(rows) == 8
    assert rows[1] == {
        **{"point": points[1].last.key, "sites": 4, "field": 2.0, "seed": 0},
        "prune_criterion": "magnitude",
    }
    assert "shots_seed" in point_rows(points_of(settings(seed=[1, 2])))[0]


@pytest.mark.usefixtures("no_pilots")
def test_a_dry_run_prints_twenty_points(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    for seeds in (10, 11):
        config.write_text(f"[study]\nsites = 4\nseeds = {seeds}\n")
        command = ("sweep", config, "--out", tmp_path / "run", "--dry-run")
        outcome = tiny.call(*command)
        assert outcome.status == 0
        lines, stages = (part.splitlines() for part in outcome.out.split("\n\n"))
        assert lines[0].split() == ["point", "sites", "field", "seed"]
        assert lines[20].split()[1:] == ["4", "2", "9"]
        assert len(lines) == 1 + 20 + (seeds > 10)
        assert [line.split()[0] for line in stages[1:-1]] == list(KINDS)
        # Pilots of 10^6 seconds for 2 states, 2 training sets and all RBMs, dense and pruned.
        assert f"{(4 + 4 * seeds) * 1e6 / 3600:.2g} core-hours" in stages[-1]
    assert "2 more" in lines[-1]
    assert len(json.loads(tiny.call(*command, "--json").out)["points"]) == 22
