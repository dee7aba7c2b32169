"""A training that writes early RBMs and a history beside its result, and is stopped on the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import tiny
from refusals import check_refusal

#: What `command` writes: a note, the RBMs of epochs 0 and 5, a history, the RBM.
WRITES = 5


def command(stages: Path, folder: Path, **changes: object) -> list[object]:
    options = {
        **{"hidden": 2, "method": "cd", "epochs": 7, "seed": 1, "state": stages / "state.nc"},
        **{"history": folder / "history.nc", "out": folder / "rbm.nc", **changes},
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["train", stages / "shots.nc", *words, "--keep-epochs", 0, 5]


def stop(monkeypatch: pytest.MonkeyPatch, writes: int, how: BaseException) -> None:
    """Raise as the n-th file is written."""
    done, sync = [0], os.fsync

    def write(descriptor: int) -> None:
        done[0] += 1
        if done[0] == writes:
            raise how
        sync(descriptor)

    monkeypatch.setattr("psiprune.io.netcdf.os.fsync", write)


@pytest.fixture(scope="module")
def whole(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a training that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert tiny.call(*command(stages, folder)).status == 0
    return held(folder)


def held(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tiny.contents(folder).items()}


def test_it_leaves_what_was_asked_for(whole: dict[str, bytes]) -> None:
    assert {*whole} == {"rbm.nc", "rbm-epoch-0000.nc", "rbm-epoch-0005.nc", "history.nc"}


@pytest.mark.parametrize("writes", range(1, WRITES + 1))
@pytest.mark.parametrize("how", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_the_same_command_goes_on_as_the_line_says(
    stages: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    how: BaseException,
) -> None:
    with monkeypatch.context() as patched:
        stop(patched, writes, how)
        stopped = tiny.call(*command(stages, tmp_path))
    assert stopped.status == (130 if isinstance(how, KeyboardInterrupt) else 1)
    assert "resume" in stopped.err
    assert not (tmp_path / "rbm.nc").exists()
    outcome = tiny.call(*command(stages, tmp_path))
    assert outcome.status == 0, outcome
    assert held(tmp_path) == whole


@pytest.mark.parametrize("writes", [3, WRITES])
def test_it_is_killed_as_it_writes(
    stages: Path, tmp_path: Path, whole: dict[str, bytes], writes: int
) -> None:
    tiny.kill_as_it_writes(writes, *command(stages, tmp_path))
    assert any(tmp_path.glob(".*.draft"))
    assert tiny.call(*command(stages, tmp_path)).status == 0
    assert held(tmp_path) == whole


def test_files_of_another_training_stay(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop(patched, WRITES, KeyboardInterrupt())
        tiny.call(*command(stages, tmp_path))
    before = tiny.contents(tmp_path)
    assert "history.nc" in before
    for changes in ({"seed": 2}, {"epochs": 8}, {"learning_rate": 0.5}):
        line = tiny.refusal(tiny.call(*command(stages, tmp_path, **changes)))
        check_refusal(line, "rbm-epoch-0000.nc", "exists already")
        assert tiny.contents(tmp_path) == before
    (tmp_path / "mine.nc").write_text("of somebody else")
    line = tiny.refusal(tiny.call(*command(stages, tmp_path, history=tmp_path / "mine.nc")))
    check_refusal(line, "mine.nc", "exists already")
    assert (tmp_path / "mine.nc").read_text() == "of somebody else"


def test_a_training_begun_without_them_cannot_write_them_all(stages: Path, tmp_path: Path) -> None:
    plain = ("train", stages / "shots.nc", "--hidden=2", "--method=cd", "--epochs=20000")
    running = tiny.start(*plain, "--out", tmp_path / "rbm.nc", program=tiny.EAGER)
    checkpoint = tmp_path / ".rbm.nc.1.checkpoint"
    tiny.wait_for(running, checkpoint.exists)
    running.kill()
    running.communicate()
    (tmp_path / ".rbm.nc.lock").unlink()
    before = tiny.contents(tmp_path)
    line = tiny.refusal(tiny.call(*plain, "--keep-epochs=1", "--out", tmp_path / "rbm.nc"))
    check_refusal(line, checkpoint, "does not write")
    assert tiny.contents(tmp_path) == before


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ("rbm.nc", "{}/rbm.nc"),
        ("./rbm-epoch-0005.nc", "-epoch-0005.nc"),
        ("h.txt", "{}/h.txt: "),
        ("no/h.nc", "folder {}/no does not"),
    ],
)
def test_the_history_has_a_name_of_its_own(
    stages: Path, tmp_path: Path, history: str, words: str
) -> None:
    line = tiny.refusal(tiny.call(*command(stages, tmp_path, history=f"{tmp_path}/{history}")))
    assert words.replace("{}", str(tmp_path)) in line
    assert not [*tmp_path.iterdir()]


def test_a_damaged_note_is_one_line(stages: Path, tmp_path: Path) -> None:
    (tmp_path / ".rbm.nc.begun").write_text("{")
    line = tiny.refusal(tiny.call(*command(stages, tmp_path)))
    check_refusal(line, tmp_path / ".rbm.nc.begun", "cannot be read", "delete it")
