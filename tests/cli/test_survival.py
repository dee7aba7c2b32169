"""Commands that are killed, interrupted or run out of disk resume, with the same bytes."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tomli_w

import psiprune as pp
import tiny

CRASH_TEST = Path(__file__).parents[2] / "scripts" / "crash_test.py"


#: Those of crash_test.py.
STAGES = (
    *("train cd", "train pcd", "train natural", "train exact", "prune", "rewire", "reconstruct"),
    *("study", "sparse", "ablation", "frontier", "sweep"),
)


TRAIN = ("--hidden", 3, "--method", "pcd", "--batch-size", 20, "--momentum", 0.5, "--seed", 1)


#: Commands that write to {out}, of some seconds each; {in} holds the stages.
LONG = {
    "train": "train {in}/shots.nc --hidden 3 --method pcd --epochs 20000 "
    "--keep-epochs 0 5 15000 20000 --out {out}/rbm.nc",
    "natural": "train {in}/shots.nc --hidden 3 --method natural --epochs 300 --chains 2000 "
    "--state {in}/state.nc --history {out}/history.nc --out {out}/rbm.nc",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 3 --fine-tune.epochs 8000 "
    "--fine-tune.method cd --state {in}/state.nc --out {out}",
    "rewire": "rewire {in}/pruned.nc {in}/shots.nc --rounds 3 --fine-tune.epochs 8000 "
    "--fine-tune.method cd --state {in}/state.nc --out {out}",
    "study": "study --config {in}/study.toml --out {out}",
    "sparse": "sparse --config {in}/sparse.toml --out {out}",
    "ablation": "ablation --config {in}/ablation.toml --out {out}",
    "reconstruct": "reconstruct {in}/shots.nc --config {in}/reconstruct.toml "
    "--observable {in}/mine.py:walls --out {out}",
    "frontier": "frontier --sites 4 --hidden 2 --seeds 1 --costly-seeds 1 --fields 1 --shots 200 "
    "--levels 3 --widths 3 --rewired 1 --bonds 1 --paper-train.epochs 6000 "
    "--paper-fine-tune.epochs 3000 --out {out}",
}


@pytest.fixture(scope="module")
def inputs(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(stages, tmp_path_factory.mktemp("long") / "in"))
    long = {"train": {"method": "pcd", "epochs": 9000, "batch_size": 50}}
    (folder / "mine.py").write_text(tiny.OWN)
    rbm = pp.load_rbm(folder / "rbm.nc")
    rbm.with_mask(np.abs(rbm.weights) > np.median(np.abs(rbm.weights))).save(folder / "pruned.nc")
    for name, settings in (
        ("study", tiny.settings()),
        ("sparse", tiny.sparse_settings()),
        ("ablation", tiny.ablation_settings()),
        ("reconstruct", tiny.reconstruct_settings()),
    ):
        values = {**settings.model_dump(mode="json", exclude_none=True), **long}
        values["fine_tune"] = {"method": "cd", "epochs": 2000}
        if "history_every" in values:
            values["history_every"] = 1000
        (folder / f"{name}.toml").write_text(tomli_w.dumps(values))
    return folder


def long_command(name: str, inputs: Path, out: Path) -> list[str]:
    return [part.format(out=out, **{"in": inputs}) for part in LONG[name].split()]


def done(folder: Path) -> bool:
    """Whether a command that writes one file has written it; it would refuse to do so again."""
    return (folder / "rbm.nc").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_random_moments_and_with_failing_calls(stage: str, tmp_path: Path) -> None:
    """As `make crash-test`, of which this is a small part."""
    counts = ("--kills", "9", "--faults", "4", "--stages", stage)
    outcome = subprocess.run(
        [sys.executable, CRASH_TEST, *counts], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    row = outcome.stdout.splitlines()[-1]
    assert re.fullmatch(rf"\| {stage} \| [\d.]+ \| 9 \| 4 \(.*\) \| \d+ \| 0 \|", row)


def stop(running: subprocess.Popen[str]) -> tuple[tiny.Outcome, float]:
    """Send Ctrl-C; how the process ended, and after how many seconds."""
    running.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, err = running.communicate(timeout=60)
    return tiny.Outcome(running.returncode, out, err), time.monotonic() - begin


def interrupted(running: subprocess.Popen[str], words: str = tiny.KEPT) -> float:
    """Send Ctrl-C; the seconds until the process ended as it should."""
    outcome, seconds = stop(running)
    assert tiny.refusal(outcome, status=130) == words
    return seconds


def test_ctrl_c_in_the_middle_of_a_long_compiled_call(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from psiprune import cli;"
        "from psiprune.kernels import enumeration as sums; from psiprune.cli import main;"
        "one = np.ones(40); sums.log_marginals_sum(np.ones((1, 1)), one[:1], one[:1], 0, 2);"
        # Minutes in the main thread, which only then would see the signal.
        "main.main = lambda: (Path(sys.argv[1]).touch(),"
        " sums.log_marginals_sum(np.ones((9, 40)), one, one[:9], 0, 1 << 40));"
        "cli.run()"
    )
    program = (sys.executable, "-c", tiny.PROGRAM[2].rpartition("from")[0] + code)
    ready = tmp_path / "ready"
    running = tiny.start(ready, program=program)
    tiny.wait_for(running, ready.exists)
    time.sleep(0.1)
    assert 0.9 < interrupted(running, tiny.NOT_BEGUN) < 2.5


@pytest.mark.slow
def test_ctrl_c_that_a_shell_has_turned_off_stays_off(tmp_path: Path, stages: Path) -> None:
    code = tiny.PROGRAM[2].replace("default_int_handler", "SIG_IGN")
    out = tmp_path / "rbm.nc"
    command = ("train", stages / "shots.nc", *TRAIN, "--epochs", 6000, "--out", out)
    running = tiny.start(*command, program=(sys.executable, "-c", code))
    tiny.wait_for(running, (tmp_path / ".rbm.nc.lock").exists)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_interrupted_at_random_moments(name: str, inputs: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "interrupted"
    for each in (whole, folder):
        each.mkdir()
    begin = time.monotonic()
    tiny.start(*long_command(name, inputs, whole), program=tiny.EAGER).communicate()
    seconds = time.monotonic() - begin
    chance, stopped = random.Random(f"{name} interrupted"), 0
    for _ in range(4):
        running = tiny.start(*long_command(name, inputs, folder), program=tiny.EAGER)
        lock = ".lock" if name not in ("train", "natural") else ".rbm.nc.lock"
        (folder / lock).unlink(missing_ok=True)
        tiny.wait_for(running, (folder / lock).exists)
        time.sleep(chance.uniform(0, 0.3 * seconds))
        if running.poll() is not None:
            break
        outcome, waited = stop(running)
        assert waited < 2.5
        if outcome.out:  # its result: it had ended, and Python was on its way out
            break
        assert tiny.refusal(outcome, status=130) == tiny.KEPT
        stopped += 1
    assert stopped > 0
    if not done(folder):
        assert tiny.call(*long_command(name, inputs, folder)).status == 0
    assert tiny.lasting(folder) == tiny.lasting(whole)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.0, 4.0])
def test_ctrl_c_in_a_large_ground_state(tmp_path: Path, seconds: float) -> None:
    running = tiny.start("ground-state", "--sites", 100, "--out", tmp_path / "a.nc")
    tiny.wait_for(running, (tmp_path / ".a.nc.lock").exists)
    time.sleep(seconds)
    assert interrupted(running, tiny.LOST) < 2.5
    assert not (tmp_path / "a.nc").exists()
