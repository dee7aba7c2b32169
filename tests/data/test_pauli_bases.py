"""Bases of shots: what is accepted and refused, selections, joins, the way through files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.data.shots import check_sites
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.sklearn import RBMDensity
from refusals import refuses

BITS = np.array([[0, 1], [1, 0], [0, 0], [1, 1], [1, 0]], dtype=np.uint8)
NAMES = ["ZZ", "XZ", "ZZ", "ZY", "XZ"]


def several(**given: Any) -> pp.Shots:
    return pp.Shots(BITS, pp.PauliBases.of_shots(NAMES), source="my.csv", **given)


@pytest.mark.parametrize(
    "basis",
    [
        NAMES,
        np.array(NAMES),
        pp.PauliBases.of_shots(NAMES),
        # A basis that no shot was measured in is left out.
        pp.PauliBases(("ZZ", "YY", "XZ", "ZY"), np.array([0, 2, 0, 3, 2], dtype=np.uint8)),
    ],
)
def test_a_basis_for_each_shot(basis: Any) -> None:
    shots = pp.Shots(BITS, basis)
    assert shots.bases == ("ZZ", "XZ", "ZY")
    assert shots.basis_of.tolist() == [0, 1, 0, 2, 1]
    assert shots.basis_of.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        shots.basis_of[0] = 1
    found = {name: bits.tolist() for name, bits in shots.by_basis().items()}
    assert found == {"ZZ": [[0, 1], [0, 0]], "XZ": [[1, 0], [1, 0]], "ZY": [[1, 1]]}
    assert "ZZ, XZ, ZY (3 bases)" in repr(shots)


@pytest.mark.parametrize(
    "basis", ["Z", "ZZ", ["ZZ"] * 5, pp.PauliBases(("ZZ", "XX"), np.zeros(5, int))]
)
def test_one_letter_for_all_sites_and_shots(basis: Any) -> None:
    shots = pp.Shots(BITS, basis)
    assert (shots.basis, shots.bases) == ("Z", ("ZZ",))
    assert shots.basis_of.tolist() == [0] * 5
    assert check_sites(shots, 2, "the state") is shots
    assert list(shots.by_basis()) == ["ZZ"]
    assert shots.in_basis("Z") is shots


def test_the_name_of_one_site_is_one_letter() -> None:
    shots = pp.Shots(BITS[:, :1], pp.PauliBases.of_shots("ZXZYX"))
    assert shots.bases == ("Z", "X", "Y")


@pytest.mark.parametrize(
    ("basis", "facts"),
    [
        *((("ZW"), ("'W'", "'ZW'")), (["ZZ"] * 4 + ["Zz"], ("'z'",)), ("", ("''",)), (3, (3,))),
        *((None, ("None",)), (["ZZ", 1] * 2, ("'1'",)), ("ZZZ", ("ZZZ", "my.csv", 2, "letters"))),
        (["ZZ"] * 4 + ["ZZZ"], ("ZZZ has 3", "ZZ has 2")),
        (["ZZ", "XZ", "ZZ", "ZZ"], ("4 shots", "my.csv has 5")),
    ],
)
def test_bases_that_do_not_fit_are_refused(basis: Any, facts: tuple[object, ...]) -> None:
    with refuses("basis", *facts):
        pp.Shots(BITS, basis, "my.csv")


@pytest.mark.parametrize(
    ("names", "index", "facts"),
    [
        (("ZZ", "ZZ"), [0, 1], ("ZZ", "twice")),
        (("ZZ",), [0, 1], (0, 1)),
        (("ZZ",), [-1, 0], (-1, 0)),
        (("ZZ",), [0.0], ("float64",)),
        (("ZZ",), [[0]], ("(1, 1)",)),
        (("ZZ",), [], ("(0,)",)),
    ],
)
def test_an_index_that_does_not_fit(names: Any, index: Any, facts: tuple[object, ...]) -> None:
    with refuses("basis", *facts):
        pp.PauliBases(names, np.array(index))


def test_selections_keep_the_bases() -> None:
    shots = several()
    assert shots.in_basis("XZ").bits.tolist() == [[1, 0], [1, 0]]
    assert shots.in_basis("Z").basis == "Z"
    assert shots.take(slice(1, 4)).bases == ("ZZ", "XZ", "ZY")
    assert shots.take([4, 3]).basis_of.tolist() == [0, 1]
    assert shots.take([4, 3]).bases == ("XZ", "ZY")
    with refuses("my.csv", "basis X", "ZZ, XZ, ZY"):
        shots.in_basis("X")
    with refuses("my.csv", "0 shots"):
        shots.take(np.zeros(5, dtype=bool))


def test_runs_in_different_bases_are_joined() -> None:
    parts = [pp.Shots(BITS, "X"), several(), pp.Shots(BITS[:2], "ZY")]
    shots = pp.join_shots(parts)
    expected = ["XX"] * 5 + NAMES + ["ZY"] * 2
    assert [shots.bases[k] for k in shots.basis_of] == expected
    assert pp.join_shots([pp.Shots(BITS, "X")] * 2).basis == "X"


def test_several_bases_are_refused_where_z_is_meant(tmp_path: Path) -> None:
    shots = several()
    rbm = pp.RBM(np.ones((2, 2)), np.zeros(2), np.zeros(2))
    state = pp.mps_from_vector(np.ones(4))
    facts = ("my.csv", "ZZ, XZ, ZY (3 bases)", "basis Z", "psiprune import --basis Z")
    for use in (
        lambda: pp.train(shots, hidden=2),
        lambda: pp.train(shots, hidden=2, start=rbm),
        lambda: pp.prune(rbm, shots),
        lambda: pp.evaluate_on_shots(rbm, shots),
        lambda: rbm.log_prob(shots),
        lambda: state.log_prob(shots),
        lambda: RBMDensity().fit(shots),
        lambda: pp.calibrate_readout({"00": shots, "11": shots}),
        lambda: pp.pretraining_mask(rbm, shots, weights=1, criterion="snip"),
        lambda: pp.rewire(rbm, shots),
        lambda: pp.find_smallest(rbm, shots, measure=lambda rbm: 0.0, limit=1.0),
    ):
        with refuses(*facts):
            use()
    with refuses("my.csv", "XZ, ZY (2 bases)", "basis Z", "several bases"):
        pp.train(several().take([1, 3]))
    for format in ("qiskit", "stim-b8"):
        with refuses("my.csv", "ZZ, XZ, ZY", format):
            pp.export_shots(shots, tmp_path / "out", format)


@pytest.mark.parametrize("basis", ["X", "ZX", NAMES])
def test_netcdf_keeps_the_bases(basis: Any, tmp_path: Path) -> None:
    shots = pp.Shots(BITS, basis)
    again = pp.read_shots(shots.save(tmp_path / "shots.nc"))
    assert again.bases == shots.bases
    np.testing.assert_array_equal(again.basis_of, shots.basis_of)
    np.testing.assert_array_equal(again.bits, BITS)
    # Also when another program has saved them again.
    read_dataset(tmp_path / "shots.nc").to_netcdf(tmp_path / "again.nc")
    assert pp.read_shots(tmp_path / "again.nc").bases == shots.bases


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda data: data.drop_vars("bases"), ("'bases'", "'several'")),
        (lambda data: data.assign(basis_of=("site", [0, 1])), ("'basis_of'", "(shot)")),
        (lambda data: data.assign(bases=data.bases + 1), ("codes", "X, Y and Z")),
        (lambda data: data.assign(basis_of=data.basis_of - 1), (-1, "0 to 2")),
        (lambda data: data.assign_attrs(basis="ZW"), ("'W'",)),
    ],
)
def test_a_file_whose_bases_are_damaged(change: Any, facts: Any, tmp_path: Path) -> None:
    data: xr.Dataset = change(read_dataset(several().save(tmp_path / "shots.nc")))
    write_dataset(tmp_path / "shots.nc", data, "shots")
    with refuses(tmp_path / "shots.nc", *facts):
        pp.read_shots(tmp_path / "shots.nc")


def test_import_keeps_one_basis(tmp_path: Path) -> None:
    file, out = several().save(tmp_path / "shots.nc"), tmp_path / "out.nc"
    assert (
        "left out: 3 not in basis Z;"
        in tiny.call("import", "auto", file, "--basis", "Z", "-o", out).out
    )
    assert pp.read_shots(out).bits.tolist() == [[0, 1], [0, 0]]
    assert pp.read_shots(out).provenance["basis"] == "Z"
