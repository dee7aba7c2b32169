"""Files that the vendors' packages wrote: each bit where the vendor says that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make_fixtures
import numpy as np
import pytest

import psiprune as pp
from psiprune.data.formats import FORMATS
from psiprune.data.shots import as_shots
from refusals import refused

FOLDER = Path(__file__).parent / "fixtures"
EXPECTED: dict[str, list[str]] = json.loads((FOLDER / "expected.json").read_text())

#: (file, format, settings, whether only the counts are kept)
FILES: list[tuple[str, str, dict[str, Any], bool]] = [
    ("qiskit_counts.json", "qiskit", {"qubits": 5}, True),
    ("qiskit_registers.json", "qiskit", {}, True),
    ("qiskit_hex_counts.json", "qiskit", {"qubits": 5}, True),
    ("qiskit_memory.json", "qiskit", {}, False),
    ("qiskit_memory_registers.json", "qiskit", {}, False),
    ("qiskit_result.json", "qiskit", {}, False),
    ("qiskit_primitive_result.json", "qiskit", {"key": ("a", "b")}, False),
    ("qiskit_bases.json", "qiskit", {}, False),
    ("qiskit_bit_array.json", "qiskit", {}, False),
    ("qiskit_bit_array.npz", "qiskit", {}, False),
    ("qiskit_bit_array_wide.npz", "qiskit", {}, False),
    ("cirq_result.json", "cirq", {}, False),
    ("cirq_keys.json", "cirq", {"key": ("q(*)",)}, False),
    ("cirq_old.json", "cirq", {"key": ("q(0)", "q(1)", "q(2)", "q(3)", "q(4)")}, False),
    ("cirq_integers.csv", "cirq", {}, False),
    ("cirq_columns.csv", "cirq", {}, False),
    ("braket_result.json", "braket", {}, False),
    ("braket_bases.json", "braket", {}, False),
    ("braket_counts.json", "braket", {}, True),
    ("braket_turned.json", "braket", {"order": "numbered"}, False),
    ("quera_braket.json", "quera", {}, True),
    ("quera_bloqade.json", "quera", {}, True),
    ("pulser_counter.json", "pulser", {}, True),
    ("pulser_results.json", "pulser", {}, True),
    ("pulser_pasqal.json", "pulser", {}, False),
    ("stim.01", "stim-01", {}, False),
    ("stim.b8", "stim-b8", {"qubits": 10}, False),
    ("stim.r8", "stim-r8", {"qubits": 10}, False),
    ("stim.hits", "stim-hits", {"qubits": 10}, False),
    ("stim.dets", "stim-dets", {"qubits": 10}, False),
    ("stim.ptb64", "stim-ptb64", {"qubits": 10}, False),
]
AMBIGUOUS = {
    *("qiskit_counts.json", "qiskit_memory.json", "braket_counts.json", "pulser_counter.json")
}
STIM = [form for form in FORMATS if form.startswith("stim")]


def rows_of(bits: Any) -> list[str]:
    return ["".join(map(str, row)) for row in np.asarray(bits).tolist()]


def test_no_file_is_forgotten() -> None:
    assert {name for name, *_ in FILES} == set(EXPECTED)


@pytest.mark.parametrize(("name", "form", "settings", "counts"), FILES, ids=[f[0] for f in FILES])
def test_bits_are_where_the_vendor_says(
    name: str, form: str, settings: dict[str, Any], counts: bool
) -> None:
    path, expected = FOLDER / name, EXPECTED[name]
    shots = pp.read_shots(path, form, **settings)
    found = rows_of(shots.bits)
    assert (sorted(found) if counts else found) == expected
    # The file would notice bits read from the other end.
    assert sorted(row[::-1] for row in expected) != sorted(expected)
    # The circuit of make_fixtures.py.
    if form not in ("quera", *STIM) and "bit_array" not in name and "bases" not in name:
        assert all(row[3:] == "01" and row[1] == row[2] for row in expected)
        assert {row[0] for row in expected} == {"0", "1"}
    turned = pp.read_shots(path, form, **{**settings, "order": "reversed"})
    if name != "braket_turned.json":
        np.testing.assert_array_equal(turned.bits, shots.bits[:, ::-1])
    assert (shots.provenance["format"], shots.provenance["file"]) == (form, name)
    assert "site" in shots.provenance["bit_order"]
    assert "reversed" in turned.provenance["bit_order"]
    # The format is seen where it can be.
    if name == "cirq_columns.csv":  # read as text, unless Cirq is named
        refused("--order numbered", pp.read_shots, path)
        np.testing.assert_array_equal(pp.read_shots(path, order="numbered").bits, shots.bits)
    elif name in AMBIGUOUS:
        refused(r"site 0.*qiskit.*braket", pp.read_shots, path, **settings)
    else:
        assert pp.read_shots(path, **settings).provenance["format"] == form


def test_analog_shots_that_are_not_complete() -> None:
    path = FOLDER / "quera_braket.json"
    shots = pp.read_shots(path)
    assert shots.provenance["dropped"] == {"failed": 1, "missing atoms": 2}
    assert shots.provenance["vacant_sites"] == "2"
    assert (len(shots), shots.sites) == (21, 5)
    refused("1 failed, 2 missing atoms of 24 shots", pp.read_shots, path, on_missing="refuse")
    assert pp.read_shots(path, "braket").provenance["dropped"] == shots.provenance["dropped"]


def test_a_vacant_site_is_seen_without_the_register(tmp_path: Path) -> None:
    data = json.loads((FOLDER / "quera_braket.json").read_text())
    data["additionalMetadata"] = None
    path = tmp_path / "bare.json"
    path.write_text(json.dumps(data))
    np.testing.assert_array_equal(
        pp.read_shots(path).bits, pp.read_shots(FOLDER / "quera_braket.json").bits
    )


@pytest.mark.parametrize(
    ("name", "form", "settings", "words"),
    [
        ("cirq_keys.json", "cirq", {}, "5 measurement keys: 'q.0.', .*--key"),
        ("cirq_keys.json", "cirq", {"key": ("q(9)",)}, "key: .*'q.9.'.*'q.0.'"),
        ("cirq_keys.json", "cirq", {"key": ("q(0)", "q(*)")}, "key: .*'q.0.' .*twice"),
        ("cirq_qutrits.json", "cirq", {}, "row 0, column 2: .*found 2"),
        ("qiskit_primitive_result.json", "qiskit", {}, "2 registers: 'a', 'b'"),
        ("qiskit_hex_counts.json", "qiskit", {}, r"at least 5.*--qubits"),
        ("qiskit_hex_counts.json", "qiskit", {"qubits": 4}, "5 bits.* qubits is 4"),
        ("qiskit_result.json", "qiskit", {"qubits": 6}, "header: .*5 bits.* qubits is 6"),
        ("qiskit_result.json", "qiskit", {"key": ("1",)}, "key: .*experiment '1'.*'0'"),
        ("qiskit_bit_array.npz", "qiskit", {"qubits": 2}, "num_bits: .*3 bits.* qubits is 2"),
        ("braket_turned.json", "braket", {}, "4, 2, 0, 1, 3.*--order"),
        ("braket_probabilities.json", "braket", {}, "measurementProbabilities"),
        ("braket_counts.json", "braket", {"order": "numbered"}, "order: .*'listed' or 'reversed'"),
        ("qiskit_counts.json", "qiskit", {"order": "numbered"}, "order: .*qiskit.*'listed'"),
        ("stim.b8", "stim-b8", {"qubits": 9}, "shot [0-9]+ .*beyond the 9"),
        ("stim.b8", "stim-b8", {"qubits": 150}, "48 bytes .*19 bytes"),
        ("stim.01", "stim-01", {"qubits": 9}, "10 bits.* qubits is 9"),
        ("pulser_counter.json", "pulser", {"key": ("a",)}, "key: "),
        ("pulser_results.json", "pulser", {"key": ("a",)}, "key: .*tag 'a'.*'bitstrings'"),
        ("quera_bloqade.json", "quera", {"key": ("1",)}, "key: .*task '1'.*'0'"),
        ("cirq_result.json", "qiskit", {}, "bit string .*found 'cirq_type'"),
        ("cirq_result.json", "pulser", {}, "entry 0: .*found 'cirq_type'"),
        ("pulser_results.json", "cirq", {}, "cirq.to_json"),
        ("stim.01", "cirq", {}, "measurement keys"),
        ("stim.b8", "text", {}, "UTF-8|a bit must be 0 or 1|--order"),
        ("pulser_results.json", "quera", {}, "analog"),
        ("cirq_result.json", "qiskit", {"skip": 3}, "skip: .*qiskit"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, form: str, settings: dict[str, Any], words: str
) -> None:
    refused(words, pp.read_shots, FOLDER / name, form, **settings)


# ---- the vendors' packages of today, where installed: fresh files, read as those of the fixtures


QUCUMBER_HERE = "pip install torch, then pip install --no-deps qucumber, run QuCumber itself"
MODULES = {
    "qiskit": ("qiskit", "qiskit_ibm_runtime"),
    "cirq": ("cirq",),
    "braket": ("braket.circuits",),
    "quera": ("braket.ahs",),
    "bloqade": ("bloqade.analog",),
    "pulser": ("pulser_simulation",),
    "stim": ("stim",),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("vendor", make_fixtures.VENDORS)
def test_fresh_files(vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES[vendor]:
        pytest.importorskip(module, reason=f"pip install '.[vendors]' runs {module} itself")
    expected: dict[str, list[str]] = {}
    monkeypatch.setattr(make_fixtures, "FOLDER", tmp_path)
    monkeypatch.setattr(make_fixtures, "EXPECTED", expected)
    make_fixtures.VENDORS[vendor]()
    assert expected
    settings: dict[str, tuple[str, dict[str, Any], bool]] = {
        name: (form, given, counts) for name, form, given, counts in FILES
    }
    for name, rows in expected.items():
        form, given, counts = settings[name]
        found = rows_of(pp.read_shots(tmp_path / name, form, **given).bits)
        assert (sorted(found) if counts else found) == rows, name


def test_qiskit_reads_our_counts(tmp_path: Path) -> None:
    reason = "pip install '.[vendors]' runs Qiskit itself"
    containers = pytest.importorskip("qiskit.primitives.containers", reason=reason)
    import json

    shots = as_shots(np.random.default_rng(0).integers(2, size=(30, 9)))
    path = pp.export_shots(shots, tmp_path / "counts.json", "qiskit")
    array = containers.BitArray.from_counts(json.loads(path.read_text()), 9)
    bits = array.to_bool_array(order="little").astype(int)
    assert sorted(rows_of(bits)) == sorted(rows_of(shots.bits))


def test_qucumber_chooses_the_same_shots(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=QUCUMBER_HERE)
    data = pytest.importorskip("qucumber.utils.data", reason=QUCUMBER_HERE)
    rng = np.random.default_rng(0)
    samples, bases = tmp_path / "samples.txt", tmp_path / "bases.txt"
    np.savetxt(samples, rng.integers(2, size=(60, 3)), fmt="%d")
    np.savetxt(bases, rng.choice(list("ZZX"), size=(60, 3)), fmt="%s")
    theirs = data.extract_refbasis_samples(*data.load_data(samples, tr_bases_path=bases))
    ours = pp.read_shots(samples, "qucumber", bases=bases).in_basis("Z")
    np.testing.assert_array_equal(ours.bits, theirs.numpy())
    assert 0 < len(ours) < 60
