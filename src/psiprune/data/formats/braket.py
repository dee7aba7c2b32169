"""Shots of gate-model tasks on Amazon Braket: the task result as JSON.

A shot is a list of bits, one for each number in `measuredQubits`. Analog (QuEra) results of Braket
have a schema of their own: `quera.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import (
    File,
    ParsedShots,
    as_bits,
    bits_of_strings,
    brief,
    expand_counts,
    part,
)
from psiprune.data.formats.quera import is_analog, read_quera
from psiprune.data.formats.settings import ReadSettings

_BITS: dict[Any, int] = {0: 0, 1: 1, "0": 0, "1": 1}


def read_braket(file: File, settings: ReadSettings) -> ParsedShots:
    """Bits of `GateModelTaskResult` (results.json of a task), or of `measurement_counts`.

    Columns stand as `measuredQubits` lists them; where its numbers do not rise, `order` must say
    "listed" (as the circuit measures them) or "numbered" (by number). In counts the first character
    is the first qubit.

    Raises:
        InputError: only probabilities, no measurements, rows that do not fit the measured qubits,
            or an order that is not told.
    """
    place, data = str(file.path), file.json
    if is_analog(data):
        return read_quera(file, settings)
    if not isinstance(data, dict):
        raise InputError(f"{place}: needs a task result as an object, found {brief(data)}")
    if "measuredQubits" not in data and "braketSchemaHeader" not in data:
        return _read_counts(data, settings, place)
    measurements = data.get("measurements")
    if measurements is None:
        probabilities = data.get("measurementProbabilities") is not None
        what = "only measurementProbabilities" if probabilities else "no measurements"
        raise InputError(
            f"{place}: has {what}, so the number of shots behind each outcome is not known; run "
            "the task with shots > 0, and save measurements"
        )
    qubits = part(data, "measuredQubits", list, place)
    if not all(isinstance(qubit, int) for qubit in qubits) or len(set(qubits)) < len(qubits):
        found = str(qubits)[:60]
        raise InputError(f"{place}: measuredQubits must be numbers that differ, found {found}")
    rows = part(data, "measurements", list, place)
    bits = as_bits(_table(rows, len(qubits), place), place)
    numbered = np.argsort(qubits, kind="stable")
    names = ", ".join(map(str, qubits))
    rising = bool((numbered == np.arange(len(qubits))).all())
    if settings.order is None and not rising:
        raise InputError(
            f"{place}: the qubits were measured in the order {names[:80]}; say which is site 0 by "
            "--order listed (the first of these) or --order numbered (the lowest)"
        )
    if settings.order == "numbered":
        bits, names = bits[:, numbered], ", ".join(map(str, sorted(qubits)))
    return ParsedShots(bits, f"sites are the qubits {names}", notes={"qubits": names})


def _table(rows: list[Any], sites: int, place: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bits [shot, site] of lists of 0 and 1, as numbers or as strings: both occur."""
    out = []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != sites:
            raise InputError(
                f"{place}: shot {number} must be a list of {sites} bits, one for each measured "
                f"qubit, found {brief(row)}"
            )
        try:
            out.append([_BITS[bit] for bit in row])
        except (KeyError, TypeError):
            wrong = next(bit for bit in row if not isinstance(bit, int | str) or bit not in _BITS)
            raise InputError(
                f"{place}: shot {number}: a bit must be 0 or 1, found {brief(wrong)}"
            ) from None
    return np.array(out, dtype=np.uint8).reshape(len(rows), sites)


def _read_counts(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """`result.measurement_counts`: big-endian, the first character is the first measured qubit."""
    if not data:
        raise InputError(f"{place}: holds no outcomes; it needs at least one shot")
    if settings.order == "numbered":
        raise InputError(f"{place}: order: counts do not name the qubits; take listed or reversed")
    outcomes = bits_of_strings(list(data), place)
    bits = expand_counts(outcomes, data.values(), place)
    return ParsedShots(bits, "site 0 is the first character, the first measured qubit")
