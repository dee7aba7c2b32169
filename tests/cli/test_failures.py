"""Commands that fail: exit statuses, closed outputs, full disks, and one line for each."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.cli.app import show
from refusals import check_facts

DIVERGENT = ("--learning-rate=1000", "--weight-decay=1e30")


WRITING = {
    "ground-state": "ground-state --sites 2 --out {out}",
    "sample": "sample {in}/state.nc --shots 4000 --out {out}",
    "train": "train {in}/shots.nc --epochs 1 --out {out}",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 1 --no-fine-tune --out {out}",
}


@pytest.mark.parametrize("command", WRITING.values(), ids=WRITING.keys())
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (tiny.read_only, "Permission denied"),
        (lambda _: tiny.full_disk(100), "free some space, then "),
    ],
    ids=["read-only", "full"],
)
def test_what_cannot_be_written(
    stages: Path, command: str, trouble: Callable[[Path], AbstractContextManager[None]], words: str
) -> None:
    # Not in `tmp_path`: only its owner may enter it, and `read_only` is somebody else.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("state.nc", "shots.nc", "rbm.nc"):
            shutil.copy(stages / file, folder / file)
        arguments = [part.format(out=folder / "out", **{"in": folder}) for part in command.split()]
        before = tiny.contents(folder)
        with trouble(folder):
            line = tiny.refusal(tiny.call(*arguments), status=1)
        assert line.startswith(str(folder / "out"))
        if words.endswith("then "):
            kept = command.startswith(("train", "prune"))
            words += "rerun the same command to resume" if kept else "run the command again"
        assert line.endswith(words)
        assert tiny.contents(folder) == before
        assert tiny.call(*arguments).status == 0  # nothing is left in the way


def test_a_run_beneath_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = tiny.refusal(tiny.call("study", "--out", tmp_path / "file" / "run"), status=1)
    assert line == f"{tmp_path / 'file' / 'run'}: Not a directory"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (RuntimeError("no luck"), 1, "no luck"),
        (MemoryError(), 1, "MemoryError"),
        (ValueError("zero-size\narray"), 1, "zero-size array"),
        (np.linalg.LinAlgError("SVD did not converge"), 1, "SVD did not converge"),
        (BrokenPipeError(32, "Broken pipe"), 1, "output: Broken pipe"),  # of a worker, say
        (OverflowError(34, "Numerical result out of range"), 1, "(34, 'Numerical result"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
        (pp.DivergenceError("in\n epoch 3"), 1, "in epoch 3"),
        (pp.InputError("bits: are\nbad"), 2, "bits: are bad"),
        (OSError(28, "No space left on device"), 1, "output: No space left on device; free"),
        (OSError(28, "No space left on device", "a.nc"), 1, "a.nc: No space left on device; nothi"),
        (KeyboardInterrupt(), 130, tiny.LOST),
    ],
    ids=repr,
)
def test_exit_statuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, status: int, line: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("psiprune.states.dmrg.ground_state", fail)
    found = tiny.refusal(tiny.call("ground-state", "--sites=2", "--out", tmp_path / "a"), status)
    assert found.startswith(line)


def test_interrupted_with_something_kept(
    monkeypatch: pytest.MonkeyPatch, stages: Path, tmp_path: Path
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("psiprune.training.train.train", stop)
    outcome = tiny.call("train", stages / "shots.nc", "--epochs=1", "--out", tmp_path / "a.nc")
    line = tiny.refusal(outcome, status=130)
    assert line == tiny.KEPT
    monkeypatch.setattr("psiprune.inspect.describe.describe", stop)  # no longer: another command
    line = tiny.refusal(tiny.call("info", stages / "shots.nc"), status=130)
    assert line == tiny.NOT_BEGUN


def test_nobody_reads_the_output(stages: Path) -> None:
    info = subprocess.Popen(
        [*tiny.PROGRAM, "info", str(stages / "shots.nc")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert info.stdout is not None
    info.stdout.close()
    assert info.stderr is not None
    assert info.stderr.read() == b""
    assert info.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_to_a_full_disk(stages: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*tiny.PROGRAM, "info", str(stages / "shots.nc")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    line = tiny.refusal(tiny.Outcome(done.returncode, "", done.stderr), status=1)
    assert line.startswith("output: No space left on device; ")


def test_divergence_is_told(stages: Path, tmp_path: Path) -> None:
    command = ("train", stages / "shots.nc", "--method=cd", *DIVERGENT)
    line = tiny.refusal(tiny.call(*command, "--out", tmp_path / "a.nc"), status=1)
    check_facts(line, "epoch 1", "learning_rate = 1000.0")
    assert list(tmp_path.iterdir()) == []


def test_json_has_null_for_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    nan, inf = float("nan"), float("inf")
    found: dict[str, Any] = {
        "a": nan,
        "b": [1.5, inf, {"c": -inf, "d": (np.float64(nan), 2, True, None, "NaN")}],
    }
    show(found, "", True)

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    printed = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert printed == {"a": None, "b": [1.5, None, {"c": None, "d": [None, 2, True, None, "NaN"]}]}
