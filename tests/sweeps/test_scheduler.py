"""Tasks of a sweep that fail, once or always, and files that become visible late."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest

import psiprune as pp
import tiny
from psiprune.sweeps import scheduler
from psiprune.sweeps.points import points_of
from psiprune.sweeps.scheduler import run_on_dask, run_stage
from psiprune.sweeps.tasks import Point, Stage
from psiprune.sweeps.workers import versions_here
from workers import in_this_process


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """Of a scheduler with two workers that are threads of this process."""
    with in_this_process(2) as local, distributed.Client(local, set_as_default=False) as client:
        yield client


def points(seeds: int = 1) -> list[Point]:
    found = points_of(pp.SweepSettings(study=tiny.settings(fields=(1.0,), seeds=seeds)))
    return [point for point in found if isinstance(point, Point)]


def finish(stage: Stage, root: Path) -> None:
    """Write the file by which a point is done."""
    if stage.kind == "point":
        folder = stage.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.nc").touch()


def stand_in(
    root: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Stage, int], object]
) -> Path:
    """Replace stages by `act`, which gets the number of the try; return the log of their kinds."""
    log = root / "ran"
    log.touch()

    def instead(stage: Stage, root: Path, *_: object) -> None:
        with log.open("a") as notes:
            notes.write(f"{stage.kind}\n")
        act(stage, ran(log).count(stage.kind))
        finish(stage, root)

    monkeypatch.setattr(scheduler, "run_stage", instead)
    return log


def ran(log: Path) -> list[str]:
    """The kinds of the stages as they ran."""
    return log.read_text().split()


def fails(kind: str, error: Exception, times: int) -> Callable[[Stage, int], None]:
    def act(stage: Stage, time: int) -> None:
        if stage.kind == kind and time <= times:
            raise error

    return act


# ---- tried again


@pytest.mark.parametrize(("retries", "failed"), [(2, False), (1, True)])
def test_what_fails_is_tried_again(
    retries: int,
    failed: bool,
    client: distributed.Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = stand_in(tmp_path, monkeypatch, fails("dense", OSError("no space left"), 2))
    (outcome,) = run_on_dask(client, points(), tmp_path, retries)
    assert outcome.cause == ("dense: OSError: no space left" if failed else "")
    assert ran(log).count("dense") == (2 if failed else 3)
    assert ran(log).count("state") == 1


@pytest.mark.parametrize("error", [pp.InputError("a setting"), pp.DivergenceError("a rate")])
def test_what_always_fails_is_tried_once(
    error: Exception, client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stand_in(tmp_path, monkeypatch, fails("shots", error, 100))
    found = list(run_on_dask(client, points(2), tmp_path, 5))
    assert {outcome.cause for outcome in found} == {f"shots: {error}"}
    assert len(found) == 2
    assert ran(log) == ["state", "shots"]  # both points share them


def test_a_later_point_does_not_repeat_what_failed(
    client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stand_in(tmp_path, monkeypatch, fails("state", pp.InputError("a setting"), 100))
    first, second = points(2)
    made = scheduler._Tasks(client, tmp_path, 5)
    (_, state), *_ = made.submit(first, again=False)
    assert isinstance(state.exception(), pp.InputError)
    *_, (_, last) = made.submit(second, again=False)
    assert isinstance(last.exception(), pp.InputError)
    assert last.status == "error"
    assert ran(log) == ["state"]


def test_a_lost_file_may_be_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(stage: Stage, root: Path) -> None:
        try:
            (root / "gone").read_bytes()
        except OSError:
            raise pp.InputError("gone: cannot be read") from None

    here = SimpleNamespace(address="here", state=SimpleNamespace(nthreads=1))
    monkeypatch.setattr(distributed, "get_worker", lambda: here)
    monkeypatch.setattr(scheduler, "incompatibility", lambda *_: "")
    monkeypatch.setattr(scheduler, "make", lose)
    with pytest.raises(FileNotFoundError, match=r"^gone: "):
        run_stage(points()[0].stage("state"), tmp_path, versions_here(), [], [])


# ---- seen late


def lag(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Make files visible this late, as a shared disk may."""
    done = Stage.done

    def late(stage: Stage, root: Path) -> bool:
        files = list(stage.folder(root).glob("*.nc"))
        return done(stage, root) and all(
            time.time() - file.stat().st_mtime > seconds for file in files
        )

    monkeypatch.setattr(Stage, "done", late)


def test_a_result_that_becomes_visible_late(
    client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stand_in(tmp_path, monkeypatch, lambda *_: None)
    monkeypatch.setattr(scheduler, "VISIBILITY_INTERVAL", 0.1)
    lag(monkeypatch, 1.0)
    found = list(run_on_dask(client, points(2), tmp_path, 0))
    assert [outcome.cause for outcome in found] == ["", ""]
    assert ran(log).count("point") == 2


def test_a_result_that_never_comes(
    client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, lambda *_: None)
    monkeypatch.setattr(scheduler, "VISIBILITY_TIMEOUT", 0.5)
    lag(monkeypatch, 1000.0)
    (outcome,) = run_on_dask(client, points(), tmp_path, 0)
    assert outcome.cause.startswith("point: ")
    assert "0.5 s" in outcome.cause


def test_a_stage_waits_for_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "VISIBILITY_INTERVAL", 0.05)
    monkeypatch.setattr(scheduler, "VISIBILITY_TIMEOUT", 5.0)
    stage = points()[0].stage("point")
    finish(stage, tmp_path)
    lag(monkeypatch, 0.5)
    assert not stage.done(tmp_path)
    assert scheduler.wait_for_stage(stage, tmp_path)
    monkeypatch.setattr(scheduler, "VISIBILITY_TIMEOUT", 0.2)
    assert not scheduler.wait_for_stage(points()[0].stage("dense"), tmp_path)


def test_folders_are_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    stage, listdir = points()[0].stage("dense"), os.listdir

    def note(folder: Path) -> list[str]:
        listed.append(folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", note)
    found = scheduler.is_visible(stage, tmp_path)
    monkeypatch.undo()
    assert not found
    ours = [folder for folder in listed if isinstance(folder, Path)]  # imports list others
    assert ours == [tmp_path, tmp_path / "dense", stage.folder(tmp_path)]
