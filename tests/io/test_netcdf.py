"""Labelled files: whole or not at all, and damage is found when they are read."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tiny
from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import kind_of, read_dataset, verify, write_bytes, write_dataset


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


def test_what_is_written_is_read(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = write_dataset(tmp_path / "a.nc", dataset, "toy")
    found = read_dataset(path, "toy")
    xr.testing.assert_equal(found, dataset)
    assert found["bits"].dtype == np.uint8
    assert found.attrs["units"] == "J"
    assert found.attrs["seed"] == 3
    assert found.attrs["psiprune_kind"] == "toy"
    assert found.attrs["psiprune_version"]
    assert list(tmp_path.iterdir()) == [path]
    xr.testing.assert_equal(read_dataset(path), dataset)


@pytest.mark.filterwarnings("error")
def test_a_file_that_was_read_is_written_again_without_its_empty_array(
    tmp_path: Path, dataset: xr.Dataset
) -> None:
    """HDF5 calls an empty dimension unlimited, which must not outlive it."""
    first = write_dataset(tmp_path / "one.nc", dataset, "test")
    kept = read_dataset(first, "test").drop_vars("empty")
    second = write_dataset(tmp_path / "two.nc", kept, "test")
    assert read_dataset(second, "test").identical(kept)


def test_other_programs_read_the_file(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = write_dataset(tmp_path / "a.nc", dataset, "toy")
    with xr.open_dataset(path, engine="h5netcdf") as found:
        xr.testing.assert_equal(found, dataset)
        found.load().to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    xr.testing.assert_equal(read_dataset(tmp_path / "b.nc", "toy"), dataset)


def test_every_flipped_byte_is_found(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = write_dataset(tmp_path / "a.nc", dataset, "toy")
    content = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content) - 24, 200)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(bytes(damaged))
        with pytest.raises(InputError, match=r"a\.nc: .*(damaged|NetCDF file)"):
            read_dataset(path, "toy")


def test_every_truncation_is_found(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = write_dataset(tmp_path / "a.nc", dataset, "toy")
    content = path.read_bytes()
    for length in [1, 8, 100, len(content) // 2, len(content) - 100, len(content) - 25]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a\.nc: .*(damaged|NetCDF file)"):
            read_dataset(path, "toy")


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, dataset: xr.Dataset) -> None:
    path = tmp_path / "a.nc"
    with pytest.raises(InputError, match="No such file"):
        read_dataset(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_dataset(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_dataset(path)
    path.write_bytes(b"0 1 0\n" * 100)
    with pytest.raises(InputError, match="not a NetCDF file"):
        read_dataset(path)
    write_dataset(path, dataset, "toy")
    with pytest.raises(InputError, match=r"'rbm'.*'toy'"):
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


def test_the_folder_is_synced_after_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append("file" if tiny.is_file(descriptor) else "folder")
        sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_bytes(tmp_path / "a", b"new")
    assert done == ["file", "rename", "folder"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if not tiny.is_file(descriptor):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EINVAL:  # a file system without it
        write_bytes(tmp_path / "a", b"new")
    else:
        with pytest.raises(OSError, match="output error") as caught:
            write_bytes(tmp_path / "a", b"new")
        assert caught.value.filename == str(tmp_path / "a")
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


def test_a_report_on_a_disk_that_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[study]\nsites = 4\n")
    (tmp_path / "provenance.json").write_text('{"psiprune": "0"}')
    if not _mounted("--bind", tmp_path, tmp_path):
        pytest.skip("only root may mount a disk of its own; run the tests as root")
    try:
        if not _mounted("-o", "remount,bind,ro", tmp_path):
            pytest.skip("only root may make a disk read-only; run the tests as root")
        line = tiny.refusal(tiny.call("report", tmp_path), status=1)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert line == f"{tmp_path / 'sweep.parquet'}: Read-only file system"


def _mounted(*arguments: str | Path) -> bool:
    """Whether mounting was permitted and done."""
    try:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def test_the_kind_is_told_by_the_content(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.txt", xr.Dataset({"x": 1.0}), "thing")
    assert kind_of(tmp_path / "a.txt") == "thing"
    (tmp_path / "b.nc").write_text("0 1 1\n")
    assert kind_of(tmp_path / "b.nc") is None
    (tmp_path / "c.nc").write_bytes(b"")
    assert kind_of(tmp_path / "c.nc") is None
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "d.nc", engine="h5netcdf")
    assert kind_of(tmp_path / "d.nc") is None
    content = (tmp_path / "a.txt").read_bytes()
    (tmp_path / "a.txt").write_bytes(content[:-50])
    for file, words in (("a.txt", "damaged"), ("none", "cannot be read: No such")):
        with pytest.raises(InputError, match=words):
            kind_of(tmp_path / file)


def test_a_file_larger_than_memory_allows_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "huge.nc"
    file.write_bytes(b"\x89HDF\r\n\x1a\n")
    os.truncate(file, 10**13)  # sparse
    for read in (kind_of, read_dataset, verify):
        with pytest.raises(InputError, match=r"huge\.nc: takes 10,000,000.0 MB of memory"):
            read(file)
