"""Every refusal that names a way out: the way is taken as the message says, and works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_aquila import batch, task
from test_braket_sets import executable, program
from test_braket_sets import task as program_set
from test_qiskit_counts import TWO, sampler

import psiprune as pp
import tiny
from refusals import refused
from ways_out import ways_out

FIXTURES = Path(__file__).parent / "fixtures"

#: File, content (a name in fixtures if None), format, N, and what each way gives, site 0 first: the
#: first shot.
CASES: list[tuple[str, Any, str, int | None, list[str]]] = [
    ("a.json", {"10": 1, "11": 2}, "qiskit", 4, ["01", "0101"]),
    ("a.json", {"19": 1, "2": 2}, "qiskit", 5, ["11001"]),
    ("a.txt", "Counter({19: 2})", "auto", 5, ["11001", "10011"]),
    ("a.json", {"0x13": 1}, "qiskit", 5, ["11001"]),
    ("a.json", {"10": 1, "0": 2}, "qiskit", 4, ["0100"]),
    ("a.json", sampler(TWO), "qiskit", None, ["0"]),
    ("a.json", sampler(TWO, TWO), "qiskit", None, ["0"]),
    ("a.txt", "011,2\n", "text", None, ["011", "110"]),
    ("a.csv", "q1,q2,q0\n1,0,0\n", "text", None, ["100", "001", "010"]),
    ("a.csv", "m\n1\n0\n", "auto", 3, ["1", "001"]),
    ("a.csv", "m\n1\n5\n", "auto", 3, ["001"]),
    ("a.csv", "m\n10\n11\n", "text", 4, ["10", "1010"]),
    ("a.csv", "m\n1\n", "cirq", 3, ["001"]),
    ("a.csv", "a,b\n1,0\n", "cirq", 2, ["01"]),
    ("a.txt", "1 -1\n", "text", None, ["01"]),
    ("a.hits", "0,2\n", "auto", 3, ["101"]),
    ("a.dets", "shot M0 M2\n", "auto", 3, ["101"]),
    ("stim.r8", None, "auto", 10, ["1110111101"]),
    ("stim.ptb64", None, "auto", 10, ["1110111101"]),
    ("stim.b8", None, "auto", 10, ["1110111101"]),
    ("braket_turned.json", None, "auto", None, ["10100", "10001"]),
    ("cirq_keys.json", None, "cirq", None, ["0"]),
    ("a.json", batch((3, task()), (5, task())), "auto", None, ["100"]),
    ("a.json", {"rg": 1, "eg": 1}, "auto", None, ["10"]),
    ("a.json", program_set(program(executable()), program(executable())), "auto", None, ["001"]),
    ("a.json", program_set(program(executable(), executable())), "auto", None, ["001"]),
]


@pytest.mark.parametrize(
    ("name", "content", "form", "number", "expected"),
    CASES,
    ids=[f"{case[2]}-{k}" for k, case in enumerate(CASES)],
)
def test_the_way_works(
    tmp_path: Path, name: str, content: Any, form: str, number: int | None, expected: list[str]
) -> None:
    path = FIXTURES / name if content is None else tmp_path / name
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    out = tmp_path / "shots.nc"
    refuse = ("--on-missing", "refuse") if "rg" in str(content) else ()
    line = tiny.refusal(tiny.call("import", form, path, *refuse, "-o", out))
    ways = [way for way in ways_out(line, number) if way.options]
    assert len(ways) == len(expected), line
    for way, shown in zip(ways, expected, strict=True):
        options, form = way.options, way.form or form
        done = tiny.call("import", form, path, *options, "-o", out)
        if done.status:  # one more choice, between the registers of a circuit for instance
            further = ways_out(tiny.refusal(done), number)[0].options
            options = further if further[0] == options[0] else [*options, *further]
            done = tiny.call("import", form, path, *options, "-o", out)
        assert done.status == 0, (line, options, done)
        assert "".join(map(str, pp.read_shots(out).bits[0].tolist())) == shown, options
        out.unlink()


def test_a_column_of_integers_beside_others(tmp_path: Path) -> None:
    path, out = tmp_path / "a.csv", tmp_path / "shots.nc"
    path.write_text("a,b\n1,2\n")
    line = tiny.refusal(tiny.call("import", "cirq", path, "--key", "*", "-o", out))
    (way,) = ways_out(line, 2)
    assert tiny.call("import", "cirq", path, *way.options, "-o", out).status == 0
    assert pp.read_shots(out).bits.tolist() == [[1, 0]]


def test_the_files_of_bases(tmp_path: Path) -> None:
    shots, out = tmp_path / "train.txt", tmp_path / "shots.nc"
    shots.write_text("0 1\n1 1\n")
    (tmp_path / "train_bases.txt").write_text("X Z\nZ Z\n")
    for form in ("auto", "text", "qucumber"):
        line = tiny.refusal(tiny.call("import", form, shots, "-o", out))
        first, second = ways_out(line)
        assert not tiny.call("import", form, shots, *first.options, "-o", out).status
        assert pp.read_shots(out).bases == ("XZ", "ZZ")
        out.unlink()
        assert not tiny.call("import", form, shots, *second.options, "-o", out).status
        assert len(pp.read_shots(out)) == 2
        out.unlink()
    # Other commands read the file that the way out has written.
    line = tiny.refusal(tiny.call("info", shots))
    assert [way.options for way in ways_out(line)] == [first.options, second.options]
    assert tiny.call("info", shots, *second.options).status == 0


def test_counts_name_the_formats_that_order_them(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "a.json", json.dumps({"011": 2}))
    refused(r"name the format .*: (\w+) .*, or (\w+) or (\w+) ", pp.read_shots, path)
    assert pp.read_shots(path, "qiskit").bits[0].tolist() == [1, 1, 0]
    for form in ("braket", "pulser"):
        assert pp.read_shots(path, form).bits[0].tolist() == [0, 1, 1]
