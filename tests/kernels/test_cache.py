"""Compiled code on disk: damaged, unwritable, and in a folder of somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config, int64, njit

import tiny
from psiprune.core.exceptions import CacheWarning
from psiprune.kernels import cache
from psiprune.kernels.cache import KernelCache

TYPES = (int64,)


@njit
def successor(x: int) -> int:
    return x + 1


@pytest.fixture(scope="module")
def machine_code() -> Any:
    """The compiled function `successor` as numba hands it to a cache."""
    successor(1)
    return successor.overloads[TYPES]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for compiled code; below it lies `temp`, for temporary files."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    return cache.chosen_folder()


def load() -> Any:
    return KernelCache(successor.py_func).load_overload(TYPES, successor.targetctx)


def save(code: Any) -> None:
    KernelCache(successor.py_func).save_overload(TYPES, code)


def test_code_is_stored_and_found(folder: Path, machine_code: Any) -> None:
    assert load() is None
    save(machine_code)
    (entry,) = folder.iterdir()
    assert entry.name.startswith("test_cache.successor-")
    found = load()
    assert found.signature == machine_code.signature
    assert KernelCache(successor.py_func).cache_path == str(folder)


def test_other_code_types_and_processors_have_other_entries(
    folder: Path, machine_code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(machine_code)
    other = KernelCache(successor.py_func)
    assert other.load_overload((int64, int64), successor.targetctx) is None
    monkeypatch.setattr(cache, "_sources", lambda: "changed")
    assert load() is None
    monkeypatch.undo()
    monkeypatch.setattr(config, "CACHE_DIR", str(folder.parent))
    codegen = type(successor.targetctx.codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda _: ("x86_64", "another processor", ""))
    assert load() is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: b"no compiled code at all\n",
    ],
    ids=["emptied", "cut in its head", "cut at its end", "code changed", "digest changed", "text"],
)
def test_damaged_code_counts_as_missing_and_is_replaced(
    folder: Path, machine_code: Any, damage: Callable[[bytes], bytes]
) -> None:
    save(machine_code)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert load() is None
    save(machine_code)
    assert [*folder.iterdir()] == [entry]
    assert load() is not None


def test_a_folder_that_cannot_be_written_is_named_once(folder: Path, machine_code: Any) -> None:
    folder.parent.write_text("a file, in which even root makes no folder")
    temporary = cache.temporary_folder()
    with pytest.warns(CacheWarning) as caught:
        save(machine_code)
    (line,) = {str(each.message) for each in caught}
    assert line == (
        f"compiled code cannot be stored in {folder} (Not a directory), so it is stored in "
        f"{temporary.parent}, which may not last; set NUMBA_CACHE_DIR to a folder that you can "
        "write to"
    )
    assert temporary.parent.stat().st_mode & 0o777 == 0o700
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load() is not None  # the next start, without a word


def test_a_folder_that_cannot_be_written_is_still_read(
    machine_code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the image of a container, filled by its builder."""
    with tempfile.TemporaryDirectory() as name:  # others may not enter `tmp_path`
        Path(name).chmod(0o755)
        monkeypatch.setattr(config, "CACHE_DIR", name)
        save(machine_code)
        with tiny.read_only(cache.chosen_folder()):
            assert load() is not None


def test_a_temporary_folder_of_somebody_else_is_neither_read_nor_written(
    folder: Path, machine_code: Any
) -> None:
    folder.parent.write_text("")
    theirs = cache.temporary_folder().parent
    with pytest.warns(CacheWarning):
        save(machine_code)
    theirs.chmod(0o777)
    before = tiny.contents(theirs)
    assert load() is None
    with pytest.warns(CacheWarning, match="so each start compiles it again; set NUMBA_CACHE_DIR"):
        save(machine_code)
    assert tiny.contents(theirs) == before


@pytest.mark.slow
def test_a_command_without_any_home(stages: Path, tmp_path: Path) -> None:
    """Read-only package and home: one line the first time, none the second."""
    command = ["train", stages / "shots.nc", "--hidden", "2", "--method", "cd", "--epochs", "2"]
    for number, lines in enumerate((1, 0)):
        done = subprocess.run(
            [*tiny.PROGRAM, *map(str, command), "--out", tmp_path / f"{number}.nc"],
            env={**os.environ, "HOME": os.devnull, "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("NUMBA_CACHE_DIR") == lines, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_numbers_do_not_depend_on_where_code_comes_from(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from psiprune.kernels import cd; order = np.arange(9, dtype=np.int32);"
        "cd.shuffle(order, 5); print(*order, *cd.shuffle.stats.cache_hits.values())"
    )
    ends = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert ends[1] == [*ends[0], "1"]
    assert np.unique(ends[0]).size == 9
