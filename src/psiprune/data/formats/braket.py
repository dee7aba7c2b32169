"""Shots of gate-model tasks on Amazon Braket: the task result as JSON, or a program set's.

A shot is a list of bits, one for each number in `measuredQubits`. Analog (QuEra) results of Braket
have a schema of their own: `quera.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile, brief, part
from psiprune.data.formats.bits import as_bits, bits_of_counts
from psiprune.data.formats.braket_bases import letters_of_results
from psiprune.data.formats.braket_sets import is_program_set, read_executable
from psiprune.data.formats.names import refuse_key
from psiprune.data.formats.quera import is_analog, read_quera
from psiprune.data.formats.settings import ReadSettings

_BITS: dict[Any, int] = {0: 0, 1: 1, "0": 0, "1": 1}


def read_braket(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read `GateModelTaskResult` (results.json of a task), `measurement_counts`, or a program set.

    Columns are in the order of `measuredQubits`. If its numbers do not rise, `order` must say
    "listed" (as the circuit measures them) or "numbered" (by qubit number). In counts the first
    character is the first measured qubit. Of a program set `key` chooses program and executable.
    The basis is that of the observables that the circuit asks for.

    Raises:
        InputError: the file holds only probabilities or no measurements, rows do not fit the
            measured qubits, or `order` is needed and missing.
    """
    place, data = file.place, file.json
    if is_analog(data):
        if settings.order == "numbered":
            raise InputError(
                f"{place}: order: analog results do not number atoms; use 'listed' or 'reversed'"
            )
        return read_quera(file, settings)
    if not isinstance(data, dict):
        raise InputError(f"{place}: needs a task result as an object, found {brief(data)}")
    if is_program_set(data):
        return _read_measured(*read_executable(file, settings), settings)
    refuse_key(settings.key, "a result of one circuit", place)
    if "measuredQubits" not in data and "braketSchemaHeader" not in data:
        if settings.order == "numbered":
            raise InputError(
                f"{place}: order: counts do not name the qubits; use 'listed' or 'reversed'"
            )
        bits = bits_of_counts(data, place)
        return ParsedShots(bits, "site 0 is the first character, the first measured qubit")
    return _read_measured(data, None, place, settings)


def _read_measured(
    data: dict[str, Any], letters: dict[int, str] | None, place: str, settings: ReadSettings
) -> ParsedShots:
    """Read the measurements, or the counts of a program set, of the qubits measured.

    Without `letters`, the operators measured by qubit, those of the result types are taken.
    """
    counts = data.get("measurement_counts")
    if data.get("measurements") is None and counts is None:
        only = data.get("measurementProbabilities") is not None
        what = "only measurementProbabilities" if only else "no measurements"
        raise InputError(
            f"{place}: has {what}, so there are no shots to read; run the task with shots > 0 and "
            "save its measurements"
        )
    qubits = part(data, "measuredQubits", list, place)
    if not all(isinstance(qubit, int) for qubit in qubits) or len(set(qubits)) < len(qubits):
        raise InputError(
            f"{place}: measuredQubits must be distinct integers, found {str(qubits)[:60]}"
        )
    if counts is None:
        bits = as_bits(_table(part(data, "measurements", list, place), len(qubits), place), place)
    else:
        bits = bits_of_counts(counts, place)
        if bits.shape[1] != len(qubits):
            raise InputError(
                f"{place}: outcomes have {bits.shape[1]} bits, but {len(qubits)} qubits were "
                "measured"
            )
    if letters is None:
        letters = letters_of_results(data, qubits, place)
    basis = "".join(letters.get(qubit, "Z") for qubit in qubits) if letters else None
    numbered = np.argsort(qubits, kind="stable")
    names = ", ".join(map(str, qubits))
    if settings.order is None and (numbered != np.arange(len(qubits))).any():
        raise InputError(
            f"{place}: the qubits were measured in the order {names[:80]}; say which is site 0 by "
            "--order listed (the first of these) or --order numbered (the lowest)"
        )
    if settings.order == "numbered":
        bits, names = bits[:, numbered], ", ".join(map(str, sorted(qubits)))
        basis = basis and "".join(basis[column] for column in numbered)
    return ParsedShots(bits, f"sites are the qubits {names}", notes={"qubits": names}, basis=basis)


def _table(rows: list[Any], sites: int, place: str) -> Bits:
    """Return bits [shot, site] of lists of 0 and 1; vendors write numbers as well as strings."""
    table = []
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != sites:
            raise InputError(
                f"{place}: shot {number} must be a list of {sites} bits, one for each measured "
                f"qubit, found {brief(row)}"
            )
        try:
            table.append([_BITS[bit] for bit in row])
        except (KeyError, TypeError):
            wrong = next(bit for bit in row if not isinstance(bit, int | str) or bit not in _BITS)
            raise InputError(
                f"{place}: shot {number}: a bit must be 0 or 1, found {brief(wrong)}"
            ) from None
    return np.array(table, dtype=np.uint8).reshape(len(rows), sites)
