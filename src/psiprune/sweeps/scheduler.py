"""The stages of a sweep one after another in this process, or as tasks of Dask."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from psiprune.core.exceptions import DivergenceError, InputError, PsipruneError
from psiprune.sweeps.file_visibility import LATE, LOOK, appears, look_again
from psiprune.sweeps.points import AnyPoint, Outcome, steps_of
from psiprune.sweeps.stages import Step, make
from psiprune.sweeps.versions import versions_here
from psiprune.sweeps.workers import IncompatibleWorkerError, WorkerPool, unfit

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds between looks at tasks that ended.
_TICK = 0.05
#: What comes again however often it is tried, told in words for people.
_FOR_EVER = (InputError, DivergenceError)
#: Steps with their tasks, those that others need first.
Chain: TypeAlias = "list[tuple[Step, Future]]"


class SchedulerLostError(PsipruneError, RuntimeError):
    """The scheduler went away; what is finished stays."""


def serially(points: Sequence[AnyPoint], root: Path) -> Iterator[Outcome]:
    """Make all points in this process, one stage after another."""
    failed: dict[str, str] = {}
    for point in points:
        for stage in steps_of(point):
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


def by_dask(
    client: Client, points: Sequence[AnyPoint], root: Path, retries: int
) -> Iterator[Outcome]:
    """Make all points by Dask, in the order in which they end.

    A worker that must not take part is told of and closed, and what failed by it is done again.

    Raises:
        IncompatibleWorkerError: none but such workers are there.
        Lost: the scheduler went away.
    """
    from distributed import as_completed

    crew = WorkerPool(client)
    crew.look()
    tasks = _Tasks(client, root, retries)
    ended = as_completed(loop=client.loop)
    running: dict[str, tuple[AnyPoint, Chain, int]] = {}

    def submit(point: AnyPoint, *, anew: bool) -> None:
        chain = tasks.of(point, anew)
        last = chain[-1][1]
        running[last.key] = point, chain, crew.refused
        ended.add(last)

    for point in points:
        # It may have been finished since the caller looked, and has no task then.
        if point.last.done(root):
            yield Outcome(point, "")
        else:
            submit(point, anew=False)
    late = _Late(root)
    while running or late.points:
        for future in ended.next_batch(block=False):
            point, chain, refused = running.pop(future.key)
            if point.last.done(root):
                yield Outcome(point, "")
            elif crew.excuses([future for _, future in chain], refused):
                submit(point, anew=True)
            elif (cause := _cause(chain)) is None:
                late.add(point)
            elif tasks.may_try_again(chain):
                submit(point, anew=True)
            else:
                yield Outcome(point, cause)
        yield from late.outcomes()
        crew.look()
        time.sleep(_TICK)


class _Late:
    """Points whose tasks ended, but whose files are not to be seen yet."""

    def __init__(self, root: Path) -> None:
        self.points: list[tuple[AnyPoint, float]] = []
        self._root = root
        self._next = 0.0

    def add(self, point: AnyPoint) -> None:
        self.points.append((point, time.monotonic() + LATE))

    def outcomes(self) -> Iterator[Outcome]:
        """Those that are seen now, and those that are given up, by a look a second."""
        now = time.monotonic()
        if not self.points or now < self._next:
            return
        self._next = now + LOOK
        waiting = []
        for point, limit in self.points:
            if look_again(point.last, self._root):
                yield Outcome(point, "")
            elif now > limit:
                words = f"its task ended, but {LATE:g} s later its file is not there"
                yield Outcome(point, f"{point.last.kind}: {words}")
            else:
                waiting.append((point, limit))
        self.points = waiting


class _Tasks:
    """The tasks of a sweep on a scheduler.

    Every stage that is not there becomes one task, after the one it needs; points that share a
    stage name the same task. A stage returns nothing: its files are what it leaves.
    """

    def __init__(self, client: Client, root: Path, retries: int) -> None:
        self._client, self._root, self._retries = client, root, retries
        self._futures: dict[str, Future] = {}
        self._number = itertools.count()
        self._failed: dict[str, set[str]] = {}  # by stage: the tasks of it that failed

    def of(self, point: AnyPoint, anew: bool) -> Chain:
        """The tasks of a point that is not done, the last one its own; failed ones anew if so.

        Else a point that comes late would try what has failed for others.
        """
        lines = [line for steps in point.lines if (line := self._line(steps, anew))]
        # Another process may have made it in this moment, then its task finds it done.
        last = self._submit(point.last, [line[-1] for line in lines])
        return [*itertools.chain.from_iterable(lines), (point.last, last)]

    def _line(self, steps: Sequence[Step], anew: bool) -> Chain:
        """The tasks of those steps that are not done, each after the one before."""
        chain: Chain = []
        for step in steps:
            future = self._futures.get(step.key)
            if future is None or (anew and future.status == "error"):
                if step.done(self._root):
                    continue
                future = self._futures[step.key] = self._submit(step, chain[-1:])
            chain.append((step, future))
        return chain

    def may_try_again(self, chain: Chain) -> bool:
        """Whether what failed might not fail again, and was not tried too often.

        Not by Dask, which would try bad settings again as well.
        """
        from distributed.scheduler import KilledWorker

        step, future = next(each for each in chain if each[1].status == "error")
        if isinstance(future.exception(), (*_FOR_EVER, KilledWorker)):
            return False
        failed = self._failed.setdefault(step.key, set())
        failed.add(future.key)
        return len(failed) <= self._retries

    def _submit(self, step: Step, before: Chain) -> Future:
        return self._client.submit(
            work,
            step,
            self._root,
            versions_here(),
            [needed for needed, _ in before],
            [future for _, future in before],
            # Two sweeps on one scheduler may share stages, but not a folder; and Dask takes a task
            # of the same key for the one that failed.
            key=f"{step.kind}-{step.key}-{self._root}-{next(self._number)}",
        )


def _cause(chain: Chain) -> str | None:
    """Why the last of these failed: by the first that did; None if none did."""
    for step, future in chain:
        if future.status == "error":
            return told(step.kind, future.exception())
    # Not so if it is "lost", like all that a killed worker returned: files are what counts.
    if chain[-1][1].status == "cancelled":
        raise SchedulerLostError(
            "the scheduler went away; the same command goes on with what is not done"
        )
    return None


def told(kind: str, error: BaseException) -> str:
    """A failure in one line, with the stage in which it came."""
    line = " ".join(str(error).split()) or "no word of why"
    known = isinstance(error, _FOR_EVER)
    return f"{kind}: {line}" if known else f"{kind}: {type(error).__name__}: {line}"


def work(
    step: Step,
    root: Path,
    wanted: Mapping[str, str],
    needed: Sequence[Step],
    before: Sequence[None],
) -> None:
    """A task: make a step after those `needed`, whose tasks are `before` it, on one core.

    Raises:
        IncompatibleWorkerError: this worker cannot take part.
    """
    from distributed import get_worker

    worker = get_worker()
    why = unfit(root, wanted, worker.state.nthreads)
    if why:
        raise IncompatibleWorkerError(worker.address, why)
    import dask

    for each in needed:  # else a long training might be done twice
        appears(each, root)
    # In a task xarray would lock even files in memory over the cluster, and fail at that.
    with dask.config.set(scheduler="synchronous"):
        try:
            make(step, root)
        except InputError as error:
            if isinstance(error.__context__, FileNotFoundError):  # which is made at the next try
                raise FileNotFoundError(str(error)) from None
            raise
