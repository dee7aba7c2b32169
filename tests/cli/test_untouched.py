"""A folder that a command refuses is left as it was: every name, byte and time of change."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import nullcontext
from importlib.metadata import version
from itertools import product
from pathlib import Path

import pytest
from filelock import FileLock

import tiny
from psiprune.cli.app import new_file
from psiprune.io.provenance import describe_machine
from refusals import check_facts, check_refusal, refuses

#: Commands that take a folder; {in} holds inputs.
COMMANDS = {
    "study": "study",
    "sparse": "sparse",
    "ablation": "ablation",
    "frontier": "frontier",
    "masks": "masks",
    "entanglement": "entanglement",
    "paper": "paper",
    "reconstruct": "reconstruct {in}/shots.nc",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 1 --no-fine-tune",
    "prune until": "prune {in}/rbm.nc {in}/shots.nc --until kl --limit 1e9 --state {in}/state.nc",
    "rewire": "rewire {in}/pruned.nc {in}/shots.nc --rounds 1",
    "sweep": "sweep {in}/sweep.toml --scheduler serial",
}


def a_run(version: str) -> dict[str, str]:
    """Return the files of a run of other settings, with drafts of ours and of the user."""
    return {
        **{"config.toml": "hidden = [2]\n", ".lock": ""},
        "provenance.json": json.dumps({**describe_machine(), "psiprune": version}),
        **dict.fromkeys((".x.draft", ".level-00.nc.0123abcd.draft", "notes/.thesis.draft"), "half"),
        **dict.fromkeys(("h=1/level-00.nc", "h=1/.level-00.nc.1.checkpoint"), "whole"),
    }


#: The version of the run in the folder, if there is one; other files there; words of the line.
KINDS: dict[str, tuple[str, dict[str, str], str]] = {
    "other settings": (version("psiprune"), {}, "existing run"),
    "another version": ("0.0.1", {"config.toml": ""}, "0.0.1"),
    "damaged": (version("psiprune"), {"config.toml": "hidden = ["}, "cannot be read"),
    "foreign": (
        *("", {"config.toml": 'title = "a thesis"\n', ".chapter.draft": "mine"}),
        "not a psiprune run folder",
    ),
    "hidden files": ("", dict.fromkeys((".x.draft", ".keep", ".sub/.x.draft"), "mine"), ".keep"),
    "other files": ("", dict.fromkeys(("a.tex", ".a.tex.0123abcd.draft"), "mine"), "no run"),
    "a file": ("", {}, "is a file"),
    "busy": (version("psiprune"), {}, "another process"),
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
    run, others, words = KINDS[kind]
    files = {**(a_run(run) if run else {}), **others}
    if command == "sweep" and kind in ("another version", "busy"):
        files["config.toml"] = "[study]\nsites = 4\n"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    if kind == "a file":
        folder.write_text("mine")
    with FileLock(folder / ".lock") if kind == "busy" else nullcontext():
        before = tiny.tree(tmp_path)
        given = [word.format(**{"in": inputs}) for word in COMMANDS[command].split()]
        outcome = tiny.call(*given, "--out", folder)
        assert tiny.tree(tmp_path) == before
    line = tiny.refusal(outcome)
    if command == "sweep" and kind in ("other settings", "foreign"):
        words = "not a run of this kind"  # other grids may share a folder
    if kind == "other settings" and command in ("prune", "prune until", "rewire"):
        words = "run of another command"  # these have no hidden units
    check_facts(line, words)
    assert line.startswith(str(folder))


# ---- two commands that write to one place at once: one waits, refuses or gives way


def test_a_second_writer_of_a_file_is_refused(stages: Path, tmp_path: Path) -> None:
    commands = {
        "ground-state": ("--sites", 2),
        "sample": (stages / "state.nc", "--shots", 10),
        "train": (stages / "shots.nc", "--epochs", 1),
        "import": ("text", stages / "shots.txt"),
        "export": ("numpy", stages / "shots.nc"),
    }
    for name, rest in commands.items():
        out = tmp_path / ("a.npz" if name == "export" else "a.nc")
        lock = tmp_path / f".{out.name}.lock"
        with FileLock(lock):
            line = tiny.refusal(tiny.call(name, *rest, "--out", out))
        check_refusal(line, out, "another process", "wait")
        assert not out.exists()
        # The lock file that a killed process leaves is no hindrance.
        assert lock.exists()
        assert tiny.call(name, *rest, "--out", out).status == 0
        assert list(tmp_path.iterdir()) == [out]
        out.unlink()


def test_a_file_that_another_has_just_written_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "a.nc"
    with new_file(out):
        out.write_text("mine")
        with refuses(out, "exists already"), new_file(out):
            pytest.fail("opened")
    assert out.read_text() == "mine"


def test_a_second_paper_is_refused_within_a_second(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = ("paper", *tiny.paper_options(**{"train.epochs": 100_000}), "--out", folder)
    running = tiny.start(*command)
    try:
        tiny.wait_for(running, (folder / "study" / "config.toml").exists)
        begin = time.process_time()
        line = tiny.refusal(tiny.call(*command))
        assert time.process_time() - begin < 1.0
        check_refusal(line, folder, "another process", "wait")
        stage = ("study", "--config", folder / "study/config.toml", "--out", folder / "study")
        check_refusal(tiny.refusal(tiny.call(*stage)), folder / "study", "another process")
    finally:
        running.kill()
        running.communicate()


#: `psiprune` on a file system without flock.
NO_FLOCK = (
    *tiny.PROGRAM[:2],
    "import errno, fcntl\n"
    "def flock(*_): raise OSError(errno.ENOLCK, 'No locks available')\n"
    "fcntl.flock = flock\n" + tiny.PROGRAM[2],
)


@pytest.mark.slow
@pytest.mark.parametrize("program", [tiny.PROGRAM, NO_FLOCK], ids=["flock", "no flock"])
@pytest.mark.parametrize("name", ["train", "prune"])
def test_two_starts_at_once_never_mix(
    stages: Path, tmp_path: Path, name: str, program: tuple[str, ...]
) -> None:
    """Of two seeds with one output, one gets it; or none, if both give way to each other."""
    command = {
        "train": "train {in}/shots.nc --hidden 3 --method cd --epochs 300 --keep-epochs 0 5 "
        "--out {out}/rbm.nc",
        "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 2 --fine-tune.epochs 300 "
        "--fine-tune.method cd --out {out}",
    }[name]

    def start(seed: int, out: Path) -> subprocess.Popen[str]:
        out.mkdir(exist_ok=True)
        words = [part.format(out=out, **{"in": stages}) for part in command.split()]
        return tiny.start(*words, "--seed", seed, program=program)

    wholes = []
    for seed in (1, 2):
        assert start(seed, tmp_path / f"whole{seed}").wait() == 0
        wholes.append(tiny.lasting(tmp_path / f"whole{seed}"))
    assert wholes[0] != wholes[1]
    for number in range(3):
        both = [start(seed, tmp_path / str(number)) for seed in (1, 2)]
        lines = [running.communicate()[1] for running in both]
        statuses = [running.returncode for running in both]
        assert sorted(statuses) in ([0, 2], [2, 2]), lines
        if 0 in statuses:
            assert tiny.lasting(tmp_path / str(number)) == wholes[statuses.index(0)]
        else:
            assert not [*(tmp_path / str(number)).rglob("*.nc")]
