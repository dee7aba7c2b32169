"""Where the stages of a sweep run: in this process, on all cores, or on a cluster, by Dask."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from threadpoolctl import threadpool_info
from tqdm import tqdm

from psiprune.config import QueueSettings, SweepSettings
from psiprune.inputs import Diverged, InputError
from psiprune.parallel import one_blas_thread, one_thread
from psiprune.sweeping.stages import KINDS, Point, Stage, make

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster
    from distributed import Client, Future, LocalCluster

#: Engines by name; anything else is the address of a scheduler.
SERIAL, LOCAL, SLURM, PBS = "serial", "local", "slurm", "pbs"
#: Seconds to wait for a scheduler; with the start of Python the command should end within ten.
_PATIENCE = 4
#: Seconds between looks at tasks that ended, and at workers that came; seconds without a worker
#: after which that is told.
_TICK, _LOOK, _QUIET = 0.05, 1.0, 10.0
#: Seconds before its walltime at which a job's workers leave, at most; seconds without a worker
#: after which a job is taken as ended, as a worker may be started again; seconds until a queueing
#: system that took no job is asked again.
_BEFORE, _GONE, _AGAIN = 300.0, 30.0, 60.0
_SUBMIT = {SLURM: "sbatch", PBS: "qsub"}


class WrongWorker(InputError):
    """A worker that must not take part: another version, another folder, too many threads."""

    def __init__(self, address: str, why: str) -> None:
        """Of the worker at this address, to which this happens."""
        super().__init__(address, why)  # as it is pickled
        self.address, self.why = address, why

    def __str__(self) -> str:
        """One line."""
        return f"scheduler: worker {self.address} {self.why}"


#: The tasks of a point with their kinds, each after the one before.
Chain: TypeAlias = "list[tuple[str, Future]]"


class Outcome(NamedTuple):
    """What became of a point; `cause` says in one line why it failed, "" if it did not."""

    point: Point
    cause: str


class Lost(RuntimeError):
    """The scheduler went away; what is finished stays."""


def serially(points: Sequence[Point], root: Path) -> Iterator[Outcome]:
    """Make all points in this process, one stage after another."""
    failed: dict[str, str] = {}
    for point in points:
        for kind in KINDS:
            stage = point.stage(kind)
            cause = failed.get(stage.key)
            if cause is None:
                try:
                    make(stage, root)
                    continue
                except Exception as error:
                    cause = failed[stage.key] = told(stage.kind, error)
            yield Outcome(point, cause)
            break
        else:
            yield Outcome(point, "")


def by_dask(client: Client, points: Sequence[Point], root: Path, retries: int) -> Iterator[Outcome]:
    """Make all points by Dask, in the order in which they end.

    A worker that must not take part is told of and closed, and what failed by it is done again.

    Raises:
        WrongWorker: none but such workers are there.
        Lost: the scheduler went away.
    """
    from distributed import as_completed

    crew = _Crew(client)
    crew.look()
    tasks = _Tasks(client, root, retries)
    ended = as_completed(loop=client.loop)
    running: dict[str, tuple[Point, Chain, int]] = {}

    def submit(point: Point) -> None:
        chain = tasks.of(point)
        last = chain[-1][1]
        running[last.key] = point, chain, crew.refused
        ended.add(last)

    for point in points:
        # It may have been finished since the caller looked, and has no task then.
        if point.stage("point").done(root):
            yield Outcome(point, "")
        else:
            submit(point)
    while running:
        for future in ended.next_batch(block=False):
            point, chain, refused = running.pop(future.key)
            if point.stage("point").done(root):
                yield Outcome(point, "")
            elif crew.excuses(chain, refused):
                submit(point)
            else:
                yield Outcome(point, _cause(chain))
        crew.look()
        time.sleep(_TICK)


class _Tasks:
    """The tasks of a sweep on a scheduler.

    Every stage that is not there becomes one task, after the one it needs; points that share a
    stage name the same task. A stage returns nothing: its files are what it leaves.
    """

    def __init__(self, client: Client, root: Path, retries: int) -> None:
        self._client, self._root, self._retries = client, root, retries
        self._futures: dict[str, Future] = {}
        self._number = itertools.count()

    def of(self, point: Point) -> Chain:
        """The tasks of a point that is not done, the last one its own; failed ones anew."""
        chain: Chain = []
        for kind in KINDS:
            stage = point.stage(kind)
            future = self._futures.get(stage.key)
            if future is None or future.status == "error":
                if stage.done(self._root):
                    continue
                future = self._futures[stage.key] = self._submit(stage, chain)
            chain.append((kind, future))
        # Another process may have made it in this moment, then its task finds it done.
        if not chain or chain[-1][0] != "point":
            chain.append(("point", self._submit(point.stage("point"), chain)))
        return chain

    def _submit(self, stage: Stage, before: Chain) -> Future:
        return self._client.submit(
            work,
            stage,
            self._root,
            version("psiprune"),
            [future for _, future in before[-1:]],
            # Two sweeps on one scheduler may share stages, but not a folder; and Dask takes a task
            # of the same key for the one that failed.
            key=f"{stage.kind}-{stage.key}-{self._root}-{next(self._number)}",
            retries=self._retries,
        )


class _Crew:
    """The workers of a scheduler as they come and go.

    Attributes:
        refused: how many had to be refused so far.
    """

    def __init__(self, client: Client) -> None:
        self.refused = 0
        self._client = client
        self._fit: set[str] = set()
        self._wrong: set[str] = set()  # until they are gone
        self._next = 0.0
        self._empty_since: float | None = None
        self._told = self._any_yet = False

    def look(self, *, now: bool = False) -> None:
        """Ask workers that are new, once a second or now; tell if for some time none is there.

        Raises:
            WrongWorker: new ones are wrong, and no other is there.
        """
        if self._client.status != "running" or (not now and time.monotonic() < self._next):
            return
        self._next = time.monotonic() + _LOOK
        try:
            there = self._client.nthreads()
            self._fit &= set(there)
            self._wrong &= set(there)
            new = {each: there[each] for each in set(there) - self._fit - self._wrong}
            self._refuse(self._asked(new))
        except OSError:  # the scheduler is gone, which its tasks will say
            return
        self._tell_if_empty()

    def excuses(self, chain: Chain, refused: int) -> bool:
        """Whether these may have failed by a worker that was refused, not by themselves.

        That is so if there was one since `refused` was counted, as its tasks fail with anything.

        Raises:
            WrongWorker: no other worker is there.
        """
        self.look(now=True)
        errors = [future.exception() for _, future in chain if future.status == "error"]
        if not errors:
            return False
        told = [error for error in errors if isinstance(error, WrongWorker)]
        # Others may have told of the same worker, which is gone by now.
        self._refuse({each.address: each.why for each in told if each.address in self._fit})
        return bool(told) or self.refused > refused

    def _asked(self, new: Mapping[str, int]) -> dict[str, str]:
        """Those of the new workers that must not take part, with the cause; the others are fit.

        By a function of Python's own, since another version need not have one of ours.
        """
        wrong = {each: _threads_rule(count) for each, count in new.items() if count > 1}
        rest = [each for each in new if each not in wrong]
        found = self._client.run(version, "psiprune", workers=rest, on_error="return")
        for worker, theirs in found.items() if rest else ():
            if isinstance(theirs, PackageNotFoundError):
                wrong[worker] = f"has no psiprune; it needs {version('psiprune')}"
            elif isinstance(theirs, str) and theirs != version("psiprune"):
                wrong[worker] = _version_rule(theirs, version("psiprune"))
            elif isinstance(theirs, str):  # else it is gone, or will be asked again
                self._fit.add(worker)
        return wrong

    def _refuse(self, wrong: Mapping[str, str]) -> None:
        new = {each: why for each, why in wrong.items() if each not in self._wrong}
        self._fit -= set(new)
        errors = [WrongWorker(address, why) for address, why in new.items()]
        if errors and not self._fit:
            raise errors[0]
        for error in errors:
            _tell(f"{error}; it is closed, and the others go on")
            self.refused += 1
            self._wrong.add(error.address)
        if errors:
            self._client.retire_workers(list(new), close_workers=True)

    def _tell_if_empty(self) -> None:
        if self._fit:
            self._any_yet, self._told, self._empty_since = True, False, None
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
        elif not self._told and time.monotonic() - self._empty_since > _QUIET:
            self._told = True
            address = self._client.scheduler.address
            way = (
                f"start some with `dask worker {address} --nthreads 1`"
                if self._client.cluster is None
                else "those that start take part; squeue or qstat tells of jobs"
            )
            gone = "are left" if self._any_yet else "yet"
            _tell(f"scheduler: no workers {gone} at {address}; waiting for them: {way}")


def _tell(line: str) -> None:
    """A line on standard error that leaves the bar of progress whole."""
    tqdm.write(line, file=sys.stderr)


def _cause(chain: list[tuple[str, Future]]) -> str:
    """Why the last of these failed: by the first that did."""
    for kind, future in chain:
        if future.status == "error":
            return told(kind, future.exception())
    # Not so if it is "lost", like all that a killed worker returned: files are what counts.
    if chain[-1][1].status == "cancelled":
        raise Lost("the scheduler went away; the same command goes on with what is not done")
    return "point: its task ended, but its file is not there"


def told(kind: str, error: BaseException) -> str:
    """A failure in one line, with the stage in which it came."""
    line = " ".join(str(error).split()) or "no word of why"
    known = isinstance(error, InputError | Diverged)
    return f"{kind}: {line}" if known else f"{kind}: {type(error).__name__}: {line}"


def work(stage: Stage, root: Path, wanted: str, before: Sequence[None]) -> None:
    """A task: make a stage after those `before` it, on one core.

    Raises:
        WrongWorker: this worker cannot take part.
    """
    from distributed import get_worker

    del before  # their results are files
    worker = get_worker()
    why = unfit(root, wanted, worker.state.nthreads)
    if why:
        raise WrongWorker(worker.address, why)
    import dask

    # In a task xarray would lock even files in memory over the cluster, and fail at that.
    with dask.config.set(scheduler="synchronous"), one_thread(), one_blas_thread():
        make(stage, root)


def unfit(root: Path, wanted: str, threads: int) -> str:
    """Why this process must not make stages of a sweep, as one that has so many threads; or ""."""
    if version("psiprune") != wanted:
        return _version_rule(version("psiprune"), wanted)
    if threads > 1:
        return _threads_rule(threads)
    if not (root / "config.toml").exists():
        return f"does not see this folder; give one on a disk that all workers share: {root}"
    # Before the limit, which OpenBLAS may ignore as a task does not run in the main thread.
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    if max(blas, default=1) > 1:
        return (
            f"has {max(blas)} BLAS threads, whose number shows in the last bit; start it with "
            "OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1"
        )
    return ""


def _version_rule(theirs: str, wanted: str) -> str:
    return (
        f"has psiprune {theirs}, this is {wanted}, and their numbers may differ; start workers of "
        "one version"
    )


def _threads_rule(count: int) -> str:
    return (
        f"has {count} threads, and what several write at once differs in its bytes; start it with "
        "--nthreads 1"
    )


@contextmanager
def connected(engine: str, settings: SweepSettings) -> Iterator[Client]:
    """A Dask client of a cluster started for the time, or of one that runs.

    Raises:
        InputError: there is no Dask, no such section in the settings, no queueing system, no
            scheduler at the address within some seconds, or only workers of another version.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            f"scheduler: {engine} needs Dask: pip install 'psiprune[sweep]'; or give serial, one "
            "process without it"
        ) from None
    # What it says of workers that come and go is for its dashboard; an end is told in one line.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if engine in (LOCAL, *_SUBMIT):
            with warnings.catch_warnings():
                # Another sweep may have it, then the dashboard goes to another port.
                warnings.filterwarnings("ignore", "Port .* is already in use")
                started = _local(settings) if engine == LOCAL else _queue(engine, settings)
                where = stack.enter_context(started)
        else:
            where = _reached(engine)
        client = stack.enter_context(distributed.Client(where, set_as_default=False))
        _Crew(client).look()
        yield client


def _reached(address: str) -> str:
    """The address of a scheduler that answers.

    A client of Dask would go on trying in the background, and say so at the end of the program.
    """
    from distributed import rpc

    limit = time.monotonic() + _PATIENCE
    _check_host(address)

    async def identity() -> dict[str, object]:
        async with rpc(address) as scheduler:
            return dict(await asyncio.wait_for(scheduler.identity(), limit - time.monotonic()))

    try:
        kind = asyncio.run(identity())["type"]
    except TimeoutError:
        raise InputError(
            f"scheduler: no answer from {address} in {_PATIENCE} s; start `dask scheduler` there, "
            "or give the address that it prints"
        ) from None
    except Exception as error:  # of many types, when something else listens there
        line = " ".join(str(error).split())
        raise InputError(f"scheduler: cannot reach {address}: {line}") from None
    if kind != "Scheduler":
        raise InputError(f"scheduler: {address} is a {kind}; give the scheduler's address")
    return address


def _check_host(address: str) -> None:
    """Refuse a host whose name is not known, of which Dask would say that it does not answer.

    In a thread that is left alone after some time, since a name service may take longer.
    """
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if host is None or port is None:  # Dask says what is wrong with the address
        return
    why = ["no name service answers"]

    def ask() -> None:
        try:
            socket.getaddrinfo(host, port)
            why.clear()
        except (OSError, UnicodeError) as error:
            why[0] = (isinstance(error, OSError) and error.strerror) or str(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE / 2)
    if why:
        raise InputError(
            f"scheduler: the name of the host {host} is not known here ({why[0]}); give the "
            "address that `dask scheduler` prints"
        )


def _local(settings: SweepSettings) -> LocalCluster:
    import dask
    from dask.system import cpu_count
    from distributed import LocalCluster

    # Looking into a worker's stack every 10 ms takes 2 % of it, and shows one call of `make`.
    with dask.config.set({"distributed.worker.profile.enabled": False}):
        return LocalCluster(
            # Not all of the machine's, where a container or a job of Slurm allows less.
            n_workers=settings.local.workers or cpu_count(),
            threads_per_worker=1,
            dashboard_address="127.0.0.1:8787",
            silence_logs=logging.CRITICAL,
        )


@contextmanager
def _queue(engine: str, settings: SweepSettings) -> Iterator[JobQueueCluster]:
    """Workers as jobs, one process a core and one thread a process; a job that ends is replaced.

    Workers leave some time before their job is at its walltime, so that what they do is not taken
    for a loss: Dask gives a task up after a few.
    """
    own: QueueSettings | None = getattr(settings, engine)
    if own is None:
        raise InputError(f"{engine}: the sweep has no [{engine}] section; it says what to ask for")
    if engine == PBS and "-" in own.walltime:
        raise InputError(f"pbs.walltime: must be HH:MM:SS for PBS, found {own.walltime!r}")
    if shutil.which(_SUBMIT[engine]) is None:
        raise InputError(f"{engine}: there is no {_SUBMIT[engine]} on this machine")
    try:
        from dask_jobqueue import PBSCluster, SLURMCluster
    except ImportError:
        raise InputError(f"{engine}: needs dask-jobqueue: pip install 'psiprune[sweep]'") from None
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


@contextmanager
def _kept(engine: str, jobs: _Jobs) -> Iterator[None]:
    """Ask for jobs, and again when one has ended, for the time of the block.

    Raises:
        InputError: the queueing system takes none.
    """
    cause = jobs.cluster.sync(jobs.ask)
    if cause and not jobs.cluster.workers:
        raise InputError(f"{engine}: {_SUBMIT[engine]} takes no job: {cause}")
    over = threading.Event()

    def watch() -> None:
        told, again = "", 0.0
        while not over.wait(_LOOK):
            if time.monotonic() < again:
                continue
            cause = jobs.cluster.sync(jobs.replace)
            if cause:
                again = time.monotonic() + _AGAIN
            if cause not in ("", told):
                _tell(
                    f"{engine}: {_SUBMIT[engine]} takes no further job, but is asked again: {cause}"
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
    """

    def __init__(self, cluster: JobQueueCluster, wanted: int) -> None:
        self.cluster = cluster
        self._wanted = wanted
        self._seen: dict[str, float] = {}  # when each last had a worker; not those that wait

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
        ended = [name for name, seen in self._seen.items() if now - seen > _GONE]
        for name in ended:
            del self._seen[name]
        if ended:
            await self.cluster.scale_down(ended)
        return await self.ask()
