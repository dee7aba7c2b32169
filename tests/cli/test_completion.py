"""The scripts of `psiprune completion` do in a shell what their names say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import tiny
from psiprune.cli.app import app

COMMANDS = [name for name in app.resolved_commands() if not name.startswith("-")]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a shell's script, made once: it takes three seconds."""
    folder = tmp_path_factory.mktemp("completion")

    @cache
    def script(shell: str) -> Path:
        outcome = tiny.call("completion", shell)
        assert (outcome.status, outcome.err) == (0, "")
        (folder / shell).write_text(outcome.out)
        return folder / shell

    return script


#: The file of a shell's script.
Scripts = Callable[[str], Path]


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zsh", "fish"))]
)
def test_a_script_knows_the_commands_and_its_shell_parses_it(scripts: Scripts, shell: str) -> None:
    script = scripts(shell).read_text()
    assert "train" in COMMANDS
    for word in (*COMMANDS, "learning-rate-decay", "fine-tune.epochs", "natural"):
        assert word in script
    if shutil.which(shell) is None:
        pytest.skip(f"apt-get install {shell} lets {shell} itself parse its script")
    subprocess.run([shell, "-n", scripts(shell)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("ev",), {"evaluate"}),
        (("train", "--learning-rate-"), {"--learning-rate-decay"}),
        (("train", "x", "--method", ""), {"auto", "exact", "natural", "pcd", "cd"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
    ],
    ids=["command", "option", "method", "shell"],
)
def test_bash_completes(scripts: Scripts, typed: tuple[str, ...], offered: set[str]) -> None:
    lines = 'source "$1"; shift; COMP_WORDS=(psiprune "$@"); COMP_CWORD=$#; _psiprune'
    command = ["bash", "-c", f'{lines}; printf "%s\\n" "${{COMPREPLY[@]}}"', "-"]
    done = subprocess.run(
        [*command, scripts("bash"), *typed], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.slow
def test_zsh_finds_its_script_by_the_name_that_help_gives(scripts: Scripts) -> None:
    assert "\n_cyclopts_psiprune() {\n" in scripts("zsh").read_text()
    assert "zsh: _cyclopts_psiprune in a folder of $fpath" in tiny.call("completion", "--help").out
