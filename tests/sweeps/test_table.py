"""The table of a sweep: its rows, the fraction prunable, what a query selects, and its grid."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tiny
from psiprune.sweeps.dataset import MEASURES, drawn_ratios, drawn_variants, grid_of
from psiprune.sweeps.query import query
from psiprune.sweeps.table import prunable, read_table
from refusals import refused
from swept import rbms_of, study_sweep


def test_one_row_for_each_level_of_each_point(swept: Path, study: xr.Dataset) -> None:
    table = pd.read_parquet(swept / "sweep.parquet")
    assert len(table) == 4 * 4
    assert not table.duplicated(["point", "level"]).any()
    assert set(table["point"]) == {point.last.key for point in rbms_of(study_sweep())}
    row = table.query("prune_criterion == 'magnitude' and field == 2 and level == 3").iloc[0]
    here = study.sel(field=2.0, seed=0).isel(level=3)
    for name in ("kl", "kl_exact", "infidelity_floor", "weights_kept", "energy_roe_error"):
        assert row[name] == float(here[name])
    np.testing.assert_array_equal(row["correlation"], here["correlation"])
    assert (row["seed"], row["shots_seed"], row["train_epochs"], row["hidden"]) == (0, 0, 3, 3)
    assert row["correlation_length"] == 1 / np.log(2)
    assert row["psiprune"] == version("psiprune")
    assert duckdb.read_parquet(str(swept / "sweep.parquet")).fetchall()


def test_the_fraction_prunable(swept: Path, study: xr.Dataset) -> None:
    table = pd.read_parquet(swept / "sweep.parquet").query("prune_criterion == 'magnitude'")
    for field, own in table.groupby("field"):
        kl = study["kl"].sel(field=field, seed=0).values
        pruned = study["fraction_pruned"].sel(field=field, seed=0).values
        beyond = np.flatnonzero(kl > 2 * kl[0])
        assert own["prunable"].nunique() == own["prunable_all"].nunique() == 1
        if len(beyond):
            k = beyond[0]
            expected = np.interp(2 * kl[0], kl[k - 1 : k + 1], pruned[k - 1 : k + 1])
        else:
            expected = pruned[-1]
        assert own["prunable"].iloc[0] == pytest.approx(expected)
        assert own["prunable_all"].iloc[0] == (not len(beyond))


def test_no_fraction_of_an_estimate_that_is_not_above_zero() -> None:
    pruned = np.array([0.0, 0.1, 0.2])
    assert prunable(pruned, np.array([1e-3, 2e-3, 3e-3])) == (0.1, False)
    assert prunable(pruned, np.array([1e-3, 1e-3, 1e-3])) == (0.2, True)
    for kl in ([-1e-3, 2e-4, 3e-3], [0.0, 1e-3, 2e-3], [np.nan, np.nan, np.nan]):
        fraction, whole = prunable(pruned, np.array(kl))
        assert np.isnan(fraction)
        assert not whole


@pytest.mark.parametrize("name", ["run[1]", "r*", "run?", "run{1,2}"])
def test_a_folder_is_no_pattern(name: str, tmp_path: Path) -> None:
    for folder, value in (("run1", 1), ("run2", 2), (name, 3)):
        (tmp_path / folder).mkdir()
        pd.DataFrame({"x": [value]}).to_parquet(tmp_path / folder / "sweep.parquet")
    assert query("select x from levels", tmp_path / name).rows == [(3,)]


def test_query(swept: Path) -> None:
    sql = "select field, count(*) as n, avg(kl) as kl from levels group by field order by field"
    outcome = tiny.call("query", sql, swept)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert [line.split()[:2] for line in lines] == [["field", "n"], ["1", "8"], ["2", "8"]]
    found = json.loads(tiny.call("query", sql, swept, "--json").out)["rows"]
    table = pd.read_parquet(swept / "sweep.parquet")
    assert found[1] == {
        "field": 2.0,
        "n": 8,
        "kl": pytest.approx(table.query("field == 2").kl.mean()),
    }
    odd = "select correlation, 'nan'::double as x, null as y, 1.5::decimal(3, 1) as z from levels"
    rows = json.loads(tiny.call("query", odd, swept, "--json").out)["rows"]
    assert len(rows) == 16
    assert len(rows[0]["correlation"]) == 3
    assert (rows[0]["x"], rows[0]["y"], rows[0]["z"]) == (None, None, "1.5")
    found = query("select level, level + 1 as level, 2 as level from levels limit 1", swept)
    assert found.names == ["level", "level_2", "level_3"]


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "sweep.parquet").write_text("none")
    line = tiny.refusal(tiny.call("query", "select 1 from levels", tmp_path))
    assert "sweep.parquet: cannot be read" in line
    refused(r"sweep\.parquet: ", read_table, tmp_path)
    refused(r"^/nowhere/sweep\.parquet: ", query, "select 1", "/nowhere")


def test_a_grid_of_the_table(swept: Path) -> None:
    grid = grid_of(read_table(swept))
    assert grid.sizes == {"variant": 2, "sites": 1, "ratio": 2, "seed": 1, "level": 4}
    assert grid["variant"].values.tolist() == ["magnitude", "random"]
    table = pd.read_parquet(swept / "sweep.parquet")
    row = table.query("prune_criterion == 'random' and field == 1 and level == 2").iloc[0]
    here = grid.sel(variant="random", sites=4, ratio=1.0, seed=0)
    assert float(here["kl"][2]) == row["kl_exact"]
    assert float(here["prunable"]) == row["prunable"]
    assert float(here["correlation_length"]) == np.inf


# ---- the table as a grid: seeds, variants, and which of them are drawn


def row(**changes: Any) -> dict[str, Any]:
    """A row of the table of a sweep with one hidden unit for two sites."""
    before = {"point": "x", "sites": 4, "hidden": 2, "coupling": 1.0, "shots_seed": 0, "shots": 9}
    own = {"prune_criterion": "random", "field": 1.0, "seed": 0, "level": 0}
    measures = {**dict.fromkeys(MEASURES, 0.5), "fraction_pruned": 0.0}
    whole = {"prunable": 0.5, "prunable_all": False, "kl_floor": 0.1, "correlation_length": 1.0}
    return {**before, **own, **measures, **whole, **changes}


def test_seeds_of_shots_are_seeds() -> None:
    pairs = [(3, 0), (3, 1), (12, 0)]
    rows = [
        row(shots_seed=shots, seed=seed, sites=sites, prunable=0.1 * k + 0.01 * sites)
        for k, (shots, seed) in enumerate(pairs)
        for sites in (4, 6)
    ]
    grid = grid_of(rows)
    assert grid["variant"].values.tolist() == [""]
    assert grid["seed"].values.tolist() == ["shots 3, RBM 0", "shots 3, RBM 1", "shots 12, RBM 0"]
    found = grid["prunable"].sel(variant="", sites=6, ratio=1.0)
    np.testing.assert_allclose(found, [0.06, 0.16, 0.26])
    # Seeds of the same shots are numbers.
    grid = grid_of([row(shots_seed=7, seed=seed) for seed in (11, 2)])
    assert grid["seed"].values.tolist() == [2, 11]
    assert grid["seed"].dtype.kind == "i"


#: Those of phases.toml in docs/sweep.md.
FIELDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("larger", "shown"),
    [
        ([0.5, 0.8, 1.0, 1.25, 2.0, 3.0], [0.5, 0.8, 1.0, 2.0, 3.0]),
        (FIELDS, [0.5, 0.7, 1.0, 1.35, 1.75, 3.0]),
        # The critical field, though one size lacks it.
        ([0.5, 0.8, 1.5, 3.0], [0.5, 0.8, 1.0, 1.5, 3.0]),
        # A sweep that has hardly begun with the larger size.
        ([0.5], [0.5, 0.7, 1.0, 1.35, 1.75, 3.0]),
    ],
)
def test_the_fields_of_small_multiples(larger: list[float], shown: list[float]) -> None:
    rows = [row(field=field) for field in FIELDS]
    rows += [row(field=field, sites=50, hidden=25) for field in larger]
    assert drawn_ratios(grid_of(rows)) == shown


def test_fields_of_a_negative_coupling() -> None:
    grid = grid_of([row(field=field, coupling=-1.0) for field in (0.5, 1.0, 2.0)])
    assert drawn_ratios(grid) == [-2.0, -1.0, -0.5]
    assert drawn_ratios(grid_of([row(field=0.0), row(field=0.0, seed=1)])) == [0.0]


def test_the_first_variants_of_the_grid_are_drawn() -> None:
    grid = grid_of([row(shots=shots) for shots in range(900, 100, -100)])
    assert drawn_variants(grid) == [f"shots {shots}" for shots in range(900, 300, -100)]


def test_floors_and_whether_kl_doubled() -> None:
    levels = [row(), row(level=1, kl_floor=0.01)]
    other = [row(seed=1, kl_floor=float("nan"), prunable_all=True)]
    here = grid_of(levels + other).sel(variant="", sites=4, ratio=1.0)
    np.testing.assert_array_equal(here["kl_floor"], [[0.1, 0.01], [np.nan, np.nan]])
    np.testing.assert_array_equal(here["prunable_all"], [0, 1])


def test_a_grid_has_the_distances_of_observables() -> None:
    grid = grid_of([row(observable_xx=-0.1, observable_xx_loss=0.25), row(seed=1)])
    assert "observable_xx" not in grid
    found = grid["observable_xx_loss"].sel(variant="", sites=4, ratio=1.0)
    np.testing.assert_array_equal(found, [[0.25], [np.nan]])


def test_a_grid_with_gaps() -> None:
    larger = row(sites=6, hidden=3, field=2.0, seed=1, level=1, kl_exact=0.25)
    grid = grid_of([row(), larger])
    # `hidden` is decided by the size, so it is no variant.
    assert grid["variant"].values.tolist() == [""]
    assert int(grid["prunable"].notnull().sum()) == 2
    kl = grid["kl"].sel(variant="", sites=6, ratio=2.0, seed=1)
    np.testing.assert_array_equal(kl, [np.nan, 0.25])
    grid = grid_of([row(), row(hidden=3)])
    assert grid["variant"].values.tolist() == ["hidden 2", "hidden 3"]
