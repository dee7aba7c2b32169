"""Files of psiprune that another program has saved again are read by every command, like before."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.io.netcdf import kind_of, read_dataset, write_dataset
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.serialization import load_rbm

BITS = np.random.default_rng(0).integers(0, 2, (60, 3)).astype(np.uint8)
#: The engines of xarray, each with a format; "scipy" writes NetCDF 3.
WAYS = [("netcdf4", "NETCDF4"), ("h5netcdf", "NETCDF4"), ("scipy", "NETCDF3_64BIT")]
WAYS += [("netcdf4", "NETCDF4_CLASSIC"), ("netcdf4", "NETCDF3_CLASSIC")]


def again(path: Path, engine: str, form: str) -> Path:
    """Save a file again, with a remark."""
    dataset = xr.open_dataset(path, engine="h5netcdf").load()
    dataset.attrs["remark"] = "cooldown 3, 20 °C"
    target = path.with_name(f"again-{path.name}")
    dataset.to_netcdf(target, engine=engine, format=form)  # type: ignore[call-overload]
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pp.Shots(BITS, source="lab").save(tmp_path / "shots.nc")
    initial_rbm(3, 2, seed=0).save(tmp_path / "rbm.nc")
    return tmp_path


@pytest.mark.parametrize(("engine", "form"), WAYS)
def test_what_was_saved_again(folder: Path, engine: str, form: str) -> None:
    shots, rbm = (again(folder / name, engine, form) for name in ("shots.nc", "rbm.nc"))
    assert (kind_of(shots), kind_of(rbm)) == ("shots", "rbm")
    assert read_dataset(shots).attrs["remark"] == "cooldown 3, 20 °C"
    found, before = pp.read_shots(shots), pp.read_shots(folder / "shots.nc")
    np.testing.assert_array_equal(found.bits, BITS)
    assert (found.basis, found.provenance) == (before.basis, before.provenance)
    machine, original = load_rbm(rbm), load_rbm(folder / "rbm.nc")
    np.testing.assert_array_equal(machine.weights, original.weights)
    for form_given in (None, "netcdf", "hdf5"):
        np.testing.assert_array_equal(pp.read_shots(shots, form_given).bits, BITS)


def test_every_command_reads_it(folder: Path) -> None:
    shots, rbm = (again(folder / name, "netcdf4", "NETCDF4") for name in ("shots.nc", "rbm.nc"))
    for words in (
        ("evaluate", rbm, shots),
        ("import", "auto", shots, "--out", folder / "imported.nc"),
        ("import", "netcdf", shots, "--out", folder / "imported-2.nc"),
        ("export", "numpy", shots, "--out", folder / "shots.npz"),
        ("export", "numpy", rbm, "--out", folder / "rbm.npz"),
        ("train", shots, "--hidden", 2, "--out", folder / "trained.nc"),
        ("prune", rbm, shots, "--out", folder / "path", "--levels", 1),
    ):
        outcome = tiny.call(*words)
        assert outcome.status == 0, outcome.err
    assert "60 shots of 3 sites" in tiny.call("info", shots).out
    assert "RBM of 3 visible and 2 hidden units" in tiny.call("info", rbm).out


def test_every_engine_writes_what_it_reads(tmp_path: Path) -> None:
    """Names, types, order, attributes: all as by xarray's own engine."""
    rows = np.arange(20)
    dataset = xr.Dataset(
        {
            "table": (("row", "column"), rows[:, None] * np.sqrt(np.arange(30.0)), {"units": "J"}),
            "scalar": ((), 2.5),
            "empty": (("none",), np.zeros(0)),
            "words": (("row",), [f"é {k}" for k in rows]),
            "flag": (("row",), rows % 2 == 0),
            "holes": (("row",), np.where(rows % 3, np.nan, 1.0), {"_FillValue": -1.0}),
            "column": (("column",), np.arange(30, dtype=np.int16)),
        },
        coords={"row": [f"x{k}" for k in rows], "value": ((), "one")},
        attrs={"units": "J", "seed": 3, "list": [1.5, 2.5], "names": ["a", "b"], "one": [1]},
    )
    path = write_dataset(tmp_path / "toy.nc", dataset, "toy")
    with xr.open_dataset(path, engine="netcdf4") as opened:
        expected = opened.load()
    found = read_dataset(path)
    xr.testing.assert_identical(found, expected)
    added = {"psiprune_kind": "toy", "psiprune_version": version("psiprune")}
    assert {name: found.attrs[name] for name in added} == added
    assert list(found.variables) == list(expected.variables)
    assert list(found.sizes) == list(expected.sizes)
    for name in expected.variables:
        assert found[name].dtype == expected[name].dtype
    for name, value in expected.attrs.items():
        assert type(found.attrs[name]) is type(value), name
    plain = dataset.drop_vars("empty")
    plain.attrs.pop("names")
    path = write_dataset(tmp_path / "plain.nc", plain, "toy")
    for engine, form in WAYS:
        found = read_dataset(again(path, engine, form), "toy")
        xr.testing.assert_equal(found, plain)
        assert found["words"].dtype == plain["words"].dtype or form != "NETCDF4"
        np.testing.assert_array_equal(found.attrs["list"], [1.5, 2.5])
        assert found.attrs["seed"] == 3


def test_names_of_dimensions(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "lab.nc", "w") as file:
        for name, length in (("shot", 2), ("unused", 7), ("plain", 3)):
            file.createDimension(name, length)
        file.createVariable("x", "f8", ("shot", "plain"))[:] = np.ones((2, 3))
        file.createVariable("unused", "f8", ("shot",))[:] = [1, 2]  # no coordinate of its dimension
        file.psiprune_kind = "toy"
    found = read_dataset(tmp_path / "lab.nc", "toy")
    assert (found["x"].dims, found["unused"].dims) == (("shot", "plain"), ("shot",))
    with h5py.File(tmp_path / "lab.h5", "w") as plain:
        plain["x"], plain["y"] = np.ones((2, 3)), np.ones(3)
        plain.attrs["psiprune_kind"] = b"toy"
    found = read_dataset(tmp_path / "lab.h5", "toy")
    assert (found["x"].shape, found["x"].dims[1:]) == ((2, 3), found["y"].dims)
