"""Sweeps of complete runs: sparse, ablation, frontier, and studies of more than one RBM."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.settings import EnsembleSettings, StudySettings
from psiprune.experiments.study import run_study
from psiprune.inspect.describe import describe
from psiprune.inspect.descriptions import RunDescription
from psiprune.io.run import open_run
from psiprune.sweeps.api import sweep
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.points import points_of
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.tasks import Point, Run
from psiprune.training.cd import CD
from swept import brief_study, made, mixed_sweep, runs_of, sparse_sweep


def of(**experiment: Any) -> SweepSettings:
    return SweepSettings(**experiment)


def check_same_run(own: SweepSettings, point: Run, root: Path, plain: Path) -> None:
    """Every file is the same: configuration, state, shots, each RBM and the result."""
    folder = point.last.folder(root)
    assert made(folder, "inputs.json") == made(plain)
    description = describe(folder)
    assert isinstance(description, RunDescription)
    assert (description.command, description.missing) == (own.experiment, ())


def test_a_sparse_run_is_that_of_its_command(
    swept_runs: Path, sparse_run: Path, tmp_path: Path
) -> None:
    run, plain = runs_of(sparse_sweep())[0], shutil.copytree(sparse_run, tmp_path / "plain")
    # The grid names what the command leaves to the number of sites.
    config = plain / "config.toml"
    config.write_text(config.read_text().replace("sites = 4\n", "sites = 4\nhidden = 2\n"))
    check_same_run(sparse_sweep(), run, swept_runs, plain)


@pytest.mark.slow
def test_an_ablation_is_that_of_its_command(ablation_run: Path, tmp_path: Path) -> None:
    own = of(ablation=tiny.ablation_settings())
    assert sweep(own, tmp_path / "sweep", "serial").done == 1
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", ablation_run)


def test_a_study_with_a_search_is_that_of_its_command(studies: Path, tmp_path: Path) -> None:
    run = next(point for point in points_of(mixed_sweep()) if isinstance(point, Run))
    run_study(run.settings, tmp_path / "plain")  # type: ignore[arg-type]
    check_same_run(mixed_sweep(), run, studies, tmp_path / "plain")


@pytest.mark.parametrize(
    ("experiment", "settings", "run"),
    [
        pytest.param("frontier", tiny.frontier_settings(), run_frontier, marks=pytest.mark.slow),
        ("study", brief_study(rewind_epoch=2, fine_tune=CD.for_fine_tuning()), run_study),
    ],
)
def test_a_run_is_that_of_its_command(
    experiment: str, settings: EnsembleSettings, run: Callable[[Any, Path], object], tmp_path: Path
) -> None:
    own = of(**{experiment: settings})
    assert sweep(own, tmp_path / "sweep", "serial").done == 1
    run(settings, tmp_path / "plain")
    check_same_run(own, runs_of(own)[0], tmp_path / "sweep", tmp_path / "plain")


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
    (point,) = points_of(SweepSettings(study=study))
    assert isinstance(point, Point)
    assert point.stage("shots").done(swept_runs)


def test_a_disk_without_second_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    own = SweepSettings(sparse=tiny.sparse_settings(seeds=2))
    assert sweep(own, tmp_path / "run", "serial").done == 1
    (point,) = runs_of(own)
    (stage,) = (tmp_path / "run").glob("shots/*/shots.nc")
    here = point.last.folder(tmp_path / "run") / "h=1/shots.nc"
    assert here.read_bytes() == stage.read_bytes()
    assert not here.samefile(stage)


def test_a_larger_grid_runs_only_what_is_new(runs_copy: Path) -> None:
    grid = (GridSettings(product={"hidden": (1, 2, 3)}),)
    found = sweep(SweepSettings(sparse=tiny.sparse_settings(), grid=grid), runs_copy, "serial")
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
        found = sweep(sparse_sweep(), runs_copy, "serial")
    (failed,) = found.failed
    assert failed.point == first
    assert str(first.last.folder(runs_copy)) in failed.cause
    assert sweep(sparse_sweep(), runs_copy, "serial").done == 2


def test_a_damaged_shared_file_is_named_where_it_is(runs_copy: Path) -> None:
    for point in runs_of(sparse_sweep()):
        point.last.result(runs_copy).unlink()
        (point.last.folder(runs_copy) / "h=1/shots.nc").unlink()
    (shots,) = runs_copy.glob("shots/*/shots.nc")
    shots.write_bytes(shots.read_bytes()[:-40])
    found = sweep(sparse_sweep(), runs_copy, "serial")
    (cause,) = {cause for _, cause in found.failed}
    assert cause.startswith(f"run: {shots}: ")
    shots.unlink()
    assert sweep(sparse_sweep(), runs_copy, "serial").done == 2


@pytest.mark.slow
def test_two_workers_make_what_one_process_makes(tmp_path: Path) -> None:
    """Runs with two fields each, beside RBMs one by one."""
    grid = (GridSettings(points=({"hidden": 2}, {"until.measure": "kl"})),)
    others: dict[str, Any] = {"local": {"workers": 2}}
    own = SweepSettings(study=brief_study(), grid=grid, **others)
    sweep(own, tmp_path / "serial", "serial")
    assert sweep(own, tmp_path / "run").failed == []
    assert made(tmp_path / "run", "config.toml") == made(tmp_path / "serial", "config.toml")


def test_points_of_a_grid() -> None:
    def keys(text: str) -> list[str]:
        return [point.last.key for point in points_of(SweepSettings(**tomllib.loads(text)))]

    one, two = keys("[ablation]\nthreshold = 1.0\n[[grid]]\nproduct.width = [2, 3]\n")
    assert keys("[ablation]\nthreshold = 1.0\nwidth = 3\n") == [two]
    assert one != two
    # The same settings are another thing in another experiment.
    assert keys("[sparse]\n") != keys("[ablation]\n")
    # A number stands for a list of one; nested settings of what is not there by itself.
    grid = "[[grid]]\npoints = [{shares = 0.5, fields = 3}]\n"
    (found,) = points_of(SweepSettings(**tomllib.loads(f"[ablation]\n{grid}")))
    assert found.config["shares"] == [0.5]
    grid = "[[grid]]\nproduct = {'until.limit' = [0.1, 0.2], 'until.measure' = ['kl']}\n"
    found, _ = points_of(SweepSettings(**tomllib.loads(f"[study]\n{grid}")))
    assert found.config["until"]["limit"] == 0.1
    # Studies with and without stand side by side.
    grid = "[[grid]]\npoints = [{hidden = 3}, {rewind_epoch = 0}]\n"
    both = points_of(SweepSettings(**tomllib.loads(f"[study]\nfields = [1.0]\n{grid}")))
    assert [type(point) for point in both] == [Point, Run]
