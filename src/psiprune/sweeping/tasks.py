"""The stages of a sweep one after another in this process, or as tasks of Dask."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from psiprune.inputs import Diverged, InputError
from psiprune.sweeping.crew import Crew, WrongWorker, unfit
from psiprune.sweeping.points import AnyPoint, Outcome, steps_of
from psiprune.sweeping.stages import Step, make

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds between looks at tasks that ended.
_TICK = 0.05

#: Tasks with their kinds, those that others need first.
Chain: TypeAlias = "list[tuple[str, Future]]"


class Lost(RuntimeError):
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
        WrongWorker: none but such workers are there.
        Lost: the scheduler went away.
    """
    from distributed import as_completed

    crew = Crew(client)
    crew.look()
    tasks = _Tasks(client, root, retries)
    ended = as_completed(loop=client.loop)
    running: dict[str, tuple[AnyPoint, Chain, int]] = {}

    def submit(point: AnyPoint) -> None:
        chain = tasks.of(point)
        last = chain[-1][1]
        running[last.key] = point, chain, crew.refused
        ended.add(last)

    for point in points:
        # It may have been finished since the caller looked, and has no task then.
        if point.last.done(root):
            yield Outcome(point, "")
        else:
            submit(point)
    while running:
        for future in ended.next_batch(block=False):
            point, chain, refused = running.pop(future.key)
            if point.last.done(root):
                yield Outcome(point, "")
            elif crew.excuses([future for _, future in chain], refused):
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

    def of(self, point: AnyPoint) -> Chain:
        """The tasks of a point that is not done, the last one its own; failed ones anew."""
        lines = [line for steps in point.lines if (line := self._line(steps))]
        # Another process may have made it in this moment, then its task finds it done.
        last = self._submit(point.last, [line[-1][1] for line in lines])
        return [*itertools.chain.from_iterable(lines), (point.last.kind, last)]

    def _line(self, steps: Sequence[Step]) -> Chain:
        """The tasks of those steps that are not done, each after the one before."""
        chain: Chain = []
        for stage in steps:
            future = self._futures.get(stage.key)
            if future is None or future.status == "error":
                if stage.done(self._root):
                    continue
                before = [each for _, each in chain[-1:]]
                future = self._futures[stage.key] = self._submit(stage, before)
            chain.append((stage.kind, future))
        return chain

    def _submit(self, stage: Step, before: list[Future]) -> Future:
        return self._client.submit(
            work,
            stage,
            self._root,
            version("psiprune"),
            before,
            # Two sweeps on one scheduler may share stages, but not a folder; and Dask takes a task
            # of the same key for the one that failed.
            key=f"{stage.kind}-{stage.key}-{self._root}-{next(self._number)}",
            retries=self._retries,
        )


def _cause(chain: Chain) -> str:
    """Why the last of these failed: by the first that did."""
    for kind, future in chain:
        if future.status == "error":
            return told(kind, future.exception())
    # Not so if it is "lost", like all that a killed worker returned: files are what counts.
    if chain[-1][1].status == "cancelled":
        raise Lost("the scheduler went away; the same command goes on with what is not done")
    return f"{chain[-1][0]}: its task ended, but its file is not there"


def told(kind: str, error: BaseException) -> str:
    """A failure in one line, with the stage in which it came."""
    line = " ".join(str(error).split()) or "no word of why"
    known = isinstance(error, InputError | Diverged)
    return f"{kind}: {line}" if known else f"{kind}: {type(error).__name__}: {line}"


def work(stage: Step, root: Path, wanted: str, before: Sequence[None]) -> None:
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
    with dask.config.set(scheduler="synchronous"):
        make(stage, root)
