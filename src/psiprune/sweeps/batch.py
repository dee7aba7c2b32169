"""Workers as jobs of a queueing system, replaced when a job has ended."""

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
from psiprune.sweeps.workers import warn

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster

#: Queueing systems with the commands that submit and list jobs.
SUBMIT, LIST = {"slurm": "sbatch", "pbs": "qsub"}, {"slurm": "squeue", "pbs": "qstat"}
#: Seconds between polls of the jobs; longest time that workers leave before their job's walltime.
_POLL_INTERVAL, _MARGIN = 1.0, 300.0
#: Seconds without a worker after which a job counts as ended (a worker may restart); seconds until
#: a queueing system that refused a job is asked again; seconds without any worker before a warning.
_GONE, _RETRY, _QUIET = 30.0, 60.0, 60.0


@contextmanager
def queue(engine: str, settings: SweepSettings) -> Iterator[JobQueueCluster]:
    """Start workers as jobs, one process a core and one thread a process.

    Workers leave some time before the walltime of their job, since Dask gives up on a task that was
    lost with a few workers.

    Raises:
        InputError: the settings do not fit the queueing system, or it takes no job.
    """
    options: QueueSettings | None = getattr(settings, engine)
    if options is None:
        raise InputError(f"{engine}: no [{engine}] section in the sweep's file; add one")
    if engine == "pbs" and "-" in options.walltime:
        raise InputError(f"pbs.walltime: must be HH:MM:SS for PBS, found {options.walltime!r}")
    if shutil.which(SUBMIT[engine]) is None:
        raise InputError(f"{engine}: found no {SUBMIT[engine]} on this machine")
    try:
        from dask_jobqueue import PBSCluster, SLURMCluster
    except ImportError:
        raise InputError(f"{engine}: needs dask-jobqueue: pip install 'psiprune[sweep]'") from None
    from distributed.security import Security

    if options.interface is not None:
        from distributed.utils import get_ip_interface

        try:  # the scheduler listens on it here
            get_ip_interface(options.interface)
        except ValueError as error:
            raise InputError(f"{engine}.interface: {error}") from None
    security = Security()  # from Dask's configuration
    margin = min(_MARGIN, options.seconds / 5)
    lifetime = ["--lifetime", f"{options.seconds - margin:.0f}s"]
    cluster = (SLURMCluster if engine == "slurm" else PBSCluster)(
        queue=options.queue,
        account=options.account,
        walltime=options.walltime,
        cores=options.cores,
        processes=options.cores,
        memory=options.memory,
        interface=options.interface,
        worker_extra_args=[*lifetime, "--lifetime-stagger", f"{margin / 2:.0f}s"],
        job_script_prologue=list(options.prologue),
        job_extra_directives=list(options.directives),
        security=security if security.tls_ca_file else None,
        scheduler_options={"dashboard_address": "127.0.0.1:8787"},
        silence_logs=logging.CRITICAL,
    )
    with cluster, _maintained(_Jobs(engine, cluster, options.jobs)):
        yield cluster


@contextmanager
def _maintained(jobs: _Jobs) -> Iterator[None]:
    """Submit jobs, and replace those that end during the block."""
    refusal = jobs.cluster.sync(jobs.submit)
    if refusal and not jobs.cluster.workers:
        raise InputError(f"{jobs.engine}: {SUBMIT[jobs.engine]} refused the job: {refusal}")
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(jobs, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(jobs: _Jobs, over: threading.Event) -> None:
    last_refusal, next_submission, quiet_limit = "", 0.0, time.monotonic() + _QUIET
    while not over.wait(_POLL_INTERVAL):
        now = time.monotonic()
        if not jobs.any_worker_yet and now > quiet_limit:
            quiet_limit = math.inf
            warn(f"{jobs.engine}: {jobs.advice()}")
        if now < next_submission:
            continue
        refusal = jobs.cluster.sync(jobs.replace)
        if refusal:
            next_submission = time.monotonic() + _RETRY
        if refusal not in ("", last_refusal):
            submit = SUBMIT[jobs.engine]
            retry = f"asking again in {_RETRY:g} s"
            warn(f"{jobs.engine}: {submit} refused another job, {retry}: {refusal}")
        last_refusal = refusal


class _Jobs:
    """As many jobs of a queueing system as wanted.

    Dask's own adaptive scaling does not notice that a job of several workers has ended.

    Attributes:
        engine: name of the queueing system.
        cluster: submits the jobs.
        any_worker_yet: whether any job has had a worker.
    """

    def __init__(self, engine: str, cluster: JobQueueCluster, wanted: int) -> None:
        self.engine, self.cluster, self.any_worker_yet = engine, cluster, False
        self._wanted = wanted
        self._seen: dict[str, float] = {}  # when each job last had a worker; not pending jobs

    def advice(self) -> str:
        """Say what to check if no job has had a worker; psiprune cannot see which have ended."""
        from dask import config

        numbers = ", ".join(str(job.job_id) for job in list(self.cluster.workers.values()))
        folder = config.get(f"jobqueue.{self.engine}.log-directory", None) or Path.cwd()
        return (
            f"no worker from jobs {numbers} after {_QUIET:g} s; check with {LIST[self.engine]} "
            f"whether they are pending; logs of ended jobs are in {folder}"
        )

    async def submit(self) -> str:
        """Submit missing jobs; return why the queueing system refused one, "" if it did not."""
        refusal = ""
        while len(self.cluster.worker_spec) < self._wanted:
            self.cluster.worker_spec.update(self.cluster.new_worker_spec())
        try:
            await self.cluster
        except (RuntimeError, ValueError, OSError) as error:
            # dask-jobqueue reports the command and its output in several lines.
            line = str(error).rpartition("stderr:\n")[2] or str(error)
            refusal = " ".join(line.split())
        refused = {name: job for name, job in self.cluster.workers.items() if job.job_id is None}
        for job in refused.values():
            job.status = type(job.status).failed  # else the cluster would wait for its end
        if refused:
            await self.cluster.scale_down(list(refused))
        return refusal

    async def replace(self) -> str:
        """Submit a new job for each one that had workers, but has had none for some time."""
        job_of = {
            f"{name}{suffix}": name
            for name, spec in self.cluster.worker_spec.items()
            for suffix in spec.get("group", [""])
        }
        now = time.monotonic()
        for worker in list(self.cluster.scheduler.workers.values()):
            if worker.name in job_of:
                self._seen[job_of[worker.name]] = now
                self.any_worker_yet = True
        ended = [name for name, seen in self._seen.items() if now - seen > _GONE]
        for name in ended:
            del self._seen[name]
        if ended:
            await self.cluster.scale_down(ended)
        return await self.submit()
