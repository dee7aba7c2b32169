"""Readout errors in the files of vendors and of other programs, as JSON.

Each reader returns the rates p(1 | 0) and p(0 | 1) of every qubit that the file names. Nothing is
checked here but the types: a device of a hundred qubits has some that cannot be read out, and only
the qubits that were measured matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import brief, holders

#: p(1 | 0) and p(0 | 1).
Pair = tuple[float, float]


class DeviceRates(NamedTuple):
    """The rates of a device's qubits, or one pair for all of them.

    Attributes:
        what: the kind of file.
        by_qubit: rates by the name of the qubit, None where the file gives none.
        shared: the same rates for all qubits; None where each has its own.
        places: where the file states the rates of a qubit, for messages; by default its name.
    """

    what: str
    by_qubit: Mapping[str, Pair | None] = {}
    shared: Pair | None = None
    places: Mapping[str, str] = {}


def device_rates(data: Any, place: str) -> DeviceRates | None:
    """Return the rates in JSON of a vendor; None if it is of no known kind.

    Raises:
        InputError: the JSON is of a known kind, but an entry has another type.
    """
    found = (read(data, place) for read in _READERS)
    return next((rates for rates in found if rates is not None), None)


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
    rates: dict[str, Pair | None] = {}
    for qubits, properties in measured.items():
        error = getattr(properties, "error", None)
        for qubit in qubits or ():  # None: a target without qubits of its own
            place = f"target: qubit {qubit}"
            rates[str(qubit)] = None if error is None else _pair(error, error, place)
    return DeviceRates("", rates)


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
            rates = {str(k): _qiskit_pair(each, f"{place}: {k}") for k, each in enumerate(qubits)}
            name = holder.get("backend_name")
            what = f"Qiskit backend properties of {name}" if isinstance(name, str) else ""
            return DeviceRates(what or "Qiskit backend properties", rates)
    return None


def _qiskit_pair(entries: list[Any], place: str) -> Pair | None:
    values = {
        entry["name"]: entry.get("value")
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }
    zero, one = values.get("prob_meas1_prep0"), values.get("prob_meas0_prep1")
    if zero is None or one is None:
        zero = one = values.get("readout_error")
    return None if zero is None or one is None else _pair(zero, one, place)


def _braket(data: Any, place: str) -> DeviceRates | None:
    """Read the standardized properties of Braket: a readout fidelity for each qubit or for all."""
    what = "Braket device properties"
    for holder in holders(data, "oneQubitProperties"):
        properties = holder["oneQubitProperties"]
        if not isinstance(properties, dict):
            continue
        rates = {name: _braket_pair(each, f"{place}: {name}") for name, each in properties.items()}
        shared = holder.get("readoutFidelity")  # version 3
        if isinstance(shared, list) and shared and not any(rates.values()):
            return DeviceRates(what, shared=_fidelity_pair(shared[0], f"{place}: readoutFidelity"))
        if any(rates.values()):
            return DeviceRates(what, rates)
    return None


def _braket_pair(properties: Any, place: str) -> Pair | None:
    entries = properties.get("oneQubitFidelity") if isinstance(properties, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        kind = entry.get("fidelityType") if isinstance(entry, dict) else None
        name = kind.get("name") if isinstance(kind, dict) else None
        if isinstance(name, str) and name.upper() == "READOUT":
            return _fidelity_pair(entry, place)
    return None


def _fidelity_pair(entry: Any, place: str) -> Pair | None:
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
                pair = _pair(holder[zero], holder[one], f"{place}: {zero}")
                return DeviceRates("QuEra device properties", shared=pair)
    return None


def _pulser(data: Any, place: str) -> DeviceRates | None:
    """Read a noise model of Pulser: a false positive is a 0 read as 1."""
    for holder in holders(data, "p_false_pos"):
        if holder["p_false_pos"] is not None and holder.get("p_false_neg") is not None:
            pair = _pair(holder["p_false_pos"], holder["p_false_neg"], f"{place}: p_false_pos")
            return DeviceRates("noise model of Pulser", shared=pair)
    return None


def _m3(data: Any, place: str) -> DeviceRates | None:
    """Read the calibration of M3: for each qubit p(recorded | true) [recorded, true], or null."""
    cals = data.get("cals") if isinstance(data, dict) else None
    if not isinstance(cals, list) or not cals:
        return None
    rates: dict[str, Pair | None] = {}
    for k, matrix in enumerate(cals):
        try:
            pair = None if matrix is None else (matrix[1][0], matrix[0][1])
        except (TypeError, IndexError, KeyError):
            raise InputError(
                f"{place}: cals: {k}: must be a 2 x 2 matrix or null, found {brief(matrix)}"
            ) from None
        rates[str(k)] = None if pair is None else _pair(*pair, f"{place}: cals: {k}")
    return DeviceRates("calibration of M3", rates)


def _pair(zero: Any, one: Any, place: str) -> Pair:
    return number(zero, place), number(one, place)


def _infidelity(fidelity: Any, place: str) -> Pair:
    rate = 1.0 - number(fidelity, place)
    return rate, rate


_READERS: tuple[Callable[[Any, str], DeviceRates | None], ...] = (
    _qiskit,
    _braket,
    _provider,
    _quera,
    _pulser,
    _m3,
)
