"""Commands that are killed, interrupted or run out of disk resume, with the same bytes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny

CRASH_TEST = Path(__file__).parents[2] / "scripts" / "crash_test.py"


#: Those of crash_test.py.
STAGES = (
    *("train cd", "train pcd", "train natural", "train exact", "prune", "rewire", "reconstruct"),
    *("study", "sparse", "ablation", "frontier", "sweep"),
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_interrupted_at_random_moments_and_with_failing_calls(
    stage: str, tmp_path: Path
) -> None:
    """As `make crash-test`, of which this is a small part."""
    counts = ("--kills", "9", "--interrupts", "4", "--faults", "4", "--stages", stage)
    outcome = subprocess.run(
        [sys.executable, CRASH_TEST, *counts], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    row = outcome.stdout.splitlines()[-1]
    assert re.fullmatch(rf"\| {stage} \| [\d.]+ \| 9 \| 4 \| 4 \(.*\) \| \d+ \| 0 \|", row)


def interrupted(running: subprocess.Popen[str], words: str) -> float:
    """Send Ctrl-C; the seconds until the process ended as it should."""
    running.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, err = running.communicate(timeout=60)
    assert tiny.refusal(tiny.Outcome(running.returncode, out, err), status=130) == words
    return time.monotonic() - begin


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
    command = ("train", stages / "shots.nc", "--method", "pcd", "--epochs", 6000, "--out", out)
    running = tiny.start(*command, program=(sys.executable, "-c", code))
    tiny.wait_for(running, (tmp_path / ".rbm.nc.lock").exists)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.0, 4.0])
def test_ctrl_c_in_a_large_ground_state(tmp_path: Path, seconds: float) -> None:
    running = tiny.start("ground-state", "--sites", 100, "--out", tmp_path / "a.nc")
    tiny.wait_for(running, (tmp_path / ".a.nc.lock").exists)
    time.sleep(seconds)
    assert interrupted(running, tiny.LOST) < 2.5
    assert not (tmp_path / "a.nc").exists()
