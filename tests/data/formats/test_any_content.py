"""Anything at all as a file of shots: refused in one line or read as bits, never a traceback."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fuzz
import psiprune as pp
import tiny
from psiprune.data.formats import FORMATS
from psiprune.data.formats.names import in_order
from refusals import refused

FIXTURES = Path(__file__).parent / "fixtures"
JSON_FORMATS = ("qiskit", "cirq", "braket", "quera", "pulser")

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text("01 x", max_size=4)
WORDS = st.sampled_from(
    re.findall(
        r"\S+",
        "measurements measuredQubits braketSchemaHeader name shotMetadata shotResult "
        "shot_outputs shot_status pre_sequence post_sequence filling counter raw tagmap results "
        "times atom_order bitstrings records cirq_type shape packed_digits binary __type__ "
        "__value__ array num_bits data counts 01 10 0x1 serialised_results fields pub_results "
        "parallel_decoder samples remote_batch tasks mapping cluster_index egr 12 "
        "programResults executableResults measurementProbabilities taskMetadata",
    )
)
TREES = st.recursive(
    LEAVES
    | st.sampled_from(
        [f"braket.task_result.program_{end}" for end in ("set_task_result", "result")]
    )
    | st.sampled_from(["ResultDict", "BitArray", "DataBin", "PrimitiveResult", "Completed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def bits_or_one_line(content: bytes, form: str | None, name: str = "file", **given: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        line = ""
        try:
            shots = pp.read_shots(path, form, **given)
            assert set(np.unique(shots.bits)) <= {0, 1}
        except pp.InputError as error:
            line = str(error)
    assert "\n" not in line
    assert len(line) < 500


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, form=st.sampled_from((*JSON_FORMATS, None)))
@example(tree=3, form=None)
@example(tree={"records": {}, "cirq_type": ["ResultDict"]}, form="cirq")
@example(tree={"__type__": ["BitArray"]}, form="qiskit")
@example(
    tree={"tagmap": {"bitstrings": "u"}, "atom_order": [], "times": {"u": [1.0]}}, form="pulser"
)
def test_any_json(tree: Any, form: str | None) -> None:
    for name in ("file", "file.json"):  # a name may choose the reader
        bits_or_one_line(json.dumps(tree).encode(), form, name)


STARTS = (
    *(b"", b"{'", b"Counter({", b'"q(0),q(1)"\n'),
    *(b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"PK\x03\x04"),
)


@settings(deadline=None, max_examples=100)
@given(
    start=st.sampled_from(STARTS),
    content=st.binary(min_size=1, max_size=60)
    | st.text("shotMDL01,\n ", min_size=1).map(str.encode),
    form=st.sampled_from((*FORMATS, None)),
    suffix=st.sampled_from(
        ["", ".json", ".nc", ".npz", ".csv", ".01", ".b8", ".r8", ".hits", ".dets", ".ptb64"]
    ),
    qubits=st.integers(1, 20),
)
def test_any_bytes(
    start: bytes, content: bytes, form: str | None, suffix: str, qubits: int
) -> None:
    given = {"qubits": qubits} if form and form.startswith("stim") else {}
    bits_or_one_line(start + content, form, f"file{suffix}", **given)


# ---- mutated files: two minutes of `make fuzz`


@pytest.mark.slow
@pytest.mark.parametrize("form", [*FORMATS, fuzz.OWN])
def test_mutated_files(form: str) -> None:
    counts, failures, _ = fuzz.fuzz(form, 100_000, seconds=120 / (len(FORMATS) + 1), seed=1)
    assert not failures
    assert counts["read"] + counts["refused"] > 20
    assert counts["refused"] > 0


def test_mutations_have_names() -> None:
    """A number names a mutation, so that what was found can be repeated."""
    every = {fuzz.mutation("text", 0, number).content for number in range(50)}
    assert len(every) > 40
    assert every == {fuzz.mutation("text", 0, number).content for number in range(50)}
    start = fuzz.starts("text")[0].content
    assert fuzz.mutated(start, start, np.random.default_rng(0)) != start


# ---- names of thousands of digits or characters: read in time, or refused in a short line


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
    path = tiny.write(tmp_path / "a.csv", f"{header}\n0,1\n")
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
    path = tiny.write(tmp_path / "a.csv", f"q{DIGITS}2,q{DIGITS}1\n0,1\n")
    line = refused("--order listed", pp.read_shots, path)
    assert len(line) < 500


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4))
def test_names_rise_as_their_numbers(numbers: list[int]) -> None:
    rise = all(a < b for a, b in pairwise(numbers))
    assert in_order([f"q[{number:03}]" for number in numbers]) == rise
    assert in_order([f"{number}" for number in numbers]) == rise
    assert in_order([*(f"q{number}" for number in numbers), "ancilla"])


def result(*keys: str) -> dict[str, Any]:
    return {"cirq_type": "ResultDict", "records": dict.fromkeys(keys, ENTRY)}


def test_natural_order_of_numbers_of_thousands_of_digits(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "a.json", json.dumps(result(f"q{DIGITS}", "q10", "q9")))
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
    path = tiny.write(tmp_path / "a.json", json.dumps(content))
    line = refused(".", pp.read_shots, path, form, **given)
    assert len(line) < 500
