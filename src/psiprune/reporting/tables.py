"""Text tables: aligned columns within 100 characters, numbers and bands as cells, warnings."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from psiprune.core.statistics import QUANTILES
from psiprune.core.text import escape, line_width

if TYPE_CHECKING:
    import xarray as xr

#: The most characters of a printed line, fewer in narrower terminals.
WIDTH = 100
#: Measures by sums over all states where these are feasible, and their headings.
BIASES = (
    ("kl", "KL (nat)"),
    ("infidelity", "1 - F"),
    ("energy_bias", "E bias"),
    ("abs_magnetization_bias", "|m| bias"),
    ("correlation_mse", "C_MSE"),
)
#: Heading, key of the value in a row, and the value's format or the function that formats it.
Column = tuple[str, str, str | Callable[[Any], str]]


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], keys: int = 1) -> str:
    """Return rows under headings as aligned text.

    A table wider than `WIDTH` continues below itself, with its first `keys` columns repeated.
    """
    rows = list(rows)
    cells = [[heading, *(cell(row[key], form) for row in rows)] for heading, key, form in columns]
    return _in_parts([list(row) for row in zip(*cells, strict=True)], keys, line_width(WIDTH))


def align(rows: list[list[str]]) -> str:
    """Return rows of cells as lines: the first column flush left, all others flush right.

    A table wider than the terminal continues below itself, with its first column repeated.
    """
    return _in_parts(rows, 1, line_width(sys.maxsize))


def _in_parts(rows: list[list[str]], keys: int, most: int) -> str:
    """Align rows in as many tables as `most` characters need, each with the first `keys` columns.

    A column that does not fit beside these becomes lines "key: cell".
    """
    cells = [[escape(cell) for cell in column] for column in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in cells]
    parts: list[list[int]] = [[]]
    for k in range(keys, len(cells)):
        shown = [*range(keys), *parts[-1], k]
        if parts[-1] and sum(widths[j] + 2 for j in shown) > most + 2:
            parts.append([])
        parts[-1].append(k)
    tables = []
    for part in parts:
        shown = [*range(keys), *part]
        lines = [[column[line] for column in cells] for line in range(len(rows))]
        if part and sum(widths[k] + 2 for k in shown) > most + 2:  # its only column
            tables.append([wrap(f"{' '.join(line[:keys])}: {line[part[0]]}") for line in lines])
        else:
            padded = (
                [line[k].rjust(widths[k]) if k else line[k].ljust(widths[k]) for k in shown]
                for line in lines
            )
            tables.append(["  ".join(line).rstrip() for line in padded])
    return "\n\n".join(map("\n".join, tables))


def wrap(text: str) -> str:
    """Break a sentence into lines of at most `WIDTH` characters, all but the first indented."""
    width = line_width(WIDTH)
    return textwrap.fill(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def number(value: float | None, form: str) -> str:
    """Format a value; "-" if it is None or not finite."""
    return format(value, form) if value is not None and math.isfinite(value) else "-"


def cell(value: Any, form: str | Callable[[Any], str]) -> str:
    """Format a value for a table: by a function, a string as it is, else by `number`."""
    if callable(form):
        return form(value)
    return value if isinstance(value, str) else number(value, form)


def warning_lines(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each distinct warning of the (name, warning) pairs, with all its names."""
    names: dict[str, list[str]] = {}
    for name, warning in warnings:
        if warning:
            names.setdefault(warning, []).append(name)
    return [wrap(f"warning: {', '.join(found)}: {text}") for text, found in names.items()]


def band_numbers(values: xr.DataArray) -> dict[str, float]:
    """Return the median of all values, and their 16 % and 84 % quantiles as `low` and `high`.

    NaN if no value is known.
    """
    if not values.notnull().any():  # NumPy would warn
        return dict.fromkeys(("median", "low", "high"), float("nan"))
    low, middle, high = (float(values.quantile(q)) for q in QUANTILES)
    return {"median": middle, "low": low, "high": high}


def band_text(band: Mapping[str, float]) -> str:
    """Format what `band_numbers` returns as "median (low to high)", "-" if none is known."""
    if math.isnan(band["median"]):
        return "-"
    return f"{band['median']:.2g} ({band['low']:.2g} to {band['high']:.2g})"


def ratio_text(comparison: Mapping[str, Any]) -> str:
    """Format a `Paired` comparison, given as a mapping, as "ratio (p)", "-" without pairs."""
    if not comparison["pairs"]:
        return "-"
    return f"{number(comparison['ratio'], '.2f')} ({comparison['p']:.2g})"
