"""Sweeps in one process: shared, new, lost and damaged stages, folders and reports."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tiny
from outcomes import json_of, run_of, text_of
from psiprune.experiments.study import train_dense
from psiprune.io import checkpoint
from psiprune.io.netcdf import read_dataset
from psiprune.sweeps import tasks
from psiprune.sweeps.api import sweep
from psiprune.sweeps.plan import plan
from psiprune.sweeps.query import query
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import read_table
from psiprune.sweeps.tasks import KINDS
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import TrainingProgress
from refusals import refuses
from swept import BASE, GRID, UNLIKE, made, rbms_of, study_sweep


def test_info_knows_such_a_run(copy: Path) -> None:
    found = run_of(copy)
    assert (found.command, found.missing, found.resume) == ("sweep", (), "")
    assert len(found.done) == 4 + 1
    lost = Path(found.done[0])
    (copy / lost).unlink()
    found = run_of(copy)
    assert found.missing == (str(lost),)
    assert found.resume == f"psiprune sweep {copy}/config.toml --out {copy}"


def test_a_points_numbers_are_those_of_a_study(swept: Path, study: xr.Dataset) -> None:
    points = [p for p in rbms_of(study_sweep()) if p.settings.prune.criterion == "magnitude"]
    assert len(points) == 2
    for point in points:
        own = read_dataset(point.stage("point").folder(swept) / "study.nc", "study")
        assert tiny.raw(own) == tiny.raw(study.sel(field=[point.field], seed=[point.seed]))
        assert own.attrs.items() >= {"sites": 4, "hidden": 3, "coupling": 1.0}.items()


def test_what_is_done_is_not_touched(copy: Path) -> None:
    before = tiny.contents(copy)
    found = sweep(study_sweep(), copy, "serial")
    assert (found.before, found.done) == (4, 4)
    stages_of = [name for name in before if name.startswith(KINDS)]
    after = tiny.contents(copy)
    assert {name: after[name] for name in stages_of} == {name: before[name] for name in stages_of}
    assert after["sweep.parquet"][0] == before["sweep.parquet"][0]


def test_a_larger_grid_runs_only_what_is_new(copy: Path, tmp_path: Path) -> None:
    before = tiny.contents(copy)
    larger = study_sweep("[[grid]]\nproduct.prune.criterion = ['damage', 'magnitude', 'random']\n")
    found = sweep(larger, copy, "serial")
    assert (len(found.points), found.before, found.done) == (6, 4, 6)
    after = tiny.contents(copy)
    old = [name for name in before if name.startswith(KINDS)]
    assert {name: after[name] for name in old} == {name: before[name] for name in old}
    new = {name.split("/")[0] for name in set(after) - set(before)}
    assert new == {"point"}  # states, shots and dense RBMs are shared
    assert len(read_table(copy)) == 6 * 4
    # A smaller one keeps the files; its table is that of its own points.
    found = sweep(study_sweep(), copy, "serial")
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
    result = sweep(study_sweep(), copy, "serial")
    assert (result.before, result.done) == (0, 4)
    assert made(copy) == made(swept)


def test_a_damaged_file_fails_the_points_that_need_it(copy: Path, tmp_path: Path) -> None:
    for file in copy.glob("point/*/study.nc"):
        file.unlink()
    broken = rbms_of(study_sweep())[0].stage("dense").folder(copy) / "history.nc"
    broken.write_bytes(broken.read_bytes()[:-40])
    config = tiny.write(tmp_path / "sweep.toml", BASE + GRID)
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
    report = json.loads(outcome.out)
    assert (report["points"], report["done"], report["failed"]) == (4, 2, 2)
    assert report["summary"][0] == "2 of 4 points are done, 2 failed in the last run."
    assert len(report["summary"]) == 3  # the fields of the other points
    assert report["figures"] == ["multiples"]
    assert (copy / "report.html").read_text().count(str(broken)) == 2
    broken.unlink()
    out = text_of(tiny.call("sweep", config, "--out", copy, "--scheduler", "serial"))
    assert out.startswith("4 points: 2 done before, 2 now")


def test_a_damaged_result_is_a_failure_of_its_point_alone(copy: Path, tmp_path: Path) -> None:
    broken = tiny.write(rbms_of(study_sweep())[0].stage("point").folder(copy) / "study.nc", b"")
    config = tiny.write(tmp_path / "sweep.toml", BASE + GRID)
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


def test_a_failing_stage_is_tried_once_for_all_its_points(tmp_path: Path) -> None:
    diverging = "product.train.learning_rate = [1000.0]\nproduct.train.weight_decay = [1e30]\n"
    found = sweep(study_sweep(GRID + diverging), tmp_path / "run", "serial")
    assert found.done == 0
    assert {cause.split(":")[0] for _, cause in found.failed} == {"dense"}
    assert all("learning_rate = 1000.0" in cause for _, cause in found.failed)
    assert len(list((tmp_path / "run/dense").iterdir())) == 2
    assert not (tmp_path / "run/point").exists()


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
    larger = study_sweep("[[grid]]\nproduct.fields = [[1.0, 2.0, 3.0]]\n")
    size = max(file.stat().st_size for file in copy.glob("state/*/state.nc")) - 1000
    with tiny.full_disk(size), pytest.raises(OSError, match=r"sweep\.parquet"):
        sweep(larger, copy, "serial")
    after = tiny.contents(copy, but=UNLIKE)
    kept = set(before) - {"config.toml", "failures.json"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    config = tiny.write(tmp_path / "sweep.toml", BASE + GRID)
    told = json_of(tiny.call("sweep", config, "--dry-run", "--out", tmp_path / "run", "--json"))
    assert [(each["kind"], each["uses"], each["stages"]) for each in told["stages"]] == [
        *(("state", 4, 2), ("shots", 4, 2), ("dense", 4, 2), ("point", 4, 4))
    ]
    assert all(each["done"] == 0 and each["seconds"] > 0 for each in told["stages"])
    assert [each["pilots"] for each in told["stages"]] == [1, 1, 1, 2]
    assert told["core_hours"] == sum(each["seconds"] for each in told["stages"]) / 3600
    assert tiny.names(tmp_path) == {"sweep.toml"}


def test_a_dry_run_goes_by_what_is_done(copy: Path, tmp_path: Path) -> None:
    before = tiny.contents(copy)
    planned = plan(study_sweep(), copy)
    assert [(each.stages, each.done, each.seconds, each.pilots) for each in planned] == [
        *((2, 2, 0.0, 0), (2, 2, 0.0, 0), (2, 2, 0.0, 0), (4, 4, 0.0, 0))
    ]
    known = [json.loads(file.read_text())["seconds"] for file in copy.glob("state/*/seconds.json")]
    (state, *_) = plan(study_sweep(GRID + "product.fields = [[1.0, 2.0, 3.0, 4.0]]\n"), copy)
    assert (state.stages, state.done, state.pilots) == (4, 2, 0)
    assert state.seconds == pytest.approx(2 * np.median(known))
    assert tiny.contents(copy) == before


def test_the_report_ends_with_its_files_and_a_query_that_works(copy: Path) -> None:
    *found, written, then = tiny.call("report", copy).out.splitlines()
    assert found[0].startswith("4 of 4 points are done")
    assert written.startswith(f"{copy}: report.html, sweep.parquet, figures/")
    names = written.partition(": ")[2].split(", ")
    assert all((copy / name).is_file() for name in names)
    assert tiny.call(*shlex.split(then.removeprefix("next: psiprune "))).status == 0


def test_a_report(copy: Path) -> None:
    out = text_of(tiny.call("report", copy))
    assert out.startswith("4 of 4 ")
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
    config = tiny.write(tmp_path / "sweep.toml", BASE)
    filled = command.format(config=config, out=tmp_path / "run").split()
    assert "pip install 'psiprune[sweep]'" in tiny.refusal(tiny.call(*filled))


@pytest.mark.slow
def test_a_dense_training_is_resumed_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)  # a checkpoint after each epoch
    method, folder, seen, stop = ExactNaturalGradient(epochs=9), tmp_path / "run", list[int](), [6]
    own = SweepSettings(study=tiny.settings(fields=(1.0,), train=method))
    assert sweep(own, tmp_path / "whole", "serial").done == 1

    def callback(state: TrainingProgress) -> None:
        seen.append(state.epoch)
        if state.epoch in stop:
            raise OSError("the machine is gone")

    def watched(settings: Any, member: Any, _: object, checkpoints: Any) -> Any:
        return train_dense(settings, member, callback, checkpoints)

    monkeypatch.setattr(tasks, "train_dense", watched)
    ((_, cause),) = sweep(own, folder, "serial").failed
    assert cause == "dense: OSError: the machine is gone"
    (kept,) = folder.rglob(".*.checkpoint")
    assert (kept.name, kept.parts[-3]) == (".rbm.nc.1.checkpoint", "dense")
    seen.clear()
    stop.clear()
    assert sweep(own, folder, "serial").done == 1
    assert seen[0] == 5  # the state that was kept last, which is shown once more
    assert tiny.names(folder) == tiny.names(tmp_path / "whole")
    assert made(folder, "config.toml") == made(tmp_path / "whole", "config.toml")
