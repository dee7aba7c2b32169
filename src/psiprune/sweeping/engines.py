"""Where the stages of a sweep run: in this process, on all cores, or on a cluster, by Dask."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from threadpoolctl import threadpool_info

from psiprune.config import QueueSettings, SweepSettings
from psiprune.inputs import Diverged, InputError
from psiprune.parallel import one_blas_thread, one_thread
from psiprune.sweeping.stages import KINDS, Point, Stage, make

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster
    from distributed import Client, Future, LocalCluster

#: Engines by name; anything else is the address of a scheduler.
SERIAL, LOCAL, SLURM, PBS = "serial", "local", "slurm", "pbs"
#: Seconds to wait for a scheduler.
_PATIENCE = 5
_SUBMIT = {SLURM: "sbatch", PBS: "qsub"}


class WrongWorker(InputError):
    """A worker that must not take part: another version, another folder, too many threads."""


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

    Every stage that is not there becomes one task, after the one it needs; points that share a
    stage name the same task. A stage returns nothing: its files are what it leaves.

    Raises:
        WrongWorker: a worker cannot take part.
        Lost: the scheduler went away.
    """
    from distributed import as_completed

    futures: dict[str, Future] = {}
    chains: dict[str, tuple[Point, list[tuple[str, Future]]]] = {}
    for point in points:
        # It may have been finished since the caller looked, and has no task then.
        if point.stage("point").done(root):
            yield Outcome(point, "")
            continue
        chain: list[tuple[str, Future]] = []
        for kind in KINDS:
            stage = point.stage(kind)
            if stage.key not in futures:
                if stage.done(root):
                    continue
                futures[stage.key] = client.submit(
                    work,
                    stage,
                    root,
                    version("psiprune"),
                    [future for _, future in chain[-1:]],
                    # Two sweeps on one scheduler may share stages, but not a folder.
                    key=f"{kind}-{stage.key}-{root}",
                    retries=retries,
                )
            chain.append((kind, futures[stage.key]))
        chains[chain[-1][1].key] = point, chain
    for future in as_completed([chain[-1][1] for _, chain in chains.values()], loop=client.loop):
        point, chain = chains.pop(future.key)
        done = point.stage("point").done(root)
        yield Outcome(point, "" if done else _cause(chain))


def _cause(chain: list[tuple[str, Future]]) -> str:
    """Why the last of these failed: by the first that did."""
    for kind, future in chain:
        if future.status == "error":
            error = future.exception()
            if isinstance(error, WrongWorker):
                raise error
            return told(kind, error)
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
    del before  # their results are files
    if version("psiprune") != wanted:
        raise WrongWorker(
            f"worker on {socket.gethostname()}: has psiprune {version('psiprune')}, the sweep "
            f"{wanted}, and their numbers may differ; start workers of one version"
        )
    if not (root / "config.toml").exists():
        raise WrongWorker(
            f"{root}: worker on {socket.gethostname()} does not see this folder; give one on a "
            "disk that all workers share"
        )
    # Before the limit, which OpenBLAS may ignore as a task does not run in the main thread.
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    if max(blas, default=1) > 1:
        raise WrongWorker(
            f"worker on {socket.gethostname()}: has {max(blas)} BLAS threads, whose number shows "
            "in the last bit; start it with OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1"
        )
    import dask

    # In a task xarray would lock even files in memory over the cluster, and fail at that.
    with dask.config.set(scheduler="synchronous"), one_thread(), one_blas_thread():
        make(stage, root)


@contextmanager
def connected(engine: str, settings: SweepSettings) -> Iterator[Client]:
    """A Dask client of a cluster started for the time, or of one that runs.

    Raises:
        InputError: there is no Dask, no such section in the settings, no queueing system, no
            scheduler at the address within 10 seconds, or a worker of another version.
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
        _check_versions(client)
        yield client


def _reached(address: str) -> str:
    """The address of a scheduler that answers.

    A client of Dask would go on trying in the background, and say so at the end of the program.
    """
    from distributed import rpc

    async def identity() -> dict[str, object]:
        async with rpc(address) as scheduler:
            return dict(await asyncio.wait_for(scheduler.identity(), _PATIENCE))

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


def _queue(engine: str, settings: SweepSettings) -> JobQueueCluster:
    """Workers as jobs, one process a core and one thread a process."""
    own: QueueSettings | None = getattr(settings, engine)
    if own is None:
        raise InputError(f"{engine}: the sweep has no [{engine}] section; it says what to ask for")
    if shutil.which(_SUBMIT[engine]) is None:
        raise InputError(f"{engine}: there is no {_SUBMIT[engine]} on this machine")
    try:
        from dask_jobqueue import PBSCluster, SLURMCluster
    except ImportError:
        raise InputError(f"{engine}: needs dask-jobqueue: pip install 'psiprune[sweep]'") from None
    cluster = (SLURMCluster if engine == SLURM else PBSCluster)(
        queue=own.queue,
        account=own.account,
        walltime=own.walltime,
        cores=own.cores,
        processes=own.cores,
        memory=own.memory,
        interface=own.interface,
        job_script_prologue=list(own.prologue),
        job_extra_directives=list(own.directives),
    )
    cluster.scale(jobs=own.jobs)
    return cluster


def _check_versions(client: Client) -> None:
    """Refuse workers of another version; those that come later are asked by each task.

    By a function of Python's own, since another version need not have one of ours.
    """
    ours = version("psiprune")
    found = client.run(version, "psiprune", on_error="return")
    for worker, theirs in found.items():
        if isinstance(theirs, PackageNotFoundError):
            raise InputError(f"scheduler: worker {worker} has no psiprune; it needs {ours}")
        if theirs != ours:
            raise InputError(
                f"scheduler: worker {worker} has psiprune {theirs}, this is {ours}, and their "
                "numbers may differ; start workers of one version"
            )
