"""The commands `sweep`, `query` and `report`: experiments over a grid, and their results."""

from __future__ import annotations

from pathlib import Path

from psiprune.cli.app import chosen_settings, command_line, show
from psiprune.cli.options import Json, OutOption
from psiprune.core.exceptions import InputError
from psiprune.sweeps.settings import SweepSettings


def sweep_command(
    config: Path,
    /,
    *,
    out: OutOption = None,
    scheduler: str | None = None,
    slurm: bool = False,
    pbs: bool = False,
    dry_run: bool = False,
    json: Json = False,
) -> None:
    """Run an experiment over a grid, on all cores or a cluster; rerun to resume.

    Args:
        config: TOML file with the experiment, [study] (settings of psiprune study), [sparse],
            [ablation], [frontier], [masks] or [entanglement]; [[grid]] blocks with product, zip and
            points over its settings; and [slurm] or [pbs]; see the page Sweeps on a cluster
        out: folder of the sweep, on a disk that all workers share (default: runs/NAME, with NAME of
            the TOML file)
        scheduler: address of a running Dask scheduler, or serial for a single process (default: one
            worker per core of this machine)
        slurm: run workers as Slurm jobs, with the settings in [slurm] of the TOML file
        pbs: run workers as PBS jobs, with the settings in [pbs] of the TOML file
        dry_run: only print the points, the stages they share and an estimate of the core-hours
    """
    from psiprune.sweeps.api import sweep
    from psiprune.sweeps.plan import plan, point_rows
    from psiprune.sweeps.points import points_of
    from psiprune.sweeps.tables import plan_numbers, plan_text, sweep_numbers, sweep_text

    if (scheduler is not None) + slurm + pbs > 1:
        raise InputError("--scheduler, --slurm, --pbs: cannot be combined; give one of them")
    settings = chosen_settings(SweepSettings, None, config)
    folder = out if out is not None else Path("runs") / config.stem
    if dry_run:
        points, planned = point_rows(points_of(settings)), plan(settings, folder)
        show({"points": points, **plan_numbers(planned)}, plan_text(points, planned), json)
        return
    engine = "slurm" if slurm else "pbs" if pbs else "local" if scheduler is None else scheduler
    result = sweep(settings, folder, engine)
    show(sweep_numbers(result), sweep_text(result), json, command_line("report", folder))
    if result.failed:
        raise RuntimeError(
            f"{len(result.failed)} of {len(result.points)} points failed; the first: "
            f"{result.failed[0].cause}"
        )


def query_command(sql: str, folder: Path, /, *, json: Json = False) -> None:
    """Query the results of a sweep, a table named `levels`, in SQL (DuckDB).

    Args:
        sql: query, such as "select sites, field, median(prunable) from levels where level = 0 group
            by all"
        folder: folder of the sweep
    """
    from psiprune.sweeps.query import query
    from psiprune.sweeps.tables import rows_numbers, rows_text

    rows = query(sql, folder)
    show(rows_numbers(rows), rows_text(rows), json)


def report_command(folder: Path, /, *, json: Json = False) -> None:
    """Write an HTML report with figures on the finished points of a sweep.

    Args:
        folder: folder of the sweep, where report.html, figures/ and the table are written
    """
    from psiprune.sweeps.report import report_on
    from psiprune.sweeps.tables import report_text

    report = report_on(folder)
    then = command_line("query", report.query, folder)
    show({**report._asdict(), "page": str(report.page)}, report_text(report), json, then)
