"""Readout errors from rates, tables, files of psiprune, and files of vendors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import psiprune as pp
from confusions import random_error
from psiprune.data.readout_error import ReadoutError
from refusals import refuses

#: Of ibmq_lima, as `backend.properties().to_dict()` lists it.
LIMA = [(0.0118, 0.0404), (0.0134, 0.0352), (0.0094, 0.0326), (0.012, 0.0484), (0.0276, 0.0812)]


def qiskit(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Backend properties with these rates."""
    return {
        "backend_name": "ibmq_lima",
        "qubits": [
            [
                {"date": "2021-03-15", "name": "T1", "unit": "us", "value": 59.7},
                {"name": "readout_error", "unit": "", "value": (zero + one) / 2},
                {"name": "prob_meas0_prep1", "unit": "", "value": one},
                {"name": "prob_meas1_prep0", "unit": "", "value": zero},
            ]
            for zero, one in pairs
        ],
        "gates": [{"qubits": [0, 1], "gate": "cx", "parameters": []}],
    }


def braket(fidelities: dict[str, float | None]) -> dict[str, Any]:
    """Device properties of Braket with these readout fidelities."""

    def entries(fidelity: float | None) -> list[dict[str, Any]]:
        other = {"fidelityType": {"name": "RANDOMIZED_BENCHMARKING"}, "fidelity": 0.9993}
        readout = {"fidelityType": {"name": "READOUT", "description": None}, "fidelity": fidelity}
        return [other, readout]

    one = {name: {"oneQubitFidelity": entries(each)} for name, each in fidelities.items()}
    header = {"name": "braket.device_schema.iqm.iqm_device_capabilities", "version": "1"}
    return {"braketSchemaHeader": header, "standardized": {"oneQubitProperties": one}}


def braket_errors(pairs: dict[str, tuple[float | None, float | None]]) -> dict[str, Any]:
    """Device properties with both error rates, and a readout fidelity of 0.9 before them."""
    properties = braket(dict.fromkeys(pairs, 0.9))
    for qubit, pair in pairs.items():
        entries = properties["standardized"]["oneQubitProperties"][qubit]["oneQubitFidelity"]
        for name, value in zip(("0_TO_1", "1_TO_0"), pair, strict=True):
            kind = {"name": f"READOUT_ERROR_{name}", "description": None}
            entries.append({"fidelityType": kind, "fidelity": value, "standardError": None})
    return properties


QUERA = {
    "paradigm": {
        "performance": {
            "lattice": {
                "atomDetectionErrorFalsePositiveTypical": "0.001",
                "atomDetectionErrorFalseNegativeTypical": "0.002",
            },
            "rydberg": {
                "rydbergGlobal": {"groundDetectionError": "0.05", "rydbergDetectionError": 0.1}
            },
        }
    }
}
LATTICE = {"lattice": QUERA["paradigm"]["performance"]["lattice"]}
RIGETTI = {
    "provider": {
        "specs": {
            "1Q": {"0": {"T1": 1e-5, "fRO": 0.919}, "1": {"fRO": 0.9}},
            "2Q": {"0-1": {"Avg_fRO": 0.9165}},
        }
    }
}
OQC = {"properties": {"one_qubit": {"0": {"fRO": 0.99, "fRB": 0.98}, "1": {"fRO": 0.97}}}}
AQT = {
    "standardized": {
        "oneQubitProperties": {"0": {"oneQubitFidelity": []}, "1": {}},
        "readoutFidelity": [{"fidelity": 0.996, "unit": "fraction"}],
    }
}
PULSER = {"noise_types": ["SPAM"], "p_false_pos": 0.01, "p_false_neg": 0.05, "runs": 15}
#: As `M3Mitigation.cals_to_file` of mthree 3 writes it (mthree/mitigation.py in the repository
#: Qiskit/mthree): columns are prepared states, qubits that were not calibrated are null.
M3 = {
    "timestamp": "2024-02-29T12:00:00.000000+00:00",
    "backend": "ibm_kyiv",
    "shots": 10000,
    "cals": [[[0.99, 0.05], [0.01, 0.95]], [[0.9, 0.2], [0.1, 0.8]], None],
}
M3_TWO = M3 | {"cals": [[[0.99, 0.05], [0.01, 0.95]], [[0.9, 0.2], [0.1, 0.8]]]}


def written(folder: Path, content: Any, name: str = "device.json") -> Path:
    """Write text, bytes or JSON."""
    file = folder / name
    data = content if isinstance(content, str | bytes) else json.dumps(content)
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01", (0.01, 0.01)),
        ("0.01,0.03", (0.01, 0.03)),
        (" 0.01, 3e-2 ", (0.01, 0.03)),
        ("0", (0, 0)),
    ],
)
@pytest.mark.parametrize("sites", [1, 2, 40])
def test_rates_as_text(text: str, expected: tuple[float, float], sites: int) -> None:
    found = pp.read_readout(text, sites)
    assert found.rates.tolist() == [list(expected)] * sites
    assert (found.source, found.is_measured) == ("rates", False)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("fit", ("'fit'", "one state", "psiprune calibrate")),
        ("0.01,0.02,0.03", (3, "file")),
        ("0.5", ("p(1|0)", 0, 0.5, 0.5)),
        ("0.1,-0.2", ("p(0|1)", 0, 0.5, -0.2)),
        ("nan", ("p(1|0)", "nan")),
        ("60", ("p(1|0)", 60, "percent")),
        ("inf", ("p(1|0)", "inf", "give a probability")),
        ("", ("0.01,0.03", "file", "''")),
        ("1%", ("0.01,0.03", "file", "'1%'")),
        ("0.01 0.03", ("0.01,0.03", "file", "'0.01 0.03'")),
        ("3", ("p(1|0)", 3, "percent")),
        ("0.49", ("nearly singular", 0.05)),
        ("0.01+-0.001,0.03", ("both rates", "neither")),
        ("0.01+-0.001+-0.1", ("both rates", "neither")),
        ("0.01+-0", ("p(1|0)", 0.01, 0, "above 0")),
        ("0.01,0.03±0.2", ("both rates",)),
        ("0.01±0.002,0.03+/-0.2", ("p(0|1)", 0.03, 0.171, 0.2)),
        ("0+-0.01", ("p(1|0)", 0, "(k + 1/2)")),
        ("0.6+-0.01", ("p(1|0)", 0.6)),
        ("0.01+-nan", ("p(1|0)", "nan")),
        ("0.01+-", ("0.01,0.03", "file")),
    ],
)
def test_bad_rates(text: str, facts: tuple[object, ...]) -> None:
    with refuses("readout", *facts):
        pp.read_readout(text, 2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (qiskit(LIMA[:2]), LIMA[:2]),
        ({"properties": qiskit(LIMA[:2])}, LIMA[:2]),
        ({"qubits": [[{"name": "readout_error", "value": 0.02}]] * 2}, [(0.02, 0.02)] * 2),
        ({"provider": {"fidelity": {"spam": {"mean": 0.9}}}}, [(0.1, 0.1)] * 2),
        (braket({"1": 0.9, "0": 0.8}), [(0.2, 0.2), (0.1, 0.1)]),
        (braket({"10": 0.9, "9": 0.8}), [(0.2, 0.2), (0.1, 0.1)]),
        (AQT, [(0.004, 0.004)] * 2),
        (RIGETTI, [(0.081, 0.081), (0.1, 0.1)]),
        (OQC, [(0.01, 0.01), (0.03, 0.03)]),
        (QUERA, [(0.05, 0.1)] * 2),  # 0: ground state, 1: Rydberg state
        (LATTICE, [(0.002, 0.001)] * 2),  # 0: atom present, 1: atom absent
        (PULSER, [(0.01, 0.05)] * 2),
        (M3_TWO | {"shots": None}, [(0.01, 0.05), (0.1, 0.2)]),
        (M3_TWO["cals"], [(0.01, 0.05), (0.1, 0.2)]),  # the first version of the file
        (braket_errors({"0": (0.01, 0.02), "1": (0.03, 0.04)}), [(0.01, 0.02), (0.03, 0.04)]),
        (braket_errors({"0": (0.99, 0.98), "1": (0.97, 0.96)}), [(0.01, 0.02), (0.03, 0.04)]),
        (braket_errors({"0": (0.01, None), "1": (None, 0.04)}), [(0.1, 0.1)] * 2),
        ([[0.01, 0.02], [0.03, 0.04]], [(0.01, 0.02), (0.03, 0.04)]),
        ([0.01, 0.02], [(0.01, 0.01), (0.02, 0.02)]),
    ],
)
def test_json_of_others(tmp_path: Path, content: Any, expected: Any) -> None:
    file = written(tmp_path, content)
    found = pp.read_readout(file, 2)
    np.testing.assert_allclose(found.rates, expected)
    assert found.source.startswith(str(file))
    assert not found.is_measured
    np.testing.assert_allclose(found.rate_errors, 0.1 * found.rates)
    assert pp.read_readout(str(file), 2).to_json() == found.to_json()


IBM = (
    'Qubit,T1 (us),Readout assignment error,Prob meas0 prep1,Prob meas1 prep0,"CNOT error"\n'
    '0,100,0.02,0.03,0.01,"0_1:0.01,0_2:3"\n'
    "1,90,0.035,0.05,0.02,\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01 0.02\n0.03 0.04\n", [(0.01, 0.02), (0.03, 0.04)]),
        ("0.01,0.02\n0.03,0.04", [(0.01, 0.02), (0.03, 0.04)]),
        ("# p\n0.01\n\n0.03  # site 1\n", [(0.01, 0.01), (0.03, 0.03)]),
        ("rate\n0.01\n0.03\n", [(0.01, 0.01), (0.03, 0.03)]),
        ("p01;p10\n0.02;0.01\n0.04;0.03\n", [(0.01, 0.02), (0.03, 0.04)]),
        ("p(1|0)\tp(0|1)\n0.01\t0.02\n0.03\t0.04\n", [(0.01, 0.02), (0.03, 0.04)]),
        ("site,p10,p01\n1,0.03,0.04\n0,0.01,0.02\n", [(0.01, 0.02), (0.03, 0.04)]),
        ("qubit,p10,p01\nQ10,0.03,0.04\nQ9,0.01,0.02\n", [(0.01, 0.02), (0.03, 0.04)]),
        (IBM, [(0.01, 0.03), (0.02, 0.05)]),
    ],
)
def test_tables(tmp_path: Path, text: str, expected: Any) -> None:
    file = written(tmp_path, text, "rates.csv")
    assert pp.read_readout(file, 2).rates.tolist() == [list(pair) for pair in expected]
    assert pp.read_readout(file, 2).source == str(file)


class Target(dict[str, Any]):
    """Stands in for a Qiskit target: properties of each instruction by its qubits."""

    def __init__(self, errors: dict[int, Any]) -> None:
        measured = {(qubit,): SimpleNamespace(error=each) for qubit, each in errors.items()}
        super().__init__({"measure": measured, "x": {(0,): None}})


def test_targets_of_qiskit() -> None:
    target = Target({10: 0.03, 9: 0.02, 2: None, 3: 0.7})
    for each in (target, SimpleNamespace(target=target)):
        found = pp.read_readout(each, 2, [9, 10])
        assert found.rates.tolist() == [[0.02, 0.02], [0.03, 0.03]]
        assert (found.source, found.is_measured) == ("Qiskit target", False)
    assert pp.read_readout(Target({10: 0.03, 9: 0.02}), 2).rates[:, 0].tolist() == [0.02, 0.03]
    for qubit, facts in ((2, ("no readout error",)), (3, ("p(1|0)", 0.5, 0.7))):
        with refuses("target", f"qubit {qubit}", *facts):
            pp.read_readout(target, 1, [qubit])
    with refuses("target", 3, 4, "--readout-qubits"):
        pp.read_readout(target, 3)
    with refuses("target", "qubit 0", "number", "list of 0"):
        pp.read_readout(Target({0: []}), 1)
    for ideal in ({None: None}, {(0,): None}):
        with refuses("target"):
            pp.read_readout({"measure": ideal}, 1)
    for wrong in (0.01, {"x": 1}, {"measure": 3}, np.zeros(3), SimpleNamespace(target=None)):
        with refuses("readout", "0.01,0.03", "Qiskit target"):
            pp.read_readout(wrong, 1)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2)])
def test_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.linspace(0.01, 0.06, int(np.prod(shape))).reshape(shape)
    np.save(tmp_path / "rates.npy", array)
    found = pp.read_readout(tmp_path / "rates.npy", 3)
    expected = np.broadcast_to(array.reshape(3, -1), (3, 2))
    np.testing.assert_array_equal(found.rates, expected)


def test_qubits_choose_and_order_those_of_the_device(tmp_path: Path) -> None:
    file = written(tmp_path, qiskit(LIMA))
    found = pp.read_readout(file, 3, [4, 0, 2])
    assert found.rates.tolist() == [list(LIMA[qubit]) for qubit in (4, 0, 2)]
    assert "ibmq_lima" in found.source
    with refuses(file.name, 3, 5, "--readout-qubits"):
        pp.read_readout(file, 3)
    with refuses(file.name, 6, 5, "every site"):
        pp.read_readout(file, 6)
    for wrong in ([0, 1], [0, 1, 1]):
        with refuses("qubits", 3, str(wrong)):
            pp.read_readout(file, 3, wrong)
    with refuses("qubits", file.name.removesuffix(".json"), "0, 1, 2, 3, 4", 7):
        pp.read_readout(file, 3, [0, 1, 7])
    calibrated = written(tmp_path, random_error([[0, 2], [1], [3]]).to_json(), "own.json")
    whole = pp.read_readout(calibrated, 4)
    chosen = pp.read_readout(calibrated, 2, [3, 2])
    np.testing.assert_allclose(chosen.rates, whole.rates[[3, 2]])
    with refuses("qubits", 4):
        pp.read_readout(calibrated, 2, [3, 4])
    for shared in (written(tmp_path, QUERA, "q.json"), "0.01"):
        with refuses("qubits", "same rates"):
            pp.read_readout(shared, 2, [0, 1])


def test_only_the_chosen_qubits_must_be_readable(tmp_path: Path) -> None:
    content = qiskit([(0.01, 0.02), (0.03, 0.916), (0.01, 0.03)])
    content["qubits"][2] = []
    file = written(tmp_path, content)
    assert pp.read_readout(file, 1, [0]).rates.tolist() == [[0.01, 0.02]]
    with refuses(file.name, "qubit 1", "p(0|1)", 0.5, 0.916):
        pp.read_readout(file, 2, [0, 1])
    with refuses(file.name, "qubit 2", "no readout error"):
        pp.read_readout(file, 2, [0, 2])


@pytest.mark.parametrize(
    ("name", "content", "facts"),
    [
        ("a.txt", "", ("empty",)),
        ("a.txt", " \n", ("empty",)),
        ("a.txt", "# nothing\n", ("comments",)),
        ("a.txt", "0.1 0.2\n0.1\n", ("line 2", 1, 2)),
        ("a.txt", "0 0.1 0.2\n1 0.1 0.2\n", ("line 1", 3, "p10", "p01")),
        ("a.txt", "0.1 x\n0.1 0.2\n", ("line 1", "'x'")),
        ("a.txt", "0.1 0.2\n0.1 0.6\n", ("line 2", "p(0|1)", 0.5, 0.6)),
        ("a.txt", "0.1 0.2\n0.1 nan\n", ("line 2", "p(0|1)", "nan")),
        ("a.txt", "1.5 2\n0.1 0.2\n", ("line 1", "p(1|0)", 1.5, "percent")),
        ("a.txt", "0.1 0.2\n", (2, 1)),
        ("a.txt", "0.1 0.2\n" * 3, (2, 3, "--readout-qubits")),
        ("a.csv", "a,b\n0.1,0.2\n0.1,0.2\n", ("p10", "p01", "'a', 'b'")),
        ("a.csv", "p10,x\n0.1,0.2\n0.1,0.2\n", ("p01", "'x'")),
        ("a.csv", "qubit,rate\n0,0.1\n0,0.2\n", ("line 3", "qubit 0", "twice")),
        ("a.csv", "qubit,rate\nleft,0.1\n1,0.2\n", ("line 2", "'left'")),
        ("a.csv", "qubit,rate\n0,\n1,0.2\n", ("line 2", "no readout error")),
        ("a.csv", b"\x1f\x8b\x08", ("gzip",)),
        ("a.nc", b"\x89HDF\r\n\0\0", ("binary",)),
        ("a.txt", b"\xff\xfe0", ("UTF-8", "0xff")),
        ("a.json", "{", ("line 1", "column 2", "truncated")),
        ("a.json", "[" * 100_000, ("nested",)),
        ("a.json", "3", ("psiprune calibrate", "Qiskit", "Braket", 3)),
        ("a.json", {"a": 1}, ("psiprune calibrate", "'a'")),
        ("a.json", [], ("[site, 2]",)),
        ("a.json", [[0.1, 0.2], [0.1]], ("[site, 2]", "list of 2")),
        ("a.json", [["0.1", "0.2"]], ("[site, 2]",)),
        ("a.json", [[0.1, 0.2], [0.3, float("nan")]], ("row 1", "p(0|1)", "nan")),
        ("a.json", [[0.1, 0.2], [0.3, 0.5]], ("row 1", "p(0|1)", 0.5, 0.5)),
        ("a.json", '{"a": 1, "a": 2}', ("'a'", "twice")),
        ("a.json", {"groups": 3}, ("sites", "matrix")),
        ("a.json", {"groups": []}, ("exactly one group",)),
        ("a.json", {"groups": [{"sites": ["a"], "matrix": [[1]]}]}, ("sites", "matrix")),
        ("a.json", {"groups": [{"sites": [0.5], "matrix": [[1]]}]}, ("sites", "matrix")),
        ("a.json", {"groups": [{"sites": [0], "matrix": [[1], [0, 1]]}]}, ("sites", "matrix")),
        ("a.json", {"groups": [{"sites": [0], "matrix": [[0.3, 0.7], [0, 1]]}]}, ("site 0", 0.7)),
        ("a.json", random_error([[0]]).to_json(), (2, 1)),
        ("a.json", braket({"0": 1.2, "1": 0.9}), ("qubit 0", "p(1|0)", 0)),
        ("a.json", braket({"0": None, "1": 0.9}), ("qubit 0", "no readout error")),
        (
            "a.json",
            {"qubits": [[{"name": "readout_error", "value": {}}]]},
            ("0: must be a number",),
        ),
        ("a.json", {"p_false_pos": [1], "p_false_neg": 0.1}, ("p_false_pos", "a list of 1")),
        ("a.json", {"cals": [[0.9, 0.1], None]}, ("cals", "2 x 2")),
        ("a.json", json.dumps(PULSER).replace("0.05", "1" + "0" * 400), ("p_false_pos", "number")),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: Any, facts: tuple[object, ...]) -> None:
    file = written(tmp_path, content, name)
    with refuses(file.name, *facts):
        pp.read_readout(file, 2)


def test_bad_arrays(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    for array in (np.zeros((2, 3)), np.zeros((0, 2)), np.zeros(()), np.array(["a", "b"])):
        np.save(file, array)
        with refuses("a.npy", "[site, 2]", str(array.shape)):
            pp.read_readout(file, 2)
    np.save(file, np.array([None, 1]))
    with refuses("a.npy", "Python objects"):
        pp.read_readout(file, 2)
    np.save(file, np.zeros((2, 2)))
    file.write_bytes(file.read_bytes()[:-8])
    with refuses("a.npy", "truncated"):
        pp.read_readout(file, 2)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refuses("none.json", "No such file", "0.01,0.03"):
        pp.read_readout(tmp_path / "none.json", 2)
    with refuses(tmp_path.name, "Is a directory"):
        pp.read_readout(str(tmp_path), 2)
    monkeypatch.setattr("psiprune.data.readout_files._MOST_BYTES", 10)
    with refuses("a.txt", 10):
        pp.read_readout(written(tmp_path, "0.01 0.01\n" * 2, "a.txt"), 2)


def check_read_or_refused(file: Path) -> None:
    """Assert that a file holds readout errors, or is refused in one line."""
    try:
        found = pp.read_readout(file, 2)
    except pp.InputError as error:
        line = str(error)
    else:
        line = repr(found)
        assert isinstance(found, ReadoutError)
    assert "\n" not in line


@given(st.binary(max_size=60) | st.text("0.1 2,ap;\n|#nx", max_size=40).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.txt"
    file.write_bytes(content)
    check_read_or_refused(file)


KEYS = [
    *("groups", "sites", "matrix", "prepared", "source", "qubits", "name", "value", "cals"),
    *("oneQubitProperties", "oneQubitFidelity", "fidelityType", "fidelity", "readoutFidelity"),
    *("fRO", "groundDetectionError", "rydbergDetectionError", "p_false_pos", "p_false_neg"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, *map(json.dumps, (qiskit(LIMA[:2]), M3_TWO, OQC, QUERA))]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_any_json_is_read_or_refused(tmp_path: Path, content: Any, known: str | None) -> None:
    text = json.dumps(content)
    if known is not None:  # a file of a vendor with one number replaced
        text = known.replace("0.0", text, 1)
    file = tmp_path / "any.json"
    file.write_text(text)
    check_read_or_refused(file)


@pytest.mark.parametrize(
    ("text", "rates", "errors"),
    [
        ("0.01+-0.001,0.03+-0.002", (0.01, 0.03), (0.001, 0.002)),
        (" 0.01 +/- 0.001 , 0.03 ± 2e-3 ", (0.01, 0.03), (0.001, 0.002)),
        ("0.02+-0.001", (0.02, 0.02), (0.001, 0.001)),
        ("0.02+-0.099", (0.02, 0.02), (0.099, 0.099)),  # of two shots
    ],
)
def test_rates_with_errors(
    text: str, rates: tuple[float, float], errors: tuple[float, float]
) -> None:
    found = pp.read_readout(text, 3)
    assert found.rates.tolist() == [list(rates)] * 3
    np.testing.assert_allclose(found.rate_errors, [errors] * 3, rtol=2e-3)
    assert (found.source, found.is_measured) == ("rates with errors", True)
    made = ReadoutError.from_rates(*rates, errors=errors, sites=3)
    assert made.to_json()["groups"] == found.to_json()["groups"]


def test_tables_with_errors(tmp_path: Path) -> None:
    for text, errors in (
        ("p10,p01,p10_error,p01_error\n0.01,0.02,0.001,0.003\n0.03,0.04,,\n", (0.001, 0.003)),
        ("p01 error;P10 error;p01;p10\n0.003;0.001;0.02;0.01\n;;0.04;0.03\n", (0.001, 0.003)),
        ("rate rate_error\n0.01 0.001\n0.03 0.004\n", (0.001, 0.001)),
    ):
        found = pp.read_readout(written(tmp_path, text, "rates.csv"), 2)
        np.testing.assert_allclose(found.rate_errors[0], errors, rtol=1e-3)
        wanted = 0.1 * found.rates[1] if ";" in text or "," in text else [0.004, 0.004]
        np.testing.assert_allclose(found.rate_errors[1], wanted, rtol=1e-2)
        assert found.is_measured == ("rate_error" in text)
    for text, facts in (
        ("p10,p01,p10_error\n0.01,0.02,0.001\n", ("'p10_error'", "p01_error", "neither")),
        ("p10,p01,p10_error,p01_error\n0.01,0.02,0.001,\n", ("line 2", "one rate", "both")),
        ("p10,p01,p10_error,p01_error\n0.01,0.02,0.001,x\n", ("line 2", "'x'")),
        ("rate,rate_error\n0.01,0.2\n", ("line 2", "p(1|0)", 0.01, 0.2)),
        ("rate,rate_error\n0.7,0.2\n", ("line 2", "p(1|0)", 0.7)),
    ):
        file = written(tmp_path, text, "rates.csv")
        with refuses(file.name, *facts):
            pp.read_readout(file, 1)


def test_the_calibration_of_m3_is_as_accurate_as_its_shots(tmp_path: Path) -> None:
    found = pp.read_readout(written(tmp_path, M3), 2, [1, 0])
    np.testing.assert_allclose(found.rates, [(0.1, 0.2), (0.01, 0.05)])
    errors = np.sqrt(found.rates * (1 - found.rates) / 10_000)
    np.testing.assert_allclose(found.rate_errors, errors)
    assert found.is_measured
    file = written(tmp_path, M3)
    with refuses(file.name, "qubit 2", "no readout error"):
        pp.read_readout(file, 3)
    with refuses(file.name, "cals", "2 x 2"):
        pp.read_readout(written(tmp_path, [[[0.9, 0.1]], None]), 2)


@pytest.mark.parametrize(
    ("matrix", "facts"),
    [
        ([[0.99, 0.01], [0.05, 0.95]], (1.04, "column 0", "transpose it")),
        ([[0.9, 0.1], [0.1, 0.8]], (0.9, "column 1", "calibrate this qubit again")),
        ([[0.9, float("nan")], [0.1, 0.8]], ("nan", "column 1")),
        ([[0.9, 0.1], [0.1001, 0.9]], (1.0001, "column 0")),
    ],
)
def test_columns_of_m3_sum_to_one(tmp_path: Path, matrix: Any, facts: tuple[object, ...]) -> None:
    two = [[0.99, 0.05], [0.01, 0.95]], [[0.9, 0.2], [0.1, 0.8]]
    file = written(tmp_path, M3 | {"cals": [*two, matrix]})
    with refuses(file.name, "qubit 2", 1, *facts):
        pp.read_readout(file, 3)
    assert pp.read_readout(file, 2, [0, 1]).sites == 2  # only chosen qubits must be readable
    for shape in ([[0.9, 0.1, 0], [0.1, 0.9, 0]], [[0.9, 0.1]] * 3, {"10": 1, "01": 1}):
        with refuses(file.name, "cals: 0", "2 x 2"):
            pp.read_readout(written(tmp_path, M3 | {"cals": [shape]}), 1)
    rounded = written(tmp_path, M3 | {"cals": [[[0.666667, 0.333333], [0.333334, 0.666667]]]})
    assert pp.read_readout(rounded, 1).sites == 1


def test_more_shots_than_matter_are_refused(tmp_path: Path) -> None:
    group = {"sites": [0], "matrix": [[0.99, 0.01], [0.03, 0.97]]}
    for most in (10**12 + 1, 4 * 10**18, 10**30):
        file = written(tmp_path, {"groups": [group | {"prepared": [100, most]}]})
        with refuses(file.name, "site 0", "10^12", str(most)):
            pp.read_readout(file, 1)
        with refuses("device.json", "site 0", "10^12", str(most)):
            pp.read_readout(written(tmp_path, M3 | {"shots": most}), 2, [0, 1])
    file = written(tmp_path, {"groups": [group | {"prepared": [100, 10**12]}]})
    assert pp.read_readout(file, 1).rate_errors[0, 1] < 1e-6


@pytest.mark.parametrize("qubits", ["a12", ["a", 1, 2], [0.5, 1, 2], 5, [None, 1, 2]])
def test_qubits_are_integers(qubits: Any) -> None:
    with refuses("qubits", 3, "integers", repr(qubits)):
        pp.read_readout("0.01", 3, qubits)


@pytest.mark.parametrize(
    ("more", "facts"),
    [
        ({"bit_order": ["x"]}, ("bit_order", "text", "a list of 1", "omit it")),
        ({"source": None}, ("source", "text", "nothing")),
        ({"source": 3}, ("source", "text", 3)),
        ({"alike": 1}, ("alike", "true or false", 1)),
        ({"alike": True}, ("alike", "prepared", "omit it")),
    ],
)
def test_bad_entries_of_a_calibration(
    tmp_path: Path, more: dict[str, Any], facts: tuple[object, ...]
) -> None:
    content = {"groups": [{"sites": [0], "matrix": [[0.99, 0.01], [0.03, 0.97]]}]}
    with refuses("device.json", *facts):
        pp.read_readout(written(tmp_path, content | more), 1)


class Properties:
    """Stands in for `BackendProperties` of Qiskit."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def to_dict(self) -> Any:
        return self.content


def test_properties_of_qiskit() -> None:
    content = qiskit(LIMA)
    target = Target({0: 0.02, 1: 0.03})
    backend = SimpleNamespace(properties=lambda: Properties(content), target=target)
    for properties in (Properties(content), content, backend):
        found = pp.read_readout(properties, 2, [4, 0])
        assert found.rates.tolist() == [list(LIMA[4]), list(LIMA[0])]
        assert found.source == "Qiskit backend properties of ibmq_lima"
    with refuses("properties", 2, 5, "--readout-qubits"):
        pp.read_readout(content, 2)
    with refuses("properties", "number", "'x'"):
        pp.read_readout({"qubits": [[{"name": "readout_error", "value": "x"}]]}, 1)
    for nothing in (None, Properties({"qubits": [[], []]}), Properties({})):
        backend = SimpleNamespace(properties=lambda nothing=nothing: nothing, target=target)
        assert pp.read_readout(backend, 2).source == "Qiskit target"
    with refuses("readout", "0.01,0.03", "properties", "target"):
        pp.read_readout(Properties({}), 2)


def test_qubits_keep_the_order_of_bits(tmp_path: Path) -> None:
    """A calibration that --readout-qubits reorders is refused for shots of another order."""

    def chosen(order: str, qubits: list[int]) -> ReadoutError:
        content = random_error([[0], [1], [2]]).to_json() | {"bit_order": order}
        return pp.read_readout(written(tmp_path, content), len(qubits), qubits)

    qubits_of = "sites are the qubits "
    plain, turned = "qiskit: site 0 is bit 0", "qiskit: reversed; as listed, site 0 is bit 0"
    for order, qubits, wanted in (
        (plain, [0, 2], plain),
        (plain, [2, 1, 0], turned),
        (turned, [2, 0], plain),
        (turned, [1, 2], turned),
        (plain, [1, 0, 2], ""),
        (turned, [1], ""),
        ("", [2, 1], ""),
        (f"braket: {qubits_of}4, 7, 9", [9, 4], f"braket: {qubits_of}9, 4"),
        (
            "braket: reversed; as listed, sites are the qubits 9, 7, 4",
            [7],
            "braket: sites are the qubits 7",
        ),
    ):
        assert chosen(order, qubits).bit_order == wanted
    named = chosen("braket: sites are the qubits 4, 7, 9", [9, 4])
    np.testing.assert_array_equal(named.rates, random_error([[0], [1], [2]]).rates[[2, 0]])
    with refuses("qubits", "4, 7, 9", 0):
        chosen("braket: sites are the qubits 4, 7, 9", [0, 4])
    with refuses("device.json", "bit_order", 3, 2):
        chosen("braket: sites are the qubits 4, 7", [4, 7])
    bits = np.zeros((2, 2), np.uint8)
    shots = pp.Shots(bits, provenance={"format": "qiskit", "bit_order": "site 0 is bit 0"})
    with refuses("readout", "opposite orders"):
        replace(shots, readout=chosen(turned, [0, 1]))
    assert replace(shots, readout=chosen(turned, [1, 0])).readout is not None
