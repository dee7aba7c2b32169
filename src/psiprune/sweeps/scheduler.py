"""Run the stages of a sweep one after another in this process, or as tasks of Dask."""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from psiprune.core.exceptions import (
    DivergenceError,
    InputError,
    PsipruneError,
    TrainingWarning,
)
from psiprune.experiments.named_warnings import collected_warnings
from psiprune.sweeps.points import AnyPoint, Outcome, stages_of
from psiprune.sweeps.tasks import Stage, make
from psiprune.sweeps.workers import (
    IncompatibleWorkerError,
    WorkerPool,
    incompatibility,
    versions_here,
)

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds between two polls for finished tasks.
_TICK = 0.05
#: Seconds until a file that a task has written counts as missing, and between two looks for it.
VISIBILITY_TIMEOUT, VISIBILITY_INTERVAL = 30.0, 1.0
#: Errors that come again at every try; their messages are written for users.
_PERMANENT = (InputError, DivergenceError)
#: Stages with their tasks, each after those it needs.
Chain: TypeAlias = "list[tuple[Stage, Future]]"


class SchedulerLostError(PsipruneError, RuntimeError):
    """The connection to the scheduler was lost; finished stages remain."""


def run_serially(points: Sequence[AnyPoint], root: Path) -> Iterator[Outcome]:
    """Make all points in this process, one stage after another."""
    failed: dict[str, str] = {}
    for point in points:
        for stage in stages_of(point):
            if stage.key not in failed:
                try:
                    make(stage, root)
                    continue
                except Exception as error:
                    failed[stage.key] = describe_failure(stage.kind, error)
            yield Outcome(point, failed[stage.key])
            break
        else:
            yield Outcome(point, "")


def run_on_dask(
    client: Client, points: Sequence[AnyPoint], root: Path, retries: int
) -> Iterator[Outcome]:
    """Make all points with Dask, and yield them in the order in which they end.

    An incompatible worker is closed with a warning, and what failed because of it is repeated.

    Raises:
        IncompatibleWorkerError: all workers are incompatible.
        SchedulerLostError: the connection to the scheduler was lost.
    """
    from distributed import as_completed

    pool = WorkerPool(client)
    pool.poll()
    tasks = _Tasks(client, root, retries)
    completed = as_completed(loop=client.loop)
    running: dict[str, tuple[AnyPoint, Chain, int]] = {}

    def submit(point: AnyPoint, *, again: bool) -> None:
        chain = tasks.submit(point, again=again)
        last = chain[-1][1]
        running[last.key] = point, chain, pool.refused
        completed.add(last)

    for point in points:
        # It may have been finished since the caller looked, and has no task then.
        if point.last.done(root):
            yield Outcome(point, "")
        else:
            submit(point, again=False)
    invisible: list[tuple[AnyPoint, float]] = []  # points whose tasks ended, with a time limit
    next_look = 0.0
    while running or invisible:
        for future in completed.next_batch(block=False):
            point, chain, refused = running.pop(future.key)
            if point.last.done(root):
                yield Outcome(point, "")
            elif pool.is_to_blame([future for _, future in chain], refused):
                submit(point, again=True)
            elif (cause := _cause(chain)) is None:
                invisible.append((point, time.monotonic() + VISIBILITY_TIMEOUT))
            elif tasks.may_retry(chain):
                submit(point, again=True)
            else:
                yield Outcome(point, cause)
        if invisible and time.monotonic() >= next_look:
            next_look = time.monotonic() + VISIBILITY_INTERVAL
            for point, limit in invisible.copy():
                visible = is_visible(point.last, root)
                if visible or time.monotonic() > limit:
                    invisible.remove((point, limit))
                    missing = (
                        f"{point.last.kind}: task finished, but its file did not appear within "
                        f"{VISIBILITY_TIMEOUT:g} s"
                    )
                    yield Outcome(point, "" if visible else missing)
        pool.poll()
        time.sleep(_TICK)


class _Tasks:
    """The tasks of a sweep on a scheduler.

    Each missing stage becomes one task, which waits for that of the stage it needs; points that
    share a stage share its task. A task returns nothing: its result is files.
    """

    def __init__(self, client: Client, root: Path, retries: int) -> None:
        self._client, self._root, self._retries = client, root, retries
        self._futures: dict[str, Future] = {}
        self._number = itertools.count()
        self._failed: dict[str, set[str]] = {}  # keys of the failed tasks of each stage

    def submit(self, point: AnyPoint, *, again: bool) -> Chain:
        """Return the tasks of a point that is not done, its own last; failed ones new if `again`.

        Without `again`, a later point does not repeat what has failed for others.
        """
        chains = [chain for stages in point.chains if (chain := self._chain(stages, again))]
        # If another process has just made the point, the task finds it done.
        last = self._submit(point.last, [chain[-1] for chain in chains])
        return [*itertools.chain.from_iterable(chains), (point.last, last)]

    def _chain(self, stages: Sequence[Stage], again: bool) -> Chain:
        chain: Chain = []
        for stage in stages:
            future = self._futures.get(stage.key)
            if future is None or (again and future.status == "error"):
                if stage.done(self._root):
                    continue
                future = self._futures[stage.key] = self._submit(stage, chain[-1:])
            chain.append((stage, future))
        return chain

    def may_retry(self, chain: Chain) -> bool:
        """Return whether the failed task could succeed, and has not failed too often.

        Dask's own retries would repeat tasks with bad settings as well.
        """
        from distributed.scheduler import KilledWorker

        stage, future = next(link for link in chain if link[1].status == "error")
        if isinstance(future.exception(), (*_PERMANENT, KilledWorker)):
            return False
        failed = self._failed.setdefault(stage.key, set())
        failed.add(future.key)
        return len(failed) <= self._retries

    def _submit(self, stage: Stage, needed: Chain) -> Future:
        return self._client.submit(
            run_stage,
            stage,
            self._root,
            versions_here(),
            [stage for stage, _ in needed],
            [future for _, future in needed],
            # With the folder, since two sweeps on one scheduler may have the same stages; with a
            # number, since Dask takes a task with the key of a failed one for that one.
            key=f"{stage.kind}-{stage.key}-{self._root}-{next(self._number)}",
        )


def _cause(chain: Chain) -> str | None:
    """Return why the last task failed, by the first one that did; None if none failed."""
    for stage, future in chain:
        if future.status == "error":
            return describe_failure(stage.kind, future.exception())
    # Not "lost", as results of a killed worker are: only its files count.
    if chain[-1][1].status == "cancelled":
        raise SchedulerLostError(
            "lost the connection to the scheduler; rerun the same command to resume"
        )
    return None


def describe_failure(kind: str, error: BaseException) -> str:
    """Return a failure in one line, after the kind of the stage that failed."""
    line = " ".join(str(error).split()) or "no message"
    return (
        f"{kind}: {line}"
        if isinstance(error, _PERMANENT)
        else f"{kind}: {type(error).__name__}: {line}"
    )


def run_stage(
    stage: Stage,
    root: Path,
    wanted: Mapping[str, str],
    needed: Sequence[Stage],
    before: Sequence[None],
) -> None:
    """Make a stage on one core of a worker, after those `needed`, whose tasks are `before` it.

    Training warnings are shown by the client.

    Raises:
        IncompatibleWorkerError: this worker must not take part.
    """
    import dask
    from distributed import get_worker, warn

    worker = get_worker()
    if reason := incompatibility(root, wanted, worker.state.nthreads):
        raise IncompatibleWorkerError(worker.address, reason)
    for each in needed:  # else a long training might be done twice
        wait_for_stage(each, root)
    # In a task, xarray would lock even in-memory files across the cluster, and fail to.
    with dask.config.set(scheduler="synchronous"), collected_warnings() as texts:
        try:
            make(stage, root)
        except InputError as error:
            if isinstance(error.__context__, FileNotFoundError):  # the next try makes that file
                raise FileNotFoundError(str(error)) from None
            raise
        finally:
            # The client shows them; here they would go to a log, or between lines of a terminal.
            warnings.simplefilter("ignore", TrainingWarning)
            for text in texts:
                warn(text, TrainingWarning)


def is_visible(stage: Stage, root: Path) -> bool:
    """Return whether a stage is done, after listing its folders anew.

    A network file system may cache a listing, and so show files of another node late.
    """
    for folder in (root, root / stage.kind, stage.folder(root)):
        with suppress(OSError):
            os.listdir(folder)  # noqa: PTH208, as listing is the point
    return stage.done(root)


def wait_for_stage(stage: Stage, root: Path) -> bool:
    """Wait until a stage that another machine has made is visible; False if it never is."""
    limit = time.monotonic() + VISIBILITY_TIMEOUT
    while not is_visible(stage, root):
        if time.monotonic() > limit:
            return False
        time.sleep(VISIBILITY_INTERVAL)
    return True
