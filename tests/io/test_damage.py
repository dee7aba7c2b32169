"""A file that cannot be read: open elsewhere, incomplete or damaged; none is to be deleted."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import memory
import psiprune as pp
import tiny
from psiprune.io.netcdf import read_dataset, write_dataset
from refusals import check_refusal, refused, refuses
from spies import failing

BITS = np.random.default_rng(0).integers(0, 2, (300, 4)).astype(np.uint8)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    pp.Shots(BITS).save(tmp_path / "shots.nc")
    return tmp_path / "shots.nc"


def refusal(path: Path) -> str:
    line = refused(".", pp.read_shots, path)
    assert line.startswith(f"{path}: ")
    assert "delete" not in line
    return line


@pytest.mark.parametrize("library", [None, "latest"])
def test_a_file_that_another_program_has_open(tmp_path: Path, library: str | None) -> None:
    path, copy = tmp_path / "lab.h5", tmp_path / "copy.h5"
    if library is None:  # of psiprune
        pp.Shots(BITS).save(path)
    with h5py.File(path, "a", libver=library) as file:
        if library:
            file["bits"] = BITS
            file.flush()
        assert "is open for writing in another program; close it there" in refusal(path)
        for command in (("info", path), ("train", path, "--out", tmp_path / "rbm.nc")):
            assert tiny.refusal(tiny.call(*command)) == refusal(path)
        copy.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(pp.read_shots(path).bits, BITS)
    assert "marked as open for writing" in refusal(copy)


@pytest.mark.parametrize("lock", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_another_file_handle_that_holds_a_lock(shots: Path, lock: int) -> None:
    """Locks of flock belong to a handle, so another process is not needed."""
    with shots.open() as other:
        fcntl.flock(other, lock)
        np.testing.assert_array_equal(pp.read_shots(shots).bits, BITS)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_without_locks(shots: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing is locked in order to read, so only what the message says depends on locks."""

    monkeypatch.setattr(fcntl, "flock", failing(OSError(number, "no locks available")))
    np.testing.assert_array_equal(pp.read_shots(shots).bits, BITS)
    with h5py.File(shots, "r+"):
        assert "marked as open for writing" in refusal(shots)


def test_a_file_that_is_being_copied(shots: Path, tmp_path: Path) -> None:
    content = shots.read_bytes()
    for length in (len(content) // 3, len(content) - 30):
        (tmp_path / "part.nc").write_bytes(content[:length])
        line = refusal(tmp_path / "part.nc")
        assert f"truncated or damaged: it has {length} of the" in line
        assert "if it is still being copied, wait" in line
    (tmp_path / "part.nc").write_bytes(content)
    np.testing.assert_array_equal(pp.read_shots(tmp_path / "part.nc").bits, BITS)


def test_a_file_that_grows_as_it_is_read(shots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = shots.read_bytes()
    monkeypatch.setattr("psiprune.io.netcdf.read_bytes", lambda _: content[:-60])
    refused(r"shots\.nc: is still being written; read it again", read_dataset, shots)


# ---- files that claim what they do not hold: one line, and no memory for it


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
