"""Commands that fail: exit statuses, full disks, closed streams, and one line for each."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.cli.app import show
from psiprune.cli.logging import logged_as_asked
from psiprune.reporting import page
from spies import failing

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
    monkeypatch.setattr("psiprune.states.dmrg.ground_state", failing(error))
    found = tiny.refusal(tiny.call("ground-state", "--sites=2", "--out", tmp_path / "a"), status)
    assert found.startswith(line)


def test_interrupted_with_something_kept(
    monkeypatch: pytest.MonkeyPatch, stages: Path, tmp_path: Path
) -> None:
    stop = failing(KeyboardInterrupt())
    monkeypatch.setattr("psiprune.training.train.train", stop)
    outcome = tiny.call("train", stages / "shots.nc", "--epochs=1", "--out", tmp_path / "a.nc")
    line = tiny.refusal(outcome, status=130)
    assert line == tiny.KEPT
    monkeypatch.setattr("psiprune.inspect.describe.describe", stop)  # no longer: another command
    line = tiny.refusal(tiny.call("info", stages / "shots.nc"), status=130)
    assert line == tiny.NOT_BEGUN


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


# ---- closed standard streams, and names that hold control characters


#: Red text, another title of the window, an erased screen, and a line that the file has forged.
EVIL = "\x1b[31mred\x1b]0;title\x07\x1b[2J\nwarning: forged\u202e"


def run(redirection: str, *arguments: object) -> tiny.Outcome:
    """`psiprune` started by a shell with this redirection."""
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    return tiny.finish(tiny.start(*arguments, program=(*shell, *tiny.PROGRAM)))


def without_reader(*arguments: object) -> tuple[int, str]:
    """Status and messages of a command whose standard output nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stream:
        command = [*tiny.PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


NO_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.parametrize(
    ("output", "command", "line"),
    [
        ("&-", "--help", "output: Bad file descriptor"),
        pytest.param("/dev/full", "info {in}/shots.nc", "output: No space left", marks=NO_FULL),
    ],
)
def test_output_that_is_closed_or_full(output: str, command: str, line: str, stages: Path) -> None:
    """A result that cannot be printed is a failure of one line; a message is lost."""
    words = [word.format(**{"in": stages}) for word in command.split()]
    assert tiny.refusal(run(f">{output}", *words), status=1).startswith(line)
    assert run(f"2>{output}", "info") == (2, "", "")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        *(("--help", 0), ("info {in}/shots.nc", 141)),  # a result ends as by SIGPIPE
        *(pytest.param(each, 0, marks=pytest.mark.slow) for each in ("--version", "train --help")),
    ],
)
def test_without_a_reader(command: str, status: int, stages: Path) -> None:
    words = [word.format(**{"in": stages}) for word in command.split()]
    assert without_reader(*words) == (status, "")


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_streams_closed_in_every_combination(streams: str, stages: Path, tmp_path: Path) -> None:
    """A file that a command opens must not get the number of a standard stream."""
    file = tmp_path / "rbm.nc"
    options = ("--hidden", 2, "--method", "cd", "--epochs", 1, "--out", file)
    outcome = run(streams, "train", stages / "shots.nc", *options)
    assert outcome.status == (1 if ">&-" in streams.split() else 0)
    assert pp.load_rbm(file).hidden == 2
    assert "Traceback" not in outcome.err


def printed_safely(outcome: tiny.Outcome) -> None:
    for line in (outcome.out + outcome.err).splitlines():
        assert line.isprintable(), line
        assert not line.startswith("warning: forged")


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of shots whose name, dataset, sites and attributes hold control characters."""
    file = tmp_path_factory.mktemp("evil") / f"{EVIL}.h5"
    names = [f"{EVIL}{number}" for number in (3, 1, 2)]
    with h5py.File(file, "w") as root:
        bits = root.create_dataset(EVIL, data=np.eye(3, dtype=np.uint8).repeat(9, axis=0))
        root["site"] = names
        root["site"].make_scale("site")
        bits.dims[1].label = "site"
        bits.dims[1].attach_scale(root["site"])
        bits.attrs[EVIL] = EVIL
    return file


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "{evil}"),
        ("info", "{evil}", "--order", "listed"),
        ("import", "hdf5", "{evil}", "--out", "{out}"),
        ("import", "hdf5", "{evil}", "--key", "none", "--out", "{out}"),
        ("info", "{evil}.missing"),
        ("evaluate", "{evil}", "{evil}"),
    ],
    ids=" ".join,
)
def test_what_a_file_says_is_printed_escaped(
    evil: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    filled = [each.format(evil=evil, out=tmp_path / "out.nc") for each in arguments]
    outcome = tiny.call(*filled)
    assert "\\x1b[31m" in outcome.out + outcome.err
    printed_safely(outcome)


def test_the_attributes_of_a_dataset_are_printed_escaped(stages: Path, tmp_path: Path) -> None:
    rbm = pp.load_rbm(stages / "rbm.nc")
    file = tmp_path / "rbm.nc"
    pp.RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, rbm.mask, provenance={EVIL: EVIL}).save(
        file
    )
    outcome = tiny.call("info", file)
    assert "\\x1b[31m" in outcome.out
    printed_safely(outcome)


@pytest.mark.parametrize("level", ["", "info"])
def test_logs_are_escaped(
    level: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PSIPRUNE_LOG", level)
    with logged_as_asked():
        logging.getLogger("psiprune.io.run").warning("resuming %s", EVIL.replace("\n", ""))
    shown = capsys.readouterr().err.removesuffix("\n")
    assert "resuming \\x1b[31mred" in shown
    assert shown.isprintable()


def test_a_page_shows_escapes() -> None:
    facts = page.Provenance(facts={"file": EVIL}, configuration=f"a = 1\nb = {EVIL!s}")
    report = page.Report(f"{EVIL}<b>", [EVIL], page.Summary(), [], None, facts, "psiprune")
    shown = page.render(report)
    assert "\\x1b[31mred" in shown
    assert "&lt;b&gt;" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "a = 1\nb = " in shown
