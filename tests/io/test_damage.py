"""A file that cannot be read: open elsewhere, incomplete or damaged; none is to be deleted."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset
from refusals import refused

BITS = np.random.default_rng(0).integers(0, 2, (300, 4)).astype(np.uint8)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    pp.Shots(BITS).save(tmp_path / "shots.nc")
    return tmp_path / "shots.nc"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        pp.read_shots(path)
    line = str(caught.value)
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

    def refuse(*_: Any) -> None:
        raise OSError(number, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
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
