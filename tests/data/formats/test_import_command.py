"""`psiprune import` and `psiprune export`, with a line that says what was read or written."""

from __future__ import annotations

import json
import re
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
from outcomes import text_of
from psiprune.cli.app import app
from psiprune.data.formats import FORMATS
from psiprune.data.formats.settings import ReadSettings
from refusals import check_facts, check_refusal, refused

FIXTURES = Path(__file__).parent / "fixtures"


def test_several_files_are_joined(tmp_path: Path) -> None:
    files = [FIXTURES / "quera_braket.json", tmp_path / "again.json"]
    files[1].write_bytes(files[0].read_bytes() + b"\n")
    out = tmp_path / "shots.nc"
    printed = text_of(tiny.call("import", "quera", *files, "-o", out, "--json"))
    one, other = map(pp.read_shots, files)
    assert json.loads(printed) == {
        "file": str(out),
        "shots": 42,
        "sites": 5,
        "files": [str(file) for file in files],
        "format": "quera",
        "dropped": {"failed": 2, "missing atoms": 4},
        "bit_order": one.provenance["bit_order"],
    }
    shots = pp.read_shots(out)
    np.testing.assert_array_equal(shots.bits, np.concatenate([one.bits, one.bits]))
    assert shots.provenance["joined"] == [dict(one.provenance), dict(other.provenance)]


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    file, copy, out = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "shots.nc"
    file.write_text("0 1\n1 1\n")
    copy.write_text(file.read_text())
    (tmp_path / "link.txt").symlink_to(file)
    for again in (file, copy, tmp_path / "link.txt"):
        line = tiny.refusal(tiny.call("import", "text", file, again, "-o", out))
        check_refusal(line, "files", str(file), str(again), "same bytes", "give one of them")
    assert not out.exists()


def test_the_line(tmp_path: Path) -> None:
    done = tiny.call("import", "quera", FIXTURES / "quera_braket.json", "-o", tmp_path / "a.nc")
    facts = ("21 shots", "5 sites", "1 file", "quera", "1 failed", "2 missing atoms", "Rydberg")
    line, then = done.out.splitlines()
    check_refusal(line, "a.nc", *facts)
    assert then == f"next: psiprune info {tmp_path / 'a.nc'}"
    done = tiny.call("import", "auto", FIXTURES / "stim.01", "-o", tmp_path / "b.nc")
    check_facts(done.out.splitlines()[0], "24 shots", "10 sites", "stim-01", "left out: none")


@pytest.mark.parametrize(
    ("name", "form", "options", "given"),
    [
        ("stim.b8", "stim-b8", ["--qubits=10"], {"qubits": 10}),
        ("qiskit_hex_counts.json", "qiskit", ["--qubits", "5"], {"qubits": 5}),
        ("cirq_keys.json", "cirq", ["--key", "q(4)", "q(0)"], {"key": ("q(4)", "q(0)")}),
        ("cirq_keys.json", "cirq", ["--key=q(4)", "--key=q(0)"], {"key": ("q(4)", "q(0)")}),
        ("cirq_keys.json", "cirq", ["--key", "q(*)"], {"key": ("q(*)",)}),
        ("braket_turned.json", "braket", ["--order", "numbered"], {"order": "numbered"}),
        ("pulser_counter.json", "pulser", ["--order=reversed"], {"order": "reversed"}),
        ("quera_braket.json", "quera", ["--on-missing=drop"], {"on_missing": "drop"}),
    ],
)
def test_options(
    tmp_path: Path, name: str, form: str, options: list[str], given: dict[str, Any]
) -> None:
    out = tmp_path / "shots.nc"
    text_of(tiny.call("import", form, FIXTURES / name, *options, "-o", out))
    expected = pp.read_shots(FIXTURES / name, form, **given)
    found = pp.read_shots(out)
    np.testing.assert_array_equal(found.bits, expected.bits)
    assert found.provenance == {**expected.provenance, "source": expected.source}
    if given.get("key") == ("q(4)", "q(0)"):  # joined in the order given
        whole = pp.read_shots(FIXTURES / name, key=("q(*)",)).bits
        np.testing.assert_array_equal(found.bits, whole[:, [4, 0]])


def test_text_options(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("remark of the lab\n1 -1\n-1 -1\n")
    command = ("import", "text", tmp_path / "a.txt", "--skip=1", "--spin", "-o", tmp_path / "a.nc")
    assert tiny.call(*command).status == 0
    assert pp.read_shots(tmp_path / "a.nc").bits.tolist() == [[0, 1], [1, 1]]
    (tmp_path / "b.txt").write_text("0 1\n1 1\n")
    (tmp_path / "bases.txt").write_text("Z Z\nX Z\n")
    options = ("--bases", tmp_path / "bases.txt", "-o", tmp_path / "b.nc")
    done = tiny.call("import", "qucumber", tmp_path / "b.txt", *options)
    assert "2 shots of 2 sites" in done.out
    assert "; measured in ZZ, XZ (2 bases)" in done.out


def test_each_file_takes_its_bases(tmp_path: Path) -> None:
    samples, bases, out = [tmp_path / "a.txt", tmp_path / "b.txt"], tmp_path / "z.txt", "all.nc"
    samples[0].write_text("0 1\n1 1\n")
    samples[1].write_text("1 0\n0 0\n")
    bases.write_text("Z Z\nX Z\n")
    command = ("import", "qucumber", *samples, "-o", tmp_path / out, "--bases")
    line = tiny.refusal(tiny.call(*command, bases))
    assert line.startswith("--bases: ")
    assert not (tmp_path / out).exists()
    for entries, expected in (
        ((bases, "YZ"), ["ZZ", "XZ", "YZ", "YZ"]),
        (("ZZ", "ZX"), ["ZZ", "ZZ", "ZX", "ZX"]),
        (("X",), ["XX"] * 4),
        (("none",), ["ZZ"] * 4),
    ):
        assert not tiny.call(*command, *entries).status
        shots = pp.read_shots(tmp_path / out)
        assert shots.bits.tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
        assert [shots.bases[k] for k in shots.basis_of] == expected
        (tmp_path / out).unlink()
    # The way out that the line names.
    parts = [file.with_suffix(".nc") for file in samples]
    for file, part in zip(samples, parts, strict=True):
        assert not tiny.call("import", "qucumber", file, "--bases", bases, "-o", part).status
    assert tiny.call("import", "netcdf", *parts, "-o", tmp_path / out).status == 0
    assert pp.read_shots(tmp_path / out).in_basis("Z").bits.tolist() == [[0, 1], [1, 0]]


def test_help_names_every_format_and_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(str(app["import"].help).split())
    assert f"Formats: {', '.join(FORMATS)};" in text
    shown = tiny.help_of(monkeypatch, "import")
    for name, field in ReadSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert str(field.description) in shown
    assert "--no-spin" not in shown
    for command, option in (("import", "--out -o"), ("import", "--json"), ("export", "--json")):
        assert option in tiny.help_of(monkeypatch, command)


def test_every_format_and_setting_is_in_use_and_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
    listed = re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.M)))
    assert set(FORMATS) <= set(listed)
    used = {"order", "bases"}.union(*(form.settings for form in FORMATS.values()))
    assert used == set(ReadSettings.model_fields)


def test_joining_needs_equal_sites() -> None:
    bits = np.array([[0, 1]], dtype=np.uint8)
    shots = pp.Shots(bits)
    assert pp.join_shots([shots]) is shots
    other = pp.Shots(1 - bits)
    assert pp.join_shots([shots, other, shots]).bits.tolist() == [[0, 1], [1, 0], [0, 1]]
    refused("has 1 site, but array has 2", pp.join_shots, [shots, pp.Shots(bits[:, :1])])
    refused("needs at least one set of shots", pp.join_shots, [])


@pytest.mark.parametrize("rows", ["::2", "1:", ":-1", "1:9:3"])
def test_some_rows(rows: str, tmp_path: Path) -> None:
    kept = slice(*(int(part) if part else None for part in rows.split(":")))
    bits = np.random.default_rng(0).integers(0, 2, (12, 3), dtype=np.uint8)
    files = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for file, part in zip(files, (bits[:5], bits[5:]), strict=True):
        pp.Shots(part, basis="X").save(file)
    out = tmp_path / "out.nc"
    done = tiny.call("import", "auto", *files, "--rows", rows, "-o", out)
    left = 12 - len(bits[kept])
    assert f": {12 - left} shots of 3 sites " in done.out
    assert f"left out: {left} not in rows {rows};" in done.out
    shots = pp.read_shots(out)
    np.testing.assert_array_equal(shots.bits, bits[kept])
    assert (shots.basis, shots.provenance["rows"]) == ("X", rows)


@pytest.mark.parametrize("rows", ["", "3", "::0", "::-1", "a:b", "1:2:3:4", "1.5:", "12:"])
def test_rows_that_keep_nothing_or_are_no_slice(rows: str, tmp_path: Path) -> None:
    file, out = tmp_path / "a.txt", tmp_path / "out.nc"
    file.write_text("01\n10\n" * 6)
    line = tiny.refusal(tiny.call("import", "text", file, f"--rows={rows}", "-o", out))
    check_facts(line, "--rows", rows or repr(rows))
    assert not out.exists()


# ---- export


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
    lines = tiny.call("export", "text", stages / "shots.nc", "-o", tmp_path / "a.txt").out
    assert lines.splitlines()[-1] == f"next: psiprune info {tmp_path / 'a.txt'}"
    again = pp.read_shots(tmp_path / "again.nc")
    assert Counter(map(bytes, again.bits)) == Counter(map(bytes, shots.bits))
    line = tiny.call("export", "netket", stages / "rbm.nc", "-o", tmp_path / "rbm.npz").out
    assert "RBM of 4 visible and 2 hidden units as netket" in line
