"""A folder that a command refuses is left as it was: every name, byte and time of change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import product
from pathlib import Path

import pytest
from filelock import FileLock

import tiny
from psiprune.io.provenance import describe_machine
from refusals import check_facts

#: Commands that take a folder; {in} holds inputs.
COMMANDS = {
    "study": "study",
    "sparse": "sparse",
    "ablation": "ablation",
    "frontier": "frontier",
    "paper": "paper",
    "reconstruct": "reconstruct {in}/shots.nc",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 1 --no-fine-tune",
    "prune until": "prune {in}/rbm.nc {in}/shots.nc --until kl --limit 1e9 --state {in}/state.nc",
    "rewire": "rewire {in}/pruned.nc {in}/shots.nc --rounds 1",
    "sweep": "sweep {in}/sweep.toml --scheduler serial",
}


def a_run(folder: Path, **changes: str) -> None:
    """A finished run of other settings, with drafts of ours and of the user."""
    (folder / "config.toml").write_text("hidden = [2]\n")
    (folder / "provenance.json").write_text(json.dumps({**describe_machine(), **changes}))
    (folder / ".lock").touch()
    for name in (".x.draft", ".level-00.nc.0123abcd.draft", "notes/.thesis.draft"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("half")
    for name in ("level-00.nc", ".level-00.nc.1.checkpoint"):
        (folder / "h=1").mkdir(exist_ok=True)
        (folder / "h=1" / name).write_text("whole")


def another_version(folder: Path) -> None:
    a_run(folder, psiprune="0.0.1")
    (folder / "config.toml").write_text("")


def damaged_config(folder: Path) -> None:
    a_run(folder)
    (folder / "config.toml").write_text("hidden = [")


def foreign_config(folder: Path) -> None:
    (folder / "config.toml").write_text('title = "a thesis"\n')
    (folder / ".chapter.draft").write_text("mine")


def hidden_files(folder: Path) -> None:
    (folder / ".sub").mkdir()
    for name in (".notes.draft", ".keep", ".sub/.letter.draft"):
        (folder / name).write_text("mine")


def other_files(folder: Path) -> None:
    (folder / "thesis.tex").write_text("mine")
    (folder / ".thesis.tex.0123abcd.draft").write_text("mine")


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("mine")


@contextmanager
def busy(folder: Path) -> Iterator[None]:
    a_run(folder)
    with FileLock(folder / ".lock"):
        yield


#: What is in the folder, and words of the line.
KINDS: dict[str, tuple[Callable[[Path], AbstractContextManager[None] | None], str]] = {
    "other settings": (a_run, "existing run"),
    "another version": (another_version, "0.0.1"),
    "damaged": (damaged_config, "cannot be read"),
    "foreign": (foreign_config, "not a psiprune run folder"),
    "hidden files": (hidden_files, ".keep"),
    "other files": (other_files, "no run"),
    "a file": (a_file, "is a file"),
    "busy": (busy, "another process"),
}


@pytest.fixture(scope="module")
def inputs(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for name in ("rbm.nc", "pruned.nc", "shots.nc", "state.nc"):
        (folder / name).symlink_to(stages / name)
    (folder / "sweep.toml").write_text("[study]\nsites = 4\nhidden = 2\n")
    return folder


#: One kind of each command, and all of one, in the default tests.
QUICK = [*((name, "other settings") for name in COMMANDS), *(("study", kind) for kind in KINDS)]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow)
        for pair in product(COMMANDS, KINDS)
    ],
)
def test_a_refused_folder_is_left_as_it_was(
    inputs: Path, tmp_path: Path, command: str, kind: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    fill, words = KINDS[kind]
    with fill(folder) or nullcontext():
        if command == "sweep" and kind in ("another version", "busy"):
            (folder / "config.toml").write_text("[study]\nsites = 4\n")
        before = tiny.tree(tmp_path)
        given = [word.format(**{"in": inputs}) for word in COMMANDS[command].split()]
        outcome = tiny.call(*given, "--out", folder)
        assert tiny.tree(tmp_path) == before
    line = tiny.refusal(outcome)
    if command == "sweep" and kind in ("other settings", "foreign"):
        words = "not a run of this kind"  # other grids may share a folder
    check_facts(line, words)
    assert line.startswith(str(folder))
