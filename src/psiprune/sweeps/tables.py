"""Sweeps, their plans and answers to queries as plain text and as numbers for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from psiprune.core.text import counted
from psiprune.reporting.tables import align, number, wrap
from psiprune.sweeps.points import methods_of_points
from psiprune.sweeps.table import TABLE

if TYPE_CHECKING:
    from psiprune.sweeps.api import Sweep
    from psiprune.sweeps.plan import Planned
    from psiprune.sweeps.query import Rows
    from psiprune.sweeps.report import Reported

#: Most points of a plan that are printed, and most characters of a cell.
_MOST, _LONGEST = 20, 2000


def sweep_text(sweep: Sweep) -> str:
    """Return how many points are done, the methods they share, and where the results are."""
    new = sweep.done - sweep.before
    counts = f"{counted(len(sweep.points), 'point')}: {sweep.before} done before, {new} now"
    failed = f", {len(sweep.failed)} failed (causes in {sweep.causes.name})" if sweep.failed else ""
    methods = [
        f"{name}: {methods[0]}" if len(methods) == 1 else f"{name}: see the columns {name}_..."
        for name, methods in methods_of_points(sweep.points).items()
    ]
    return "\n".join([f"{counts}{failed}", *methods, f"{sweep.folder}: {sweep.table.name}"])


def sweep_numbers(sweep: Sweep) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "folder": str(sweep.folder),
        "points": len(sweep.points),
        "before": sweep.before,
        "done": sweep.done,
        "failed": [outcome.record for outcome in sweep.failed],
        "table": str(sweep.table),
        # A list, as the grid may vary the method.
        "methods": {
            name: [method.model_dump() for method in methods]
            for name, methods in methods_of_points(sweep.points).items()
        },
        "training_warnings": [],
    }


def report_text(report: Reported) -> str:
    """Return what a report says first, and the files written."""
    figures = [f"figures/{name}.png" for name in report.figures]
    files = ", ".join([report.page.name, TABLE, *figures])
    return "\n".join([*map(wrap, report.summary), f"{report.page.parent}: {files}"])


def plan_text(points: Sequence[Mapping[str, Any]], planned: Sequence[Planned]) -> str:
    """Return the time of a grid, its first points, and the stages by kind."""
    lines = [_aligned(list(points[0]), [list(point.values()) for point in points[:_MOST]])]
    if len(points) > _MOST:
        lines.append(f"and {len(points) - _MOST} more")
    rows = []
    for each in planned:
        hours = "unknown" if each.unknown else number(each.seconds / 3600, ".2g")
        rows.append([each.kind, each.uses, each.stages, each.done, each.stages - each.done, hours])
    head = ["stage", "needed", "shared as", "done", "to do", "core-hours"]
    pilots, unknown = (sum(getattr(p, name) for p in planned) for name in ("pilots", "unknown"))
    source = f"{pilots} rates measured by pilots here" if pilots else "rates of finished stages"
    excluded = f", without {unknown} complete runs of unknown rate" if unknown else ""
    total = f"{counted(len(points), 'point')}, about {_hours(planned):.2g} core-hours ({source})"
    return "\n".join([f"{total}{excluded}", "", *lines, "", _aligned(head, rows)])


def plan_numbers(planned: Sequence[Planned]) -> dict[str, Any]:
    """Return the stages for JSON."""
    return {
        "stages": [each._asdict() for each in planned],
        "core_hours": None if any(each.unknown for each in planned) else _hours(planned),
    }


def _hours(planned: Sequence[Planned]) -> float:
    return sum(each.seconds for each in planned) / 3600


def rows_text(rows: Rows) -> str:
    """Return the answer to a query as aligned columns."""
    return _aligned(rows.names, rows.rows)


def rows_numbers(rows: Rows) -> dict[str, Any]:
    """Return the same for JSON, an object for each row."""
    return {
        "rows": [dict(zip(rows.names, map(_json_value, row), strict=True)) for row in rows.rows]
    }


def _aligned(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return align([list(names), *([_cell(value) for value in row] for row in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _json_value(value: Any) -> Any:
    """Return a value that JSON has; anything else, such as a decimal or a date, as text."""
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    return value if value is None or isinstance(value, int | float | str) else str(value)
