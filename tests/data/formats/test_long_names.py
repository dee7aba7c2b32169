"""Names of thousands of digits or characters: read in time, or refused in one short line."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import psiprune as pp
from psiprune.data.formats.names import in_order

DIGITS = "1" * 30_000
LONG = "x" * 100_000
ENTRY = {"packed_digits": "80", "binary": True, "dtype": "bool", "shape": [1, 1, 1]}


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.mark.parametrize("header", [f"q{DIGITS}a1,q2", f"q{DIGITS},q{DIGITS}2", f"{LONG}1,{LONG}2"])
def test_a_header_takes_no_time(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n0,1\n")
    with within(5):
        assert pp.read_shots(path).bits.tolist() == [[0, 1]]


def test_a_repeated_key_among_many_takes_no_time(tmp_path: Path) -> None:
    keys = [f"{number:017b}" for number in range(50_000)]
    path = tmp_path / "counts.json"
    path.write_text("{" + ", ".join(f'"{key}": 1' for key in [*keys, keys[-1]]) + "}")
    # 42 s when each key was counted in the whole list
    with within(2), pytest.raises(pp.InputError, match=f"the key '{keys[-1]}' occurs twice"):
        pp.read_shots(path, "qiskit")


def test_falling_numbers_of_thousands_of_digits(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"q{DIGITS}2,q{DIGITS}1\n0,1\n")
    with pytest.raises(pp.InputError, match="--order listed") as caught:
        pp.read_shots(path)
    assert len(str(caught.value)) < 500


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
def test_names_rise_as_their_numbers(numbers: list[int]) -> None:
    rise = all(a < b for a, b in pairwise(numbers))
    assert in_order([f"q[{number:03}]" for number in numbers]) == rise
    assert in_order([f"{number}" for number in numbers]) == rise
    assert in_order([*(f"q{number}" for number in numbers), "ancilla"])


def result(*keys: str) -> dict[str, Any]:
    return {"cirq_type": "ResultDict", "records": dict.fromkeys(keys, ENTRY)}


def test_natural_order_of_numbers_of_thousands_of_digits(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(result(f"q{DIGITS}", "q10", "q9")))
    keys = pp.read_shots(path, key=("*",)).provenance["keys"]
    assert keys == f"q9, q10, q{DIGITS}"


@pytest.mark.parametrize(
    ("form", "content", "given"),
    [
        ("braket", {"measurements": [[0]], "measuredQubits": [7] * 10**5}, {}),
        ("cirq", result(LONG, "b"), {}),
        ("cirq", result(LONG, "b"), {"key": (LONG, LONG)}),
        ("cirq", result("a"), {"key": (LONG,)}),
        ("cirq", {"cirq_type": "Result", "records": {LONG: 1}}, {}),
        ("cirq", {"cirq_type": "Result", "records": {"m": {**ENTRY, "shape": [1] * 10**5}}}, {}),
        ("cirq", [{LONG: 1}], {}),
        ("quera", {LONG: 1}, {}),
        ("pulser", {"tagmap": {f"bitstrings{LONG}": "u", "bitstrings": "v"}, "atom_order": []}, {}),
    ],
)
def test_a_line_stays_short(tmp_path: Path, form: str, content: Any, given: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(pp.InputError) as caught:
        pp.read_shots(path, form, **given)
    assert len(str(caught.value)) < 500
