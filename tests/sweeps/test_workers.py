"""Sweeps on real Dask workers, processes of their own that are killed at random moments."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
import tiny
from psiprune.sweeps.cluster import connected
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.scheduler import SchedulerLostError
from psiprune.sweeps.settings import QueueSettings, SweepSettings
from psiprune.sweeps.table import read_table
from swept import made
from workers import Workers, fake_commands, kill

#: Workers take seconds each to come up.
pytestmark = pytest.mark.slow


def settings(**others: Any) -> SweepSettings:
    """Four points: two seeds, two criteria, levels of 12, 8 and 6 weights."""
    grid = (GridSettings(product={"prune.criterion": ("magnitude", "random")}),)
    prune = pp.PruneSettings(levels=2, fraction=0.3)
    study = tiny.settings(seeds=2, fields=(1.0,), prune=prune)
    return SweepSettings(study=study, grid=grid, **others)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a sweep in one process makes."""
    folder = tmp_path_factory.mktemp("serial") / "run"
    assert pp.sweep(settings(), folder, "serial").done == 4
    return made(folder, "config.toml")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """A scheduler with two workers that keep running."""
    with Workers(tmp_path_factory.mktemp("workers")) as started:
        started.start(2)
        started.wait_for(2)
        yield started


def check(folder: Path, serial: dict[str, object]) -> None:
    """To the last bit what one process makes, and no point twice."""
    assert made(folder, "config.toml") == serial
    rows = read_table(folder)
    assert len({(row["point"], row["level"]) for row in rows}) == len(rows) == 4 * 3


class Meddler(threading.Thread):
    """Does something as soon as a moment has come, in a thread of its own."""

    def __init__(self, steps: list[tuple[Callable[[], bool], Callable[[], object]]]) -> None:
        super().__init__()
        self._steps, self.done = steps, 0
        self.start()

    def run(self) -> None:
        chance = random.Random()
        for ready, act in self._steps:
            limit = time.monotonic() + 300
            while not ready() and time.monotonic() < limit:
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.05))
            act()
            self.done += 1


def files(folder: Path, pattern: str, count: int) -> Callable[[], bool]:
    return lambda: len(list(folder.glob(pattern))) >= count


def test_two_workers_make_what_one_process_makes(
    workers: Workers, serial: dict[str, object], tmp_path: Path
) -> None:
    found = pp.sweep(settings(), tmp_path / "run", workers.address)
    assert (found.before, found.done) == (0, 4)
    check(tmp_path / "run", serial)
    # The scheduler may still know the tasks, but another folder is another sweep.
    assert pp.sweep(settings(), tmp_path / "other", workers.address).done == 4
    check(tmp_path / "other", serial)


def test_a_cluster_of_our_own(serial: dict[str, object], tmp_path: Path) -> None:
    own = settings(local={"workers": 2})
    with connected("local", own) as client:
        assert sorted(client.nthreads().values()) == [1, 1]
        environment = client.run(lambda: __import__("os").environ.get("OPENBLAS_NUM_THREADS"))
        assert list(environment.values()) == ["1", "1"]
    assert pp.sweep(own, tmp_path / "run").done == 4
    check(tmp_path / "run", serial)


def test_workers_killed_at_random_moments(serial: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Workers(tmp_path) as cluster:
        cluster.start(2)
        cluster.wait_for(2)

        def lose_one() -> None:
            kill(next(each for each in cluster.processes[1:] if each.poll() is None))
            cluster.start(1)

        meddler = Meddler(
            [
                (files(folder, "dense/*", 1), lose_one),
                (files(folder, "point/*/level-01.nc", 1), lose_one),
                (files(folder, "point/*/level-02.nc", 2), lose_one),
            ]
        )
        found = pp.sweep(settings(), folder, cluster.address)
        meddler.join()
    assert meddler.done == 3
    assert (found.done, list(found.failed)) == (4, [])
    check(folder, serial)


def test_a_scheduler_killed_and_started_again(serial: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Workers(tmp_path) as cluster:
        cluster.start(1)
        cluster.wait_for(1)
        begun = files(folder, "point/*/level-00.nc", 2)
        meddler = Meddler([(begun, lambda: kill(cluster.scheduler))])
        with pytest.raises(SchedulerLostError, match="scheduler"):
            pp.sweep(settings(), folder, cluster.address)
        meddler.join()
        before = {
            name: content
            for name, content in made(folder, "config.toml").items()
            if "level-" in name
        }
        assert before
        cluster.start_scheduler()
        cluster.start(1)
        found = pp.sweep(settings(), folder, cluster.address)
        assert found.done == 4
    after = made(folder, "config.toml")
    assert {name: after[name] for name in before} == before
    check(folder, serial)


def test_a_command_killed_with_its_cluster(serial: dict[str, object], tmp_path: Path) -> None:
    folder, config = tmp_path / "run", tmp_path / "sweep.toml"
    config.write_text(
        "[study]\nfields = [1.0]\nsites = 4\nhidden = 3\nshots = 300\nseeds = 2\n"
        "history_every = 2\ntrain = {epochs = 3, batch_size = 50}\nfine_tune.epochs = 2\n"
        "prune = {levels = 2, fraction = 0.3}\nmeasure.draws = 200\n"
        "[[grid]]\nproduct.prune.criterion = ['magnitude', 'random']\n[local]\nworkers = 1\n"
    )
    running = tiny.start("sweep", config, "--out", folder)
    tiny.wait_for(running, files(folder, "point/*/level-01.nc", 1), 300)
    running.kill()
    running.communicate()
    assert running.returncode == -9
    # Its worker ends with it, but perhaps not at once.
    assert tiny.call("sweep", config, "--out", folder, "--scheduler", "serial").status == 0
    check(folder, serial)


def test_lost_writes_on_a_shared_disk(
    workers: Workers, serial: dict[str, object], tmp_path: Path
) -> None:
    folder = tmp_path / "run"

    def lose(pattern: str) -> tuple[Callable[[], bool], Callable[[], object]]:
        def act() -> None:
            for file in folder.glob(pattern):
                file.unlink(missing_ok=True)

        return files(folder, pattern, 1), act

    meddler = Meddler([lose("state/*/state.nc"), lose("dense/*/rbm.nc")])
    found = pp.sweep(settings(retries=5), folder, workers.address)
    assert meddler.done == 2, "the sweep ended before all was lost"
    meddler.join()
    # Tasks make what they miss again, so that none fails.
    assert (found.done, list(found.failed)) == (4, [])
    found = pp.sweep(settings(), folder, workers.address)
    assert found.done == 4
    # All that is lost and no longer needed is no loss.
    ours = made(folder, "config.toml")
    assert ours == {name: serial[name] for name in ours}
    assert {name for name in serial if "point/" in name} <= set(ours)


# ---- queueing systems


@pytest.mark.parametrize(
    ("engine", "submit", "answer", "cancel"),
    [
        ("slurm", "sbatch", "Submitted batch job $!", "scancel"),
        ("pbs", "qsub", "$!.server", "qdel"),
    ],
)
def test_jobs_of_a_queueing_system(
    engine: str,
    submit: str,
    answer: str,
    cancel: str,
    serial: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One that keeps a copy of the script, as they do, and runs it at once, here.
    commands = {
        submit: f'cp "$1" {tmp_path}/job.sh\n'
        f"setsid bash {tmp_path}/job.sh > {tmp_path}/log 2>&1 < /dev/null &\necho {answer}",
        cancel: 'kill -- -"${1%%.*}"',
    }
    fake_commands(tmp_path, monkeypatch, **commands)
    queue = QueueSettings(
        queue="short",
        account="physics",
        walltime="00:10:00",
        cores=2,
        memory="2GB",
        prologue=(f"echo here > {tmp_path}/prologue",),
        directives=("--exclusive",),
        interface="lo",
    )
    found = pp.sweep(settings(**{engine: queue}), tmp_path / "run", engine)
    assert found.done == 4
    check(tmp_path / "run", serial)
    job = (tmp_path / "job.sh").read_text()
    marker = {"slurm": "#SBATCH", "pbs": "#PBS"}[engine]
    head = [line for line in job.splitlines() if line.startswith(marker)]
    for words in ("short", "physics", "00:10:00", "--exclusive"):
        assert any(words in line for line in head), words
    assert "--nthreads 1" in job
    assert "--nworkers 2" in job
    assert (tmp_path / "prologue").read_text() == "here\n"


@pytest.mark.parametrize("engine", ["slurm", "pbs"])
def test_no_queueing_system(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny.write(tmp_path / "sweep.toml", "[study]\nsites = 4\n")
    command = ("sweep", config, "--out", tmp_path / "run", f"--{engine}")
    assert tiny.refusal(tiny.call(*command)).startswith(f"{engine}: no [{engine}] section")
    config.write_text(f"[study]\nsites = 4\n[{engine}]\ncores = 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    submit = {"slurm": "sbatch", "pbs": "qsub"}[engine]
    assert submit in tiny.refusal(tiny.call(*command))
    assert tiny.names(tmp_path) == {"sweep.toml"}
