"""What other programs make of our shots, and the command that writes them."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import psiprune as pp
import tiny
from psiprune.data.shots import as_shots

TABLES = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 19)), elements={"max_value": 1}
)


# ---- shots: out and in again


@settings(deadline=None, max_examples=40)
@given(table=TABLES)
@pytest.mark.parametrize("form", ["text", "numpy", "stim-b8", "qiskit"])
def test_shots_come_back(form: str, table: Any) -> None:
    wanted: dict[str, Any] = {"stim-b8": {"qubits": table.shape[1]}, "qiskit": {"outcomes": "bits"}}
    with tempfile.TemporaryDirectory() as folder:
        path = pp.export_shots(pp.Shots(table), Path(folder) / "shots.out", form)
        again = pp.read_shots(path, form, **wanted.get(form, {})).bits
        if form == "text":
            np.testing.assert_array_equal(np.loadtxt(path, ndmin=2), table)
    if form == "qiskit":  # counts have no order
        again, table = (np.sort(bits.view(f"S{bits.shape[1]}"), axis=0) for bits in (again, table))
    np.testing.assert_array_equal(again, table)


def test_counts_have_site_0_rightmost(tmp_path: Path) -> None:
    shots = as_shots([[0, 0, 1], [0, 0, 1], [0, 1, 1]])
    path = pp.export_shots(shots, tmp_path / "counts.json", "qiskit")
    assert json.loads(path.read_text()) == {"100": 2, "110": 1}


def test_shots_in_another_basis_stay(tmp_path: Path) -> None:
    with pytest.raises(pp.InputError, match=r"basis X.* text "):
        pp.export_shots(pp.Shots(as_shots([[0, 1]]).bits, basis="X"), tmp_path / "a.txt", "text")
    with pytest.raises(pp.InputError, match=r"format: .*text, .*'netket'"):
        pp.export_shots(as_shots([[0, 1]]), tmp_path / "a.txt", "netket")


# ---- the command


def test_the_command(tmp_path: Path, stages: Path) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    out = tmp_path / "counts.json"
    done = tiny.call("export", "qiskit", stages / "shots.nc", "-o", out, "--json")
    assert json.loads(done.out) == {
        "file": str(out),
        "format": "qiskit",
        "kind": "shots",
        "shots": 300,
        "sites": 4,
    }
    done = tiny.call("import", "qiskit", out, "-o", tmp_path / "again.nc")
    assert done.status == 0, done
    again = pp.read_shots(tmp_path / "again.nc")
    assert Counter(map(bytes, again.bits)) == Counter(map(bytes, shots.bits))
    line = tiny.call("export", "netket", stages / "rbm.nc", "-o", tmp_path / "rbm.npz").out
    assert "RBM of 4 visible and 2 hidden units as netket" in line


def test_export_keeps_what_is_there(tmp_path: Path, stages: Path) -> None:
    out = tmp_path / "a.txt"
    out.write_text("mine")
    line = tiny.refusal(tiny.call("export", "text", stages / "shots.nc", "-o", out))
    assert "exists already" in line
    assert out.read_text() == "mine"
