"""Workers as jobs of a queueing system, as many as asked for while there is work."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from psiprune.core.exceptions import InputError
from psiprune.sweeps.settings import QueueSettings, SweepSettings
from psiprune.sweeps.workers import tell

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster

#: Queueing systems by name.
SLURM, PBS = "slurm", "pbs"
#: What each submits jobs by, and tells of them.
SUBMIT, SHOW = {SLURM: "sbatch", PBS: "qsub"}, {SLURM: "squeue", PBS: "qstat"}
#: Seconds between looks at the jobs; seconds before its walltime at which a job's workers leave, at
#: most; seconds without a worker after which a job is taken as ended, as a worker may be started
#: again; seconds until a queueing system that took no job is asked again; seconds without any
#: worker after which is told where to look for the cause.
_LOOK, _BEFORE, _GONE, _AGAIN, _QUIET = 1.0, 300.0, 30.0, 60.0, 60.0


@contextmanager
def queue(engine: str, settings: SweepSettings) -> Iterator[JobQueueCluster]:
    """Workers as jobs, one process a core and one thread a process; a job that ends is replaced.

    Workers leave some time before their job is at its walltime, so that what they do is not taken
    for a loss: Dask gives a task up after a few.
    """
    own: QueueSettings | None = getattr(settings, engine)
    if own is None:
        raise InputError(f"{engine}: the sweep has no [{engine}] section; it says what to ask for")
    if engine == PBS and "-" in own.walltime:
        raise InputError(f"pbs.walltime: must be HH:MM:SS for PBS, found {own.walltime!r}")
    if shutil.which(SUBMIT[engine]) is None:
        raise InputError(f"{engine}: there is no {SUBMIT[engine]} on this machine")
    try:
        from dask_jobqueue import PBSCluster, SLURMCluster
    except ImportError:
        raise InputError(f"{engine}: needs dask-jobqueue: pip install 'psiprune[sweep]'") from None
    _check_interface(engine, own)
    before = min(_BEFORE, own.seconds / 5)
    life = [
        "--lifetime",
        f"{own.seconds - before:.0f}s",
        "--lifetime-stagger",
        f"{before / 2:.0f}s",
    ]
    cluster = (SLURMCluster if engine == SLURM else PBSCluster)(
        queue=own.queue,
        account=own.account,
        walltime=own.walltime,
        cores=own.cores,
        processes=own.cores,
        memory=own.memory,
        interface=own.interface,
        worker_extra_args=life,
        job_script_prologue=list(own.prologue),
        job_extra_directives=list(own.directives),
        silence_logs=logging.CRITICAL,
    )
    with cluster, _kept(engine, _Jobs(cluster, own.jobs)):
        yield cluster


def _check_interface(engine: str, own: QueueSettings) -> None:
    """Refuse a network interface that is not here, where the scheduler is going to listen."""
    from distributed.utils import get_ip_interface

    if own.interface is None:
        return
    try:
        get_ip_interface(own.interface)
    except ValueError as error:
        raise InputError(f"{engine}.interface: {error}") from None


@contextmanager
def _kept(engine: str, jobs: _Jobs) -> Iterator[None]:
    """Ask for jobs, and again when one has ended, for the time of the block.

    Raises:
        InputError: the queueing system takes none.
    """
    cause = jobs.cluster.sync(jobs.ask)
    if cause and not jobs.cluster.workers:
        raise InputError(f"{engine}: {SUBMIT[engine]} takes no job: {cause}")
    over = threading.Event()

    def watch() -> None:
        told, again, quiet = "", 0.0, time.monotonic() + _QUIET
        while not over.wait(_LOOK):
            if not jobs.any_yet and time.monotonic() > quiet:
                quiet = math.inf
                tell(f"{engine}: {jobs.where_to_look(engine)}")
            if time.monotonic() < again:
                continue
            cause = jobs.cluster.sync(jobs.replace)
            if cause:
                again = time.monotonic() + _AGAIN
            if cause not in ("", told):
                tell(
                    f"{engine}: {SUBMIT[engine]} takes no further job, but is asked again: {cause}"
                )
            told = cause

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _Jobs:
    """Jobs of a queueing system, as many as wanted.

    Dask's own adaptive scaling does not see that a job of several workers has ended.

    Attributes:
        cluster: that asks for them.
        any_yet: whether one ever had a worker.
    """

    def __init__(self, cluster: JobQueueCluster, wanted: int) -> None:
        self.cluster, self.any_yet = cluster, False
        self._wanted = wanted
        self._seen: dict[str, float] = {}  # when each last had a worker; not those that wait

    def where_to_look(self, engine: str) -> str:
        """What to do where no job has a worker: only the queueing system knows which have ended."""
        from dask import config

        numbers = ", ".join(str(job.job_id) for job in list(self.cluster.workers.values()))
        folder = config.get(f"jobqueue.{engine}.log-directory", None) or Path.cwd()
        return (
            f"no worker has come of the jobs {numbers} in {_QUIET:g} s; {SHOW[engine]} tells "
            f"whether they wait; of one that ended, what it wrote is in {folder}"
        )

    async def ask(self) -> str:
        """Ask for jobs that are missing; what the queueing system says against one, or ""."""
        cause = ""
        while len(self.cluster.worker_spec) < self._wanted:
            self.cluster.worker_spec.update(self.cluster.new_worker_spec())
        try:
            await self.cluster
        except (RuntimeError, ValueError, OSError) as error:
            # dask-jobqueue tells the command, and what it wrote, in several lines.
            line = str(error).rpartition("stderr:\n")[2] or str(error)
            cause = " ".join(line.split())
        refused = [name for name, job in self.cluster.workers.items() if job.job_id is None]
        for job in map(self.cluster.workers.get, refused):
            # Else the cluster takes it for one that it forgot to close.
            job.status = type(job.status).failed
        if refused:
            await self.cluster.scale_down(refused)
        return cause

    async def replace(self) -> str:
        """Ask for new jobs in the place of those that had workers, but have none for some time."""
        job_of = {
            f"{name}{suffix}": name
            for name, spec in self.cluster.worker_spec.items()
            for suffix in spec.get("group", [""])
        }
        now = time.monotonic()
        for worker in list(self.cluster.scheduler.workers.values()):
            if worker.name in job_of:
                self._seen[job_of[worker.name]] = now
                self.any_yet = True
        ended = [name for name, seen in self._seen.items() if now - seen > _GONE]
        for name in ended:
            del self._seen[name]
        if ended:
            await self.cluster.scale_down(ended)
        return await self.ask()
