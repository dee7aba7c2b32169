"""Readout errors in the files of vendors and of other programs, as JSON.

Each reader returns the rates p(1 | 0) and p(0 | 1) of every qubit that the file names. Nothing is
checked here but the types: a device of a hundred qubits has some that cannot be read out, and only
the qubits that were measured matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.confusion import ROUNDING
from psiprune.data.formats.base import brief, holders

#: Entries of Braket for p(1 | 0) and p(0 | 1), and what is alike for both.
_BRAKET_ERRORS = ("READOUT_ERROR_0_TO_1", "READOUT_ERROR_1_TO_0")
_BRAKET_FIDELITY = "READOUT"


class Rates(NamedTuple):
    """The rates of a qubit.

    Attributes:
        zero: p(1 | 0).
        one: p(0 | 1).
        errors: their standard errors, if they are stated.
        shots: of the calibration in 0 and in 1, if it is known.
        problem: why the rates cannot be used; "" if nothing is known against them.
    """

    zero: float
    one: float
    errors: tuple[float, float] | None = None
    shots: tuple[int, int] | None = None
    problem: str = ""


class DeviceRates(NamedTuple):
    """The rates of a device's qubits, or one pair for all of them.

    Attributes:
        what: the kind of file.
        by_qubit: rates by the name of the qubit, None where the file gives none.
        shared: the same rates for all qubits; None where each has its own.
        places: where the file states the rates of a qubit, for messages; by default its name.
    """

    what: str
    by_qubit: Mapping[str, Rates | None] = {}
    shared: Rates | None = None
    places: Mapping[str, str] = {}


def device_rates(data: Any, place: str) -> DeviceRates | None:
    """Return the rates in JSON of a vendor; None if it is of no known kind.

    Raises:
        InputError: the JSON is of a known kind, but an entry has another type.
    """
    found = (read(data, place) for read in _READERS)
    return next((rates for rates in found if rates is not None), None)


def properties_rates(given: Any) -> DeviceRates | None:
    """Return the rates in Qiskit `BackendProperties`, their dictionary, or those of a backend.

    None if they are not there, or state no rate.

    Raises:
        InputError: a rate is not a number.
    """
    of_backend = getattr(given, "properties", None)
    properties = of_backend() if callable(of_backend) else given
    to_dict = getattr(properties, "to_dict", None)
    found = _qiskit(to_dict() if callable(to_dict) else properties, "properties")
    return found if found is not None and any(found.by_qubit.values()) else None


def target_rates(given: Any) -> DeviceRates | None:
    """Return the errors of measurements in a Qiskit `Target`, or in that of a backend.

    They are alike for 0 and 1. None if there is no target with measurements.

    Raises:
        InputError: an error is not a number.
    """
    try:
        measured = getattr(given, "target", given)["measure"]
    except (TypeError, LookupError):
        return None
    if not isinstance(measured, Mapping):
        return None
    rates: dict[str, Rates | None] = {}
    for qubits, properties in measured.items():
        error = getattr(properties, "error", None)
        for qubit in qubits or ():  # None: a target without qubits of its own
            place = f"target: qubit {qubit}"
            rates[str(qubit)] = None if error is None else _rates(error, error, place)
    return DeviceRates("Qiskit target", rates)


def number(value: Any, place: str) -> float:
    """Return a number, which decimal text may hold; raise `InputError` for anything else."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InputError(f"{place}: must be a number, found {brief(value)}")


def _qiskit(data: Any, place: str) -> DeviceRates | None:
    """Read `backend.properties().to_dict()`: a list of named values for each qubit."""
    for holder in holders(data, "qubits"):
        qubits = holder["qubits"]
        if isinstance(qubits, list) and qubits and all(isinstance(each, list) for each in qubits):
            rates = {str(k): _qiskit_rates(each, f"{place}: {k}") for k, each in enumerate(qubits)}
            name = holder.get("backend_name")
            what = f"Qiskit backend properties of {name}" if isinstance(name, str) else ""
            return DeviceRates(what or "Qiskit backend properties", rates)
    return None


def _qiskit_rates(entries: list[Any], place: str) -> Rates | None:
    values = {
        entry["name"]: entry.get("value")
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }
    zero, one = values.get("prob_meas1_prep0"), values.get("prob_meas0_prep1")
    if zero is None or one is None:
        zero = one = values.get("readout_error")
    return None if zero is None or one is None else _rates(zero, one, place)


def _braket(data: Any, place: str) -> DeviceRates | None:
    """Read the standardized properties of Braket: a readout fidelity for each qubit or for all."""
    what = "Braket device properties"
    for holder in holders(data, "oneQubitProperties"):
        properties = holder["oneQubitProperties"]
        if not isinstance(properties, dict):
            continue
        rates = {name: _braket_rates(each, f"{place}: {name}") for name, each in properties.items()}
        shared = holder.get("readoutFidelity")  # version 3
        if isinstance(shared, list) and shared and not any(rates.values()):
            return DeviceRates(what, shared=_fidelity_rates(shared[0], f"{place}: readoutFidelity"))
        if any(rates.values()):
            return DeviceRates(what, rates)
    return None


def _ionq(data: Any, place: str) -> DeviceRates | None:
    """Read the provider's properties of IonQ: one fidelity of preparing and reading a qubit."""
    for holder in holders(data, "spam"):
        spam = holder["spam"]
        found = [spam.get(name) for name in ("mean", "median")] if isinstance(spam, dict) else []
        for fidelity in found:
            if fidelity is not None:
                shared = _infidelity(fidelity, f"{place}: spam")
                return DeviceRates("IonQ device properties", shared=shared)
    return None


def _braket_rates(properties: Any, place: str) -> Rates | None:
    """Return both error rates if they are there, else those of the readout fidelity."""
    entries = properties.get("oneQubitFidelity") if isinstance(properties, dict) else None
    found: dict[str, Any] = {}
    for entry in entries if isinstance(entries, list) else ():
        kind = entry.get("fidelityType") if isinstance(entry, dict) else None
        name = kind.get("name") if isinstance(kind, dict) else None
        if isinstance(name, str):
            found.setdefault(name.upper(), entry.get("fidelity"))
    zero, one = (found.get(name) for name in _BRAKET_ERRORS)
    if zero is not None and one is not None:
        rates = _rates(zero, one, place)
        # The field is called fidelity. IQM's devices state the rate there, others its complement.
        if min(rates.zero, rates.one) > 0.5:
            rates = Rates(1.0 - rates.zero, 1.0 - rates.one)
        return rates
    fidelity = found.get(_BRAKET_FIDELITY)
    return None if fidelity is None else _infidelity(fidelity, place)


def _fidelity_rates(entry: Any, place: str) -> Rates | None:
    fidelity = entry.get("fidelity") if isinstance(entry, dict) else None
    return None if fidelity is None else _infidelity(fidelity, place)


def _provider(data: Any, place: str) -> DeviceRates | None:
    """Read the provider's properties of Rigetti and OQC: fRO, a fidelity, of each qubit."""
    for table in _objects(data):
        fidelities = {
            name: entry.get("fRO") if isinstance(entry, dict) else None
            for name, entry in table.items()
        }
        if any(fidelity is not None for fidelity in fidelities.values()):
            rates = {
                name: None if fidelity is None else _infidelity(fidelity, f"{place}: {name}: fRO")
                for name, fidelity in fidelities.items()
            }
            return DeviceRates("readout fidelities fRO", rates)
    return None


def _objects(data: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within JSON."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _quera(data: Any, place: str) -> DeviceRates | None:
    """Read the properties of QuEra's Aquila; bit 1 is the Rydberg state, an atom not detected."""
    for zero, one in (
        ("groundDetectionError", "rydbergDetectionError"),
        ("atomDetectionErrorFalseNegativeTypical", "atomDetectionErrorFalsePositiveTypical"),
    ):
        for holder in holders(data, zero):
            if holder[zero] is not None and holder.get(one) is not None:
                pair = _rates(holder[zero], holder[one], f"{place}: {zero}")
                return DeviceRates("QuEra device properties", shared=pair)
    return None


def _pulser(data: Any, place: str) -> DeviceRates | None:
    """Read a noise model of Pulser: a false positive is a 0 read as 1."""
    for holder in holders(data, "p_false_pos"):
        if holder["p_false_pos"] is not None and holder.get("p_false_neg") is not None:
            pair = _rates(holder["p_false_pos"], holder["p_false_neg"], f"{place}: p_false_pos")
            return DeviceRates("noise model of Pulser", shared=pair)
    return None


def _m3(data: Any, place: str) -> DeviceRates | None:
    """Read the calibration of M3: for each qubit p(recorded | true) [recorded, true], or null.

    The file of `M3Mitigation.cals_to_file`: {"timestamp", "backend", "shots", "cals"}, or in early
    versions the list of `cals` alone (mthree/mitigation.py, `cals_from_file`). By each of M3's
    methods a qubit is in 0 in about `shots` shots, and in 1 in as many.
    """
    cals = data.get("cals") if isinstance(data, dict) else data
    if not isinstance(cals, list) or not cals:
        return None
    if isinstance(data, list) and not all(each is None or _is_nested(each) for each in cals):
        return None  # a table of rates
    number_of_shots = data.get("shots") if isinstance(data, dict) else None
    shots = None
    if type(number_of_shots) is int and number_of_shots > 0:
        shots = number_of_shots, number_of_shots
    rates: dict[str, Rates | None] = {}
    for k, matrix in enumerate(cals):
        where = f"{place}: cals: {k}"
        rates[str(k)] = None
        if matrix is None:
            continue
        rows: list[Any] = matrix if isinstance(matrix, list) and len(matrix) == 2 else [None]
        if not all(isinstance(row, list) and len(row) == 2 for row in rows):
            raise InputError(f"{where}: must be a 2 x 2 matrix or null, found {brief(matrix)}")
        numbers = np.array([[number(each, where) for each in row] for row in rows])
        zero, one = float(numbers[1, 0]), float(numbers[0, 1])
        rates[str(k)] = Rates(zero, one, shots=shots, problem=_m3_problem(numbers))
    return DeviceRates("calibration of M3", rates)


def _m3_problem(matrix: NDArray[np.float64]) -> str:
    """Return in one line that a column of p(recorded | true) does not sum to 1, or ""."""
    sums = matrix.sum(axis=0)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= ROUNDING))
    if not len(wrong):
        return ""
    way_out = "calibrate this qubit again"
    if np.abs(matrix.sum(axis=1) - 1).max() <= ROUNDING:
        way_out = "its rows do: transpose it"
    return (
        "each column of the matrix must sum to 1 (row: recorded state, column: true state), found "
        f"{sums[wrong[0]]:.6g} in column {wrong[0]}; {way_out}"
    )


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _rates(zero: Any, one: Any, place: str) -> Rates:
    return Rates(number(zero, place), number(one, place))


def _infidelity(fidelity: Any, place: str) -> Rates:
    rate = 1.0 - number(fidelity, place)
    return Rates(rate, rate)


_READERS: tuple[Callable[[Any, str], DeviceRates | None], ...] = (
    _qiskit,
    _braket,
    _provider,
    _ionq,
    _quera,
    _pulser,
    _m3,
)
