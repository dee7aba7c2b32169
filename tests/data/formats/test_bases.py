"""Bases in files: columns of text, NumPy's arrays, metadata of Qiskit, Cirq's lists, Braket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
import tiny
from psiprune.states.basis_rotation import rotate
from refusals import refused, refuses

FIXTURES = Path(__file__).parent / "fixtures"
QUCUMBER = Path(exact.__file__).parent / "reference/qucumber"
BITS = [[0, 1], [1, 0], [1, 1]]


def names(shots: pp.Shots) -> list[str]:
    return [shots.bases[k] for k in shots.basis_of]


def read(
    tmp_path: Path, content: Any, *arguments: Any, name: str = "shots.txt", **given: Any
) -> Any:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    return pp.read_shots(tmp_path / name, *arguments, **given)


# ---- text


@pytest.mark.parametrize(
    "text",
    [
        "01 ZX\n10 YZ\n11 ZX\n",
        "# lab\n\nZX 0 1\nYZ 1 0 # late\nZX 1 1",
        "0,1,ZX\n1,0,YZ\n1,1,ZX\n",
        "0;1;Z;X\n1;0;Y;Z\n1;1;Z;X\n",
        "bits,basis\n01,ZX\n10,YZ\n11,ZX\n",
        "q0,q1,basis\n0,1,ZX\n1,0,YZ\n1,1,ZX\n",
    ],
)
def test_a_column_of_bases(tmp_path: Path, text: str) -> None:
    shots = read(tmp_path, text)
    assert shots.bits.tolist() == BITS
    assert names(shots) == ["ZX", "YZ", "ZX"]
    turned = read(tmp_path, text, order="reversed")
    assert turned.bits.tolist() == [row[::-1] for row in BITS]
    assert names(turned) == ["XZ", "ZY", "XZ"]


def test_columns_by_number_take_their_letters_along(tmp_path: Path) -> None:
    shots = read(tmp_path, "q1,q0,basis\n0,1,ZX\n1,0,YZ\n", order="numbered")
    assert shots.bits.tolist() == [[1, 0], [0, 1]]
    assert names(shots) == ["XZ", "ZY"]


def test_i_in_a_column_is_z_as_in_a_file(tmp_path: Path) -> None:
    assert names(read(tmp_path, "01 IX\n10 YI\n")) == ["ZX", "YZ"]


def test_one_basis_in_every_line(tmp_path: Path) -> None:
    assert read(tmp_path, "01 XX\n10 XX\n").basis == "X"
    assert read(tmp_path, "1 -1 ZX\n-1 -1 ZX\n", spin=True).bits.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        *(("01 ZX\n10 YW\n", ("line 2, column 2", "'YW'")), ("01 ZX\n10\n", ("line 2, column 2",))),
        ("01 ZX\n\n10 YZZ\n", ("line 3", "3 letters", "2 bits")),
        *(("01 ZX\n12 YZ\n", ("line 2", "'2'")), ("01 ZX\n010 YZ\n", ("line 2", 3, 2))),
        ("01 ZX 12\n10 YZ 3\n", ("counts", "--bases")),
        *(("01 ZQ\n", ("line 1, column 2", "'ZQ'")), ("01 zx\n", ("column 2", "'zx'", "capitals"))),
    ],
)
def test_a_column_that_does_not_fit(tmp_path: Path, text: str, facts: tuple[object, ...]) -> None:
    with refuses("shots.txt", *facts):
        read(tmp_path, text, order="listed")
    with refuses("shots.txt", "line 1", "ZX", "--bases"):
        read(tmp_path, "01 ZX\n", bases="ZX")


# ---- QuCumber and NumPy


def test_the_tutorials_of_qucumber() -> None:
    shots = pp.read_shots(
        QUCUMBER / "qubits_train.txt", "qucumber", bases=QUCUMBER / "qubits_train_bases.txt"
    )
    found = {name: len(bits) for name, bits in shots.by_basis().items()}
    assert found == dict.fromkeys(["ZZ", "XZ", "ZX", "YZ", "ZY"], 200)
    start = QUCUMBER / "N2_W_state_100_samples_data.txt"
    shots = pp.read_shots(start, bases=QUCUMBER / "N2_W_state_100_samples_bases.txt")
    assert set(np.bincount(shots.basis_of)) == {100}
    assert len(shots.bases) == 9


@pytest.mark.parametrize("bases", [["IX", "YI", "ZX"], [["Z", "X"], ["Y", "Z"], ["Z", "X"]]])
def test_arrays_of_netket(tmp_path: Path, bases: Any) -> None:
    np.savez(tmp_path / "a.npz", sigma=1.0 - 2.0 * np.array(BITS), bases=np.array(bases))
    shots = pp.read_shots(tmp_path / "a.npz", spin=True)
    assert shots.bits.tolist() == BITS
    assert names(shots) == ["ZX", "YZ", "ZX"]
    assert pp.read_shots(tmp_path / "a.npz", spin=True, bases="X").basis == "X"


@pytest.mark.parametrize(
    ("bases", "facts"),
    [
        *(
            (["ZX", "ZX"], (2, 3)),
            (["ZXX"] * 3, (3, 2)),
            ([1, 2, 3], ("int64",)),
            ([], ("float64",)),
        ),
        (["ZX", "ZX", "ZA"], ("'A'",)),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, bases: Any, facts: tuple[object, ...]) -> None:
    np.savez(tmp_path / "a.npz", bits=np.array(BITS), bases=np.array(bases))
    with refuses("a.npz", "'bases'", *facts):
        pp.read_shots(tmp_path / "a.npz")


# ---- Qiskit


def result(*metadata: Any) -> dict[str, Any]:
    counts = [{"0x1": 2, "0x2": 1}, {"0x3": 2}, {"0x0": 1}]
    return {
        "backend_name": "lab",
        "results": [
            {"data": {"counts": each}, "header": {"memory_slots": 2, "metadata": kept}}
            for each, kept in zip(counts, metadata, strict=False)
        ],
    }


def samples(*metadata: Any) -> dict[str, Any]:
    return {
        "results": [
            {
                "data": {"c": {"samples": ["0x1", "0x3"], "num_bits": 2}},
                "metadata": {"circuit_metadata": each},
            }
            for each in metadata
        ]
    }


def test_labels_of_qiskit_end_with_qubit_0(tmp_path: Path) -> None:
    shots = read(tmp_path, result({"basis": "ZX"}, {"basis": "YZ"}, {"basis": "ZZ"}), "qiskit")
    assert names(shots) == ["XZ"] * 3 + ["ZY"] * 2 + ["ZZ"]
    assert shots.bits.tolist() == [[1, 0]] * 2 + [[0, 1]] + [[1, 1]] * 2 + [[0, 0]]
    turned = read(tmp_path, result({"basis": "ZX"}, {"basis": "ZX"}), "qiskit", order="reversed")
    assert names(turned) == ["ZX"] * 5
    shots = read(tmp_path, samples({"basis": "ZX"}, {"basis": "XX"}), "qiskit")
    assert names(shots) == ["XZ"] * 2 + ["XX"] * 2
    one = read(tmp_path, samples({"basis": "ZX"}, {"basis": "XX"}), "qiskit", key=("0",))
    assert names(one) == ["XZ"] * 2
    encoded = json.loads((FIXTURES / "qiskit_primitive_result.json").read_text())
    (pub,) = encoded["__value__"]["pub_results"]
    pub["__value__"]["metadata"] = {"circuit_metadata": {"basis": "YZZZX"}}
    assert read(tmp_path, encoded, "qiskit", key=("a", "b")).bases == ("XZZZY",)


def test_numbers_of_qiskit_experiments(tmp_path: Path) -> None:
    shots = read(
        tmp_path, samples({"m_idx": [0, 2], "clbits": [0, 1]}, {"m_idx": [1, 0], "clbits": [1, 0]})
    )
    assert names(shots) == ["ZY"] * 2 + ["ZX"] * 2


def test_circuits_whose_bases_are_given(tmp_path: Path) -> None:
    shots = read(tmp_path, result({}, None), "qiskit", bases=["XZ", "Z"])
    assert names(shots) == ["XZ"] * 3 + ["ZZ"] * 2
    refused("2 experiments", read, tmp_path, result({}, {"basis": "ZX"}), "qiskit")
    refused("3 bases, but .* 1 circuit", read, tmp_path, {"01": 3}, "qiskit", bases=["Z", "X", "Y"])
    with refuses("shots.txt", "'ZW'", "--bases"):
        read(tmp_path, samples({"basis": "ZW"}, {"basis": "XX"}), "qiskit")
    told = read(tmp_path, samples({"basis": "ZW"}, {"basis": "XX"}), "qiskit", bases=["Y", "ZX"])
    assert names(told) == ["YY"] * 2 + ["ZX"] * 2
    with refuses("shots.txt", "circuit 1", "ZXX", 2):
        read(tmp_path, samples({"basis": "ZX"}, {"basis": "ZXX"}), "qiskit")
    assert read(tmp_path, {"01": 3}, "qiskit", bases="XZ").bases == ("XZ",)


# ---- Cirq and Braket


def test_a_list_of_cirq_results(tmp_path: Path) -> None:
    single = json.loads((FIXTURES / "cirq_result.json").read_text())
    one = read(tmp_path, single, "cirq")
    both = read(tmp_path, [single, single], "cirq", bases=["X", "Y"])
    assert set(both.bases) == {"X" * one.sites, "Y" * one.sites}
    np.testing.assert_array_equal(both.bits, np.concatenate([one.bits, one.bits]))
    refused("2 objects.*--bases", read, tmp_path, [single, single], "cirq")


@pytest.mark.parametrize(
    ("action", "basis"),
    [
        ({"source": "#pragma braket result expectation x(q[0]) @ y(q[2])\n"}, "XZY"),
        ({"source": "#pragma braket result sample y($1)\n"}, "ZYZ"),
        ({"source": "#pragma braket result variance x all\n"}, "X"),
        ({"source": "#pragma braket result probability\n"}, "Z"),
        (
            {"results": [{"type": "expectation", "observable": ["x", "y"], "targets": [2, 0]}]},
            "YZX",
        ),
        ({"results": [{"type": "sample", "observable": ["x"]}]}, "X"),
        ({"results": [{"type": "probability"}]}, "Z"),
    ],
)
def test_braket_measures_in_the_basis_of_its_observables(
    tmp_path: Path, action: Any, basis: str
) -> None:
    content = {
        "measurements": [[0, 1, 1], [1, 1, 0]],
        "measuredQubits": [0, 1, 2],
        "additionalMetadata": {"action": action},
    }
    shots = read(tmp_path, content, "braket")
    assert shots.bases == (basis * (3 if len(basis) == 1 else 1),)
    assert shots.bits.tolist() == content["measurements"]


def test_braket_refuses_other_observables(tmp_path: Path) -> None:
    for action in (
        {"source": "#pragma braket result expectation h(q[0])\n"},
        {"results": [{"observable": [[[[0, 0], [1, 0]]]], "targets": [0]}]},
    ):
        content = {
            "measurements": [[0]],
            "measuredQubits": [0],
            "additionalMetadata": {"action": action},
        }
        with refuses("shots.txt", "X, Y and Z"):
            read(tmp_path, content, "braket")


def test_states_that_are_certain_in_the_vendors_own_bases() -> None:
    # |+>, |0> + i|1>, |1> by Qiskit's and Braket's simulators, see make_fixtures.py.
    shots = pp.read_shots(FIXTURES / "qiskit_bases.json")
    assert shots.bases == ("XYZ", "XYX", "ZYZ")
    for name, bits in shots.by_basis().items():
        assert len(bits) == 24
        for site, (letter, certain, outcome) in enumerate(zip(name, "XYZ", (0, 0, 1), strict=True)):
            assert (letter == certain) == (bits[:, site] == outcome).all()
    shots = pp.read_shots(FIXTURES / "braket_bases.json")
    assert shots.bases == ("XYZ",)
    assert shots.bits.tolist() == [[0, 0, 1]] * 24


# ---- letters given for all of them


@pytest.mark.parametrize(
    ("bases", "facts"),
    [
        *((["ZX", "none"], ("'none'",)), ("ZXZ", ("ZXZ", 3, 2)), (["ZX", "XX"], (2, 1))),
        (["missing.txt", "ZX"], ("'missing.txt'",)),
    ],
)
def test_letters_that_do_not_fit(tmp_path: Path, bases: Any, facts: tuple[object, ...]) -> None:
    with refuses("bases", *facts):
        read(tmp_path, "0 1\n1 1\n", bases=bases)
    refused("missing.txt: cannot be read", read, tmp_path, "0 1\n", bases="missing.txt")


def test_a_file_of_bases_for_any_format(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("ZX\nYZ\nZX\n")
    np.save(tmp_path / "a.npy", np.array(BITS))
    given = tmp_path / "letters.txt"
    assert names(pp.read_shots(tmp_path / "a.npy", bases=given)) == ["ZX", "YZ", "ZX"]
    turned = pp.read_shots(tmp_path / "a.npy", bases=given, order="reversed")
    assert names(turned) == ["XZ", "ZY", "XZ"]
    done = tiny.call(
        *("import", "numpy", tmp_path / "a.npy", "-o", tmp_path / "a.nc", "--json"),
        *("--bases", given),
    )
    assert json.loads(done.out)["bases"] == {"ZX": 2, "YZ": 1}


@pytest.mark.parametrize(
    ("format", "name", "back"),
    [
        ("text", "a.txt", {}),
        ("numpy", "a.npz", {}),
        ("netket", "a.npz", {"spin": True}),
        ("qucumber", "a.txt", {"bases": "a_bases.txt"}),
    ],
)
@pytest.mark.parametrize("bases", [["ZX", "YZ", "ZX"], "XX", "ZZ"])
def test_bases_come_back(
    tmp_path: Path, format: str, name: str, back: dict[str, Any], bases: Any
) -> None:
    shots = pp.Shots(np.array(BITS), bases)
    file, out = shots.save(tmp_path / "shots.nc"), tmp_path / name
    assert not tiny.call("export", format, file, "-o", out).status
    if "bases" in back:
        back = {"bases": tmp_path / back["bases"]}
    again = pp.read_shots(out, **back)
    assert again.bits.tolist() == BITS
    assert names(again) == names(shots)
    if "bases" in back:
        out.unlink()
        assert "a_bases.txt: exists" in tiny.call("export", format, file, "-o", out).err


def netket_data(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Exported shots of a random state, its vector with site 0 as the first index, and log L."""
    generator = np.random.default_rng(0)
    vector = generator.normal(size=4) + 1j * generator.normal(size=4)
    vector /= np.linalg.norm(vector)
    names = ["ZZ", "XY", "YX", "YZ"]
    shots = pp.sample(pp.mps_from_vector(vector), 400, bases=names, progress=False)
    found = sum(
        np.log(np.abs(rotate(vector, [name])[0]) ** 2)[bits @ (1, 2)].sum()
        for name, bits in shots.by_basis().items()
    )
    with np.load(pp.export_shots(shots, tmp_path / "a.npz", "netket")) as file:
        return file["sigma"], file["bases"], vector.reshape(2, 2).T, float(found)


def test_shots_for_netket_by_its_rotations(tmp_path: Path) -> None:
    # _build_rotation of NetKet 3.23, where index 0 of a site is sigma = +1.
    rotations = {
        "X": np.array([[1, 1], [1, -1]]) / 2**0.5,
        "Y": np.array([[1, -1j], [1, 1j]]) / 2**0.5,
        "Z": np.eye(2),
    }
    sigma, bases, psi, expected = netket_data(tmp_path)
    index = ((1 - sigma) / 2).astype(int)
    found = {True: 0.0, False: 0.0}
    for right, vector in ((True, psi), (False, psi.conj())):
        for (i, j), name in zip(index, bases, strict=True):
            one, two = (rotations[letter] for letter in name)
            found[right] += np.log(np.abs(one[i] @ vector @ two[j]) ** 2)
    assert found[True] == pytest.approx(expected)
    assert found[False] < expected - 50  # the other sign of Y is another state


def test_netket_itself(tmp_path: Path) -> None:
    nk = pytest.importorskip("netket", reason="pip install '.[vendors]' runs NetKet itself")
    from netket.experimental.qsr.dataset import RawQuantumDataset

    sigma, bases, psi, expected = netket_data(tmp_path)
    hilbert, found = nk.hilbert.Spin(0.5, N=2), 0.0
    for spins, rotation in zip(sigma, RawQuantumDataset((sigma, bases)).bases, strict=True):
        others, elements = rotation.get_conn(spins)
        amplitude = (elements * psi.ravel()[hilbert.states_to_numbers(others)]).sum()
        found += np.log(np.abs(amplitude) ** 2)
    assert found == pytest.approx(expected, rel=1e-5)
