"""Files of psiprune that claim what they do not hold: one line, and no memory for it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import memory
import psiprune as pp
import tiny
from psiprune.io.netcdf import read_dataset, write_dataset
from refusals import check_refusal, refuses


def label(item: h5py.Dataset, dimensions: tuple[str, ...]) -> None:
    """Name the dimensions as NetCDF 4 does, by arrays that are never written."""
    for axis, name in enumerate(dimensions):
        length = item.shape[axis]
        scale = item.file.create_dataset(name, (length,), dtype="f4", chunks=(min(64, length),))
        scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {length:10d}")
        item.dims[axis].attach_scale(scale)


def claim(
    path: Path, kind: str, name: str, dimensions: tuple[str, str], shape: tuple[int, int]
) -> Path:
    """A file of psiprune whose variable was never written."""
    with h5py.File(path, "w") as file:
        step = (min(shape[0], 1 << 14), min(64, shape[1]))
        item = file.create_dataset(name, shape, dtype="u1", chunks=step, compression="gzip")
        label(item, dimensions)
        file.attrs["psiprune_kind"] = kind
    assert path.stat().st_size < 20_000
    return path


@pytest.mark.parametrize(
    ("kind", "name", "dimensions"),
    [
        ("shots", "bits", ("shot", "site")),
        ("rbm", "weights", ("hidden", "visible")),
        ("study", "x", ("a", "b")),
    ],
)
def test_a_claim_without_content(
    tmp_path: Path, kind: str, name: str, dimensions: tuple[str, str]
) -> None:
    path = claim(tmp_path / "a.nc", kind, name, dimensions, (1 << 25, 64))
    with memory.at_most(200e6):  # the commands themselves among them
        for command in (("info", path), ("export", "numpy", path, "-o", tmp_path / "b.npz")):
            check_refusal(tiny.refusal(tiny.call(*command)), path, name, "0 of the 2048 chunks")
    small = claim(tmp_path / "b.nc", kind, name, dimensions, (1 << 8, 64))
    with refuses(small, name, "0 of the 1 chunks"):
        read_dataset(small)


def test_a_table_without_its_last_shots(tmp_path: Path) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        item = file.create_dataset("bits", (100, 4), dtype="u1", chunks=(10, 4))
        item[:60] = 1
    with refuses(path, "bits", "6 of the 10 chunks"):
        pp.read_shots(path)
    with h5py.File(path, "r+") as file:
        file["bits"][60:] = 0
    assert len(pp.read_shots(path)) == 100
    with h5py.File(path, "w") as file:
        file.create_dataset("bits", (100, 4), dtype="u1")
    with refuses(path, "bits", "never written"):
        pp.read_shots(path)


def test_a_part_is_counted_whole(tmp_path: Path) -> None:
    """HDF5 unpacks a whole chunk, also where the shape takes ten rows of it."""
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        item = file.create_dataset(
            "bits", (10, 4), maxshape=(None, None), chunks=(1 << 29, 4), dtype="u1"
        )
        item.id.write_direct_chunk((0, 0), b"\0" * 100)
    with refuses(path, 2147483648, 1073741824):
        pp.read_shots(path)


def test_variables_that_are_too_much_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {f"x{k}": ((f"row{k}",), np.zeros(1000)) for k in range(4)}
    path = write_dataset(tmp_path / "a.nc", xr.Dataset(variables), "toy")
    monkeypatch.setattr("psiprune.io.hdf5_checks._SMALL", 10_000)
    monkeypatch.setattr("psiprune.io.hdf5_checks.MOST_PACKED", 1)
    monkeypatch.setattr("psiprune.io.hdf5_checks.check_stored", lambda item: None)
    with refuses("a.nc", "damaged"):
        read_dataset(path)


@pytest.mark.parametrize("link", ["soft", "external", "virtual", "raw"])
def test_data_in_other_files_are_not_read(tmp_path: Path, link: str) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones(4)
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file.attrs["psiprune_kind"] = "toy"
        if link == "soft":
            file["x"] = h5py.SoftLink("/y")
        elif link == "external":
            file["x"] = h5py.ExternalLink(str(other), "x")
        elif link == "virtual":
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(str(other), "x", (4,))
            file.create_virtual_dataset("x", layout)
        else:
            file.create_dataset("x", (4,), "f8", external=[(str(other), 0, 32)])
    with refuses("a.nc", "damaged"):
        read_dataset(tmp_path / "a.nc")
