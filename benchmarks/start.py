"""How long does a command take to start, and which kernels does it compile?

Each command runs in a process of its own: once with an empty folder for compiled kernels (cold),
then several times with what that has left there (warm). Seconds are CPU time of the process and its
children, least of the warm ones; wall time beside it. `compiled` counts the kernels that the cold
start compiled; a second table has the CPU seconds of each. Python keeps its bytecode, as it does of
an installed package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers

#: Runs a command and prints what each kernel took to compile, between a miss and a store.
TIMED = """
import sys, time
from psiprune.kernels.cache import KernelCache
load, save, begun = KernelCache.load_overload, KernelCache.save_overload, []
def timed_load(self, *arguments):
    found = load(self, *arguments)
    if found is None:
        begun.append([time.process_time(), 0.0])
    return found
def timed_save(self, *arguments):
    start, inner = begun.pop()
    seconds = time.process_time() - start
    if begun:  # compiled for another kernel, which calls it
        begun[-1][1] += seconds
    print("KERNEL", self._function, seconds - inner, file=sys.stderr)
    save(self, *arguments)
KernelCache.load_overload, KernelCache.save_overload = timed_load, timed_save
from psiprune.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
COMMANDS = (
    ("--help",),
    ("--version",),
    ("info", "rbm.nc"),
    ("info", "18.nc"),
    ("evaluate", "rbm.nc", "18.nc"),
    ("prune", "rbm.nc", "18.nc", "--levels", "1", "--out", "path"),
    ("train", "18.nc"),
    ("train", "18.nc", "--method", "cd", "--epochs", "10"),
    ("train", "18.nc", "--method", "pcd", "--epochs", "10"),
    ("train", "18.nc", "--method", "natural", "--epochs", "10"),
    ("train", "100.nc", "--epochs", "2", "--yes"),
)


def main() -> None:
    args = peers.options(__doc__)
    commands, repeats = (COMMANDS[:6], 2) if args.quick else (COMMANDS, 5)
    about = peers.header(
        "Starting a command: seconds",
        f"18.nc: 1,000 shots of 18 sites; 100.nc: of 100 sites; least of {repeats} warm starts",
    )
    rows: list[peers.Row] = []
    kernels: list[peers.Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sites in (18, 100):
            peers.ising_shots(sites, 1_000).save(folder / f"{sites}.nc")
        peers.random_rbm(18, 9).save(folder / "rbm.nc")
        for number, command in enumerate(commands):
            row, compiled = measured(command, folder, f"cache{number}", repeats)
            rows.append(row)
            kernels += compiled
            peers.show(rows[-1:])
    peers.show(rows)
    if kernels:
        peers.show(kernels)
    peers.save(args.json, about, start=rows, kernels=kernels)


def measured(
    command: tuple[str, ...], folder: Path, cache: str, repeats: int
) -> tuple[peers.Row, list[peers.Row]]:
    """One command, cold and warm, and the kernels that it compiled."""
    cold = run([sys.executable, "-c", TIMED], command, folder, cache)
    program = [sys.executable, "-m", "psiprune"]
    warm = [run(program, command, folder, cache) for _ in range(repeats)]
    shown = " ".join(command)
    compiled: list[peers.Row] = [
        {"command": shown, "kernel": kernel, "CPU [s]": float(seconds)}
        for kernel, seconds in re.findall(r"^KERNEL (\S+) (\S+)$", cold[2], re.MULTILINE)
    ]
    row: peers.Row = {
        "command": shown,
        "cold CPU": cold[0],
        "cold wall": cold[1],
        "compiled": len(compiled),
        "warm CPU": min(cpu for cpu, _, _ in warm),
        "warm wall": min(wall for _, wall, _ in warm),
    }
    return row, compiled


def run(
    program: list[str], command: tuple[str, ...], folder: Path, cache: str
) -> tuple[float, float, str]:
    """CPU seconds, wall seconds and standard error of a command."""
    out = folder / "out.nc"
    out.unlink(missing_ok=True)
    shutil.rmtree(folder / "path", ignore_errors=True)
    if command[0] == "train":
        command = (*command, "--out", out.name)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begin, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [*program, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return cpu, time.perf_counter() - begin, done.stderr


if __name__ == "__main__":
    main()
