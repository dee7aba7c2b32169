"""Files that the vendors' packages wrote: each bit where the vendor says that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp

FOLDER = Path(__file__).parent / "fixtures"
EXPECTED: dict[str, list[str]] = json.loads((FOLDER / "expected.json").read_text())

#: (file, format, settings, whether only the counts are kept)
FILES: list[tuple[str, str, dict[str, Any], bool]] = [
    ("qiskit_counts.json", "qiskit", {}, True),
    ("qiskit_registers.json", "qiskit", {}, True),
    ("qiskit_hex_counts.json", "qiskit", {"qubits": 5}, True),
    ("qiskit_memory.json", "qiskit", {}, False),
    ("qiskit_memory_registers.json", "qiskit", {}, False),
    ("qiskit_result.json", "qiskit", {}, False),
    ("qiskit_primitive_result.json", "qiskit", {"key": ("a", "b")}, False),
    ("qiskit_bit_array.json", "qiskit", {}, False),
    ("qiskit_bit_array.npz", "qiskit", {}, False),
    ("qiskit_bit_array_wide.npz", "qiskit", {}, False),
    ("cirq_result.json", "cirq", {}, False),
    ("cirq_keys.json", "cirq", {"key": ("q(*)",)}, False),
    ("cirq_old.json", "cirq", {"key": ("q(0)", "q(1)", "q(2)", "q(3)", "q(4)")}, False),
    ("braket_result.json", "braket", {}, False),
    ("braket_counts.json", "braket", {}, True),
    ("braket_turned.json", "braket", {"order": "numbered"}, False),
    ("quera_braket.json", "quera", {}, True),
    ("quera_bloqade.json", "quera", {}, True),
    ("pulser_counter.json", "pulser", {}, True),
    ("pulser_results.json", "pulser", {}, True),
    ("pulser_pasqal.json", "pulser", {}, False),
    ("stim.01", "stim-01", {}, False),
    ("stim.b8", "stim-b8", {"qubits": 10}, False),
]
AMBIGUOUS = {
    "qiskit_counts.json",
    "qiskit_memory.json",
    "braket_counts.json",
    "pulser_counter.json",
}


def rows_of(bits: Any) -> list[str]:
    return ["".join(map(str, row)) for row in np.asarray(bits).tolist()]


def test_no_file_is_forgotten() -> None:
    assert {name for name, *_ in FILES} == set(EXPECTED)


@pytest.mark.parametrize(("name", "form", "settings", "counts"), FILES, ids=[f[0] for f in FILES])
def test_bits_are_where_the_vendor_says(
    name: str, form: str, settings: dict[str, Any], counts: bool
) -> None:
    shots = pp.read_shots(FOLDER / name, form, **settings)
    found, expected = rows_of(shots.bits), EXPECTED[name]
    assert (sorted(found) if counts else found) == expected
    # The file would notice bits read from the other end.
    assert sorted(row[::-1] for row in expected) != sorted(expected)
    turned = pp.read_shots(FOLDER / name, form, **{**settings, "order": "reversed"})
    if name != "braket_turned.json":
        np.testing.assert_array_equal(turned.bits, shots.bits[:, ::-1])
    assert shots.provenance["format"] == form
    assert shots.provenance["file"] == name
    assert "site" in shots.provenance["bit_order"]
    assert "reversed" in turned.provenance["bit_order"]


@pytest.mark.parametrize(("name", "form", "settings", "counts"), FILES, ids=[f[0] for f in FILES])
def test_the_format_is_seen_where_it_can_be(
    name: str, form: str, settings: dict[str, Any], counts: bool
) -> None:
    if name in AMBIGUOUS:
        with pytest.raises(pp.InputError, match="do not tell which end is site 0"):
            pp.read_shots(FOLDER / name, **settings)
    else:
        shots = pp.read_shots(FOLDER / name, **settings)
        assert shots.provenance["format"] == form


def test_the_last_qubit_alone_is_one() -> None:
    # |00001> and its like, of every gate-model vendor: site 4 is always 1, site 3 never.
    for name, form, settings, _ in FILES:
        if form in ("quera", "stim-01", "stim-b8") or "bit_array" in name:
            continue
        bits = pp.read_shots(FOLDER / name, form, **settings).bits
        assert bits[:, 4].all(), name
        assert not bits[:, 3].any(), name
        assert 0 < bits[:, 0].mean() < 1, name
        np.testing.assert_array_equal(bits[:, 1], bits[:, 2])


def test_analog_shots_that_are_not_complete() -> None:
    path = FOLDER / "quera_braket.json"
    shots = pp.read_shots(path)
    assert shots.provenance["dropped"] == {"failed": 1, "missing atoms": 2}
    assert shots.provenance["vacant_sites"] == "2"
    assert (len(shots), shots.sites) == (21, 5)
    with pytest.raises(pp.InputError, match="1 failed, 2 missing atoms of 24 shots"):
        pp.read_shots(path, on_missing="refuse")
    assert pp.read_shots(path, "braket").provenance["dropped"] == shots.provenance["dropped"]


def test_a_vacant_site_is_seen_without_the_register(tmp_path: Path) -> None:
    data = json.loads((FOLDER / "quera_braket.json").read_text())
    data["additionalMetadata"] = None
    path = tmp_path / "bare.json"
    path.write_text(json.dumps(data))
    np.testing.assert_array_equal(
        pp.read_shots(path).bits, pp.read_shots(FOLDER / "quera_braket.json").bits
    )


def test_rydberg_is_one() -> None:
    data = json.loads((FOLDER / "quera_braket.json").read_text())
    first = data["measurements"][0]["shotResult"]["postSequence"]
    expected = [1 - bit for place, bit in enumerate(first) if place != 2]
    assert pp.read_shots(FOLDER / "quera_braket.json").bits[0].tolist() == expected


@pytest.mark.parametrize(
    ("name", "form", "settings", "words"),
    [
        ("cirq_keys.json", "cirq", {}, "holds 5 measurement keys: 'q.0.', .*choose by --key"),
        ("cirq_keys.json", "cirq", {"key": ("q(9)",)}, "no measurement key 'q.9.'; it has"),
        ("cirq_keys.json", "cirq", {"key": ("q(0)", "q(*)")}, "'q.0.' is chosen twice"),
        ("cirq_qutrits.json", "cirq", {}, "row 0, column 2: a bit must be 0 or 1, found 2"),
        ("qiskit_primitive_result.json", "qiskit", {}, "holds 2 registers: 'a', 'b'"),
        ("qiskit_hex_counts.json", "qiskit", {}, r"do not tell .* \(at least 5\); give --qubits"),
        ("qiskit_hex_counts.json", "qiskit", {"qubits": 4}, "needs 5 bits, but qubits is 4"),
        ("qiskit_counts.json", "qiskit", {"qubits": 6}, "have 5 bits, but qubits is 6"),
        ("qiskit_result.json", "qiskit", {"qubits": 6}, "has 5 bits by its header"),
        ("qiskit_result.json", "qiskit", {"key": ("1",)}, "no experiment '1'; it has '0'"),
        ("qiskit_bit_array.npz", "qiskit", {"qubits": 2}, "num_bits is 3, but qubits is 2"),
        ("braket_turned.json", "braket", {}, "order 4, 2, 0, 1, 3; say which is site 0"),
        ("braket_probabilities.json", "braket", {}, "only measurementProbabilities, so the number"),
        ("braket_counts.json", "braket", {"order": "numbered"}, "counts do not name the qubits"),
        ("qiskit_counts.json", "qiskit", {"order": "numbered"}, "'numbered' needs numbers"),
        ("stim.b8", "stim-b8", {}, "give --qubits N"),
        ("stim.b8", "stim-b8", {"qubits": 9}, "a bit set beyond the 9"),
        ("stim.b8", "stim-b8", {"qubits": 150}, "48 bytes are no whole number of shots of 19"),
        ("stim.01", "stim-01", {"qubits": 9}, "shots have 10 bits, but qubits is 9"),
        ("pulser_counter.json", "pulser", {"key": ("a",)}, "nothing to choose"),
        ("pulser_results.json", "pulser", {"key": ("a",)}, "no tag 'a'; it has 'bitstrings'"),
        ("quera_bloqade.json", "quera", {"key": ("1",)}, "no task '1'; it has '0'"),
        ("cirq_result.json", "qiskit", {}, "must be a bit string"),
        ("cirq_result.json", "pulser", {}, "must be a string of 0 and 1"),
        ("pulser_results.json", "cirq", {}, "needs a result as cirq.to_json writes it"),
        ("stim.01", "cirq", {}, "not valid JSON"),
        ("stim.b8", "text", {}, "must be UTF-8|a bit must be 0 or 1|whose numbers"),
        ("pulser_results.json", "quera", {}, "needs an analog task result"),
        ("cirq_result.json", "text", {"qubits": 3}, "qubits: means nothing to the format text"),
        ("cirq_result.json", "nope", {}, "format: must be one of text, qucumber, .* found 'nope'"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, form: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(pp.InputError, match=words) as caught:
        pp.read_shots(FOLDER / name, form, **settings)
    assert "\n" not in str(caught.value)
