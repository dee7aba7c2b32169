"""Sweeps in one process: shared, new, lost and damaged stages, the table and the report."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.core.exceptions import InputError
from psiprune.experiments.settings import StudySettings
from psiprune.inspect.describe import describe
from psiprune.inspect.descriptions import RunDescription
from psiprune.io.netcdf import read_dataset
from psiprune.io.run import open_growing_run
from psiprune.pruning.settings import PruneSettings
from psiprune.sweeps import tasks
from psiprune.sweeps.api import sweep
from psiprune.sweeps.dataset import grid_of
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of as all_points_of
from psiprune.sweeps.query import query
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import prunable, read_table
from psiprune.sweeps.tasks import KINDS, Kind, Point
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.natural_gradient import NaturalGradient
from refusals import refuses

#: Times, which differ from run to run, and what else says when a file was made.
UNLIKE = (".lock", "seconds.json", "provenance.json")
BASE = """
[study]
sites = 4
hidden = 3
shots = 300
fields = [1.0, 2.0]
history_every = 2
train = { epochs = 3, batch_size = 50 }
fine_tune = { epochs = 2 }
prune = { levels = 3, fraction = 0.3 }
measure = { draws = 200 }
"""
GRID = "[[grid]]\nproduct.prune.criterion = ['magnitude', 'random']\n"


def settings(grid: str = GRID) -> SweepSettings:
    return SweepSettings(**tomllib.loads(BASE + grid))


def points_of(given: SweepSettings) -> list[Point]:
    """The RBMs of a sweep of studies."""
    return [point for point in all_points_of(given) if isinstance(point, Point)]


def made(folder: Path) -> dict[str, object]:
    """All files but those that tell of times."""
    return tiny.numbers(folder, but=UNLIKE)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two fields and two criteria; copy it to change it."""
    folder = tmp_path_factory.mktemp("swept") / "run"
    found = sweep(settings(), folder, "serial")
    assert (len(found.points), found.before, found.done, found.failed) == (4, 0, 4, [])
    return folder


@pytest.fixture
def copy(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "run"))


def test_info_knows_such_a_run(copy: Path) -> None:
    found = describe(copy)
    assert isinstance(found, RunDescription)
    assert (found.command, found.missing, found.resume) == ("sweep", (), "")
    assert len(found.done) == 4 + 1
    lost = Path(found.done[0])
    (copy / lost).unlink()
    found = describe(copy)
    assert isinstance(found, RunDescription)
    assert found.missing == (str(lost),)
    assert found.resume == f"psiprune sweep {copy}/config.toml --out {copy}"


# ---- the grid


def chosen(grid: str) -> list[StudySettings]:
    found = settings(grid).configurations()
    return [each for each in found if isinstance(each, StudySettings)]


def test_products_zips_and_points() -> None:
    assert chosen("") == [tiny.settings()]
    found = chosen("[[grid]]\nproduct = {sites = [4, 5], 'prune.criterion' = ['random', 'damage']}")
    assert [(s.sites, s.prune.criterion) for s in found] == [
        *((4, "random"), (4, "damage"), (5, "random"), (5, "damage")),
    ]
    assert {s.prune.levels for s in found} == {3}  # what the study says stays
    found = chosen("[[grid]]\nzip = {sites = [4, 6], hidden = [2, 5]}\nproduct.seed = [7, 8]")
    assert [(s.seed, s.sites, s.hidden) for s in found] == [
        *((7, 4, 2), (7, 6, 5), (8, 4, 2), (8, 6, 5)),
    ]
    found = chosen(
        "[[grid]]\npoints = [{sites = 5, prune.levels = 1}, {fields = 3}]\n"
        "[[grid]]\nproduct.train = [{method = 'exact'}, {epochs = 9}, 'natural']"
    )
    assert [(s.sites, s.prune.levels, s.fields) for s in found[:2]] == [
        *((5, 1, (1.0, 2.0)), (4, 3, (3.0,))),
    ]
    # A table is laid over that of the study, unless it chooses another method.
    assert [s.train for s in found[2:]] == [
        ExactNaturalGradient(),
        CD(epochs=9, batch_size=50),
        NaturalGradient(),
    ]


@pytest.mark.parametrize(
    "text",
    [
        BASE + GRID,
        "[study]\nsites = 50\nseeds = 1\n",
        "[[grid]]\nproduct.sites = [10, 50]\n",
        "[[grid]]\nproduct.train = [{method = 'cd'}, {method = 'natural'}]\n",
        "[study]\nprune.density = 0.5\n[[grid]]\nproduct.prune.density = [0.5, 0.1]\n",
        (Path(__file__).parents[2] / "docs" / "phases.toml").read_text(),
    ],
    ids=["cd", "large", "sizes", "methods", "density", "phases"],
)
def test_the_grid_survives_its_file(text: str, tmp_path: Path) -> None:
    # What a size, a method or another setting decides must still be open there.
    given = SweepSettings(**tomllib.loads(text))
    with open_growing_run(tmp_path / "run", given):
        pass
    config = tomllib.loads((tmp_path / "run/config.toml").read_text())
    again = SweepSettings(**config)
    assert [p.stage("point").key for p in points_of(again)] == [
        p.stage("point").key for p in points_of(given)
    ]
    found = describe(tmp_path / "run")
    assert isinstance(found, RunDescription)
    assert found.command == "sweep"


def test_none_is_no_value() -> None:
    with refuses("product.hidden.1", None):
        GridSettings(product={"hidden": (2, None)})


# ---- names by content


def keys(sweep_settings: SweepSettings) -> dict[Kind, set[str]]:
    points = points_of(sweep_settings)
    return {kind: {point.stage(kind).key for point in points} for kind in KINDS}


@pytest.mark.parametrize(
    ("grid", "counts"),
    [
        ("product.prune.criterion = ['magnitude', 'random']", (2, 2, 2, 4)),
        ("product.fine_tune.epochs = [1, 2, 3]", (2, 2, 2, 6)),
        ("product.train.epochs = [1, 2]", (2, 2, 4, 4)),
        ("product.seeds = [3]", (2, 2, 6, 6)),
        ("product.shots = [100, 200]", (2, 4, 4, 4)),
        ("product.seed = [1, 2]", (2, 4, 4, 4)),
        ("product.coupling = [1.0, 2.0]", (4, 4, 4, 4)),
        ("product.hidden = [2, 3]", (2, 2, 4, 4)),
        ("product.measure.draws = [100, 200]", (2, 2, 2, 4)),
        ("points = [{sites = 21}, {sites = 21, measure.draws = 100}]", (2, 2, 4, 4)),
        ("points = [{seeds = 2}, {seeds = 1}, {hidden = 3}]", (2, 2, 4, 4)),
        ("points = [{train.method = 'cd'}, {sites = 4}]", (2, 2, 2, 2)),
    ],
)
def test_stages_are_shared_by_what_they_depend_on(grid: str, counts: tuple[int, ...]) -> None:
    found = keys(settings(f"[[grid]]\n{grid}\n"))
    assert tuple(len(found[kind]) for kind in KINDS) == counts


def test_everything_but_names_is_in_a_points_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    first = points_of(settings(""))[0]
    inputs = json.loads(first.stage("point").inputs)
    refused = {"rewind_epoch", "until"}
    settings_of_a_study = set(StudySettings.model_fields) - {"fields", "seeds"} - refused
    assert set(inputs) == settings_of_a_study | {"field", "rbm_seed", "psiprune"}
    before = keys(settings())
    monkeypatch.setattr(tasks, "version", lambda _: "9.9")
    assert all(before[kind].isdisjoint(keys(settings())[kind]) for kind in KINDS)


# ---- what is made


def test_a_points_numbers_are_those_of_a_study(swept: Path, study: xr.Dataset) -> None:
    points = [p for p in points_of(settings()) if p.settings.prune.criterion == "magnitude"]
    assert len(points) == 2
    for point in points:
        own = read_dataset(point.stage("point").folder(swept) / "study.nc", "study")
        assert tiny.raw(own) == tiny.raw(study.sel(field=[point.field], seed=[point.seed]))
        assert own.attrs.items() >= {"sites": 4, "hidden": 3, "coupling": 1.0}.items()


def test_what_is_done_is_not_touched(copy: Path) -> None:
    before = tiny.contents(copy)
    found = sweep(settings(), copy, "serial")
    assert (found.before, found.done) == (4, 4)
    stages_of = [name for name in before if name.startswith(KINDS)]
    after = tiny.contents(copy)
    assert {name: after[name] for name in stages_of} == {name: before[name] for name in stages_of}
    assert after["sweep.parquet"][0] == before["sweep.parquet"][0]


def test_a_larger_grid_runs_only_what_is_new(copy: Path, tmp_path: Path) -> None:
    before = tiny.contents(copy)
    larger = settings("[[grid]]\nproduct.prune.criterion = ['damage', 'magnitude', 'random']\n")
    found = sweep(larger, copy, "serial")
    assert (len(found.points), found.before, found.done) == (6, 4, 6)
    after = tiny.contents(copy)
    old = [name for name in before if name.startswith(KINDS)]
    assert {name: after[name] for name in old} == {name: before[name] for name in old}
    new = {name.split("/")[0] for name in set(after) - set(before)}
    assert new == {"point"}  # states, shots and dense RBMs are shared
    assert len(read_table(copy)) == 6 * 4
    # A smaller one keeps the files; its table is that of its own points.
    found = sweep(settings(), copy, "serial")
    assert (found.before, found.done) == (4, 4)
    last = tiny.contents(copy)
    assert {name: last[name] for name in old} == {name: after[name] for name in old}
    assert len(read_table(copy)) == 4 * 4


@pytest.mark.slow
def test_lost_files_are_made_again(swept: Path, copy: Path) -> None:
    # With all points lost too, so that the others are needed.
    next(copy.rglob("state.nc")).unlink()
    next(copy.rglob("rbm.nc")).unlink()
    next(copy.rglob("level-01.nc")).unlink()
    for file in copy.glob("point/*/study.nc"):
        file.unlink()
    result = sweep(settings(), copy, "serial")
    assert (result.before, result.done) == (0, 4)
    assert made(copy) == made(swept)


def test_a_damaged_file_fails_the_points_that_need_it(copy: Path, tmp_path: Path) -> None:
    for file in copy.glob("point/*/study.nc"):
        file.unlink()
    broken = points_of(settings())[0].stage("dense").folder(copy) / "history.nc"
    broken.write_bytes(broken.read_bytes()[:-40])
    config = tmp_path / "sweep.toml"
    config.write_text(BASE + GRID)
    outcome = tiny.call("sweep", config, "--out", copy, "--scheduler", "serial", "--json")
    assert outcome.status == 1
    result = json.loads(outcome.out)
    assert (result["points"], result["done"]) == (4, 2)
    failed = json.loads((copy / "failures.json").read_text())
    assert failed == result["failed"]
    (cause,) = {each["cause"] for each in failed}
    assert cause.startswith(f"point: {broken}: ")
    assert tiny.errors(outcome)[0].startswith("psiprune: 2 of 4 points failed")
    assert outcome.err.endswith(f": {cause}\n")
    outcome = tiny.call("report", copy, "--json")
    assert json.loads(outcome.out) == {
        **{"page": str(copy / "report.html"), "points": 4, "done": 2, "failed": 2},
    }
    assert (copy / "report.html").read_text().count(str(broken)) == 2
    broken.unlink()
    outcome = tiny.call("sweep", config, "--out", copy, "--scheduler", "serial")
    assert outcome.status == 0
    assert outcome.out.startswith("4 points: 2 done before, 2 now")


def test_a_damaged_result_is_a_failure_of_its_point_alone(copy: Path, tmp_path: Path) -> None:
    broken = points_of(settings())[0].stage("point").folder(copy) / "study.nc"
    broken.write_bytes(b"")
    config = tmp_path / "sweep.toml"
    config.write_text(BASE + GRID)
    outcome = tiny.call("sweep", config, "--out", copy, "--scheduler", "serial")
    assert outcome.status == 1
    assert "1 of 4 points failed" in outcome.err
    assert f"point: {broken}: " in outcome.err
    (failure,) = json.loads((copy / "failures.json").read_text())
    assert failure["point"] == broken.parent.name
    assert len({row["point"] for row in read_table(copy)}) == 3
    outcome = tiny.call("report", copy, "--json")
    report = json.loads(outcome.out)
    assert (report["points"], report["done"], report["failed"]) == (4, 3, 1)
    assert str(broken) in (copy / "report.html").read_text()


def test_settings_of_another_type_are_refused(tmp_path: Path) -> None:
    wrongs: tuple[object, ...] = ("sweep.toml", {"study": {}}, tiny.settings())
    for wrong in wrongs:
        with refuses("settings", "SweepSettings", type(wrong).__name__):
            sweep(wrong, tmp_path / "run", "serial")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("grid", "argument", "value"),
    [
        ("product.prune.fraction = ['.5']", "product.prune.fraction.0", "'.5'"),
        ("product.seeds = [2, true]", "product.seeds.1", True),
        ("zip.fields = [1.0, '2']", "zip.fields.1", "'2'"),
    ],
)
def test_values_of_a_wrong_type(grid: str, argument: str, value: object) -> None:
    with refuses(f"grid.0.{argument}", value):
        settings(f"[[grid]]\n{grid}\n")


def test_a_failing_stage_is_tried_once_for_all_its_points(tmp_path: Path) -> None:
    diverging = "[[grid]]\nproduct.prune.criterion = ['magnitude', 'random']\n"
    bad = settings(diverging).model_copy(deep=True)
    study = bad.study.model_copy(
        update={
            "train": bad.study.train.model_copy(
                update={"learning_rate": 1000.0, "weight_decay": 1e30}
            )
        }
    )
    found = sweep(bad.model_copy(update={"study": study}), tmp_path / "run", "serial")
    assert found.done == 0
    assert {cause.split(":")[0] for _, cause in found.failed} == {"dense"}
    assert all("learning_rate = 1000.0" in cause for _, cause in found.failed)
    assert len(list((tmp_path / "run/dense").iterdir())) == 2
    assert not (tmp_path / "run/point").exists()


# ---- folders


def test_another_run_is_not_taken_for_a_sweep(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    before = tiny.contents(folder)
    with pytest.raises(InputError, match=r"config\.toml: "):
        sweep(settings(), folder, "serial")
    assert tiny.contents(folder) == before


def test_a_sweep_of_another_version_is_refused(copy: Path) -> None:
    provenance = json.loads((copy / "provenance.json").read_text())
    (copy / "provenance.json").write_text(json.dumps({**provenance, "psiprune": "0.0.1"}))
    before = tiny.contents(copy)
    with refuses(copy / "provenance.json", "psiprune 0.0.1"):
        sweep(settings(""), copy, "serial")
    assert tiny.contents(copy) == before


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(tiny.read_only, "Permission denied"), (lambda _: tiny.full_disk(50), "File too large")],
    ids=["read-only", "full"],
)
def test_a_folder_that_cannot_be_written(
    trouble: Callable[[Path], AbstractContextManager[None]], words: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "sweep.toml").write_text(BASE)
        command = ("sweep", folder / "sweep.toml", "--out", folder / "run", "--scheduler=serial")
        with trouble(folder):
            line = tiny.refusal(tiny.call(*command), status=2)
        assert words in line
        assert line.startswith(str(folder / "run"))
        assert tiny.names(folder) == {"sweep.toml"}


def test_a_disk_that_is_full_later_leaves_the_old_table(copy: Path) -> None:
    before = tiny.contents(copy, but=UNLIKE)
    larger = settings("[[grid]]\nproduct.fields = [[1.0, 2.0, 3.0]]\n")
    size = max(file.stat().st_size for file in copy.glob("state/*/state.nc")) - 1000
    with tiny.full_disk(size), pytest.raises(OSError, match=r"sweep\.parquet"):
        sweep(larger, copy, "serial")
    after = tiny.contents(copy, but=UNLIKE)
    kept = set(before) - {"config.toml", "failures.json"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


# ---- the table


def test_one_row_for_each_level_of_each_point(swept: Path, study: xr.Dataset) -> None:
    table = pd.read_parquet(swept / "sweep.parquet")
    assert len(table) == 4 * 4
    assert not table.duplicated(["point", "level"]).any()
    assert set(table["point"]) == keys(settings())["point"]
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


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selct 1", "query: Parser Error"),
        ("select no_such from levels", "query: Binder Error"),
        ("select 1 from nowhere", "query: Catalog Error"),
        ("", "found ''"),
        ("select 1; drop view levels", "found 'select 1; drop view levels'"),
        ("copy levels to 'copied.csv'", "copied.csv"),
    ],
)
def test_a_wrong_query_is_one_line(swept: Path, sql: str, words: str) -> None:
    line = tiny.refusal(tiny.call("query", sql, swept))
    assert line.startswith("query: ")
    assert words in line
    assert not Path("copied.csv").exists()


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "sweep.parquet").write_text("none")
    line = tiny.refusal(tiny.call("query", "select 1 from levels", tmp_path))
    assert "sweep.parquet: cannot be read" in line
    with pytest.raises(InputError, match=r"sweep\.parquet: "):
        read_table(tmp_path)


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


# ---- what is told


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    config = tmp_path / "sweep.toml"
    config.write_text(BASE + GRID)
    found = tiny.call("sweep", config, "--dry-run", "--out", tmp_path / "run", "--json")
    assert found.status == 0, found
    told = json.loads(found.out)
    assert [(each["kind"], each["uses"], each["stages"]) for each in told["stages"]] == [
        *(("state", 4, 2), ("shots", 4, 2), ("dense", 4, 2), ("point", 4, 4)),
    ]
    assert all(each["done"] == 0 and each["seconds"] > 0 for each in told["stages"])
    assert [each["pilots"] for each in told["stages"]] == [1, 1, 1, 2]
    assert told["core_hours"] == sum(each["seconds"] for each in told["stages"]) / 3600
    assert tiny.names(tmp_path) == {"sweep.toml"}


def test_a_dry_run_goes_by_what_is_done(copy: Path, tmp_path: Path) -> None:
    before = tiny.contents(copy)
    planned = plan(settings(), copy)
    assert [(each.stages, each.done, each.seconds, each.pilots) for each in planned] == [
        *((2, 2, 0.0, 0), (2, 2, 0.0, 0), (2, 2, 0.0, 0), (4, 4, 0.0, 0)),
    ]
    known = [json.loads(file.read_text())["seconds"] for file in copy.glob("state/*/seconds.json")]
    (state, *_) = plan(settings(GRID + "product.fields = [[1.0, 2.0, 3.0, 4.0]]\n"), copy)
    assert (state.stages, state.done, state.pilots) == (4, 2, 0)
    assert state.seconds == pytest.approx(2 * np.median(known))
    assert tiny.contents(copy) == before


def test_a_report(copy: Path) -> None:
    found = tiny.call("report", copy)
    assert found.status == 0, found
    assert found.out.startswith("4 of 4 ")
    page = (copy / "report.html").read_text()
    assert page.count("<img ") == 3
    assert "points are done" in page
    assert "Failures" not in page
    files = {
        f"figures/{n}.{s}" for n in ("prunable", "phases", "multiples") for s in ("png", "svg")
    }
    assert files <= tiny.names(copy)


def test_a_report_of_nothing(copy: Path) -> None:
    for file in copy.glob("point/*/study.nc"):
        file.unlink()
    found = json.loads(tiny.call("report", copy, "--json").out)
    assert (found["points"], found["done"], found["failed"]) == (4, 0, 0)
    assert "<img " not in (copy / "report.html").read_text()
    assert query("select count(point) from levels", copy).rows == [(0,)]


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("pyarrow", "sweep {config} --out {out} --scheduler serial"),
        ("distributed", "sweep {config} --out {out}"),
        ("cryptography", "sweep {config} --out {out}"),
        ("duckdb", "query select {out}"),
    ],
)
def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    config = tmp_path / "sweep.toml"
    config.write_text(BASE)
    filled = command.format(config=config, out=tmp_path / "run").split()
    assert "pip install 'psiprune[sweep]'" in tiny.refusal(tiny.call(*filled))


def test_the_correlation_length() -> None:
    # Far from both ends of a long chain, C(d + 1) / C(d) is exp(-1 / xi) up to a power of d.
    for field in (1.5, 2.0):
        model = pp.TFIM(sites=160, field=field)
        c = model.correlation_from_midpoint()[:31]
        slope = np.log(c[20] / c[30]) / 10 - 0.5 * np.log(30 / 20) / 10
        assert model.correlation_length == pytest.approx(1 / slope, rel=0.01)
    # Below h = J, of the correlations less their limit m^2 = (1 - h^2)^(1/4).
    model = pp.TFIM(sites=160, field=0.8)
    c = model.correlation_from_midpoint()[:31] - (1 - 0.8**2) ** 0.25
    slope = np.log(c[20] / c[30]) / 10 - 2.0 * np.log(30 / 20) / 10
    assert model.correlation_length == pytest.approx(1 / slope, rel=0.05)
    assert pp.TFIM(sites=4, field=1.0).correlation_length == np.inf
    assert pp.TFIM(sites=4, field=1.0, coupling=0.0).correlation_length == 0.0
    assert pp.TFIM(sites=4, field=2.0, coupling=-1.0).correlation_length == 1 / np.log(2)


def test_prune_levels_by_density_have_one_hash() -> None:
    by_density = PruneSettings(fraction=0.3, density=0.4)
    again = PruneSettings(**by_density.model_dump())
    one, two = (
        points_of(SweepSettings(study=tiny.settings(prune=each)))[0].stage("point").key
        for each in (by_density, again)
    )
    assert one == two


def test_rows_of_a_query() -> None:
    with pytest.raises(InputError, match=r"^/nowhere/sweep\.parquet: "):
        query("select 1", "/nowhere")


def test_a_method_object_keeps_its_fields_in_every_point() -> None:
    """Fields equal to the defaults of training, which are not those of fine-tuning."""
    tuning, other = ExactNaturalGradient(), CD()
    for base, product, expected in (
        (StudySettings(fine_tune=tuning), {"seed": (1, 2)}, [tuning, tuning]),
        (StudySettings(), {"fine_tune": (tuning, other)}, [tuning, other]),
    ):
        points = SweepSettings(study=base, grid=(GridSettings(product=product),)).configurations()
        assert [dict(point)["fine_tune"] for point in points] == expected
