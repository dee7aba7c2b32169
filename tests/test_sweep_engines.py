"""Engines of a sweep when workers, jobs and addresses are not as they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
import pytest

import tiny
from psiprune.config import SweepSettings
from psiprune.sweeping.engines import Outcome, by_dask, connected
from psiprune.sweeping.stages import points_of


def one_core() -> None:
    """Hold this process to one core, as a container or a job of Slurm does."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system knows no such mask"
)


def settings(**others: Any) -> SweepSettings:
    """Two points, of two seeds."""
    study = tiny.settings(fields=(1.0,), seeds=2)
    return SweepSettings(study=study, **others)


@contextmanager
def in_this_process(threads: int = 1) -> Iterator[distributed.LocalCluster]:
    """A scheduler and a worker that need no processes of their own, to be reached by TCP."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        protocol="tcp://",
        dashboard_address=None,
    ) as cluster:
        yield cluster


# ---- this machine


@needs_affinity
def test_threads_are_for_cores_that_the_process_may_use() -> None:
    code = "from psiprune.parallel import threads; print(threads())"
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=one_core, capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


@needs_affinity
def test_local_workers_are_for_cores_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def remember(**options: Any) -> None:
        asked.update(options)
        raise RuntimeError("not to be started")

    before = os.sched_getaffinity(0)
    monkeypatch.setattr(distributed, "LocalCluster", remember)
    one_core()
    try:
        with pytest.raises(RuntimeError, match="not to be"), connected("local", SweepSettings()):
            pass
    finally:
        os.sched_setaffinity(0, before)
    assert asked["n_workers"] == 1


# ---- tasks


def test_points_that_were_finished_in_the_meantime_need_no_task(tmp_path: Path) -> None:
    points = points_of(settings())
    for point in points:
        folder = point.stage("point").folder(tmp_path)
        folder.mkdir(parents=True)
        (folder / "study.nc").touch()
    with in_this_process() as cluster, distributed.Client(cluster, set_as_default=False) as client:
        assert list(by_dask(client, points, tmp_path, 0)) == [Outcome(each, "") for each in points]
