"""A file that cannot be read: open elsewhere, incomplete or damaged; none is to be deleted."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset

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


def test_a_file_that_another_program_has_open(shots: Path, tmp_path: Path) -> None:
    with h5py.File(shots, "r+"):
        assert "is open for writing in another program; close it there" in refusal(shots)
        for command in (("info", shots), ("train", shots, "--out", tmp_path / "rbm.nc")):
            line = tiny.refusal(tiny.call(*command))
            assert line == refusal(shots)
        (tmp_path / "copy.nc").write_bytes(shots.read_bytes())
    np.testing.assert_array_equal(pp.read_shots(shots).bits, BITS)
    assert "marked as open for writing" in refusal(tmp_path / "copy.nc")


def test_the_mark_of_newer_files(tmp_path: Path) -> None:
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["bits"] = BITS
        file.flush()
        (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    assert "marked as open for writing" in refusal(tmp_path / "copy.h5")
    np.testing.assert_array_equal(pp.read_shots(path).bits, BITS)


def test_another_process_that_reads_it(shots: Path) -> None:
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, {}); print(flush=True); input()"
    )
    for lock in (fcntl.LOCK_SH, fcntl.LOCK_EX):
        with subprocess.Popen(
            [sys.executable, "-c", code.format(lock), shots],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            np.testing.assert_array_equal(pp.read_shots(shots).bits, BITS)
            other.communicate("\n")


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
    with pytest.raises(InputError, match=r"shots\.nc: is still being written; read it again"):
        read_dataset(shots)


def test_a_damaged_file(shots: Path) -> None:
    content = bytearray(shots.read_bytes())
    content[len(content) // 2] ^= 4
    shots.write_bytes(content)
    assert refusal(shots) == (
        f"{shots}: truncated or damaged; restore it from a copy, or move it away and make it again"
    )
