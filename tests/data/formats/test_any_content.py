"""Anything at all as a file of shots: refused in one line or read as bits, never a traceback."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import psiprune as pp
from psiprune.data.formats import FORMATS

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
