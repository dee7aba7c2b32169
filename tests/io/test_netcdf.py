"""Labelled files: whole or not at all, and damage is found when they are read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tiny
from psiprune.io.netcdf import kind_of, read_dataset, verify, write_bytes, write_dataset
from refusals import refused, refuses


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

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
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
    file = tmp_path / "huge.nc"
    file.write_bytes(b"\x89HDF\r\n\x1a\n")
    os.truncate(file, 10**13)  # sparse
    for read in (kind_of, read_dataset, verify):
        refused(r"huge\.nc: takes 10,000,000.0 MB of memory", read, file)
