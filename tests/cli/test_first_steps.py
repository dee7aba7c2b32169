"""What a new user types first: psiprune alone, the examples of the help, a wrong name, the tab."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from cyclopts.help import HelpEntry, HelpPanel
from cyclopts.help.inline_text import InlineText
from rich.console import Console

import tiny
from outcomes import text_of
from psiprune.cli.app import app, show
from psiprune.cli.catalogue import COMMANDS, MASKS, START
from psiprune.cli.help import Help
from psiprune.cli.main import main
from psiprune.cli.streams import tell
from psiprune.cli.suggest import closest

ROOT = Path(__file__).parents[2]
SWEEP = """\
[study]
sites = 4
shots = 200
fields = [1.0]
train = { method = "exact", epochs = 5 }
fine_tune = { method = "exact", epochs = 2 }

[[grid]]
product = { "prune.criterion" = ["magnitude", "surgeon"] }
"""
EXAMPLES = [
    *((name, line) for name, each in COMMANDS.items() for line in each.example.splitlines()),
    *((f"mask {name}", line) for name, line in MASKS.items()),
]


def help_at(monkeypatch: pytest.MonkeyPatch, width: int, *command: str) -> list[str]:
    """The lines of the help of a command on a terminal of this width."""
    monkeypatch.setattr(app, "console", Console(width=width))
    return text_of(tiny.call(*command, "--help")).splitlines()


def parse(line: str) -> object:
    """The function of a command line, or an exception."""
    words = shlex.split(line)
    assert words[0] == "psiprune"
    return app.parse_args(words[1:], exit_on_error=False, print_error=False)[0]


def test_psiprune_alone_prints_three_commands_to_start_with() -> None:
    printed = text_of(tiny.call())
    assert printed == START
    lines = re.findall(r"^  (psiprune .*?)(?:  |$)", printed, re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["example", "info", "reconstruct"]
    for line in lines:
        parse(line)
    assert max(map(len, printed.splitlines())) <= 80


def test_every_command_is_in_the_catalogue() -> None:
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)
    assert {name for name in app["mask"] if not name.startswith("-")} == set(MASKS)


@pytest.mark.parametrize(("command", "line"), EXAMPLES)
def test_examples_are_valid_and_short(command: str, line: str) -> None:
    parse(line)
    assert len(line) <= 78
    if command in COMMANDS or command.removeprefix("mask ") in MASKS:
        assert line.startswith((f"psiprune {command}", "psiprune train", "psiprune sample"))


@pytest.mark.parametrize("command", [*COMMANDS, *(f"mask {name}" for name in MASKS)])
def test_help_shows_the_example_and_the_most_used_options_first(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    lines = help_at(monkeypatch, 80, *command.split())
    assert max(map(len, lines)) <= 80
    assert f"  {dict(EXAMPLES)[command]}" in lines
    common = COMMANDS[command].common if command in COMMANDS else ()
    assert len(common) <= 5
    shown = re.findall(r"^│ (?:\*  |   )?(--[\w.-]+)", "\n".join(lines), re.MULTILINE)
    assert tuple(shown[: len(common)]) == common
    assert "--json" in shown or command in ("mask", "completion")
    kinds = set(re.findall(r"--shots (\w+)", "\n".join(lines).partition("│")[2]))
    assert kinds <= {"INT"}  # never a file


def test_help_keeps_brackets_and_paragraphs() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    form = Help("psiprune x <file>")
    text = "Correlations <ZZ> and [X0 Z1]\nof neighbours.\n\n  as typed *here*"
    form.render_description(console, console.options, InlineText.from_format(text, "plaintext"))
    entry = HelpEntry(
        positive_names=("--pair",),
        description=InlineText.from_format("mean <Z_i\nZ_j>", "plaintext"),
        default="False",
    )
    form(
        console, console.options, HelpPanel(format="parameter", title="Parameters", entries=[entry])
    )
    printed = console.export_text()
    assert "Correlations <ZZ> and [X0 Z1] of neighbours.\n\n  as typed *here*\n" in printed
    assert "\n  psiprune x <file>\n" in printed
    assert "--pair  mean <Z_i Z_j> " in printed
    assert "default" not in printed


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("--hiden", ("--hidden", "--history"), ["--hidden"]),
        ("--k", ("--mask", "--key"), []),
        ("-k", ("--mask", "--key"), []),
        ("--foo", ("--format",), []),
        ("--learning_rate", ("--learning-rate",), ["--learning-rate"]),
        (
            "--epochs",
            ("--train.epochs", "--fine-tune.epochs"),
            ["--train.epochs", "--fine-tune.epochs"],
        ),
        ("--prune.levels", ("--levels", "--fields"), ["--levels"]),
        ("prunne", ("prune", "paper"), ["prune"]),
    ],
)
def test_the_name_that_was_meant(name: str, names: Iterable[str], meant: list[str]) -> None:
    assert closest(name, [*names]) == meant


def test_the_example_is_a_file_of_shots(tmp_path: Path) -> None:
    out = tmp_path / "shots.txt"
    printed = text_of(tiny.call("example", out))
    assert printed == f"{out}: 10000 shots of 10 sites\nnext: psiprune info {out}\n"
    assert out.stat().st_size < 200_000
    assert text_of(tiny.call("info", out)).startswith(f"{out}: 10000 shots of 10 sites in basis Z")
    assert "exists already" in tiny.refusal(tiny.call("example", out))


@pytest.mark.parametrize("width", [44, 60, 120])
def test_help_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """But for the example, which is for copying."""
    lines = help_at(monkeypatch, width, "query")
    example = COMMANDS["query"].example
    assert max(len(line) for line in lines if line.strip() != example) <= width
    assert f"  {example}" in lines
    assert "\x1b" not in "".join(lines)  # as in a pipe to less


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]")
    for value, expected in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        console = Console(width=80, force_terminal=True, color_system="standard")
        monkeypatch.setattr(app, "console", console)
        printed = tiny.call("query", "--help").out
        assert bool(colour.search(printed)) == expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "5 ± 1 σ, ⟨m⟩ 漢"),
        ("latin-1", "5 +- 1 sigma, <m> ?"),
        ("ascii", "5 +- 1 sigma, <m> ?"),
    ],
)
def test_results_and_messages_are_printed_in_any_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str
) -> None:
    for name, say in (("stdout", lambda text: show({}, text, False)), ("stderr", tell)):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding))
        say("5 ± 1 σ, ⟨m⟩ 漢")
        getattr(sys, name).flush()
        assert buffer.getvalue().decode(encoding) == f"{expected}\n"
        monkeypatch.undo()


def test_help_is_printed_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    monkeypatch.setattr(app, "console", Console(width=80))
    assert main(["query", "--help"]) == 0
    sys.stdout.flush()
    assert b"+- Arguments ---" in buffer.getvalue()


@pytest.mark.slow
def test_a_script_makes_the_example(tmp_path: Path) -> None:
    out = tmp_path / "made.txt"
    command = [
        str(ROOT / "scripts" / "make_example.sh"),
        str(out),
        sys.executable,
        "-m",
        "psiprune",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    text_of(tiny.call("example", tmp_path / "shipped.txt"))
    assert out.read_bytes() == (tmp_path / "shipped.txt").read_bytes()


@pytest.mark.slow
def test_the_examples_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the catalogue; of the experiments, which take minutes, only the sweep."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    tiny.write(tmp_path / "zeros.txt", "0000000000\n" * 199 + "0000100000\n")
    tiny.write(tmp_path / "ones.txt", "1111111111\n" * 199 + "1111101111\n")
    tiny.write(tmp_path / "mine.toml", SWEEP)
    for command, line in EXAMPLES:
        group = COMMANDS[command.split()[0]].group
        if group != "Experiments" or command == "sweep":
            outcome = tiny.call(*shlex.split(line)[1:])
            assert outcome.status == 0, (line, outcome)
    assert "psiprune" in (tmp_path / ".bashrc").read_text()
