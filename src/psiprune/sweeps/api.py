"""Run a sweep: open its folder, make what is missing, collect the table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.progress import count, progress_bar
from psiprune.core.repr import notebook_table
from psiprune.io.netcdf import write_bytes
from psiprune.io.run import open_growing_run
from psiprune.sweeps.cluster import LOCAL, SERIAL, connected
from psiprune.sweeps.points import AnyPoint, Outcome, points_of
from psiprune.sweeps.repeated_warnings import repeat_warnings_of_done
from psiprune.sweeps.scheduler import run_on_dask, run_serially
from psiprune.sweeps.settings import SweepSettings
from psiprune.sweeps.table import TABLE, check_folder, import_arrow, write_table

FAILURES = "failures.json"


@notebook_table("folder", "done", "failed", "table")
class Sweep(NamedTuple):
    """State of a sweep after a call of `sweep`.

    Attributes:
        folder: of the sweep.
        points: all points of the grid.
        before: number of points that were done before the call.
        failed: points that are not done now, each with its cause.
        table: Parquet file of all points that are done.
    """

    folder: Path
    points: Sequence[AnyPoint]
    before: int
    failed: Sequence[Outcome]
    table: Path

    def __repr__(self) -> str:
        """Return folder and counts in one line."""
        return f"Sweep({self.folder}: {self.done} of {len(self.points)} points done)"

    @property
    def causes(self) -> Path:
        """The file that lists failures with their causes."""
        return self.folder / FAILURES

    @property
    def done(self) -> int:
        """Number of points that are done."""
        return len(self.points) - len(self.failed)


def sweep(settings: SweepSettings, folder: str | os.PathLike[str], scheduler: str = LOCAL) -> Sweep:
    """Run the points of a grid that are not done yet.

    A point of a study is one RBM: one field, one seed. A point of another experiment, or of a study
    with `until` or `rewind_epoch`, is a complete run with all its fields and seeds. The numbers are
    those of `run_study`, `run_sparse` and so on, bit for bit. Points that share a ground state,
    shots or a dense RBM share the file. A later call with another grid adds new points to the
    folder; the table holds the grid of the last call.

    Args:
        settings: the experiment, its grid, and machines.
        folder: of the sweep, on a disk that all workers see.
        scheduler: "local", one worker for each core of this machine; "serial", this process alone;
            "slurm" or "pbs", jobs as that section of the settings says; or the address of a Dask
            scheduler. Workers of "local" import the calling program, so it must call this under
            `if __name__ == "__main__":`.

    Raises:
        InputError: the settings are of another type, the folder belongs to something else or cannot
            be written, the scheduler cannot be reached, or all workers are incompatible.
        SchedulerLostError: the connection to the scheduler was lost; call again to resume.
    """
    if not isinstance(settings, SweepSettings):
        raise InputError(
            f"settings: must be SweepSettings, found {type(settings).__name__}; for a file use "
            "SweepSettings(**tomllib.loads(Path(FILE).read_text()))"
        )
    check_folder(folder)
    if not isinstance(scheduler, str) or not scheduler.strip():
        raise InputError(
            "scheduler: must be local, serial, slurm, pbs or the address of a Dask scheduler, such "
            f"as tcp://10.0.0.1:8786, found {scheduler!r}; leave it out for local"
        )
    import_arrow()  # before anything is computed
    points = points_of(settings)
    with ExitStack() as stack:
        # Connect first, since opening the folder writes to it.
        client = None
        if scheduler != SERIAL and _not_done(points, Path(folder)):
            client = stack.enter_context(connected(scheduler, settings))
        try:
            run = stack.enter_context(open_growing_run(folder, settings))
        except OSError as error:  # bad input, as nothing is computed yet
            raise InputError(
                f"{error.filename or folder}: {error.strerror or error}; use another folder"
            ) from None
        root = run.resolve()  # workers have other working directories
        remaining, failed = _not_done(points, root), list[Outcome]()
        before = len(points) - len(remaining)
        repeat_warnings_of_done(points, root)
        _write_failures(failed, root)
        stack.enter_context(progress_bar(len(remaining), "sweep", "points"))
        if client is None:
            outcomes = run_serially(remaining, root)
        else:
            if scheduler != LOCAL and sys.stderr.isatty():
                print(f"dashboard: {client.dashboard_link}", file=sys.stderr, flush=True)
            outcomes = run_on_dask(client, remaining, root, settings.retries)
        try:
            for outcome in outcomes:
                count("points")
                if outcome.cause:
                    failed.append(outcome)
                    _write_failures(failed, root)  # for a report while the sweep continues
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                write_table(points, root)
            raise
        failed += write_table(points, root)
        _write_failures(failed, root)
    return Sweep(Path(folder), points, before, failed, Path(folder) / TABLE)


def _write_failures(failed: Sequence[Outcome], root: Path) -> None:
    records = [outcome.record for outcome in failed]
    write_bytes(root / FAILURES, (json.dumps(records, indent=1) + "\n").encode())


def _not_done(points: Sequence[AnyPoint], root: Path) -> list[AnyPoint]:
    return [point for point in points if not point.last.done(root)]
