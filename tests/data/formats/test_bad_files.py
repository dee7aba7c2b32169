"""JSON that is not what it should be: one line, no traceback, no memory.

An expected line is given by its facts, separated by three dots.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

import memory
import psiprune as pp
import tiny
from psiprune.data.formats import FORMATS
from refusals import refused

FIXTURES = Path(__file__).parent / "fixtures"


def record(shape: list[Any], digits: str = "a0", binary: bool = True) -> dict[str, Any]:
    entry = {"packed_digits": digits, "binary": binary, "dtype": "bool", "shape": shape}
    return {"cirq_type": "ResultDict", "records": {"m": entry}}


def gate(measurements: Any, qubits: Any = (0, 1)) -> dict[str, Any]:
    return {"measurements": measurements, "measuredQubits": list(qubits)}


def analog(*shots: tuple[str, Any, Any]) -> dict[str, Any]:
    names = ("shot_status", "pre_sequence", "post_sequence")
    return {"shot_outputs": [dict(zip(names, shot, strict=True)) for shot in shots]}


def packed(content: bytes, bits: int) -> dict[str, Any]:
    text = base64.b64encode(zlib.compress(content)).decode()
    array = {"__type__": "ndarray", "__value__": text}
    return {"__type__": "BitArray", "__value__": {"array": array, "num_bits": bits}}


def results(strings: Any, times: Any = (1.0,), atoms: Any = ("a", "b")) -> dict[str, Any]:
    return {
        "atom_order": list(atoms),
        "tagmap": {"bitstrings": "u"},
        "results": {"u": strings},
        "times": {"u": list(times)},
    }


GOOD = ("Completed", [1, 1], [0, 1])
TOO_MANY = {"01" * 10: 10**9}

ENDLESS = {"array": {"__value__": ""}, "num_bits": 2**40}

CASES: list[tuple[str | None, Any, dict[str, Any], str]] = [
    # counts
    ("qiskit", {}, {}, "no outcomes"),
    ("qiskit", [], {}, "found a list of 0"),
    ("qiskit", 3, {}, "found 3"),
    ("qiskit", None, {}, "found nothing"),
    ("qiskit", {"01": -1}, {}, "outcome 10 (site 0 first) ... at least 0, found -1"),
    ("qiskit", {"01": "3"}, {}, "found '3'"),
    ("qiskit", '{"01": NaN}', {}, "found nan"),
    ("qiskit", TOO_MANY, {}, "1000000000 shots of 20 sites ... 16777216 shots ... 268435456 bits"),
    ("pulser", TOO_MANY, {}, "1000000000 shots of 20 sites ... random subset"),
    ("qiskit", {"01": 1, "1": 2}, {}, "'1' has 1 bits, but '01' has 2"),
    ("qiskit", {"01": 1, "0x1": 2}, {"qubits": 2}, "found '0x1'"),
    ("qiskit", {"0x5": 1}, {}, "at least 3 ... --qubits"),
    ("qiskit", {"5": 1, "2": 2}, {}, "at least 3 ... --qubits"),
    ("qiskit", {"1 01": 1, "10 1": 2}, {}, "blanks"),
    ("qiskit", {"1  01": 1}, {}, "bit string ... found '1  01'"),
    ("qiskit", {"٠١": 1}, {}, "bit string"),
    ("qiskit", '{"01": 1, "01": 2}', {}, "'01' ... twice"),
    ("qiskit", '{"01": 1, "10"', {}, "JSON ... line 1, column 15"),
    ("qiskit", '{"01": ' + "9" * 5000 + "}", {}, "thousands of digits"),
    ("qiskit", '{"01": ' + "9" * 4000 + "}", {}, "10^18 shots of 2 sites"),
    ("qiskit", {"0": 900_000_000}, {"qubits": 1}, "900000000 shots of 1 sites ... 16777216 shots"),
    ("braket", {"0" * 100: 3_000_000}, {}, "3000000 shots of 100 sites"),
    ("qiskit", "[" * 100_000, {}, "nested too deeply"),
    ("qiskit", b'{"01\xff": 1}', {}, "UTF-8 ... 0xff at 4"),
    ("qiskit", {"01": 1}, {"key": ("a",)}, "key ... nothing to choose"),
    ("qiskit", [{"01": 1}, {"10": 1}], {}, "2 circuits"),
    ("qiskit", ["01", 3], {}, "bit string ... found 3"),
    ("qiskit", {"results": []}, {}, "0 experiments"),
    ("qiskit", {"results": [3]}, {}, "experiment 0 ... 'data', found nothing"),
    ("qiskit", {"results": [{"data": {}}]}, {}, "experiment 0 ... 'counts'"),
    ("qiskit", {"results": [{"data": {"counts": {"0x1": 1}}}]}, {}, "at least 1 ... --qubits"),
    # BitArray
    ("qiskit", {"__type__": "Foo"}, {}, "BitArray"),
    ("qiskit", {"__type__": "BitArray"}, {}, "'__value__'"),
    ("qiskit", packed(b"rubbish", 3), {}, "damaged"),
    ("qiskit", {"__type__": "PrimitiveResult", "__value__": {"pub_results": []}}, {}, "0 circuits"),
    # Cirq
    ("cirq", {}, {}, "cirq.to_json"),
    ("cirq", [{}, {}], {}, "2 objects"),
    ("cirq", {"cirq_type": "Circuit"}, {}, "found 'Circuit'"),
    ("cirq", {"cirq_type": "Result"}, {}, "'measurements'"),
    ("cirq", {"cirq_type": "ResultDict", "records": {}}, {}, "no measurement"),
    ("cirq", {"cirq_type": "ResultDict", "records": {"m": 1}}, {}, "key 'm' ... 'packed_digits'"),
    ("cirq", record([1, 1, 3], "xy"), {}, "packed_digits ... hexadecimal"),
    ("cirq", record([1, 1, 30]), {}, "1 bytes ... [1, 1, 30]"),
    ("cirq", record([10**6, 1, 10**6]), {}, "1000000000000 shots"),
    ("cirq", record([1, 2, 3]), {}, "key 'm' ... measured 2 times"),
    ("cirq", record([1, -1, 3]), {}, "shape ... [1, -1, 3]"),
    ("cirq", record([1, 1.5, 3]), {}, "shape ... [1, 1.5, 3]"),
    ("cirq", record([3]), {}, "shape ... [3]"),
    ("cirq", record([1, 1, 3], binary=False), {}, "damaged"),
    # Braket
    ("braket", {}, {}, "no outcomes"),
    ("braket", gate(None), {}, "no measurements"),
    ("braket", gate([]), {}, "found 0 shots"),
    ("braket", gate([[0, 1], [1]]), {}, "shot 1 ... 2 bits ... a list of 1"),
    ("braket", gate([[0, 2]]), {}, "shot 0 ... found 2"),
    ("braket", gate([[0, None]]), {}, "shot 0 ... found nothing"),
    ("braket", gate([[0, [1]]]), {}, "found a list of 1"),
    ("braket", gate([[0, 1]], [1, 1]), {}, "measuredQubits ... [1, 1]"),
    ("braket", gate([[0, 1]], "ab"), {}, "measuredQubits ... ['a', 'b']"),
    ("braket", {"measuredQubits": [0], "braketSchemaHeader": 3}, {}, "no measurements"),
    ("braket", {"0a": 1}, {}, "entry 0 ... found '0a'"),
    # QuEra
    ("quera", [], {}, "analog ... a list of 0"),
    ("quera", analog(), {}, "none of the 0 shots"),
    ("quera", analog(("MissingMeasurement", [], [])), {}, "none of the 1 shots"),
    ("quera", analog(GOOD, ("Completed", [1], [0])), {}, "shot 1 ... before ... 2 bits"),
    ("quera", analog(GOOD, ("Completed", [1, 1], None)), {}, "shot 1 ... after ... 2 bits"),
    ("quera", analog(GOOD, ("Completed", [1, 1], [0, 2])), {}, "shot 1 ... found 2"),
    ("quera", analog(GOOD, ("Completed", [1, 1], 3)), {}, "found 3"),
    ("quera", analog(("Completed", [0, 1], [0, 1]), ("Completed", [1, 0], [0, 0])), {}, "no shot"),
    ("quera", analog((3, [1], [0])), {}, "shot 0 ... 'shot_status'"),  # type: ignore[arg-type]
    ("quera", {"shot_outputs": [3]}, {}, "shot 0 ... 'shot_status'"),
    ("quera", {"bloqade.analog.task.batch.LocalBatch": {}}, {}, "no results"),
    # Pulser
    ("pulser", {}, {}, "no outcomes"),
    ("pulser", {"01": 1.0}, {}, "outcome 01 ... found 1.0"),
    ("pulser", {"0r": 1}, {}, "entry 0 ... found '0r'"),
    ("pulser", {"counter": {"01": 2}, "raw": ["01"]}, {}, "'raw' ... 'counter'"),
    ("pulser", results([{"01": 1}], [0.5]), {}, "time 1.0"),
    ("pulser", results([{"011": 1}]), {}, "3 bits ... 2 atoms"),
    ("pulser", results([[1]]), {}, "bitstrings ... counter ... a list of 1"),
    ("pulser", {"tagmap": {"energy": "u"}, "atom_order": []}, {}, "no bit strings"),
    ("pulser", {"serialised_results": "{"}, {}, "JSON ... line 1"),
    ("pulser", {"serialised_results": "[]"}, {}, "found a list of 0"),
    # What no name chooses a format for
    (None, {"01": 1}, {}, "site 0 ... qiskit ... braket ... pulser"),
    (None, ["01", "10"], {}, "site 0 ... qiskit ... braket ... pulser"),
    (None, b"abc\0def", {}, "NetCDF ... .npy ... text"),
    (None, "{", {}, "JSON ... line 1, column 2"),
    *(
        (None, content, {}, "JSON ... stim-b8")
        for content in ({"a": 1}, [[0, 1]], 3, True, None, "NaN", '"01"')
    ),
    # A file of a kilobyte that claims gigabytes; arrays are in test_array_formats.py
    ("qiskit", {"0x1": 10**5}, {"qubits": 100_000}, "100000 shots of 100000 sites"),
    ("qiskit", packed(zlib.compress(b"\0" * 10**6), 10**9), {}, "not a plain array"),
    ("qiskit", {"__type__": "BitArray", "__value__": ENDLESS}, {}, "not a plain array"),
    ("cirq", record([2**31, 1, 64]), {}, "137438953472 shots"),
    ("cirq", record([1, 1, 2**31]), {}, "2147483648"),
    ("cirq", record([2**16, 2**15], "ff" * 400), {}, "2147483648 shots"),
    ("braket", {"01" * 50: 2**31}, {}, "2147483648 shots of 100 sites"),
    ("pulser", {"counter": {"01": 2**40}}, {}, "1099511627776 shots"),
    ("quera", analog(("Completed", [1] * 100, [0] * 99)), {}, "shot 0 ... 100"),
    ("stim-b8", b"\0" * 1000, {"qubits": 100_000}, "1000 bytes ... 12500 bytes"),
    ("stim-01", b"0" * 1000 + b"\n1\n", {}, "1000"),
    ("text", b"0" * 1000 + b"\n" * 3 + b"1\n", {}, "1000"),
]


@pytest.mark.parametrize(
    ("form", "content", "given", "facts"), CASES, ids=[f"{c[0]}-{k}" for k, c in enumerate(CASES)]
)
def test_one_line_and_no_memory(
    tmp_path: Path, form: str | None, content: Any, given: dict[str, Any], facts: str
) -> None:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path = tiny.write(tmp_path / "file.json", text)
    with memory.at_most(20e6):
        line = refused(".", pp.read_shots, path, form, **given)
    assert str(path) in line
    assert all(fact in line for fact in facts.split(" ... ")), line


@pytest.mark.parametrize(("name", "form"), [("none.json", f) for f in FORMATS] + [(".", "text")])
def test_files_that_are_not_there(tmp_path: Path, name: str, form: str) -> None:
    needed = {"qubits": 3} if form == "stim-b8" else {}
    with pytest.raises(pp.InputError, match=r"cannot be read: (No such file|Is a directory)"):
        pp.read_shots(tmp_path / name, form, **needed)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"qubits": 1.5}, "qubits: .*found 1.5"),
        ({"order": "odd"}, "order: .*found 'odd'"),
        ({"nonsense": 1}, "nonsense: .*ReadSettings"),
    ],
)
def test_bad_settings(given: dict[str, Any], words: str) -> None:
    refused(words, pp.read_shots, FIXTURES / "stim.b8", "stim-b8", **given)


def test_pulser_takes_the_end_of_the_sequence(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "a.json", json.dumps(results([{"01": 1}, {"11": 2}], [0.5, 1.0])))
    assert pp.read_shots(path).bits.tolist() == [[1, 1], [1, 1]]


def test_hexadecimal_beyond_64_bits(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "wide.json", json.dumps({hex(1 << 99): 2, "0x1": 1}))
    bits = pp.read_shots(path, "qiskit", qubits=100).bits
    assert bits.sum(axis=1).tolist() == [1, 1, 1]
    assert bits[0, 99] == bits[1, 99] == bits[2, 0] == 1
