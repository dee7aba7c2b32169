"""Reports and datasets -> plain text and plain numbers for a terminal or a JSON reader."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import xarray as xr

from psiprune.errors import Report

_STUDY_COLUMNS = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_roe", "eROE"),
    ("abs_magnetization_roe", "mROE"),
    ("correlation_mse", "C_MSE"),
)


def align(rows: list[list[str]]) -> str:
    """Rows of cells as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float | None, form: str) -> str:
    """The value in a format, "-" for what is not known or not finite."""
    return format(value, form) if value is not None and math.isfinite(value) else "-"


def warning_lines(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each warning of (name, warning), with all names that it holds for."""
    names: dict[str, list[str]] = {}
    for name, warning in warnings:
        if warning:
            names.setdefault(warning, []).append(name)
    return [f"warning: {', '.join(each)}: {warning}" for warning, each in names.items()]


def report_text(report: Report) -> str:
    """One line a measure: value, standard error, floor, effective sample size, method."""
    rows = [["measure", "value", "error", "floor", "ESS", "method"]]
    for name, measure in report:
        # An error of 0 alone does not say so: samples without spread have it too.
        exact = measure.effective_sample_size is None
        error = "exact" if exact else number(measure.error, ".1e")
        value, floor = number(measure.value, ".6g"), number(measure.floor, ".4g")
        size = number(measure.effective_sample_size, ".0f")
        rows.append([name, value, error, floor, size, measure.method])
    warnings = warning_lines((name, measure.warning) for name, measure in report)
    return "\n".join([align(rows), *warnings])


def report_numbers(report: Report) -> dict[str, Any]:
    """The same for JSON: name -> value, error, floor, method, warning, effective_sample_size."""
    return {name: vars(measure) for name, measure in report}


def study_text(study: xr.Dataset, every: int = 2) -> str:
    """Every second level of each field and the last: weights, parts, the median measures."""
    last = study.sizes["level"] - 1
    tables = []
    for field in study["field"].values:
        rows = [["pruned", "weights", "parts", *(label for _, label in _STUDY_COLUMNS)]]
        for level in sorted({*range(0, last, every), last}):
            here = study.sel(field=field).isel(level=level).median("seed")
            rows.append(
                [
                    f"{float(here['fraction_pruned']):.1%}",
                    f"{float(here['weights_kept']):.0f}",
                    f"{float(here['components']):g}",
                    *(number(float(here[name]), ".2g") for name, _ in _STUDY_COLUMNS),
                ]
            )
        tables.append(f"h/J = {field / study.attrs['coupling']:g}\n{align(rows)}")
    return "\n\n".join(tables)


def study_numbers(study: xr.Dataset) -> dict[str, Any]:
    """Medians over seeds for JSON: field -> list of levels."""
    names = ["fraction_pruned", "weights_kept", "components", *(name for name, _ in _STUDY_COLUMNS)]
    return {
        f"h={field:g}": [
            {name: float(study[name].sel(field=field).isel(level=k).median()) for name in names}
            for k in range(study.sizes["level"])
        ]
        for field in study["field"].values
    }
