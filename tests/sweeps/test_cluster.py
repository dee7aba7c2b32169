"""Engines of a sweep when workers, jobs and addresses are not as they should be."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from threadpoolctl import threadpool_limits

import psiprune as pp
import tiny
from psiprune.sweeps import batch, cluster, workers
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.points import Outcome, points_of
from psiprune.sweeps.scheduler import run_on_dask
from psiprune.sweeps.settings import QueueSettings, SweepSettings
from psiprune.sweeps.workers import (
    IncompatibleWorkerError,
    WorkerPool,
    incompatibility,
    versions_here,
)
from refusals import check_refusal, refuses
from workers import Workers, fake_commands, in_this_process


def one_core() -> None:
    """Hold this process to one core, as a container or a job of Slurm does."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system knows no such mask"
)


def settings(**others: Any) -> SweepSettings:
    """Four points that share nothing, so that two workers have work at once."""
    study = tiny.settings(fields=(0.5, 1.0, 1.5, 2.0), seeds=1)
    return SweepSettings(study=study, **others)


# ---- this machine


@needs_affinity
def test_threads_are_for_cores_that_the_process_may_use() -> None:
    code = "from psiprune.core.threads import threads; print(threads())"
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
        with pytest.raises(pp.InputError, match="not to be"), connected("local", SweepSettings()):
            pass
    finally:
        os.sched_setaffinity(0, before)
    assert asked["n_workers"] == 1


# ---- workers that are wrong


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """A scheduler with a worker as it should be."""
    with Workers(tmp_path_factory.mktemp("workers")) as started:
        started.start()
        started.wait_for(1)
        yield started


def other_version(folder: Path) -> dict[str, str]:
    """The environment of a worker with another psiprune, of other code."""
    (folder / "psiprune-9.9.9.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: psiprune\nVersion: 9.9.9\n"
    (folder / "psiprune-9.9.9.dist-info/METADATA").write_text(metadata)
    (folder / "sitecustomize.py").write_text(
        "from psiprune.sweeps import scheduler\n\n\n"
        "def fail(*_):\n    raise RuntimeError('other code')\n\n\nscheduler.run_stage = fail\n"
    )
    return {"PYTHONPATH": ":".join([str(folder), *(each for each in sys.path if "src" in each)])}


MANY = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["other version", "seen by its tasks alone", "many BLAS threads"])
def test_an_incompatible_worker_is_closed_and_the_others_continue(
    kind: str,
    good: Workers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = MANY if kind == "many BLAS threads" else other_version(tmp_path / "other")
    (wrong,) = good.start(1, **environment)
    good.wait_for(2)
    if kind == "seen by its tasks alone":  # as if tasks reached it before it was polled
        poll = WorkerPool.poll
        monkeypatch.setattr(
            WorkerPool, "poll", lambda pool, *, now=False: now and poll(pool, now=now)
        )
    result = pp.sweep(settings(retries=0), tmp_path / "run", good.address)
    assert (result.done, result.failed) == (4, [])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "worker" in line]
    assert line.startswith("scheduler: worker tcp://127.0.0.1:")
    assert ("2 BLAS threads" if kind == "many BLAS threads" else "psiprune 9.9.9") in line
    assert wrong.wait(60) == 0


def test_a_worker_says_why_it_is_incompatible(tmp_path: Path) -> None:
    ours = versions_here()
    assert "psiprune" in incompatibility(tmp_path, {**ours, "psiprune": "9.9"}, 1)
    assert "2 threads" in incompatibility(tmp_path, ours, 2)
    assert str(tmp_path) in incompatibility(tmp_path, ours, 1)
    (tmp_path / "config.toml").touch()
    with threadpool_limits(1, user_api="blas"):
        assert incompatibility(tmp_path, ours, 1) == ""


def test_a_worker_of_two_threads(tmp_path: Path) -> None:
    with (
        in_this_process(threads=2) as local,
        pytest.raises(IncompatibleWorkerError, match="2 threads") as caught,
    ):
        pp.sweep(settings(), tmp_path / "run", local.scheduler_address)
    assert caught.value.address.startswith("tcp://127.0.0.1:")
    assert not (tmp_path / "run").exists()


def test_an_incompatible_worker_error_is_pickled_whole() -> None:
    error = pickle.loads(pickle.dumps(IncompatibleWorkerError("tcp://a:1", "has no psiprune")))
    assert (error.address, str(error)) == (
        "tcp://a:1",
        "scheduler: worker tcp://a:1 has no psiprune",
    )


# ---- no workers


def test_missing_workers_are_reported_once_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_POLL_INTERVAL", "_QUIET"):
        monkeypatch.setattr(workers, name, 0.05)

    def warnings(client: distributed.Client, pool: WorkerPool, workers: int) -> list[str]:
        """Warnings of ten polls with so many workers."""
        while len(client.nthreads()) != workers:
            time.sleep(0.02)
        for _ in range(10):
            pool.poll()
            time.sleep(0.05)
        return capsys.readouterr().err.splitlines()

    with (
        in_this_process() as local,
        distributed.Client(local.scheduler_address, set_as_default=False) as client,
    ):
        pool, address = WorkerPool(client), local.scheduler_address
        local.scale(0)
        (line,) = warnings(client, pool, 0)
        check_refusal(line, "scheduler", "yet", address, f"`dask worker {address} --nthreads 1`")
        local.scale(1)
        assert warnings(client, pool, 1) == []
        local.scale(0)
        (line,) = warnings(client, pool, 0)
        check_refusal(line, "scheduler", "left", address)


# ---- tasks


def test_points_that_were_finished_in_the_meantime_need_no_task(tmp_path: Path) -> None:
    points = points_of(settings())
    for point in points:
        result = point.last.result(tmp_path)
        result.parent.mkdir(parents=True)
        result.touch()
    with in_this_process() as local, distributed.Client(local, set_as_default=False) as client:
        assert list(run_on_dask(client, points, tmp_path, 0)) == [
            Outcome(each, "") for each in points
        ]


# ---- addresses


@pytest.mark.parametrize(
    ("address", "facts"),
    [
        ("nohost.invalid:8786", ("nohost.invalid", "`dask scheduler`")),
        ("tcp://nohost.invalid:8786", ("nohost.invalid", "`dask scheduler`")),
        ("foo://bar", ("foo://bar", "unknown address scheme")),
        ("nonsense", ("nonsense", "missing port number")),
        pytest.param(*("tcp://127.0.0.1:1", ("tcp://127.0.0.1:1", "4 s")), marks=pytest.mark.slow),
    ],
)
def test_a_scheduler_that_cannot_be_reached(
    tmp_path: Path, address: str, facts: tuple[str, ...]
) -> None:
    begin = time.monotonic()
    with refuses("scheduler", *facts):
        pp.sweep(settings(), tmp_path / "run", address)
    assert time.monotonic() - begin < 10
    assert not (tmp_path / "run").exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a scheduler for one second."""
    monkeypatch.setattr(cluster, "_TIMEOUT", 1)


@pytest.mark.usefixtures("impatient")
def test_a_name_service_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(60))
    begin = time.monotonic()
    with refuses("scheduler", "a.b", "name service"):
        pp.sweep(settings(), tmp_path / "run", "a.b:8786")
    assert time.monotonic() - begin < 8
    over.set()


@pytest.mark.usefixtures("impatient")
def test_a_host_that_accepts_and_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with refuses("scheduler", address, "1 s", "`dask scheduler`"):
            pp.sweep(settings(), tmp_path / "run", address)
    assert time.monotonic() - begin < 8


# ---- queueing systems


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make a Slurm of this machine, whose sbatch is this script, and a sweep that asks for it."""

    def make(sbatch: str) -> Path:
        scripts = {"sbatch": sbatch, "scancel": 'kill -9 -- -"$1"'}
        here = {name: f"cd {tmp_path}\n{script}" for name, script in scripts.items()}
        fake_commands(tmp_path, monkeypatch, **here)
        config = tmp_path / "sweep.toml"
        config.write_text("[study]\nsites = 4\nseeds = 1\n[slurm]\njobs = 2\ninterface = 'lo'\n")
        return config

    monkeypatch.setattr(batch, "_POLL_INTERVAL", 0.2)
    return make


#: An sbatch that keeps script and process of each job, and runs it at once, here.
RUNS = """
cp "$1" job-$$.sh
setsid bash job-$$.sh > log-$$ 2>&1 < /dev/null &
echo $! >> jobs
echo Submitted batch job $!
"""
REFUSES = "echo 'sbatch: error: invalid partition specified: nowhere' >&2\nexit 1"


@pytest.mark.slow
def test_a_queueing_system_that_takes_no_job(
    commands: Callable[[str], Path], tmp_path: Path
) -> None:
    running = tiny.start("sweep", commands(REFUSES), "--out", tmp_path / "run", "--slurm")
    line = tiny.refusal(tiny.finish(running))
    assert line.startswith("slurm: sbatch ")
    assert line.endswith(": sbatch: error: invalid partition specified: nowhere")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_jobs_that_were_killed_are_replaced(
    commands: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands(RUNS)
    monkeypatch.setattr(batch, "_GONE", 1.0)
    queue = QueueSettings(walltime="01:00:00", cores=2, memory="2GB", interface="lo")

    def jobs() -> list[int]:
        return [int(line) for line in (tmp_path / "jobs").read_text().split()]

    with connected("slurm", settings(slurm=queue)) as client:
        client.wait_for_workers(2, timeout=120)
        (first,) = jobs()
        (script,) = tmp_path.glob("job-*.sh")
        # So that workers leave before the job is ended under them.
        assert "--lifetime 3300s --lifetime-stagger 150s" in script.read_text()
        time.sleep(3 * batch._POLL_INTERVAL)  # it must have been seen at work
        os.killpg(first, signal.SIGKILL)
        limit = time.monotonic() + 60
        while len(jobs()) < 2 and time.monotonic() < limit:
            time.sleep(0.1)
        assert len(jobs()) == 2, "no second job was asked for"
        client.wait_for_workers(2, timeout=120)


#: An sbatch whose jobs end at once, as with a prologue that fails.
ENDS = "echo Submitted batch job 4711"


def test_jobs_that_never_have_a_worker(
    commands: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands(ENDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "_QUIET", 0.2)
    queue = QueueSettings(interface="lo")
    with connected("slurm", settings(slurm=queue)):
        time.sleep(0.2 + 5 * batch._POLL_INTERVAL)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("slurm: ")
    for fact in ("4711", "0.2 s", "squeue", str(tmp_path)):
        assert fact in line


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        *(("01:00:00", 3600), ("90:30", 5430), ("100:00:01", 360001), ("2-12", 216000)),
        *(("2-12:30", 217800), ("2-12:30:05", 217805)),
    ],
)
def test_walltimes(walltime: str, seconds: int) -> None:
    assert QueueSettings(walltime=walltime).seconds == seconds


WRONG = {
    "walltime": ("", "1 hour", "12", "00:00:00", "1:2:3:4", "2-", "12:00:00h"),
    "memory": ("", "4", "lots", "0GB", "4 apples", "-4GB"),
}


@pytest.mark.parametrize(("name", "text"), [(k, each) for k, v in WRONG.items() for each in v])
def test_what_is_no_walltime_and_no_memory(name: str, text: str) -> None:
    for memory in ("4GB", "16 GiB", "1.5T", "500m"):
        assert QueueSettings(memory=memory).memory == memory
    wrong: dict[str, Any] = {name: text}
    with refuses(name, repr(text)):
        QueueSettings(**wrong)


def test_days_are_not_for_pbs() -> None:
    queue = QueueSettings(walltime="2-12:00:00")
    with refuses("pbs.walltime", "HH:MM:SS", "'2-12:00:00'"), connected("pbs", settings(pbs=queue)):
        pass
