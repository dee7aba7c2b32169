"""Shots of Qiskit: counts, memory, results, REST results, and `BitArray` packed or as JSON.

Qubit 0 (bit 0 of the classical register) is the RIGHTMOST character of a bit string and the lowest
bit of a number; a register declared first stands rightmost. Here it becomes site 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_QUBITS
from psiprune.data.formats.base import Bits, ParsedShots, SourceFile, brief, part
from psiprune.data.formats.bits import check_outcomes, check_qubits, join_columns
from psiprune.data.formats.names import choose, choose_one, refuse_key
from psiprune.data.formats.qiskit_arrays import encoded_bit_array, numpy_bit_array
from psiprune.data.formats.qiskit_bases import basis_of_metadata, circuit_metadata
from psiprune.data.formats.qiskit_counts import outcome_bits, read_outcomes
from psiprune.data.formats.settings import ReadSettings

_ORDER = "site 0 is bit 0, the rightmost character of a Qiskit bit string"


def read_qiskit(file: SourceFile, settings: ReadSettings) -> ParsedShots:
    """Read what Qiskit returns for a circuit measured in Z, with qubit 0 as site 0.

    JSON of `get_counts()` (bit strings, with blanks between registers, or hexadecimal or decimal
    integers with `qubits`), of `get_memory()` or `BitArray.get_bitstrings()`, of
    `Result.to_dict()`, of IBM's REST interface to the Sampler V2, or of a `BitArray` or
    `PrimitiveResult` by qiskit-ibm-runtime's `RuntimeEncoder`. A `BitArray` as
    `numpy.savez(file, array=b.array, num_bits=b.num_bits)`, or `b.array` as .npy with `qubits`.
    `key` chooses the circuit of several in one file, then registers. Without a key, all are read
    if their metadata hold the basis of each, see `basis_of_metadata`, or if `bases` gives them.

    Raises:
        InputError: the structure is another, the number of qubits is missing or does not fit, keys
            could be bit strings or integers and `outcomes` does not say which, or a count is not
            an integer of at least 0.
    """
    place = file.place
    if file.content.startswith((b"PK", b"\x93NUMPY")):
        refuse_key(settings.key, "a BitArray in NumPy's format", place)
        return ParsedShots(numpy_bit_array(file, settings), _ORDER)
    data = file.json
    metadata = circuit_metadata(data)
    # Given bases come first, also where the metadata have another meaning.
    known = [None if settings.bases else basis_of_metadata(each, place) for each in metadata]
    if len(known) > 1 and not settings.key and (all(known) or len(settings.bases) == len(known)):
        return ParsedShots.of_circuits(
            [
                _read_json(data, settings.model_copy(update={"key": (str(number),)}), place, known)
                for number in range(len(known))
            ]
        )
    return _read_json(data, settings, place, known)


def _read_json(
    data: Any, settings: ReadSettings, place: str, known: Sequence[str | None]
) -> ParsedShots:
    """Read one circuit, with its basis if its metadata hold that."""
    parsed = _read_circuit(data, settings, place)
    number = settings.key[0] if len(known) > 1 and settings.key else "0"
    basis = known[int(number)] if number.isdecimal() and int(number) < len(known) else None
    if basis is not None and len(basis) != parsed.bits.shape[1]:
        raise InputError(
            f"{place}: circuit {number}: its metadata name the basis {basis[::-1][:40]}, but the "
            f"shots have {parsed.bits.shape[1]} sites; give the basis by --bases"
        )
    return replace(parsed, basis=basis)


def _read_circuit(data: Any, settings: ReadSettings, place: str) -> ParsedShots:
    if isinstance(data, dict) and data.get("__type__") is not None:
        return _read_encoded(data, settings, place)
    if isinstance(data, dict) and "results" in data:
        read = _read_samples if holds_samples(data) else _read_result
        return read(data, settings, place)
    refuse_key(settings.key, "a file of counts or memory", place)
    if isinstance(data, dict) or (isinstance(data, list) and data):
        if isinstance(data, list) and all(isinstance(item, dict) for item in data):
            raise InputError(
                f"{place}: holds the counts of {len(data)} circuits; save those of one, "
                "result.get_counts(0)"
            )
        bits = read_outcomes(data, settings.qubits, settings.outcomes, place)
        return ParsedShots(bits, _ORDER)
    raise InputError(
        f"{place}: needs Qiskit's counts as an object, or memory as a list, found {brief(data)}"
    )


def write_counts(bits: Bits) -> bytes:
    """Return counts as JSON: bit string -> number of shots, site 0 rightmost, in sorted order."""
    # Bytes sort as the strings do, and much faster than rows.
    packed = np.packbits(bits[:, ::-1], axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    unique, numbers = np.unique(rows, return_counts=True)
    table = unique.view(np.uint8).reshape(len(unique), -1)
    outcomes = np.unpackbits(table, axis=1, count=bits.shape[1])
    keys = ("".join(map(str, row)) for row in outcomes.tolist())
    return json.dumps(dict(zip(keys, numbers.tolist(), strict=True)), indent=1).encode() + b"\n"


def holds_samples(data: Any) -> bool:
    """Whether JSON is a result of IBM's REST interface: registers of samples in hexadecimal."""
    results = data.get("results") if isinstance(data, dict) else None
    for result in results if isinstance(results, list) else ():
        registers = result.get("data") if isinstance(result, dict) else None
        if isinstance(registers, dict) and any(
            isinstance(register, dict) and "samples" in register for register in registers.values()
        ):
            return True
    return False


def _read_samples(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read REST results: {"results": [{"data": {NAME: {"samples": ["0x3"], "num_bits": 2}}}]}."""
    circuits = part(data, "results", list, place)
    circuit, wanted, place = _choose_circuit(len(circuits), settings.key, place)
    registers = part(circuits[circuit], "data", dict, place)
    before = settings.key[: len(settings.key) - len(wanted)]
    names = choose(list(registers), wanted, "register", place, before)
    tables = []
    for name in names:
        where = f"{place}: {name[:60]}"
        samples = part(registers[name], "samples", list, where)
        number = part(registers[name], "num_bits", int, where)
        check_outcomes(samples, where)
        if not 1 <= number <= MOST_QUBITS:
            raise InputError(
                f"{where}: num_bits must be from 1 to {MOST_QUBITS}, found {brief(number)}"
            )
        tables.append(outcome_bits(samples, number, where))
    bits = join_columns(tables, "chosen registers", place)
    check_qubits(settings.qubits, bits.shape[1], place)
    return _of_registers(bits, names)


def _choose_circuit(
    number: int, wanted: tuple[str, ...], place: str
) -> tuple[int, tuple[str, ...], str]:
    """Return the circuit, the keys for its registers, and the place for messages.

    Of several circuits, the first key is the circuit's number.
    """
    names = [str(circuit) for circuit in range(number)]
    chosen = choose_one(names, wanted[:1] if number > 1 else (), "circuit", place)
    if number == 1:
        return 0, wanted, place
    return int(chosen), wanted[1:], f"{place}: circuit {chosen}"


def _of_registers(bits: Bits, names: list[str]) -> ParsedShots:
    registers = ", ".join(names)
    order = f"{_ORDER}; registers {registers} one after the other"
    return ParsedShots(bits, order, notes={"registers": registers})


def _read_result(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read `Result.to_dict()`: the memory if present, else the counts."""
    results = part(data, "results", list, place)
    names = [str(number) for number in range(len(results))]
    chosen = choose_one(names, settings.key, "experiment", place)
    result, place = results[int(chosen)], f"{place}: experiment {chosen}"
    experiment = part(result, "data", dict, place)
    header = result.get("header")
    qubits = header.get("memory_slots") if isinstance(header, dict) else None
    if isinstance(qubits, int) and qubits > 0:
        check_qubits(settings.qubits, qubits, f"{place}: header")
    else:
        qubits = settings.qubits
    memory = experiment.get("memory")
    outcomes = memory if isinstance(memory, list) and memory else None
    counts = part(experiment, "counts", dict, place) if outcomes is None else outcomes
    return ParsedShots(read_outcomes(counts, qubits, settings.outcomes, place), _ORDER)


def _read_encoded(data: dict[str, Any], settings: ReadSettings, place: str) -> ParsedShots:
    """Read what `RuntimeEncoder` writes: nested {"__type__": ..., "__value__": ...}."""
    kind, wanted = data["__type__"], settings.key
    if kind == "PrimitiveResult":
        pubs = part(part(data, "__value__", dict, place), "pub_results", list, place)
        circuit, wanted, place = _choose_circuit(len(pubs), wanted, place)
        data = pubs[circuit]
        kind = data.get("__type__") if isinstance(data, dict) else None
    if kind in ("SamplerPubResult", "PubResult"):
        data = part(part(data, "__value__", dict, place), "data", dict, place)
        kind = data.get("__type__")
    if kind == "DataBin":
        fields = part(part(data, "__value__", dict, place), "fields", dict, place)
        before = settings.key[: len(settings.key) - len(wanted)]
        names = choose(list(fields), wanted, "register", place, before)
        tables = [encoded_bit_array(fields[name], f"{place}: {name[:60]}") for name in names]
        return _of_registers(join_columns(tables, "chosen registers", place), names)
    refuse_key(wanted, "a single BitArray", place)
    return ParsedShots(encoded_bit_array(data, place), _ORDER)
