"""Locks name their owner, work without flock, and outlive nobody on this machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.core.exceptions import InputError
from psiprune.io import lock as locks
from psiprune.io.lock import Owner, locked, refuse_locked
from refusals import check_refusal
from spies import failing


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without flock."""
    monkeypatch.setattr(fcntl, "flock", failing(OSError(request.param, os.strerror(request.param))))


def me() -> Owner:
    process = os.getpid()
    started = locks._start_of(process)
    assert started is not None
    return Owner(socket.gethostname(), locks._place(), process, started, "2026-01-02 03:04:05")


def claim(folder: Path, owner: Owner) -> Path:
    """The file of another start."""
    file = tiny.write(folder / ".lock.0123abcd.owner", json.dumps(asdict(owner)))
    return file


def take(folder: Path, keep: bool = True) -> AbstractContextManager[None]:
    return locked(folder / ".lock", folder, "run", keep)


def refused(folder: Path) -> str:
    """The message of a start that is refused, and changes nothing."""
    before = tiny.tree(folder)
    with pytest.raises(InputError) as early:
        refuse_locked(folder / ".lock", folder, "run")
    with pytest.raises(InputError) as late, take(folder):
        pytest.fail("taken")
    assert tiny.tree(folder) == before
    assert str(early.value) == str(late.value)
    return str(late.value)


def ended() -> Owner:
    """A process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return replace(me(), process=process.pid)


def test_a_lock_names_its_owner(tmp_path: Path) -> None:
    with take(tmp_path):
        owner = Owner(**json.loads((tmp_path / ".lock").read_text()))
        check_refusal(refused(tmp_path), tmp_path, "another process", str(owner), "wait")
        assert str(owner).startswith(f"process {os.getpid()} on {socket.gethostname()} since 2")
    assert (tmp_path / ".lock").read_bytes() == b""
    refuse_locked(tmp_path / ".lock", tmp_path, "run")


@pytest.mark.usefixtures("no_flock")
def test_without_flock_a_second_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with take(tmp_path):
        line = refused(tmp_path)
        check_refusal(line, tmp_path, "another process", f"process {os.getpid()}", "wait")
        assert "delete" not in line
    assert {*tmp_path.iterdir()} == {tmp_path / ".lock"}
    (tmp_path / ".lock").unlink()
    for _ in range(2):
        with take(tmp_path, keep=False):
            assert len([*tmp_path.iterdir()]) == 2
        assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize(
    "gone", [ended, lambda: replace(me(), started="another boot 17")], ids=["ended", "reused"]
)
def test_the_lock_of_a_process_that_is_gone_is_taken_over(
    tmp_path: Path, gone: Callable[[], Owner], caplog: pytest.LogCaptureFixture
) -> None:
    owner = gone()
    file = claim(tmp_path, owner)
    refuse_locked(tmp_path / ".lock", tmp_path, "run")
    with take(tmp_path):
        assert not file.exists()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    check_refusal(record.getMessage(), tmp_path, str(owner))


@pytest.mark.usefixtures("no_flock")
def test_a_killed_process_that_nobody_waited_for_is_gone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    started = locks._start_of(process.pid)
    assert started
    assert not replace(me(), process=process.pid, started=started).gone
    process.kill()
    limit = time.monotonic() + 10
    while locks._start_of(process.pid) is not None:  # a zombie
        assert time.monotonic() < limit
        time.sleep(0.001)
    assert replace(me(), process=process.pid, started=started).gone
    process.wait()


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize(
    "other", [{"host": "node9"}, {"place": "another container"}, "", "{", "[]", '{"host": 1}']
)
def test_an_owner_who_may_be_alive_is_named_with_the_file_to_delete(
    tmp_path: Path, other: dict[str, Any] | str
) -> None:
    """On another machine, or in a file that cannot be read."""
    owner = replace(ended(), **(other if isinstance(other, dict) else {}))
    file, facts = claim(tmp_path, owner), [str(owner), f"ps -p {owner.process} on {owner.host}"]
    if isinstance(other, str):
        file.write_text(other)
        facts = []
    line = refused(tmp_path)
    check_refusal(line, tmp_path, "another process", *facts, "wait", f"delete {file}")
    file.unlink()
    with take(tmp_path):
        pass


def test_machines_with_and_without_flock_see_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").touch()
    elsewhere = replace(me(), host="node9")
    file = claim(tmp_path, elsewhere)  # of a machine without
    check_refusal(refused(tmp_path), tmp_path, f"delete {file}")
    file.unlink()
    (tmp_path / ".lock").write_text(json.dumps(asdict(elsewhere)))  # of one with, that was killed
    with take(tmp_path):
        pass
    (tmp_path / ".lock").write_text(json.dumps(asdict(elsewhere)))
    monkeypatch.setattr(fcntl, "flock", failing(OSError(errno.ENOLCK, "")))
    check_refusal(refused(tmp_path), tmp_path, "on node9", f"delete {tmp_path / '.lock'}")


@pytest.mark.usefixtures("no_flock")
def test_of_many_starts_at_once_one_is_alone(tmp_path: Path) -> None:
    inside: list[int] = []
    numbers: list[int] = []

    def start(number: int) -> None:
        with contextlib.suppress(InputError), take(tmp_path):
            inside.append(number)
            numbers.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(24)))
    assert set(numbers) == {1}


@pytest.mark.usefixtures("no_flock")
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").touch()
    full = OSError(errno.ENOSPC, "No space left on device", "draft")
    monkeypatch.setattr(locks, "write_bytes", failing(full))
    with pytest.raises(OSError, match="No space") as error, take(tmp_path):
        pytest.fail("taken")
    assert error.value.filename == str(tmp_path)


def test_a_process_of_another_user_may_be_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = me()
    monkeypatch.setattr(os, "kill", failing(PermissionError()))
    assert not owner.gone
    # Hidden from others, and without /proc: whether the number was used again is unknown.
    monkeypatch.setattr(Path, "read_text", failing(PermissionError()))
    assert locks._start_of(owner.process) == ""
