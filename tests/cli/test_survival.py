"""Commands that are killed, interrupted or run out of disk resume, with the same bytes.

Ctrl-C while a command is still being loaded is one line, which does not say that work is lost.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny
from refusals import check_refusal

CRASH_TEST = Path(__file__).parents[2] / "scripts" / "crash_test.py"


#: Those of crash_test.py.
STAGES = (
    *("train cd", "train pcd", "train natural", "train exact", "prune", "rewire", "reconstruct"),
    *("study", "sparse", "ablation", "frontier", "masks", "entanglement", "sweep"),
    *("train bases", "prune bases", "reconstruct bases"),
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
    assert tiny.refusal(tiny.finish(running), status=130) == words
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


def test_ctrl_c_that_a_library_takes_for_a_damaged_file() -> None:
    code = (
        "import signal; from psiprune.cli.signals import fail, prompt_interrupts;"
        "from psiprune.io.work_status import note_kept; note_kept()\n"
        "with prompt_interrupts(lambda: 99):\n"
        "    try: signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt: status = fail('a.nc: truncated or damaged', 2)\n"
        "raise SystemExit(status)"
    )
    program = (sys.executable, "-c", tiny.PROGRAM[2].rpartition("from")[0] + code)
    assert tiny.refusal(tiny.finish(tiny.start(program=program)), status=130) == tiny.KEPT


@pytest.mark.slow
def test_ctrl_c_that_a_shell_has_turned_off_stays_off(tmp_path: Path, stages: Path) -> None:
    code = tiny.PROGRAM[2].replace("default_int_handler", "SIG_IGN")
    out = tmp_path / "rbm.nc"
    command = ("train", stages / "shots.nc", "--method", "pcd", "--epochs", 6000, "--out", out)
    running = tiny.start(*command, program=(sys.executable, "-c", code))
    tiny.wait_for(running, (tmp_path / ".rbm.nc.lock").exists)
    running.send_signal(signal.SIGINT)
    assert tiny.finish(running).status == 0
    assert out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.0, 4.0])
def test_ctrl_c_in_a_large_ground_state(tmp_path: Path, seconds: float) -> None:
    running = tiny.start("ground-state", "--sites", 100, "--out", tmp_path / "a.nc")
    tiny.wait_for(running, (tmp_path / ".a.nc.lock").exists)
    time.sleep(seconds)
    assert interrupted(running, tiny.LOST) < 2.5
    assert not (tmp_path / "a.nc").exists()


# ---- while a command is still being loaded


#: `psiprune`, which sends itself Ctrl-C as it begins to import a module.
AS_IT_IMPORTS = (
    *tiny.PROGRAM[:2],
    "import os, signal, sys; wanted = sys.argv.pop(1)\n"
    "class Finder:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name == wanted: os.kill(os.getpid(), signal.SIGINT)\n"
    "sys.meta_path.insert(0, Finder())\n" + tiny.PROGRAM[2],
)


@pytest.mark.parametrize(
    "module",
    [
        *("psiprune.cli.main", "psiprune.training.train"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cyclopts", "pydantic", "numba")),
    ],
)
def test_ctrl_c_amid_an_import(stages: Path, tmp_path: Path, module: str) -> None:
    checkpoint = tiny.write(tmp_path / ".rbm.nc.1.checkpoint", "hours of work")
    command = ("train", stages / "shots.nc", "--out", tmp_path / "rbm.nc")
    outcome = tiny.finish(tiny.start(module, *command, program=AS_IT_IMPORTS))
    assert tiny.refusal(outcome, status=130) == tiny.NOT_BEGUN
    assert [*tmp_path.iterdir()] == [checkpoint]


def test_it_is_heard_before_other_libraries_are_loaded() -> None:
    code = "import sys, psiprune.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    known = {*sys.stdlib_module_names, "psiprune", "lazy_loader", "__main__"}
    assert not {name for name in roots - known if not name.startswith(("_", "sitecustomize"))}


# ---- a training with early RBMs and a history beside its result is stopped on the way


#: What `command` writes: a note, the RBMs of epochs 0 and 5, a history, the RBM.
WRITES = 5


def command(stages: Path, folder: Path, **changes: object) -> list[object]:
    options = {
        **{"hidden": 2, "method": "cd", "epochs": 7, "seed": 1, "state": stages / "state.nc"},
        **{"history": folder / "history.nc", "out": folder / "rbm.nc", **changes},
    }
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return ["train", stages / "shots.nc", *words, "--keep-epochs", 0, 5]


def stop(monkeypatch: pytest.MonkeyPatch, writes: int, how: BaseException) -> None:
    """Raise as the n-th file is written."""
    done, sync = [0], os.fsync

    def write(descriptor: int) -> None:
        done[0] += tiny.is_file(descriptor)
        if done[0] == writes:
            raise how
        sync(descriptor)

    monkeypatch.setattr("psiprune.io.netcdf.os.fsync", write)


@pytest.fixture(scope="module")
def whole(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a training that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    assert tiny.call(*command(stages, folder)).status == 0
    made = held(folder)
    assert {*made} == {"rbm.nc", "rbm-epoch-0000.nc", "rbm-epoch-0005.nc", "history.nc"}
    return made


def held(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in tiny.contents(folder).items()}


@pytest.mark.parametrize("writes", range(1, WRITES + 1))
@pytest.mark.parametrize("how", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_the_same_command_goes_on_as_the_line_says(
    stages: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    how: BaseException,
) -> None:
    with monkeypatch.context() as patched:
        stop(patched, writes, how)
        stopped = tiny.call(*command(stages, tmp_path))
    assert stopped.status == (130 if isinstance(how, KeyboardInterrupt) else 1)
    assert "resume" in stopped.err
    assert not (tmp_path / "rbm.nc").exists()
    outcome = tiny.call(*command(stages, tmp_path))
    assert outcome.status == 0, outcome
    assert held(tmp_path) == whole


@pytest.mark.parametrize("writes", [3, WRITES])
def test_it_is_killed_as_it_writes(
    stages: Path, tmp_path: Path, whole: dict[str, bytes], writes: int
) -> None:
    tiny.kill_as_it_writes(writes, *command(stages, tmp_path))
    assert any(tmp_path.glob(".*.draft"))
    assert tiny.call(*command(stages, tmp_path)).status == 0
    assert held(tmp_path) == whole


def test_files_of_another_training_stay(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop(patched, WRITES, KeyboardInterrupt())
        tiny.call(*command(stages, tmp_path))
    before = tiny.contents(tmp_path)
    assert "history.nc" in before
    for changes in ({"seed": 2}, {"epochs": 8}, {"learning_rate": 0.5}):
        line = tiny.refusal(tiny.call(*command(stages, tmp_path, **changes)))
        check_refusal(line, "rbm-epoch-0000.nc", "exists already")
        assert tiny.contents(tmp_path) == before
    (tmp_path / "mine.nc").write_text("of somebody else")
    line = tiny.refusal(tiny.call(*command(stages, tmp_path, history=tmp_path / "mine.nc")))
    check_refusal(line, "mine.nc", "exists already")
    assert (tmp_path / "mine.nc").read_text() == "of somebody else"


def test_a_training_begun_without_them_cannot_write_them_all(stages: Path, tmp_path: Path) -> None:
    plain = ("train", stages / "shots.nc", "--hidden=2", "--method=cd", "--epochs=20000")
    running = tiny.start(*plain, "--out", tmp_path / "rbm.nc", program=tiny.EAGER)
    checkpoint = tmp_path / ".rbm.nc.1.checkpoint"
    tiny.wait_for(running, checkpoint.exists)
    running.kill()
    running.communicate()
    (tmp_path / ".rbm.nc.lock").unlink()
    before = tiny.contents(tmp_path)
    line = tiny.refusal(tiny.call(*plain, "--keep-epochs=1", "--out", tmp_path / "rbm.nc"))
    check_refusal(line, checkpoint, "does not write")
    assert tiny.contents(tmp_path) == before
