"""The whole of `psiprune report`: collect a sweep's table, draw, write the page."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from psiprune.config import SweepSettings
from psiprune.figures import plot_multiples, plot_phase_diagram, plot_prunable, save_figures
from psiprune.inputs import InputError
from psiprune.provenance import facts_of
from psiprune.report.page import Provenance, write_report
from psiprune.report.sweep import sweep_report
from psiprune.runs import read_provenance
from psiprune.sweeping.ends import ends_of
from psiprune.sweeping.grid import grid_of
from psiprune.sweeping.points import AnyPoint, points_of
from psiprune.sweeping.run import FAILURES
from psiprune.sweeping.table import read_table, write_table
from psiprune.sweeping.whole import Run


class Reported(NamedTuple):
    """What was written, and how far the sweep is."""

    page: Path
    points: int
    done: int
    failed: int


def report_on(folder: str | os.PathLike[str]) -> Reported:
    """Write sweep.parquet, figures/ and report.html of what is done so far; it may still run.

    Raises:
        InputError: the folder holds no sweep, or a file in it is damaged.
        OSError: the folder cannot be written.
    """
    root = Path(folder)
    config = root / "config.toml"
    try:
        text = config.read_text()
        settings = SweepSettings(**tomllib.loads(text))
        provenance = read_provenance(root / "provenance.json")
    except (OSError, ValueError) as error:
        raise InputError(f"{root}: holds no sweep that can be read: {error}") from None
    points = points_of(settings)
    unread = write_table(points, root)
    rows = read_table(root)
    done = len({row["point"] for row in rows})
    # Fractions prunable are of studies alone.
    levels = [row for row in rows if row.get("prunable") is not None]
    grid = grid_of(levels) if levels else None
    runs = {point.last.key for point in points if isinstance(point, Run)}
    figures = {}
    if grid is not None:
        figures = {
            "prunable": plot_prunable(grid),
            "phases": plot_phase_diagram(grid),
            "multiples": plot_multiples(grid),
        }
        save_figures(figures, root / "figures")
    failures = [*_failures(root, points), *(_failure(*each) for each in unread)]
    report = sweep_report(
        grid,
        len(points),
        done,
        failures,
        figures,
        Provenance(facts_of(provenance), text),
        "psiprune sweep config.toml --out FOLDER && psiprune report FOLDER",
        experiment=settings.experiment,
        ends=ends_of([row for row in rows if row["point"] in runs]),
    )
    page = write_report(root / "report.html", report)
    return Reported(page, len(points), done, len(failures))


def _failures(root: Path, points: Sequence[AnyPoint]) -> list[dict[str, str]]:
    """The failures of the last start that are failures still, with what the points are."""
    file = root / FAILURES
    try:
        listed = json.loads(file.read_text()) if file.exists() else []
        told = [(str(each["point"]), str(each["cause"])) for each in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error!r}; delete it") from None
    known = {point.last.key: point for point in points}
    return [
        _failure(known[key], cause)
        for key, cause in told
        if key in known and not known[key].last.done(root)
    ]


def _failure(point: AnyPoint, cause: str) -> dict[str, str]:
    return {"point": point.last.key, "cause": cause, "what": point.what}
