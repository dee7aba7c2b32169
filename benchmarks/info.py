"""What does `psiprune info` cost on 10^6 shots of 100 sites? Run: python benchmarks/info.py."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import psiprune as pp

SHOTS, SITES = 10**6, 100


def main() -> None:
    """Print the seconds of CPU and the peak memory of one process."""
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (SHOTS, SITES), dtype=np.uint8)
    for site in range(1, SITES):  # a classical chain: one bond in five is a wall
        bits[:, site] = bits[:, site - 1] ^ (generator.random(SHOTS, dtype=np.float32) < 0.2)
    with tempfile.TemporaryDirectory() as folder:
        file = pp.Shots(bits).save(Path(folder) / "shots.nc")
        command = "import sys; from psiprune.cli.main import main; sys.exit(main(sys.argv[1:]))"
        subprocess.run([sys.executable, "-c", command, "info", str(file)], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{seconds:.1f} s of CPU, at most {memory:.0f} MiB, {bits.nbytes >> 20} of them the bits")


if __name__ == "__main__":
    main()
