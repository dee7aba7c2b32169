"""Two commands that write to one place at once: one waits, refuses or gives way."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock

import tiny
from psiprune.cli.app import new_file
from refusals import check_refusal, refuses


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
