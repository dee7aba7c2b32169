"""The bases in which Braket measured the observables that a circuit asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from psiprune.core.exceptions import InputError

#: Names of the angles by which program sets turn a qubit before measuring it: Rz, Rx, Rz.
_ANGLE = re.compile(r"_OBSERVABLE_(THETA|PHI|OMEGA)_([0-9]+)")
_PRAGMA = re.compile(r"#pragma braket result (?:expectation|variance|sample) (.*)")
_FACTOR = re.compile(r"([a-z]+)(?:\((?:[A-Za-z_]\w*\[([0-9]+)\]|\$([0-9]+))\)| all\b)")
_TOLERANCE = 1e-6


def letters_of_angles(inputs: Any, row: Any, place: str) -> dict[int, str]:
    """Return the Pauli operator measured on each qubit that an executable of a program set turns.

    Rz(theta), Rx(phi), Rz(omega) before a measurement of Z measure
    sin(phi) sin(theta) X + sin(phi) cos(theta) Y + cos(phi) Z.

    Args:
        inputs: values of each parameter of the program.
        row: the executable's index of these values.
        place: for messages.

    Raises:
        InputError: an angle is missing, or the operator is none of X, Y and Z.
    """
    angles: dict[int, dict[str, Any]] = {}
    for name, values in inputs.items() if isinstance(inputs, dict) else ():
        if (match := _ANGLE.fullmatch(name)) and isinstance(values, list):
            known = isinstance(row, int) and 0 <= row < len(values)
            angles.setdefault(int(match[2]), {})[match[1]] = values[row] if known else None
    return {qubit: _letter(each, qubit, place) for qubit, each in angles.items()}


def _letter(angles: dict[str, Any], qubit: int, place: str) -> str:
    theta, phi = (angles.get(name, 0.0) for name in ("THETA", "PHI"))
    if isinstance(theta, int | float) and isinstance(phi, int | float):
        x, y, z = math.sin(phi) * math.sin(theta), math.sin(phi) * math.cos(theta), math.cos(phi)
        for letter, weight in (("X", x), ("Y", y), ("Z", z)):
            if weight > 1 - _TOLERANCE:
                return letter
    shown = ", ".join(f"_OBSERVABLE_{name}_{qubit} is {angle}" for name, angle in angles.items())
    raise InputError(
        f"{place}: measures another observable than X, Y or Z ({shown}); choose another executable "
        "by --key"
    )


def letters_of_results(data: dict[str, Any], qubits: list[int], place: str) -> dict[int, str]:
    """Return the Pauli operator measured on each qubit by the result types of a circuit.

    Braket turns the qubits of `expectation`, `variance` and `sample` to the basis of their
    observable, and returns measurements in that basis.

    Raises:
        InputError: an observable is not of X, Y and Z.
    """
    letters: dict[int, str] = {}
    for operator, qubit in _observables(data):
        if operator not in ("x", "y", "z", "i"):
            raise InputError(
                f"{place}: measures the observable {operator[:40]}, but bases are of X, Y and Z "
                "alone; measure in such a basis"
            )
        for each in qubits if qubit is None else (qubit,):
            if operator != "i":
                letters[each] = operator.upper()
    return letters


def _observables(data: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    """Yield operators and qubits, None for all, of OpenQASM and of Braket's older programs."""
    metadata = data.get("additionalMetadata")
    action = metadata.get("action") if isinstance(metadata, dict) else None
    if not isinstance(action, dict):
        return
    if isinstance(source := action.get("source"), str):
        for match in _PRAGMA.finditer(source):
            for factor in _FACTOR.finditer(match[1]):
                number = factor[2] or factor[3]
                yield factor[1], None if number is None else int(number)
    results = action.get("results")
    for result in results if isinstance(results, list) else ():
        operators = result.get("observable") if isinstance(result, dict) else None
        targets = result.get("targets") if isinstance(result, dict) else None
        for k, operator in enumerate(operators if isinstance(operators, list) else ()):
            known = isinstance(targets, list) and k < len(targets)
            name = operator if isinstance(operator, str) else "given by a matrix"
            yield name, targets[k] if known and isinstance(targets, list) else None
