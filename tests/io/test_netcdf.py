"""Labelled files: whole or not at all, and damage is found when they are read."""

from __future__ import annotations

import errno
import os
from importlib.metadata import version
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.io.netcdf import (
    Arrays,
    kind_of,
    read_arrays,
    read_dataset,
    verify,
    write_arrays,
    write_bytes,
    write_dataset,
)
from psiprune.rbm.init import initial_rbm
from refusals import refused, refuses
from spies import failing


@pytest.fixture
def dataset() -> xr.Dataset:
    generator = np.random.default_rng(0)
    return xr.Dataset(
        {
            "table": (("row", "column"), generator.normal(size=(20, 30))),
            "scalar": ((), 2.5),
            "empty": (("none",), np.zeros(0)),
            "words": (("row",), [f"row {k}" for k in range(20)]),
            "bits": (("row",), np.arange(20, dtype=np.uint8)),
        },
        attrs={"units": "J", "seed": 3},
    )


@pytest.mark.filterwarnings("error")
def test_a_file_that_was_read_is_written_again_without_its_empty_array(
    tmp_path: Path, dataset: xr.Dataset
) -> None:
    """HDF5 calls an empty dimension unlimited, which must not outlive it."""
    first = write_dataset(tmp_path / "one.nc", dataset, "test")
    kept = read_dataset(first, "test").drop_vars("empty")
    second = write_dataset(tmp_path / "two.nc", kept, "test")
    assert read_dataset(second, "test").identical(kept)


def test_arrays_without_xarray_are_the_same_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays: Arrays = {
        "table": (("row", "column"), generator.normal(size=(20, 30)), {"units": "J"}),
        "bits": (("row",), np.arange(20, dtype=np.uint8), {"long_name": "a bit"}),
        "scalar": ((), np.array(2.5), {}),
        "single": (("one",), np.ones(1), {}),
        "empty": (("none",), np.zeros(0), {}),
    }
    attributes = {"text": "Grün", "none": "", "seed": 3, "rate": 0.1, "float32": np.float32(0.5)}
    with_xarray = xr.Dataset(dict(arrays), attrs=attributes)
    one = write_arrays(tmp_path / "one.nc", arrays, attributes, "toy")
    two = write_dataset(tmp_path / "two.nc", with_xarray, "toy")
    assert one.read_bytes() == two.read_bytes()
    variables, read = read_arrays(one, "toy")
    dataset = read_dataset(one, "toy")
    assert {"psiprune_kind", *attributes} <= set(read)
    assert read == dataset.attrs
    assert list(variables) == list(dataset.variables)
    for name, (dimensions, values) in variables.items():
        assert dimensions == dataset[name].dims
        assert values.dtype == dataset[name].dtype
        assert np.array_equal(values, dataset[name].values)
    with refuses(one, "expected a file of kind 'rbm', found 'toy'"):
        read_arrays(one, "rbm")


@pytest.mark.filterwarnings("ignore::xarray.SerializationWarning")
def test_arrays_that_another_program_has_saved_are_decoded(tmp_path: Path) -> None:
    packed = xr.Dataset({"weights": (("row",), [0.5, 2.0])}, attrs={"psiprune_kind": "toy"})
    packed.to_netcdf(
        tmp_path / "a.nc", encoding={"weights": {"dtype": "int16", "scale_factor": 0.5}}
    )
    assert read_arrays(tmp_path / "a.nc", "toy").variables["weights"][1].tolist() == [0.5, 2.0]


def test_every_flipped_byte_and_every_truncation_is_found(
    tmp_path: Path, dataset: xr.Dataset
) -> None:
    path = write_dataset(tmp_path / "a.nc", dataset, "toy")
    content = path.read_bytes()
    damaged = [content[: int(length)] for length in np.geomspace(1, len(content) - 25, 12)]
    damaged.append(content[:-26])
    for place in np.random.default_rng(0).integers(0, len(content) - 24, 200):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        damaged.append(bytes(flipped))
    for each in damaged:
        path.write_bytes(each)
        refused(r"a\.nc: .*(damaged|NetCDF file)", read_dataset, path, "toy")


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = tmp_path / "a.nc"
    with refuses(path, "No such file"):
        read_dataset(path)
    with refuses(tmp_path, "cannot be read"):
        read_dataset(tmp_path)
    for content, fact in ((b"", "empty"), (b"0 1 0\n" * 100, "not a NetCDF file")):
        path.write_bytes(content)
        with refuses(path, fact):
            read_dataset(path)
    write_dataset(path, dataset, "toy")
    with refuses(path, "'rbm'", "'toy'"):
        read_dataset(path, "rbm")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bytes(tmp_path / "a", b"old")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    assert write_bytes(path, b"new").read_bytes() == b"new"
    with pytest.raises(OSError, match="No such file"):
        write_bytes(tmp_path / "missing" / "a", b"new")


@pytest.mark.parametrize("code", [0, errno.EINVAL, errno.EIO])
def test_the_folder_is_synced_after_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append("file" if tiny.is_file(descriptor) else "folder")
        if code and done[-1] == "folder":
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    if code == errno.EIO:
        with pytest.raises(OSError, match="output error") as caught:
            write_bytes(tmp_path / "a", b"new")
        assert caught.value.filename == str(tmp_path / "a")
    else:  # EINVAL: a file system that cannot sync folders
        write_bytes(tmp_path / "a", b"new")
    assert done == ["file", "rename", "folder"]
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_is_read_only_is_told_by_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux refuses to remove a file there before it finds that there is none."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        write_bytes(tmp_path / "a", b"new")
    assert caught.value.filename == str(tmp_path / "a")


def test_the_kind_is_told_by_the_content(tmp_path: Path) -> None:
    path = write_dataset(tmp_path / "a.txt", xr.Dataset({"x": 1.0}), "thing")
    content = path.read_bytes()
    assert kind_of(path) == "thing"
    for other in (b"0 1 1\n", b""):
        path.write_bytes(other)
        assert kind_of(path) is None
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    assert kind_of(tmp_path / "b.nc") is None
    path.write_bytes(content[:-50])
    with refuses(path, "damaged"):
        kind_of(path)
    with refuses("none", "No such file"):
        kind_of(tmp_path / "none")


def test_a_file_larger_than_memory_allows_is_refused_unread(tmp_path: Path) -> None:
    file = tiny.write(tmp_path / "huge.nc", b"\x89HDF\r\n\x1a\n")
    os.truncate(file, 10**13)  # sparse
    for read in (kind_of, read_dataset, verify):
        refused(r"huge\.nc: takes 10,000,000.0 MB of memory", read, file)


# ---- files that another program has saved again


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
    machine, original = pp.load_rbm(rbm), pp.load_rbm(folder / "rbm.nc")
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
