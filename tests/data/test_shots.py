"""Shots: what is accepted, what is refused and in which words, and the way through files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
from psiprune.data.diagnostics import describe_shots
from psiprune.data.read_shots import read_shots
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.io.netcdf import write_dataset
from refusals import refused, refuses

BITS = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.uint8)


@pytest.mark.parametrize(
    "data", [BITS, BITS.astype(bool), BITS.astype(float), BITS.tolist(), np.asfortranarray(BITS)]
)
def test_exact_zeros_and_ones_are_accepted(data: Any) -> None:
    shots = as_shots(data)
    np.testing.assert_array_equal(shots.bits, BITS)
    assert shots.bits.dtype == np.uint8
    assert (len(shots), shots.sites, shots.basis) == (4, 3, "Z")
    assert as_shots(shots) is shots


def test_bits_are_a_copy_and_cannot_be_written() -> None:
    mine = BITS.copy()
    shots = Shots(mine)
    mine[0, 0] = 1
    assert shots.bits[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        shots.bits[0, 0] = 1


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        ([[0, 1], [1, 2]], ("row 1, column 1", 2)),
        ([[0, 1], [-1, 1]], ("row 1, column 0", -1, "(1 - z) // 2")),
        ([[0, 1], [np.nan, 1]], ("row 1, column 0", "nan")),
        *(([[0, 0.5]], ("row 0, column 1", 0.5)), ([[0, 1], [1]], ("row 1", "row 0", 2))),
        *(([0, 1], ("[shot, site]", 2, 1)), ([], ("[shot, site]", 2, 1))),
        *((np.empty((0, 4)), ("0 shots", "4 sites")), (np.empty((4, 0)), ("4 shots", "0 sites"))),
        *(([["0", "1"]], ("numbers", "<U1")), ([[0, None]], ("numbers", "object"))),
        *(([[1j, 0]], ("numbers", "complex128")), (None, ("[shot, site]", 2, 0))),
    ],
)
def test_anything_else_is_refused_in_one_line(data: Any, facts: tuple[object, ...]) -> None:
    with refuses("array", *facts):
        Shots(data)


def test_bad_basis_and_size() -> None:
    with refuses("basis", "'W'"):
        Shots(BITS, basis="W")
    with refuses("shots", "read_shots('shots.nc')"):
        as_shots("shots.nc")
    shots = Shots(BITS, source="my.csv")
    assert check_sites(shots, 3, "the state") is shots
    with refuses("my.csv", 3, "the state", 4):
        check_sites(shots, 4, "the state")


@pytest.mark.parametrize("basis", ["X", "Y"])
def test_shots_of_another_basis_are_not_taken_for_z(basis: str) -> None:
    shots = Shots(BITS, basis=basis, source="my.csv")
    rbm = pp.RBM(np.ones((2, 3)), np.zeros(3), np.zeros(2))
    state = pp.ground_state(pp.TFIM(sites=3))
    for use in (
        lambda: check_sites(shots, 3, "the state"),
        lambda: pp.train(shots, hidden=2, method=pp.CD(epochs=1)),
        lambda: rbm.log_prob(shots),
        lambda: rbm.hidden_given_visible(shots),
        lambda: state.log_prob(shots),
    ):
        with refuses("my.csv", f"basis {basis}", "basis Z"):
            use()


def test_netcdf_keeps_everything(tmp_path: Path) -> None:
    provenance = {"seed": 2**62, "model": {"sites": 3, "field": 1.0}}
    shots = Shots(BITS, basis="X", source="lab", provenance=provenance)
    again = read_shots(shots.save(tmp_path / "shots.nc"))
    np.testing.assert_array_equal(again.bits, BITS)
    assert again.basis == "X"
    assert again.provenance == {**provenance, "source": "lab"}
    assert again.source == str(tmp_path / "shots.nc")
    # Provenance must be JSON.
    refused("provenance", Shots(BITS, provenance={"rng": object()}).save, tmp_path / "other.nc")
    assert list(tmp_path.iterdir()) == [tmp_path / "shots.nc"]


def test_netcdf_of_another_make(tmp_path: Path) -> None:
    path, over = tmp_path / "file.nc", ("shot", "site")
    for kind, dataset, facts in (
        ("mps", xr.Dataset(), ("'shots'", "'mps'")),
        ("shots", xr.Dataset({"bits": ("shot", BITS[0])}), ("'bits'", "(shot, site)")),
        ("shots", xr.Dataset({"bits": (over, BITS)}, attrs={"provenance": "{"}), ("'provenance'",)),
        ("shots", xr.Dataset({"bits": (over, BITS + 1)}), ("row 0, column 1", 2)),
    ):
        write_dataset(path, dataset, kind)
        with refuses(path, *facts):
            read_shots(path)


# ---- counts


@pytest.mark.parametrize(
    "counts", [{"011": 2, "100": 1}, Counter({"011": 2, "100": 1, "111": 0}), {"011": np.int64(2)}]
)
def test_counts_are_shots(counts: Any) -> None:
    shots = as_shots(counts)
    rows = [[int(bit) for bit in key] for key, count in counts.items() for _ in range(count)]
    assert shots.bits.tolist() == rows
    assert shots.source == "counts"
    assert Shots(counts, basis="X", source="lab").source == "lab"


@pytest.mark.parametrize(
    ("counts", "facts"),
    [
        *(({}, ("no outcomes",)), ({"01": 0}, ("counts are 0",)), ({"01": -1}, ("outcome 01", -1))),
        ({"01": 2.5}, ("outcome 01", 2.5, "probabilities")),
        *(({"01": np.float64(0.5)}, ("outcome 01", "0.5")), ({"01": True}, ("outcome 01", True))),
        ({"01": None}, ("outcome 01", "nothing")),
        *(({"01": 1, "011": 1}, ("'011' has 3", "'01' has 2")), ({"0 1": 1}, ("entry 0", "'0 1'"))),
        *(({"0x1": 1}, ("entry 0", "'0x1'")), ({"": 1}, ("entry 0", "''"))),
        *(({1: 1}, ("entry 0", "found 1")), ({(0, 1): 1}, ("entry 0", (0, 1)))),
        ({"01": 10**9}, (10**9, "2 sites")),
    ],
)
def test_bad_counts(counts: Any, facts: tuple[object, ...]) -> None:
    with refuses("counts", *facts):
        as_shots(counts)


def test_counts_go_in_wherever_shots_do(tmp_path: Path) -> None:
    counts: Any = {"0011": 30, "1100": 20, "0101": 7, "1111": 3}
    shots = as_shots(counts)
    rbm = pp.RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2))
    state = pp.ground_state(pp.TFIM(sites=4))
    np.testing.assert_array_equal(rbm.log_prob(counts), rbm.log_prob(shots))
    np.testing.assert_array_equal(state.log_prob(counts), state.log_prob(shots))
    assert describe_shots(as_shots(counts)).entropy == pp.describe(counts).entropy  # type: ignore[union-attr]
    np.testing.assert_array_equal(pp.join_shots([counts, counts]).bits[:60], shots.bits)
    pp.export_shots(counts, tmp_path / "a.npz", "numpy")
    np.testing.assert_array_equal(read_shots(tmp_path / "a.npz").bits, shots.bits)
    trained, again = (pp.train(x, hidden=2, method=pp.CD(epochs=2)) for x in (counts, shots))
    np.testing.assert_array_equal(trained.weights, again.weights)
    report = pp.evaluate_on_shots(trained, counts, seed=0)
    assert repr(report) == repr(pp.evaluate_on_shots(trained, shots, seed=0))


def test_shots_in_memory_are_read_like_files() -> None:
    counts = {"01 1": 2, "11 0": 1}
    shots = read_shots(counts, "qiskit")
    assert shots.bits.tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert shots.provenance["format"] == "qiskit"
    assert read_shots({"0x3": 1}, "qiskit", qubits=3).bits.tolist() == [[1, 1, 0]]
    assert read_shots({"011": 1}).bits.tolist() == [[0, 1, 1]]
    np.testing.assert_array_equal(read_shots(BITS).bits, BITS)
    cases: list[tuple[Any, dict[str, Any], tuple[object, ...]]] = [
        (BITS, {"format": "qiskit"}, ("format",)),
        ({"01": 1}, {"order": "reversed"}, ("counts", "qiskit")),
        ({10: 3}, {"format": "qiskit"}, ("counts", "at least 4", "--qubits")),
        ({"01": 0.5}, {"format": "qiskit"}, ("counts", 0.5)),
        ({"01": object()}, {"format": "qiskit"}, ("counts", "integer")),
    ]
    for data, given, facts in cases:
        with refuses(*facts):
            read_shots(data, **given)


@pytest.mark.parametrize("sites", [1, 3, 5000])
@pytest.mark.parametrize("shots", [1, 1000])
def test_a_repr_is_one_short_line(sites: int, shots: int) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (shots, sites)).astype(np.uint8)
    data = Shots(bits, source="folder/" * 40 + "file.nc", provenance={"x": "y" * 1000})
    description = describe_shots(data)
    for thing in (data, description, description.ordering, description.entropy):
        assert len(repr(thing)) < 120
        assert "\n" not in repr(thing)
    assert f"shots={shots}, sites={sites}" in repr(data)


@pytest.mark.parametrize("sites", [1, 3, 64, 65])
def test_unique_configurations_are_sorted_and_counted(sites: int) -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (5, sites), dtype=np.uint8)[generator.integers(0, 5, 40)]
    rows, counts = Shots(bits).unique
    expected = np.unique(bits, axis=0, return_counts=True)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(counts, expected[1])
