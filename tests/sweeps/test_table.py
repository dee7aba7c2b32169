"""The table of a sweep: its rows, the fraction prunable, and what a query selects."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import tiny
from psiprune.core.exceptions import InputError
from psiprune.sweeps.dataset import grid_of
from psiprune.sweeps.query import query
from psiprune.sweeps.table import prunable, read_table
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


def test_a_query_names_its_columns_apart(swept: Path) -> None:
    found = query("select level, level + 1 as level, 2 as level from levels limit 1", swept)
    assert found.names == ["level", "level_2", "level_3"]


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


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "sweep.parquet").write_text("none")
    line = tiny.refusal(tiny.call("query", "select 1 from levels", tmp_path))
    assert "sweep.parquet: cannot be read" in line
    with pytest.raises(InputError, match=r"sweep\.parquet: "):
        read_table(tmp_path)
    with pytest.raises(InputError, match=r"^/nowhere/sweep\.parquet: "):
        query("select 1", "/nowhere")


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
