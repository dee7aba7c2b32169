"""`psiprune sweep`, `query` and `report`: experiments over a grid, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from psiprune.cli.app import app, chosen_settings, show
from psiprune.cli.experiments import Folder
from psiprune.core.exceptions import InputError
from psiprune.sweeps.settings import SweepSettings

Flag = Annotated[bool, Parameter(negative=())]


@app.command(name="sweep")
def sweep_command(
    config: Path,
    *,
    out: Folder = None,
    scheduler: str | None = None,
    slurm: Flag = False,
    pbs: Flag = False,
    dry_run: Flag = False,
    json: bool = False,
) -> None:
    """Run an experiment over a grid, on all cores or a cluster, by Dask; a second start goes on.

    Parameters
    ----------
    config
        TOML file: [study] as for `psiprune study`, or [sparse], [ablation] or [frontier], [[grid]]
        blocks with product, zip and points over its settings, [slurm] or [pbs]; see docs/sweep.md
    out
        folder of the sweep, on a disk that all workers see; runs/NAME of the file if not given
    scheduler
        address of a Dask scheduler that runs, or serial: this process alone; one worker a core of
        this machine if not given
    slurm
        workers as jobs of Slurm, as the file's [slurm] says
    pbs
        the same of PBS
    dry_run
        tell points, shared stages and core-hours by measured rates, and do nothing
    json
        print one JSON object on standard output
    """
    from psiprune.sweeps.api import sweep
    from psiprune.sweeps.plan import plan, told
    from psiprune.sweeps.points import points_of
    from psiprune.sweeps.tables import (
        plan_numbers,
        plan_text,
        points_text,
        sweep_numbers,
        sweep_text,
    )

    if (scheduler is not None) + slurm + pbs > 1:
        raise InputError("scheduler: is one of --scheduler, --slurm and --pbs; choose")
    settings = chosen_settings(SweepSettings, None, config)
    folder = out if out is not None else Path("runs") / config.stem
    if dry_run:
        points, planned = told(points_of(settings)), plan(settings, folder)
        text = f"{points_text(points)}\n\n{plan_text(planned)}"
        show({"points": points, **plan_numbers(planned)}, text, json)
        return
    engine = "slurm" if slurm else "pbs" if pbs else "local" if scheduler is None else scheduler
    found = sweep(settings, folder, engine)
    show(sweep_numbers(found), sweep_text(found), json)
    if found.failed:
        raise RuntimeError(
            f"{len(found.failed)} of {len(found.points)} points failed; the first: "
            f"{found.failed[0].cause}"
        )


@app.command(name="query")
def query_command(sql: str, folder: Path, *, json: bool = False) -> None:
    """Ask the table of a sweep in SQL, by DuckDB; it is called `levels`.

    Parameters
    ----------
    sql
        such as "select sites, field, median(prunable) from levels where level = 0 group by all"
    folder
        of the sweep
    json
        print one JSON object on standard output
    """
    from psiprune.sweeps.table import query
    from psiprune.sweeps.tables import rows_numbers, rows_text

    rows = query(sql, folder)
    show(rows_numbers(rows), rows_text(rows), json)


@app.command(name="report")
def report_command(folder: Path, *, json: bool = False) -> None:
    """Write a page with figures on a sweep, on what of it is done so far.

    Parameters
    ----------
    folder
        of the sweep; report.html, figures/ and the table go there
    json
        print one JSON object on standard output
    """
    from psiprune.sweeps.report import report_on

    found = report_on(folder)
    text = f"{found.done} of {found.points} points done, {found.failed} failed\n{found.page}"
    show({**found._asdict(), "page": str(found.page)}, text, json)
