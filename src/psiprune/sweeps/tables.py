"""Sweeps and their plans, and answers to queries -> plain text and plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from psiprune.reporting.tables import align, number

if TYPE_CHECKING:
    from psiprune.sweeps.api import Sweep
    from psiprune.sweeps.plan import Planned
    from psiprune.sweeps.table import Rows

#: Points of a plan that are printed.
_MOST = 20


def sweep_text(found: Sweep) -> str:
    """How many points are done, and where everything is."""
    new = found.done - found.before
    counts = f"{len(found.points)} points: {found.before} done before, {new} now"
    failed = f", {len(found.failed)} failed (causes in {found.causes.name})" if found.failed else ""
    return f"{counts}{failed}\n{found.folder}: {found.table.name}"


def sweep_numbers(found: Sweep) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "folder": str(found.folder),
        "points": len(found.points),
        "before": found.before,
        "done": found.done,
        "failed": [{"point": point.last.key, "cause": cause} for point, cause in found.failed],
        "table": str(found.folder / found.table.name),
    }


def points_text(points: Sequence[Mapping[str, Any]]) -> str:
    """The first points of a grid, one a line."""
    cells = [[_cell(value) for value in each.values()] for each in points[:_MOST]]
    more = [f"and {len(points) - _MOST} more"] if len(points) > _MOST else []
    return "\n".join([align([list(points[0]), *cells]), *more])


def plan_text(planned: Sequence[Planned]) -> str:
    """Stages by kind: how many, how many points share them, done, and the time of the rest."""
    rows = [["stage", "needed", "shared as", "done", "to do", "core-hours"]]
    for each in planned:
        todo = each.stages - each.done
        hours = "unknown" if each.unknown else number(each.seconds / 3600, ".2g")
        counts = (each.uses, each.stages, each.done, todo)
        rows.append([each.kind, *map(str, counts), hours])
    pilots = sum(each.pilots for each in planned)
    how = f"{pilots} rates by pilots on this machine" if pilots else "rates of what is done"
    unknown = sum(each.unknown for each in planned)
    beside = (
        f" beside {unknown} whole runs, whose rate is known once one of their settings is done"
        if unknown
        else ""
    )
    return f"{align(rows)}\nabout {_hours(planned):.2g} core-hours ({how}){beside}"


def plan_numbers(planned: Sequence[Planned]) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "stages": [each._asdict() for each in planned],
        "core_hours": None if any(each.unknown for each in planned) else _hours(planned),
    }


def _hours(planned: Sequence[Planned]) -> float:
    """All that is left to do, in hours of one core."""
    return sum(each.seconds for each in planned) / 3600


def rows_text(rows: Rows) -> str:
    """The rows of an answer as aligned columns."""
    return align([list(rows.names), *([_cell(value) for value in row] for row in rows.rows)])


def rows_numbers(rows: Rows) -> dict[str, Any]:
    """The same for JSON: a list of objects, one a row."""
    return {
        "rows": [
            {name: _value(each) for name, each in zip(rows.names, row, strict=True)}
            for row in rows.rows
        ]
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _value(value: Any) -> Any:
    """What JSON knows; all else, such as a decimal or a date, as text."""
    if isinstance(value, list):
        return [_value(each) for each in value]
    return value if value is None or isinstance(value, int | float | str) else str(value)
