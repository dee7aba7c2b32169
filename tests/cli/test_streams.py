"""Closed standard streams, and names of files and sites that hold control characters."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.cli.logging import logged_as_asked
from psiprune.reporting import page

#: Red text, another title of the window, an erased screen, and a line that the file has forged.
EVIL = "\x1b[31mred\x1b]0;title\x07\x1b[2J\nwarning: forged\u202e"


def run(redirection: str, *arguments: object) -> tiny.Outcome:
    """`psiprune` started by a shell with this redirection."""
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    running = tiny.start(*arguments, program=(*shell, *tiny.PROGRAM))
    out, err = running.communicate(timeout=120)
    return tiny.Outcome(running.returncode, out, err)


def without_reader(*arguments: object) -> tuple[int, str]:
    """Status and messages of a command whose standard output nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stream:
        command = [*tiny.PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def test_a_result_for_a_closed_output_is_a_failure_of_one_line() -> None:
    assert run(">&-", "--help") == (1, "", "psiprune: output: Bad file descriptor\n")


def test_messages_for_a_closed_stderr_go_nowhere() -> None:
    assert run("2>&-", "info") == (2, "", "")
    outcome = run("2>/dev/full", "info")
    assert outcome == (2, "", "")


def test_help_without_a_reader_ends_quietly() -> None:
    assert without_reader("--help") == (0, "")


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


@pytest.mark.slow
def test_results_without_a_reader_end_as_by_sigpipe(stages: Path) -> None:
    assert without_reader("info", stages / "rbm.nc") == (141, "")
    for arguments in (("--version",), ("train", "--help")):
        assert without_reader(*arguments) == (0, "")


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
