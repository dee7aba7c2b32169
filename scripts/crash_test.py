"""Crash test: kill or interrupt each stage at random moments, make its file calls fail, resume.

    python scripts/crash_test.py [--stages NAME ...] [--kills 50] [--interrupts 50] [--faults 20]
        [--seed 0]

A stage is a small psiprune command. Each start of it is a forked process:

- kills: the process is killed (SIGKILL) at a random moment and started again, until it comes
  through; then once more from the beginning, until there were enough kills.
- interrupts: the same by Ctrl-C (SIGINT); the process must end within 2.5 s, with status 130 and
  the line that it can be resumed.
- faults: one call to the system that opens, writes, syncs, renames, links or deletes a file fails
  with ENOSPC, EIO or EDQUOT (a failing write has written half); the command may fail, but only with
  one line. Then it is started again without a fault.

Every end is compared byte for byte with that of a start that nothing disturbed, but for records of
the machine and of time. Prints a table; exits with status 1 if anything differed. Checkpoints are
written every 50 ms; figures are not drawn.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import pkgutil
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from failing_calls import FailingCalls

from psiprune.cli.signals import _LINES, fail, interrupted, prompt_interrupts

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # a process that is forked must have a single thread
os.environ["MPLBACKEND"] = "agg"

TRAIN = "train {in}/shots.nc --hidden 3 --seed 1 --out {out}/rbm.nc --method"
CD = "--train.method pcd --train.epochs 300 --fine-tune.method cd --fine-tune.epochs 100"
RUN = "--sites 4 --shots 300 --fields 1"
#: The commands; {in} holds inputs, {out} is a new folder.
STAGES = {
    "train cd": f"{TRAIN} cd --epochs 1500 --keep-epochs 0 5 1000",
    "train pcd": f"{TRAIN} pcd --epochs 1200 --momentum 0.5 --batch-size 50",
    "train natural": f"{TRAIN} natural --epochs 40 --chains 500 --state {{in}}/state.nc "
    "--history {out}/history.nc",
    "train exact": f"{TRAIN} exact --epochs 400",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 4 --fine-tune.method cd "
    "--fine-tune.epochs 500 --state {in}/state.nc --out {out}",
    "rewire": "rewire {in}/pruned.nc {in}/shots.nc --rounds 3 --fine-tune.method cd "
    "--fine-tune.epochs 500 --state {in}/state.nc --out {out}",
    "reconstruct": "reconstruct {in}/shots.nc --seeds 2 --hidden 2 --learning-rates 0.5 "
    f"--draws 200 --prune.fraction 0.3 --held-out 0.4 {CD} --observable {{in}}/mine.py:walls "
    "--out {out}",
    "study": f"study {RUN} --hidden 3 --seeds 1 --prune.levels 3 {CD} --out {{out}}",
    "sparse": f"sparse {RUN} --seeds 2 --levels 1 --density 0.75 {CD} --out {{out}}",
    "ablation": f"ablation --sites 6 --shots 200 --fields 1 --seeds 1 --levels 2 --shares 0 1 "
    f"--threshold 1 {CD} --out {{out}}",
    "frontier": f"frontier {RUN} --hidden 2 --seeds 1 --costly-seeds 1 --levels 3 --widths 3 "
    "--rewired 1 --bonds 1 --paper-train.epochs 500 --paper-fine-tune.epochs 100 --out {out}",
    "masks": f"masks {RUN} --hidden 2 --seeds 1 --weights-per-site 1.5 --kinds scale-free "
    "magnitude --bonds 1 --train.method cd --train.epochs 500 --dense-train.method cd "
    "--dense-train.epochs 500 --fine-tune.method cd --fine-tune.epochs 200 --out {out}",
    "entanglement": f"entanglement {RUN} --hidden 2 --seeds 1 --weights-per-site 1.5 --kinds "
    "scale-free magnitude --bonds 1 --train.method cd --train.epochs 500 --dense-train.method cd "
    "--dense-train.epochs 500 --fine-tune.method cd --fine-tune.epochs 200 --out {out}",
    "sweep": "sweep {in}/sweep.toml --scheduler serial --out {out}",
    "train bases": "train {in}/bases.nc --epochs 150 --out {out}/rbm.nc",
    "prune bases": "prune {in}/phases.nc {in}/bases.nc --levels 3 --out {out}",
    "reconstruct bases": "reconstruct {in}/bases.nc --readout 0.001,0.002 --hidden 2 --starts 2 "
    "--seeds 2 --prune.fraction 0.3 --out {out}",
}
SWEEP = """
study = {sites = 4, hidden = 3, shots = 300, fields = [1.0], seeds = 1, prune.levels = 2,\
 train = {method = "pcd", epochs = 300}, fine_tune = {method = "cd", epochs = 100}}
grid = [{product = {hidden = [2, 3]}}]
"""
#: What differs between two undisturbed runs: the machine and the time.
UNEQUAL = ("provenance.json", "seconds.json", "processor_seconds.json", "estimate.json")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
#: Seconds from Ctrl-C to the end of the process: one for the regular shutdown, and some to spare.
PROMPT = 2.5


@dataclass
class Row:
    """What happened to a stage."""

    name: str
    seconds: float = 0.0
    kills: int = 0
    interrupts: int = 0
    ends: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Stage:
    """A command, its undisturbed end, and its starts."""

    def __init__(self, name: str, inputs: Path, work: Path) -> None:
        """Run the command in this process, so that the forked ones have nothing to load."""
        self.name, self.inputs, self.work = name, inputs, work
        self.folder, self.log, self.note = work / "out", work / "log", work / "note"
        self.row = Row(name)
        self.clear()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as lines:
            status = self.run()
        self.wanted = self.content()
        if status or not self.wanted:
            raise RuntimeError(f"{name}: status {status}: {lines.getvalue()}")
        self.clear()
        begin = time.monotonic()
        self.check_end("undisturbed", self.wait(self.start()))
        self.row.seconds = time.monotonic() - begin

    def clear(self) -> None:
        """Begin from an empty folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def start(self, fault: int = 0, code: int = 0) -> int:
        """Fork a process that runs the command, and return its number."""
        process = os.fork()
        if process:
            return process
        status = 99
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(log, 2)
            faults = FailingCalls(self.folder, fault, code, self.note)
            if fault or code:
                faults.install()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with prompt_interrupts(lambda: fail(interrupted(), 130)):
                status = self.run()
            if code and not fault:
                self.note.write_text(str(faults.calls))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def run(self) -> int:
        """Run the command, and return its exit status."""
        from psiprune.cli.main import main

        words = STAGES[self.name].split()
        return main([word.format(**{"in": self.inputs}, out=self.folder) for word in words])

    def wait(self, process: int, seconds: float | None = None) -> int | None:
        """Return the exit status of a process; None if it was killed after so many seconds."""
        limit = float("inf") if seconds is None else time.monotonic() + seconds
        while True:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= limit:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return None
            time.sleep(0.001)

    def content(self) -> dict[str, bytes]:
        """Return the bytes of every file that must be equal, by its name."""
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and file.name[0] != "." and file.name not in UNEQUAL
        }

    @property
    def done(self) -> bool:
        """Whether a command that writes one file has written it; it would refuse to do so again."""
        return "rbm.nc" in STAGES[self.name] and (self.folder / "rbm.nc").exists()

    def check_end(self, how: str, status: int | None) -> None:
        """Compare the folder with the undisturbed one."""
        self.row.ends += 1
        found = self.content()
        names = {
            name for name in {*found, *self.wanted} if found.get(name) != self.wanted.get(name)
        }
        if status != 0:
            names.add(f"status {status}: {self.log.read_text()[-300:]}")
        elif not self.done:
            hidden = [file.name for file in self.folder.rglob(".*") if file.name != ".lock"]
            names.update(f"left: {name}" for name in hidden)
        if names:
            self.row.wrong.append(f"{self.name}, {how}: {sorted(names)}")

    def finish(self, how: str) -> None:
        """Start the command a last time, and compare."""
        self.check_end(how, 0 if self.done else self.wait(self.start()))
        self.clear()

    def kill(self, times: int, chance: random.Random) -> None:
        """Kill the command so many times."""
        self.clear()
        while self.row.kills < times:
            if self.done:  # killed after its end
                self.finish("killed")
            new, begin = not any(self.folder.iterdir()), time.monotonic()
            status = self.wait(self.start(), chance.uniform(0, self.row.seconds))
            if status is None:
                self.row.kills += 1
                continue
            if new:  # on a machine that was busier before
                self.row.seconds = min(self.row.seconds, time.monotonic() - begin)
            self.check_end("killed", status)
            self.clear()
        self.finish("killed")

    def interrupt(self, times: int, chance: random.Random) -> None:
        """Send Ctrl-C to the command so many times, each after it has opened its output."""
        self.clear()
        while self.row.interrupts < times:
            if self.done:  # interrupted after its end
                self.finish("interrupted")
            for lock in self.folder.glob(".*lock"):
                lock.unlink()
            process = self.start()
            while not any(self.folder.glob(".*lock")) and not os.waitid(
                os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT
            ):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, self.row.seconds))
            os.kill(process, signal.SIGINT)
            status = self.wait(process, PROMPT)
            if status == 0:
                self.check_end("interrupted", status)
                self.clear()
                continue
            self.row.interrupts += 1
            lines = self.messages()
            if status != 130 or lines != [f"psiprune: {_LINES['kept']}"]:
                self.row.wrong.append(f"{self.name}, interrupted: status {status}: {lines[-9:]}")
        self.finish("interrupted")

    def messages(self) -> list[str]:
        """Return what the command wrote to standard error, but for warnings and notes."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if not re.search("warning: |^psiprune: note:", line)]

    def fault(self, times: int, chance: random.Random) -> None:
        """Make a call of the command fail, so many times."""
        self.clear()
        self.wait(self.start(0, errno.EIO))
        calls = int(self.note.read_text())
        while self.row.faults.total() < times:
            self.clear()
            self.note.unlink(missing_ok=True)
            status = self.wait(self.start(chance.randint(1, calls), chance.choice(ERRORS)))
            if not self.note.exists():  # fewer calls this time, as checkpoints go by the clock
                continue
            what = self.note.read_text()
            self.row.faults[what.split()[0]] += 1
            lines = self.messages()
            if status not in (0, 1, 2) or (status and len(lines) != 1):
                self.row.wrong.append(f"{self.name}, {what}: status {status}: {lines[-9:]}")
            self.finish(what)


def prepare(folder: Path) -> None:
    """Write the inputs of the stages."""
    import numpy as np

    import psiprune as pp

    folder.mkdir()
    state = pp.ground_state(pp.TFIM(sites=4))
    shots = pp.sample(state, 300, seed=1)
    rbm = pp.train(shots, hidden=2, seed=0, method=pp.CD(epochs=20))
    state.save(folder / "state.nc")
    shots.save(folder / "shots.nc")
    rbm.save(folder / "rbm.nc")
    weights = np.abs(rbm.weights)
    rbm.with_mask(weights > np.median(weights)).save(folder / "pruned.nc")
    bases = pp.sample(pp.quench(pp.TFIM(sites=3), 0.6), 2100, seed=1, bases="nearest-pairs")
    bases.save(folder / "bases.nc")
    pp.train_phases(bases, hidden=2, starts=1, epochs=20).save(folder / "phases.nc")
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "mine.py").write_text(
        "def walls(bits):\n    return (bits[:, 1:] != bits[:, :-1]).sum(axis=1)\n"
    )


def set_up() -> None:
    """Import all modules, make checkpoints frequent, and draw no figures, which take most time."""
    import psiprune
    from psiprune.io import checkpoint

    for module in pkgutil.walk_packages(psiprune.__path__, "psiprune."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    checkpoint.SECONDS, checkpoint.LEAST = 0.05, 0.0
    figures: Any = import_module("psiprune.reporting.figures")
    figures.save_figure = lambda *_: []
    page: Any = import_module("psiprune.reconstruction.report")
    page.picture = lambda *_: None


def report(rows: list[Row]) -> str:
    """Return the table."""
    heads = "stage", "seconds", "kills", "interrupts", "failing calls", "ends compared"
    lines = [f"| {' | '.join(heads)} | differences |"]
    lines.append("| --- | ---: | ---: | ---: | --- | ---: | ---: |")
    for row in rows:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(row.faults.items()))
        faults = f"{row.faults.total()} ({calls})" if calls else "0"
        lines.append(
            f"| {row.name} | {row.seconds:.1f} | {row.kills} | {row.interrupts} | {faults} "
            f"| {row.ends} | {len(row.wrong)} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the stages, and print what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--interrupts", type=int, default=50)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    set_up()
    rows = []
    with tempfile.TemporaryDirectory(prefix="psiprune-crash-") as name:
        inputs = Path(name) / "in"
        if (maker := os.fork()) == 0:
            prepare(inputs)
            os._exit(0)
        os.waitpid(maker, 0)
        for number, stage in enumerate(given.stages):
            crashing = Stage(stage, inputs, Path(name) / str(number))
            crashing.kill(given.kills, random.Random(f"{given.seed} {stage} kills"))
            crashing.interrupt(given.interrupts, random.Random(f"{given.seed} {stage} interrupts"))
            crashing.fault(given.faults, random.Random(f"{given.seed} {stage} faults"))
            rows.append(crashing.row)
            print(report([crashing.row]).splitlines()[-1], file=sys.stderr, flush=True)
            for line in crashing.row.wrong:
                print(line, file=sys.stderr, flush=True)
    print(report(rows))
    return int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
