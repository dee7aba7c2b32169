"""A whole sweep: open its folder, make what is not there, collect the table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import write_bytes
from psiprune.io.run import open_growing_run
from psiprune.sweeps.arguments import check_folder, check_scheduler
from psiprune.sweeps.cluster import LOCAL, SERIAL, connected
from psiprune.sweeps.points import AnyPoint, Outcome, points_of
from psiprune.sweeps.scheduler import by_dask, serially
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import TABLE, check_tools, write_table

if TYPE_CHECKING:
    from distributed import Client

FAILURES = "failures.json"


class Sweep(NamedTuple):
    """What a sweep has come to.

    Attributes:
        folder: of the sweep.
        points: all of the grid.
        before: how many of them were done when it began.
        failed: those that are not done now, each with its cause.
        table: the Parquet file of all that is done.
    """

    folder: Path
    points: Sequence[AnyPoint]
    before: int
    failed: Sequence[Outcome]
    table: Path

    @property
    def causes(self) -> Path:
        """The file that lists failures with their causes."""
        return self.folder / FAILURES

    @property
    def done(self) -> int:
        """How many points are done."""
        return len(self.points) - len(self.failed)


def sweep(settings: SweepSettings, folder: str | os.PathLike[str], scheduler: str = LOCAL) -> Sweep:
    """Run the experiment of a grid, or what of it is not done yet.

    A point of a study is one RBM: one field, one seed. Of other experiments, and of a study with
    `until` or `rewind_epoch`, it is a whole run, with all its fields and seeds. Its numbers are
    those of `run_study`, `run_sparse` and so on, to the last bit. Points that share a ground state,
    shots or a dense RBM share the file. A later start with another grid adds to the folder what is
    new; the table holds the grid of the last start.

    Args:
        settings: the experiment, its grid, and machines.
        folder: of the sweep, on a disk that all workers see.
        scheduler: "local", one worker a core of this machine; "serial", this process alone; "slurm"
            or "pbs", jobs as that section of the settings says; or the address of a Dask scheduler.
            Workers of "local" import the program that calls this, so it must stand there under
            `if __name__ == "__main__":`.

    Raises:
        InputError: the settings are of another type, the folder belongs to something else or cannot
            be written, the scheduler cannot be reached, or a worker has another version.
        Lost: the scheduler went away; what was finished stays, and the same call goes on.
    """
    if not isinstance(settings, SweepSettings):
        raise InputError(
            f"settings: must be SweepSettings, found {type(settings).__name__}; of a file they are "
            "SweepSettings(**tomllib.loads(Path(FILE).read_text()))"
        )
    check_folder(folder)
    check_scheduler(scheduler)
    check_tools()
    points = points_of(settings)
    with ExitStack() as stack:
        # First what may refuse, then the folder, which is written to at once.
        client = None
        if scheduler != SERIAL and _todo(points, Path(folder)):
            client = stack.enter_context(connected(scheduler, settings))
        root = stack.enter_context(_opened(folder, settings))
        todo, failed = _todo(points, root), list[Outcome]()
        _write_failures(failed, root)
        bar = stack.enter_context(
            tqdm(total=len(points), initial=len(points) - len(todo), unit=" points", disable=None)
        )
        try:
            for outcome in _outcomes(client, todo, root, settings.retries):
                bar.update()
                if outcome.cause:
                    failed.append(outcome)
                    _write_failures(failed, root)  # for a report while the rest goes on
        except BaseException:
            with suppress(OSError):  # what ended it is what is told
                write_table(points, root)
            raise
        failed += write_table(points, root)
        _write_failures(failed, root)
    return Sweep(Path(folder), points, len(points) - len(todo), failed, Path(folder) / TABLE)


@contextmanager
def _opened(folder: str | os.PathLike[str], settings: SweepSettings) -> Iterator[Path]:
    """The run's folder; one that cannot be written is bad input, as nothing is computed yet."""
    with ExitStack() as stack:
        try:
            run = stack.enter_context(open_growing_run(folder, settings))
        except OSError as error:
            raise InputError(
                f"{error.filename or folder}: {error.strerror or error}; give another folder"
            ) from None
        yield run.resolve()  # workers are elsewhere


def _write_failures(failed: Sequence[Outcome], root: Path) -> None:
    told = [{"point": point.last.key, "cause": cause} for point, cause in failed]
    write_bytes(root / FAILURES, (json.dumps(told, indent=1) + "\n").encode())


def _todo(points: Sequence[AnyPoint], root: Path) -> list[AnyPoint]:
    return [point for point in points if not point.last.done(root)]


def _outcomes(
    client: Client | None, todo: Sequence[AnyPoint], root: Path, retries: int
) -> Iterator[Outcome]:
    if client is None:
        return serially(todo, root)
    if sys.stderr.isatty():
        print(f"dashboard: {client.dashboard_link}", file=sys.stderr, flush=True)
    return by_dask(client, todo, root, retries)
