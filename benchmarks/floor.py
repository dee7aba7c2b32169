"""How far are Gibbs steps from the same loops in C?

`floor.c` is compiled for this CPU, and for AVX2 alone, by `cc`; psiprune's kernels likewise, the
latter in a second process, as numba takes its target at the start. One core, CPU time, least of
many; a Gibbs step is one of 112 chains, which is one tile.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import peers
import simd
from psiprune.core.hardware import gibbs_sums, vector_instructions

SIZES = ("18x9", "100x50", "200x100")
#: A CPU with AVX2 for numba and for cc.
AVX2 = "haswell"


def main() -> None:
    args = peers.options(__doc__, part="all")
    repeats = 3 if args.quick else 25
    if args.part == "times":  # the second process
        way = "loops" if gibbs_sums() == "loops" else "tables"
        print(*(f"{way} {size} {time}" for size, time in ours(repeats).items()), sep="\n")
        return
    if shutil.which("cc") is None or platform.machine() != "x86_64":
        print("The floor needs a C compiler, cc, and an x86-64 CPU.")
        return
    about = peers.header(
        f"Gibbs steps, microseconds of CPU time, {vector_instructions()}",
        subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.split("\n")[0],
        f"least of {repeats}, in C of 25; seed {peers.SEED}",
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for target in ("native", AVX2):
            program = Path(folder) / target
            source = peers.HERE / "floor.c"
            subprocess.run(
                ["cc", "-O3", "-pthread", f"-march={target}", source, "-o", program], check=True
            )
            in_c = times([str(program), *SIZES])
            here = times([sys.executable, __file__, "--part", "times", *sys.argv[1:]], target)
            rows += [row(target, *key, time, in_c) for key, time in here.items()]
            if target == "native":
                divided = [in_two_threads(size, in_c) for size in SIZES]
    peers.show(rows)
    print("The step by tables in C, half of each layer in either of two threads, on the clock")
    peers.show(divided)
    peers.save(args.json, about, floor=rows, divided=divided)
    if args.update:
        peers.update_page("floor", rows)
        peers.update_page("floor-divided", divided)


def row(
    target: str, way: str, size: str, time: float, in_c: dict[tuple[str, str], float]
) -> peers.Row:
    """One size on one kind of CPU; `way` is ours."""
    return {
        "compiled for": target,
        "RBM": size,
        "ours": way,
        "ours [us]": time,
        "C, loops [us]": in_c["loops", size],
        "C, tables [us]": in_c["tables", size],
        "ours / C": time / in_c[way, size],
    }


def in_two_threads(size: str, in_c: dict[tuple[str, str], float]) -> peers.Row:
    """What two threads gain in C, where each draws half of a layer."""
    one, two = in_c["tables", size], in_c["halves", size]
    return {
        "RBM": size.replace("x", " x "),
        "1 thread [us]": one,
        "2 threads [us]": two,
        "handovers alone [us]": in_c["handovers", size],
        "gain": one / two,
    }


def times(command: list[str], target: str = "native") -> dict[tuple[str, str], float]:
    """Microseconds by way and size, as a program prints them."""
    environment = dict(os.environ)
    environment.pop("PSIPRUNE_SIMD", None)
    if target != "native":
        features = "+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt,+lzcnt"
        environment |= {"NUMBA_CPU_NAME": target, "NUMBA_CPU_FEATURES": features}
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    lines = (line.split() for line in result.stdout.splitlines())
    return {(way, size): float(time) for way, size, time in lines}


def ours(repeats: int) -> dict[str, float]:
    """Microseconds of a Gibbs step by size."""
    found = {}
    with peers.one_core():
        for size in SIZES:
            visible, hidden = map(int, size.split("x"))
            clock = simd.gibbs_step(peers.random_rbm(visible, hidden))
            found[size] = 1e6 * peers.best(repeats, clock)[0]
    return found


if __name__ == "__main__":
    main()
