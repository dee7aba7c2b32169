"""Readout errors as tables: text with one line per qubit, and arrays."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import SourceFile, brief, short
from psiprune.data.formats.lines import numbered_lines
from psiprune.data.formats.numpy import load_npy
from psiprune.data.readout_devices import DeviceRates, Rates, number

#: Names of columns, in lower case without anything but letters and digits.
_ZERO = ("p10", "probmeas1prep0")
_ONE = ("p01", "probmeas0prep1")
_BOTH = ("rate", "readouterror", "readoutassignmenterror")
#: What the name of the column with its standard error adds to that of a rate.
_ERROR = "error"
_QUBIT = ("qubit", "site")
_HEADER = "name the columns p10 for p(1|0) and p01 for p(0|1), or rate for both"


def read_array(file: SourceFile) -> DeviceRates:
    """Read a .npy array [qubit, 2] of p(1 | 0) and p(0 | 1), or [qubit] of equal ones."""
    return rates_of_rows(load_npy(file), file.place)


def rates_of_rows(rows: Any, place: str) -> DeviceRates:
    """Return the rates of an array or of nested lists, [qubit, 2] or [qubit]."""
    try:
        table = np.asarray(rows)
    except ValueError:  # rows of different lengths
        table = np.empty(0, object)
    if table.ndim == 1:
        table = table[:, None]
    numeric = table.dtype.kind in "iuf" and table.size > 0
    if not numeric or table.ndim != 2 or table.shape[1] not in (1, 2):
        shape = brief(rows) if isinstance(rows, list) else f"shape {np.shape(rows)}"
        raise InputError(
            f"{place}: must hold numbers [site, 2], p(1|0) and p(0|1) of each site, or [site], "
            f"found {shape}"
        )
    pairs = {str(k): Rates(float(row[0]), float(row[-1])) for k, row in enumerate(table)}
    return DeviceRates("", pairs, places={name: f"row {name}" for name in pairs})


def read_table(file: SourceFile) -> DeviceRates:
    """Read text with one line per qubit: one rate, or p(1 | 0) and p(0 | 1).

    A header may name the columns, also of the table of calibrations that IBM's platform exports:
    p10 or "Prob meas1 prep0", p01 or "Prob meas0 prep1", rate or "Readout assignment error", and
    qubit or site; p10_error and p01_error, or rate_error, are standard errors. All other columns
    are then ignored, and empty cells are rates or errors not given.

    Raises:
        InputError: a value is not a number, lines differ in length, the header names no rates, or
            a qubit occurs twice; the message names the line, counted from 1.
    """
    lines = [(number, _split(line)) for number, line in numbered_lines(file, 0)]
    if not lines:
        raise InputError(f"{file.place}: holds only comments; it needs one line of rates per site")
    width, columns = len(lines[0][1]), [0, -1]
    name_column: int | None = None
    if not any(map(_is_number, lines[0][1])):
        columns, name_column = _columns(lines.pop(0)[1], file.place)
    elif width > 2:
        raise InputError(
            f"{file.place}: line {lines[0][0]} has {width} values, but a line must hold one rate, "
            f"or p(1|0) and p(0|1); for a table of more columns, {_HEADER} in a first line"
        )
    rates: dict[str, Rates | None] = {}
    places: dict[str, str] = {}
    for k, (line, cells) in enumerate(lines):
        place = f"{file.place}: line {line}"
        if len(cells) != width:
            raise InputError(f"{place} has {len(cells)} values, but the first line has {width}")
        name = str(k) if name_column is None else _qubit(cells[name_column], place)
        if name in rates:
            raise InputError(f"{place}: qubit {name} occurs twice; give each qubit one line")
        rates[name] = _rates([cells[column] for column in columns], place)
        places[name] = f"line {line}"
    return DeviceRates("", rates, places=places)


def _split(line: str) -> list[str]:
    separator = next((mark for mark in ",;\t" if mark in line), None)
    if separator is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(header: Sequence[str], place: str) -> tuple[list[int], int | None]:
    """Return the columns of p(1 | 0) and p(0 | 1) and of their errors, and that of the name."""
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]

    def first(known: Sequence[str]) -> int | None:
        return next((k for k, name in enumerate(names) if name in known), None)

    zero, one, both = first(_ZERO), first(_ONE), first(_BOTH)
    *pair_errors, error = (
        first([f"{name}{_ERROR}" for name in known]) for known in (_ZERO, _ONE, _BOTH)
    )
    if zero is not None and one is not None:
        rates, errors = [zero, one], pair_errors
    elif both is not None and zero is None and one is None:
        rates, errors = [both, both], [error, error]
    else:
        found = ", ".join(short(name) for name in header[:8])
        raise InputError(f"{place}: the header names no pair of rates; {_HEADER}, found {found}")
    known_errors = [column for column in errors if column is not None]
    if len(known_errors) == 1:
        raise InputError(
            f"{place}: the header names the error of one rate, {short(header[known_errors[0]])}; "
            "name p10_error and p01_error, or neither"
        )
    return rates + known_errors, first(_QUBIT)


def _rates(cells: Sequence[str], place: str) -> Rates | None:
    """Return the rates in cells of p(1 | 0) and p(0 | 1) and maybe of their errors."""
    zero, one, *errors = cells
    if not zero or not one:
        return None
    pair = number(zero, place), number(one, place)
    if not any(errors):
        return Rates(*pair)
    if not all(errors):
        raise InputError(f"{place}: states the error of one rate; state both, or neither")
    return Rates(*pair, errors=(number(errors[0], place), number(errors[1], place)))


def _qubit(cell: str, place: str) -> str:
    """Return the number at the end of a qubit's name: 3 of "Q3"."""
    match = re.fullmatch(r"[A-Za-z_ ]*0*(\d+)", cell)
    if match is None:
        raise InputError(f"{place}: the qubit must be a number, found {short(cell)}")
    return match.group(1)
