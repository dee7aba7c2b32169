"""What tables have in common: aligned columns, numbers as text, warnings, medians with bands."""

from __future__ import annotations

import math
from collections.abc import Iterable

import xarray as xr

from psiprune.core.statistics import QUANTILES, Paired

#: Measures without sampling, where they are known so, and their names in a table.
BIASES = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_bias", "E bias"),
    ("abs_magnetization_bias", "|m| bias"),
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


def band_numbers(values: xr.DataArray) -> dict[str, float]:
    """Median of all values, and where 16 and 84 % of them lie."""
    low, middle, high = (float(values.quantile(q)) for q in QUANTILES)
    return {"median": middle, "low": low, "high": high}


def band_text(values: xr.DataArray) -> str:
    """The same as "median (low to high)"."""
    found = band_numbers(values)
    return f"{found['median']:.2g} ({found['low']:.2g} to {found['high']:.2g})"


def ratio_text(found: Paired) -> str:
    """A comparison seed by seed as "ratio (p)"."""
    ratio = f"{found.ratio:.2f}" if math.isfinite(found.ratio) else "-"
    return f"{ratio} ({found.p:.2g})"
