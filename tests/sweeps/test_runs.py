"""Sweeps of complete runs: sparse, ablation, frontier, and studies of more than one RBM."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import psiprune as pp
import tiny
from outcomes import run_of, text_of
from psiprune.core.exceptions import ConvergenceError
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.io.netcdf import read_dataset
from psiprune.io.run import open_run
from psiprune.sweeps.dataset import final_values
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.plan import plan
from psiprune.sweeps.points import points_of
from psiprune.sweeps.report import final_table
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import read_table, rows_of
from psiprune.sweeps.tasks import Point, Run, Stage, make
from refusals import refuses
from spies import failing
from swept import brief_study, made, mixed_sweep, runs_of, sparse_sweep


def of(**experiment: Any) -> pp.SweepSettings:
    return pp.SweepSettings(**experiment)


def check_same_run(own: pp.SweepSettings, point: Run, root: Path, plain: Path) -> None:
    """Every file is the same: configuration, state, shots, each RBM and the result."""
    folder = point.last.folder(root)
    assert made(folder, "inputs.json") == made(plain)
    description = run_of(folder)
    assert (description.command, description.missing) == (own.experiment, ())


@pytest.mark.slow
def test_a_sparse_run_is_that_of_its_command(
    swept_runs: Path, sparse_run: Path, tmp_path: Path
) -> None:
    run, plain = runs_of(sparse_sweep())[0], shutil.copytree(sparse_run, tmp_path / "plain")
    # The grid names what the command leaves to the number of sites.
    config = plain / "config.toml"
    config.write_text(config.read_text().replace("sites = 4\n", "sites = 4\nhidden = 2\n"))
    check_same_run(sparse_sweep(), run, swept_runs, plain)


@pytest.mark.slow
@pytest.mark.slow
def test_an_ablation_is_that_of_its_command(ablation_run: Path, tmp_path: Path) -> None:
    own = of(ablation=tiny.ablation_settings())
    assert pp.sweep(own, tmp_path / "sweep", "serial").done == 1
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", ablation_run)


def test_a_study_with_a_search_is_that_of_its_command(studies: Path, tmp_path: Path) -> None:
    run = next(point for point in points_of(mixed_sweep()) if isinstance(point, Run))
    pp.run_study(run.settings, tmp_path / "plain")  # type: ignore[arg-type]
    check_same_run(mixed_sweep(), run, studies, tmp_path / "plain")


@pytest.mark.parametrize(
    ("experiment", "settings", "run"),
    [
        pytest.param("frontier", tiny.frontier_settings(), pp.run_frontier, marks=pytest.mark.slow),
        pytest.param("masks", tiny.masks_settings(), pp.run_masks, marks=pytest.mark.slow),
        pytest.param(
            *("entanglement", tiny.entanglement_settings(), pp.run_entanglement),
            marks=pytest.mark.slow,
        ),
        ("study", brief_study(rewind_epoch=2, fine_tune=pp.CD.for_fine_tuning()), pp.run_study),
    ],
)
def test_a_run_is_that_of_its_command(
    experiment: str, settings: EnsembleSettings, run: Callable[[Any, Path], object], tmp_path: Path
) -> None:
    own = of(**{experiment: settings})
    assert pp.sweep(own, tmp_path / "sweep", "serial").done == 1
    run(settings, tmp_path / "plain")
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", tmp_path / "plain")


@pytest.mark.slow
def test_masks_over_shots_have_a_figure(tmp_path: Path) -> None:
    grid = (GridSettings(product={"shots": (100, 200)}),)
    own = pp.SweepSettings(masks=tiny.masks_settings(), grid=grid)
    assert pp.sweep(own, tmp_path, "serial").done == 2
    assert tiny.call("report", tmp_path).status == 0
    assert (tmp_path / "figures/shots.svg").exists()
    assert "KL against shots" in (tmp_path / "report.html").read_text()
    # One number of shots has none.
    alone = pp.SweepSettings(masks=tiny.masks_settings())
    assert pp.sweep(alone, tmp_path / "alone", "serial").done == 1
    assert tiny.call("report", tmp_path / "alone").status == 0
    assert not (tmp_path / "alone/figures").exists()


def test_runs_share_their_states_and_shots(swept_runs: Path) -> None:
    one, two = (point.last.folder(swept_runs) for point in runs_of(sparse_sweep()))
    for file in ("state.nc", "shots.nc"):
        (stage,) = swept_runs.glob(f"*/*/{file}")
        assert (one / "h=1" / file).samefile(stage)
        assert (two / "h=1" / file).samefile(stage)
    # A study has the same ones.
    given = tiny.sparse_settings()
    names = ("sites", "shots", "fields", "seed")
    study = StudySettings(**{name: getattr(given, name) for name in names})
    (point,) = points_of(pp.SweepSettings(study=study))
    assert isinstance(point, Point)
    assert point.stage("shots").done(swept_runs)


def test_a_disk_without_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", failing(PermissionError(1, "Operation not permitted")))
    own = pp.SweepSettings(sparse=tiny.sparse_settings(seeds=2))
    assert pp.sweep(own, tmp_path / "run", "serial").done == 1
    (point,) = runs_of(own)
    (stage,) = (tmp_path / "run").glob("shots/*/shots.nc")
    here = point.last.folder(tmp_path / "run") / "h=1/shots.nc"
    assert here.read_bytes() == stage.read_bytes()
    assert not here.samefile(stage)


def test_a_larger_grid_runs_only_what_is_new(runs_copy: Path) -> None:
    grid = (GridSettings(product={"hidden": (1, 2, 3)}),)
    found = pp.sweep(
        pp.SweepSettings(sparse=tiny.sparse_settings(), grid=grid), runs_copy, "serial"
    )
    assert (len(found.points), found.before, found.done) == (3, 2, 2)
    # One hidden unit has no cluster mask, which is a failure of that point.
    (failure,) = json.loads((runs_copy / "failures.json").read_text())
    assert failure["cause"].startswith("run: density: ")
    report = json.loads(tiny.call("report", runs_copy, "--json").out)
    assert (report["points"], report["done"], report["failed"]) == (3, 2, 1)
    assert "run: density: " in (runs_copy / "report.html").read_text()


def test_a_run_has_one_writer(runs_copy: Path) -> None:
    first = runs_of(sparse_sweep())[0]
    first.last.result(runs_copy).unlink()
    with open_run(first.last.folder(runs_copy), first.settings):
        found = pp.sweep(sparse_sweep(), runs_copy, "serial")
    (failed,) = found.failed
    assert failed.point == first
    assert str(first.last.folder(runs_copy)) in failed.cause
    assert pp.sweep(sparse_sweep(), runs_copy, "serial").done == 2


def test_a_damaged_shared_file_is_named_where_it_is(runs_copy: Path) -> None:
    for point in runs_of(sparse_sweep()):
        point.last.result(runs_copy).unlink()
        (point.last.folder(runs_copy) / "h=1/shots.nc").unlink()
    (shots,) = runs_copy.glob("shots/*/shots.nc")
    shots.write_bytes(shots.read_bytes()[:-40])
    found = pp.sweep(sparse_sweep(), runs_copy, "serial")
    (cause,) = {cause for _, cause in found.failed}
    assert cause.startswith(f"run: {shots}: ")
    shots.unlink()
    assert pp.sweep(sparse_sweep(), runs_copy, "serial").done == 2


@pytest.mark.slow
def test_two_workers_make_what_one_process_makes(tmp_path: Path) -> None:
    """Runs with two fields each, beside RBMs one by one."""
    grid = (GridSettings(points=({"hidden": 2}, {"until.measure": "kl"})),)
    others: dict[str, Any] = {"local": {"workers": 2}}
    own = pp.SweepSettings(study=brief_study(), grid=grid, **others)
    pp.sweep(own, tmp_path / "serial", "serial")
    assert pp.sweep(own, tmp_path / "run").failed == []
    assert made(tmp_path / "run", "config.toml") == made(tmp_path / "serial", "config.toml")


def test_points_of_a_grid() -> None:
    def keys(text: str) -> list[str]:
        return [point.last.key for point in points_of(pp.SweepSettings(**tomllib.loads(text)))]

    one, two = keys("[ablation]\nthreshold = 1.0\n[[grid]]\nproduct.width = [2, 3]\n")
    assert keys("[ablation]\nthreshold = 1.0\nwidth = 3\n") == [two]
    assert one != two
    # The same settings are another thing in another experiment.
    assert keys("[sparse]\n") != keys("[ablation]\n")
    # A number stands for a list of one; nested settings of what is not there by itself.
    grid = "[[grid]]\npoints = [{shares = 0.5, fields = 3}]\n"
    (found,) = points_of(pp.SweepSettings(**tomllib.loads(f"[ablation]\n{grid}")))
    assert found.config["shares"] == [0.5]
    grid = "[[grid]]\nproduct = {'until.limit' = [0.1, 0.2], 'until.measure' = ['kl']}\n"
    found, _ = points_of(pp.SweepSettings(**tomllib.loads(f"[study]\n{grid}")))
    assert found.config["until"]["limit"] == 0.1
    # An observable may end the search.
    grid = "[[grid]]\nproduct = {'until.limit' = [0.1], 'until.measure' = ['xx']}\n"
    points_of(pp.SweepSettings(**tomllib.loads(f"[study]\nobservable = ['xx=X0 X1']\n{grid}")))
    with refuses("until", "'xx'"):
        points_of(pp.SweepSettings(**tomllib.loads(f"[study]\n{grid}")))
    # Studies with and without stand side by side.
    grid = "[[grid]]\npoints = [{hidden = 3}, {rewind_epoch = 0}]\n"
    both = points_of(pp.SweepSettings(**tomllib.loads(f"[study]\nfields = [1.0]\n{grid}")))
    assert [type(point) for point in both] == [Point, Run]


def test_states_of_masks_are_made_with_their_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `psiprune masks` makes them, and not shared with those of other limits."""

    def stage(**limits: float) -> Stage:
        model = pp.TFIM2D(length=2, width=3, field=3.0)
        masks = pp.MasksSettings(model=model, hidden=6, weights_per_site=(2.5,), **limits)  # type: ignore[arg-type]
        (run,) = runs_of(pp.SweepSettings(masks=masks))
        return run.problems[0].stage("state")

    def refused(_: pp.Hamiltonian, **limits: float) -> None:
        raise ConvergenceError(f"{limits}")

    monkeypatch.setattr("psiprune.experiments.problem.ground_state", refused)
    narrow = stage(max_bond=2, max_variance=0.1)
    with pytest.raises(ConvergenceError, match=r"'max_bond': 2, 'max_variance': 0\.1"):
        make(narrow, tmp_path)
    assert narrow.key != stage().key == stage(max_bond=200).key


# ---- tables, reports and dry runs


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
    out = text_of(tiny.call("report", runs_copy))
    assert out.startswith("2 of 2 ")
    page = (runs_copy / "report.html").read_text()
    assert "<img " not in page
    assert "Sparse training" in page
    ends = final_values(read_table(runs_copy))
    assert len(ends) == 2 * 7
    (end,) = (each for each in ends if each[:4] == ("hidden 3", 4, 1.0, "sp/os"))
    rows = [r for r in read_table(runs_copy) if r["hidden"] == 3 and r["variant"] == "sp/os"]
    last = [r for r in rows if r["epoch"] is None]
    assert end.kl == np.median([r["kl"] for r in last])
    assert end.bias == np.median([r["abs_magnetization_bias"] for r in last])
    assert (end.weights, end.seeds) == (9, 3)
    table = final_table(ends, "sweep.parquet")
    assert len(table.rows) == len(ends)
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
    out = text_of(tiny.call("sweep", config, "--dry-run"))
    assert "unknown" in out
    assert "1 complete run" in out
    planned = json.loads(tiny.call("sweep", config, "--dry-run", "--json").out)
    assert planned["core_hours"] is None
    assert tiny.names(tmp_path) == {"sweep.toml"}
