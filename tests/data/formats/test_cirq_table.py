"""Tables of Cirq: columns by qubit, integers of several qubits, and what is ambiguous."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import psiprune as pp
import tiny
from refusals import refused


def read(tmp_path: Path, text: str, form: str | None = "cirq", **given: Any) -> list[list[int]]:
    path = tiny.write(tmp_path / "table.csv", text)
    bits: list[list[int]] = pp.read_shots(path, form, **given).bits.tolist()
    return bits


COLUMNS = "q(10),q(0),q(2)\n1,0,0\n1,1,0\n"


def test_columns_by_the_number_of_the_qubit(tmp_path: Path) -> None:
    assert read(tmp_path, COLUMNS) == [[0, 0, 1], [1, 0, 1]]
    assert read(tmp_path, COLUMNS, "text", order="numbered") == [[0, 0, 1], [1, 0, 1]]
    assert read(tmp_path, COLUMNS, "cirq", order="listed") == [[1, 0, 0], [1, 1, 0]]
    assert read(tmp_path, COLUMNS, "cirq", key=("q(0)", "q(10)")) == [[0, 1], [1, 1]]
    table = '"q(1, 0)","q(0, 1)","q(0, 0)"\n1,0,0\n1,1,0\n'
    for form in ("cirq", None):
        assert read(tmp_path, table, form) == [[0, 0, 1], [0, 1, 1]]
    path = tiny.write(tmp_path / "table.csv", COLUMNS)
    shots = pp.read_shots(path, order="numbered")
    assert shots.provenance["columns"] == "q(0), q(2), q(10)"
    assert shots.provenance["bit_order"] == "sites are the columns by the number in their name"


@pytest.mark.parametrize(
    "header", ["a,b\n", "q0,r1\n", "q0,q0\n", "", "q0,q(1)\n"], ids=["names", "stems", *"abc"]
)
def test_what_has_no_numbers_has_no_order_by_number(tmp_path: Path, header: str) -> None:
    with pytest.raises(pp.InputError, match="order: 'numbered' needs a header"):
        read(tmp_path, header + "0,1\n", "text", order="numbered")
    with pytest.raises(pp.InputError, match=r"--order listed .*or --order reversed"):
        read(tmp_path, "011,2\n", "text", order="numbered")


def test_a_key_of_several_qubits_names_them(tmp_path: Path) -> None:
    for index in ("", ","):
        rows = "".join(f"{k}{index}{n}\n" if index else f"{n}\n" for k, n in enumerate((1, 4)))
        for form in ("cirq", None):
            table = f'{index}"q(0),q(1),q(2)"\n{rows}'
            assert read(tmp_path, table, form) == [[0, 0, 1], [1, 0, 0]]


def test_integers_need_the_number_of_qubits(tmp_path: Path) -> None:
    assert read(tmp_path, "m\n1\n12\n", qubits=4) == [[0, 0, 0, 1], [1, 1, 0, 0]]
    assert read(tmp_path, "m\n1\n0\n", qubits=2) == [[0, 1], [0, 0]]
    assert read(tmp_path, f"m\n{2**99 + 1}\n", qubits=100) == [[1, *[0] * 98, 1]]
    assert read(tmp_path, "a,b\n1,6\n0,1\n", key=("b",), qubits=3) == [[1, 1, 0], [0, 0, 1]]
    assert read(tmp_path, "a,b\n1,0\n0,1\n", key=("b", "a")) == [[0, 1], [1, 0]]


def test_one_column_of_bits_is_no_evidence_of_one_qubit(tmp_path: Path) -> None:
    for form in ("text", None):
        with pytest.raises(pp.InputError, match="only column 'm' may each be a bit or an integer"):
            read(tmp_path, "m\n1\n0\n", form)
        assert read(tmp_path, "m\n1\n0\n", form, qubits=1) == [[1], [0]]
        # The integers 10 and 11, or strings of two bits; 01 is no integer.
        refused(r"a string of 2 bits .*--qubits 2", read, tmp_path, "m\n10\n11\n", form)
        assert read(tmp_path, "m\n10\n11\n", form, qubits=2) == [[1, 0], [1, 1]]
        assert read(tmp_path, "m\n10\n01\n", form) == [[1, 0], [0, 1]]
    assert read(tmp_path, "z\n1\n-1\n", "text", spin=True) == [[0], [1]]


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("m\n16\n", {"qubits": 4}, "row 1, key 'm': 16 needs 5 bits, but the key has 4"),
        ("m\n1\nx\n", {"qubits": 4}, "row 2, key 'm': must be an integer, found 'x'"),
        ("m\n-1\n", {"qubits": 4}, "found '-1'"),
        ("m\n1\n", {}, "key 'm' do not show the number of its qubits; give --qubits N"),
        ("a,b\n1,0\n", {}, "2 measurement keys: 'a', 'b'; choose by --key"),
        ("a,b\n1,2\n", {"key": ("*",)}, r"2 needs 2 bits.*alone by --key b --qubits N"),
        ("q(0),q(1)\n0,1\n", {"qubits": 3}, "2 bits per shot, but qubits is 3"),
        ("q(0),q(1)\n0\n", {}, "row 1 has 1 values, but the header has 2"),
        ("q(0),q(0)\n0,1\n", {}, "a column name occurs twice"),
        (",q(0)\n5,1\n", {}, "first column has no name, and is not a row index"),
        ("0,1\n0,1\n", {}, "begins with a line of measurement keys"),
        ("q(0),q(1)\n", {}, "no outcomes"),
        (",\n", {}, "a column name occurs twice"),
        ("\x1c", {}, "begins with a line of measurement keys"),
        ('"' + "a" * 200_000 + '"\n1\n', {}, "not a table"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, given: dict[str, Any], words: str) -> None:
    refused(words, read, tmp_path, text, **given)
