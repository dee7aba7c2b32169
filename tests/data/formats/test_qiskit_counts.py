"""Qiskit's counts by integers and unpadded strings, Python's dicts, and IBM's REST results."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from refusals import refused


def save(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "counts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def rows(path: Path, form: str | None = "qiskit", **given: Any) -> list[list[int]]:
    bits: list[list[int]] = pp.read_shots(path, form, **given).bits.tolist()
    return bits


# 19 = 10011 in binary: qubits 0, 1 and 4 are 1.
NINETEEN = [1, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ({"19": 1, "2": 1}, {"qubits": 5}),
        ({"19": 1, "2": 1}, {"qubits": 5, "outcomes": "integers"}),
        ({"10011": 1, "10": 1}, {"qubits": 5}),
        ({"10011": 1, "10": 1}, {"qubits": 5, "outcomes": "bits"}),
        ({"10011": 1, "00010": 1}, {}),
        ({"10011": 1.0, "00010": 1.0}, {}),
        ("Counter({'10011': 1, '00010': 1})\n", {}),
        ("collections.OrderedDict({'10011': 1, '00010': 1})", {}),
        ("defaultdict(<class 'int'>, {'10011': np.int64(1), '00010': 1})", {}),
        ("{'10011': 1, '00010': 1}", {}),
        ("{19: 1, 2: 1}", {"qubits": 5}),
        ("Counter({19: 1, 2: 1})", {"qubits": 5, "outcomes": "integers"}),
    ],
)
def test_keys_of_every_kind(tmp_path: Path, content: Any, given: dict[str, Any]) -> None:
    assert rows(save(tmp_path, content), **given) == [NINETEEN, [0, 1, 0, 0, 0]]


def test_integers_in_memory() -> None:
    counts: Any
    for counts in (Counter({19: 1, 2: 1}), OrderedDict({19: 1, 2: 1}), defaultdict(int, {19: 1})):
        assert pp.read_shots(counts, "qiskit", qubits=5).bits[0].tolist() == NINETEEN
    refused(r"integers do not show .*order='reversed'", pp.read_shots, counts, qubits=5)
    for counts, words in (({-1: 2}, "found -1"), ({True: 2}, "found True")):
        with pytest.raises(pp.InputError, match=f"each key must be a bit string, {words}"):
            pp.read_shots(counts, "qiskit", qubits=5)


def test_keys_that_could_be_both(tmp_path: Path) -> None:
    path = save(tmp_path, {"10": 1, "11": 1})
    for qubits in (None, 4, 9):
        refused(r"'10', '11' may be .*--outcomes bits or", rows, path, qubits=qubits)
    assert rows(path, qubits=4, outcomes="bits") == [[0, 1, 0, 0], [1, 1, 0, 0]]
    # Integers of two qubits end at 3, and one digit has the same bits either way.
    assert rows(path, qubits=2) == [[0, 1], [1, 1]]
    assert rows(save(tmp_path, {"1": 1, "0": 1}), qubits=3) == [[1, 0, 0], [0, 0, 0]]
    refused("may be bit strings or decimal integers", rows, save(tmp_path, {"1": 1, "0": 1}))
    # Memory is never of integers, and a leading zero shows bit strings.
    assert rows(save(tmp_path, ["10", "11"])) == [[0, 1], [1, 1]]
    assert rows(save(tmp_path, {"01": 1, "11": 1})) == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("content", "given", "words"),
    [
        ({"100": 1, "0": 1}, {}, "'100', '0' differ in length.*--qubits N"),
        ({"100": 1, "0": 1}, {"qubits": 2}, "'100' has 3 bits, but qubits is 2"),
        ({"10011": 1, "11111": 1}, {"qubits": 6}, "5 bits per shot, but qubits is 6"),
        ({"19": 1}, {"qubits": 4}, "0x13 needs 5 bits, but qubits is 4"),
        ({"19": 1}, {"outcomes": "bits", "qubits": 5}, "bit string"),
        ({"-1": 1}, {"qubits": 4}, "found '-1'"),
        ({"1 0": 1}, {"outcomes": "integers", "qubits": 4}, "must be an integer, found '1 0'"),
        ({"000": 501.5, "111": 498.5}, {}, r"000 .*found 501\.5; give counts"),
        ({"000": 0.0, "111": 1.0}, {}, r"000 .*found 0\.0; give counts, not probabilities"),
        ({"000": 0.25, "111": 0.75}, {}, r"found 0\.25; give counts"),
        ('{"000": 1e400}', {}, "found inf"),
        ("Counter({'0': 1, '0': 2})", {}, "'0' occurs twice in one dict"),
        ("{'0': 1, '1'", {}, "Python text, but not a plain dict .*character 8; save JSON"),
        ("{'0': f(1)}", {}, "Python text, but not a plain dict"),
        ("Counter({'0': 1}) + 1", {}, "Python text, but not a plain dict"),
        ("Counter({'0': 1e})", {}, "Python text, but not a plain dict"),
        ("Counter({})", {}, "Python text, but not a plain dict"),
        ("open({'a': 1})", {}, "bit string"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: Any, given: dict[str, Any], words: str) -> None:
    line = refused(words, rows, save(tmp_path, content), **given)
    assert "truncated" not in line


def test_python_text_is_detected(tmp_path: Path) -> None:
    path = save(tmp_path, "Counter({'10011': 1, '00010': 1})\n").rename(tmp_path / "counts.txt")
    refused("which end is site 0; name the format", pp.read_shots, path)
    # Qiskit's integers begin with the last qubit, those of Cirq's histograms with the first.
    for text in (
        "Counter({19: 1})",
        " {19: 1}",
        '{"19": 1}',
        "defaultdict(<class 'int'>, {19: 1})",
    ):
        path.write_text(text)
        refused("integers do not show which end is site 0", pp.read_shots, path, qubits=5)
        assert pp.read_shots(path, "qiskit", qubits=5).bits.tolist() == [NINETEEN]
        turned = pp.read_shots(path, "qiskit", qubits=5, order="reversed")
        assert turned.bits.tolist() == [NINETEEN[::-1]]


def test_python_text_takes_linear_time(tmp_path: Path) -> None:
    counts = {f"{number:016b}": 1 for number in range(50_000)}
    bits = pp.read_shots(save(tmp_path, f"Counter({counts})"), "qiskit").bits
    np.testing.assert_array_equal(bits @ (1 << np.arange(16)), np.arange(50_000))


# ---- IBM's REST interface


def sampler(*circuits: dict[str, tuple[list[str], int]]) -> dict[str, Any]:
    data = [
        {name: {"samples": samples, "num_bits": bits} for name, (samples, bits) in each.items()}
        for each in circuits
    ]
    results = [{"data": each, "metadata": {}} for each in data]
    return {"results": results, "metadata": {"version": 2}}


TWO = {"a": (["0x0", "0x1"], 1), "b": (["0x6", "0x1"], 3)}


def test_samples(tmp_path: Path) -> None:
    path = save(tmp_path, sampler({"c": (["0x13", "0x2"], 5)}))
    for form in ("qiskit", None):
        assert rows(path, form) == [NINETEEN, [0, 1, 0, 0, 0]]
    assert rows(path, qubits=5, key=("c",)) == rows(path)
    refused("5 bits per shot, but qubits is 4", rows, path, qubits=4)


def test_registers_and_circuits(tmp_path: Path) -> None:
    path = save(tmp_path, sampler(TWO))
    assert rows(path, key=("a", "b")) == [[0, 0, 1, 1], [1, 1, 0, 0]]
    assert rows(path, key=("b", "a")) == [[0, 1, 1, 0], [1, 0, 0, 1]]
    assert pp.read_shots(path, key=("*",)).provenance["registers"] == "a, b"
    refused(r"2 registers: 'a', 'b'; .*such as --key a$", rows, path)
    path = save(tmp_path, sampler({"c": (["0x2"], 2)}, TWO))
    assert rows(path, key=("0",)) == [[0, 1]]
    assert rows(path, key=("1", "b")) == [[0, 1, 1], [1, 0, 0]]
    refused(r"2 circuits: '0', '1'; .*such as --key 0$", rows, path)
    refused(r"circuit 1: holds 2 registers.*such as --key 1 a$", rows, path, key=("1",))


@pytest.mark.parametrize(
    ("registers", "words"),
    [
        ({"c": (["0x8"], 3)}, "c: the outcome 0x8 needs 4 bits"),
        ({"c": ([], 3)}, "c: holds no outcomes"),
        ({"c": (["0x1"], 0)}, "c: num_bits must be from 1 to 100000, found 0"),
        ({"c": (["0x1"], 10**12)}, "c: num_bits must be from 1 to 100000, found 1000000000000"),
        ({"c": (["g"], 3)}, "c: an outcome must be a bit string"),
        ({"c": ([3], 3)}, "found 3"),
    ],
)
def test_samples_that_do_not_fit(tmp_path: Path, registers: dict[str, Any], words: str) -> None:
    refused(words, rows, save(tmp_path, sampler(registers)))
