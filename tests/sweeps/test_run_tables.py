"""Tables, reports and dry runs of sweeps of complete runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tiny
from psiprune.io.netcdf import read_dataset
from psiprune.sweeps.dataset import final_values
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.report import final_table
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import read_table, rows_of
from psiprune.sweeps.tasks import Run
from swept import mixed_sweep, runs_of, sparse_sweep


def test_a_row_for_each_combination() -> None:
    dataset = xr.Dataset(
        {
            "kl": (("field", "seed"), [[0.5, 0.25]]),
            "history_kl": (("field", "seed", "epoch"), [[[1.0, 0.5], [0.25, np.nan]]]),
            "floor": ("field", [0.125]),
            "kl_floor": ("epoch", [2.0, 4.0]),
            "mps_kl": (("field", "bond"), [[8.0, 16.0]]),
            "mask": (("field", "seed", "hidden"), np.ones((1, 2, 3))),
        },
        {"field": [3.0], "seed": [0, 1], "epoch": [0, 10], "bond": [1, 2]},
    )
    assert list(rows_of(dataset)) == [
        {"field": 3.0, "seed": 0, "kl": 0.5, "floor": 0.125},
        {"field": 3.0, "seed": 1, "kl": 0.25, "floor": 0.125},
        *(
            {"field": 3.0, "seed": seed, "epoch": epoch, "history_kl": kl}
            | {"floor": 0.125, "kl_floor": floor}
            for seed, epoch, kl, floor in ((0, 0, 1.0, 2.0), (0, 10, 0.5, 4.0), (1, 0, 0.25, 2.0))
        ),
        {"field": 3.0, "bond": 1, "mps_kl": 8.0},
        {"field": 3.0, "bond": 2, "mps_kl": 16.0},
    ]


def test_rows_are_the_datasets(swept_runs: Path) -> None:
    table = pd.read_parquet(swept_runs / "sweep.parquet")
    for point in runs_of(sparse_sweep()):
        own = table[table["point"] == point.last.key]
        assert set(own["hidden"]) == {point.settings.hidden_units}
        assert set(own["train_method"]) == {"cd"}
        assert (own["seeds"] == 3).all()
        assert (own["shots_seed"] == 0).all()
        dataset = read_dataset(point.last.result(swept_runs), "sparse")
        kl = own[own["epoch"].isna()].set_index(["field", "seed", "variant"])["kl"]
        assert len(kl) == dataset["kl"].size
        assert all(kl[at] == value for at, value in dataset["kl"].to_series().items())
        history = own[own["epoch"].notna()].set_index(["seed", "variant", "epoch"])["history_kl"]
        theirs = dataset["history_kl"].isel(field=0, drop=True).to_series().dropna()
        assert len(history) == len(theirs)
        assert all(history[at] == value for at, value in theirs.items())


def test_rows_of_studies_with_and_without_a_search(studies: Path) -> None:
    table = pd.read_parquet(studies / "sweep.parquet")
    assert len(table) == 3 * 2 * 2 * 2  # fields, seeds and levels
    points = points_of(mixed_sweep())
    alone = table[table["point"].isin([p.last.key for p in points[:4]])]
    search = table[table["point"] == points[4].last.key]
    measures = ["field", "seed", "level", "kl", "kl_exact", "prunable", "correlation_length"]
    order = ["field", "seed", "level"]
    pd.testing.assert_frame_equal(
        alone[measures].sort_values(order, ignore_index=True),
        search[measures].sort_values(order, ignore_index=True),
    )
    assert alone["smallest_weights"].isna().all()
    assert set(search["until_limit"]) == {0.5}
    study = read_dataset(points[4].last.result(studies), "study")
    found = search[search["level"] == 0].set_index(["field", "seed"])["smallest_weights"]
    for at, value in study["smallest_weights"].to_series().items():
        assert found[at] == value or (np.isnan(found[at]) and np.isnan(value))
    assert study["smallest_weights"].notnull().any()
    # No dense RBM is so good.
    assert table[table["until_limit"] == 1e-9]["smallest_weights"].isna().all()


def test_a_report_of_runs(runs_copy: Path) -> None:
    outcome = tiny.call("report", runs_copy)
    assert outcome.status == 0, outcome
    assert outcome.out.startswith("2 of 2 ")
    page = (runs_copy / "report.html").read_text()
    assert "<img " not in page
    assert "Sparse training" in page
    ends = final_values(read_table(runs_copy))
    assert len(ends) == 2 * 6
    (end,) = (each for each in ends if each[:4] == ("hidden 3", 4, 1.0, "sp/os"))
    rows = [r for r in read_table(runs_copy) if r["hidden"] == 3 and r["variant"] == "sp/os"]
    last = [r for r in rows if r["epoch"] is None]
    assert end.kl == np.median([r["kl"] for r in last])
    assert end.bias == np.median([r["abs_magnetization_bias"] for r in last])
    assert (end.weights, end.seeds) == (9, 3)
    table = final_table(ends, "sweep.parquet")
    assert len(table.rows) == 12
    for cell in table.rows[ends.index(end)]:
        assert (cell if isinstance(cell, str) else f'<data value="{cell.value!r}"') in page


@pytest.mark.slow
def test_a_report_of_studies_with_a_search(studies: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(studies, tmp_path / "run"))
    assert tiny.call("report", folder).status == 0
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 3
    assert "smallest, weights" in page
    keys = {p.last.key for p in points_of(mixed_sweep()) if isinstance(p, Run)}
    rows = [row for row in read_table(folder) if row["point"] in keys]
    ends = final_values(rows)
    assert [(end.settings, end.ratio, end.seeds) for end in ends] == [
        (f"until_limit {limit}", ratio, 2) for limit in (0.5, 1e-9) for ratio in (1.0, 2.0)
    ]
    for end in ends:
        path = [
            row
            for row in rows
            if (row["field"], f"until_limit {row['until_limit']}") == (end.ratio, end.settings)
        ]
        last = [row for row in path if row["level"] == 1]
        assert end.kl == np.median([row["kl_exact"] for row in last])
        assert end.weights == 8
        known = [row["smallest_weights"] for row in last if row["smallest_weights"] > 0]
        assert end.smallest == np.median(known) if known else np.isnan(end.smallest)


def test_the_end_of_other_paths() -> None:
    before = {"point": "x", "sites": 4, "coupling": 2.0, "field": 1.0, "seed": 0}
    frontier = [
        {**before, "variant": "a", "count": count, "kl": kl, "abs_magnetization_bias": 0.5}
        for count, kl in ((8, 0.1), (6, 0.4), (7, 0.2))
    ]
    mps = {**before, "seed": None, "variant": None, "count": None, "mps_kl": 1.0}
    (end,) = final_values([*frontier, mps])
    assert end[:6] == ("", 4, 0.5, "a", 6.0, 0.4)
    ablation = [
        {**before, "start": "dense", "share": 0.0, "broken_kl": 0.25},
        {**before, "model": "control", "forbidden_kl": 0.5, "forbidden_weights_kept": 5},
    ]
    broken, forbidden = final_values(ablation)
    assert (broken.variant, broken.kl) == ("broken by 0, from dense", 0.25)
    assert np.isnan(broken.weights)
    assert (forbidden.variant, forbidden.kl, forbidden.weights) == ("control", 0.5, 5.0)


def test_a_dry_run_tells_what_it_does_not_know(runs_copy: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    found = {each.kind: each for each in plan(sparse_sweep(), nowhere)}
    assert list(found) == ["state", "shots", "run"]
    assert [(e.uses, e.stages, e.done, e.unknown) for e in found.values()] == [
        *((2, 1, 0, 0), (2, 1, 0, 0), (2, 2, 0, 2))
    ]
    assert found["state"].seconds > 0
    assert not nowhere.exists()
    # By runs of the same cost, of which another field is one.
    (known,) = (
        json.loads((point.last.folder(runs_copy) / "seconds.json").read_text())["seconds"]
        for point in runs_of(sparse_sweep())
        if point.settings.hidden == 2
    )
    base = tiny.sparse_settings(hidden=2)
    grid = (GridSettings(product={"fields": (1.0, 2.0, 3.0)}),)
    *_, runs = plan(SweepSettings(sparse=base, grid=grid), runs_copy)
    assert (runs.stages, runs.done, runs.unknown) == (3, 1, 0)
    assert runs.seconds == pytest.approx(2 * known)


def test_a_dry_run_in_words(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text("[sparse]\nsites = 4\nfields = [1.0]\nshots = 100\n")
    found = tiny.call("sweep", config, "--dry-run")
    assert found.status == 0, found
    assert "unknown" in found.out
    assert "1 complete run" in found.out
    planned = json.loads(tiny.call("sweep", config, "--dry-run", "--json").out)
    assert planned["core_hours"] is None
    assert tiny.names(tmp_path) == {"sweep.toml"}
