"""How much faster are sums looked up in tables than loops over neighbours?

Both ways in one process, in turn, on one core; CPU time, least of many. A Gibbs step is one of 112
chains, which is one tile; an update is one of CD or PCD with batch 100; annealing is one
temperature of 112 chains. Only CPUs with AVX-512 or AVX2 have tables; where NUMBA_CPU_NAME and
NUMBA_CPU_FEATURES name one with AVX2 alone, such as haswell, its tables are measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest.mock import patch

import numpy as np

import peers
import psiprune as pp
from psiprune.core.hardware import gibbs_sums, vector_instructions
from psiprune.inference import ais
from psiprune.rbm import gibbs

SIZES = ((18, 9, 1.0), (100, 50, 1.0), (200, 100, 1.0), (100, 50, 0.5), (100, 50, 0.1))
CHAINS = 112
Clock = Callable[[], float]


def main() -> None:
    args = peers.options(__doc__)
    count, repeats = (1_000, 3) if args.quick else (5_000, 25)
    os.environ.pop("PSIPRUNE_SIMD", None)
    about = peers.header(
        f"Sums by loops and by tables: microseconds of CPU time, {vector_instructions()}",
        f"{count:,} shots of fair bits, batch {peers.BATCH}; Gibbs, annealing: {CHAINS} chains",
        f"least of {repeats}; seed {peers.SEED}",
    )
    rows = []
    if gibbs_sums() != "loops":
        rows = [compare(*work, size, repeats) for work in works(count) for size in SIZES]
        peers.show(rows)
    else:
        print("This CPU has no AVX2: nothing to compare.")
    peers.save(args.json, about, simd=rows)
    if args.update:
        peers.update_page(f"simd-{gibbs_sums()}", rows)


def works(count: int) -> list[tuple[str, Callable[[pp.RBM], Clock]]]:
    """What is measured."""
    return [
        ("Gibbs step", gibbs_step),
        ("CD-1 update", lambda rbm: update(pp.CD(steps=1), rbm, count)),
        ("CD-10 update", lambda rbm: update(pp.CD(steps=10), rbm, count)),
        ("PCD-1 update", lambda rbm: update(pp.PCD(steps=1), rbm, count)),
        ("annealing step", annealing_step),
    ]


def compare(
    work: str, clock: Callable[[pp.RBM], Clock], size: tuple[int, int, float], repeats: int
) -> peers.Row:
    """One kind of work at one size."""
    visible, hidden, density = size
    clocks = []
    for sums in ("loops", gibbs_sums()):
        with patch.dict(os.environ, PSIPRUNE_SIMD=sums):  # read as an RBM is compiled
            clocks.append(clock(peers.random_rbm(visible, hidden, density)))
    with peers.one_core():
        loops, tables = peers.best(repeats, *clocks)
    return {
        "work": work,
        "RBM": f"{visible}x{hidden}",
        "density": f"{density:.0%}",
        "loops [us]": 1e6 * loops,
        "tables [us]": 1e6 * tables,
        "ratio": loops / tables,
    }


def gibbs_step(rbm: pp.RBM) -> Clock:
    """A clock of one Gibbs step of one tile of chains."""
    start = gibbs.random_start(CHAINS, rbm.visible, peers.SEED)
    chains = gibbs.start_chains(rbm.compiled, start, peers.SEED)
    steps = 20 + 2_000_000 // (rbm.visible * rbm.hidden)
    gibbs.step(chains, 1)
    return lambda: peers.cpu_seconds(lambda: gibbs.step(chains, steps)) / steps


def update(method: pp.CD | pp.PCD, rbm: pp.RBM, count: int) -> Clock:
    """A clock of one training update, shuffling included."""
    shots = peers.fair_bits(rbm.visible, count)
    state = method.init(rbm, shots, peers.SEED)
    method.step(state)
    return lambda: peers.cpu_seconds(lambda: method.step(state)) * method.batch_size / count


def annealing_step(rbm: pp.RBM) -> Clock:
    """A clock of one temperature of annealed importance sampling."""
    start = gibbs.random_start(CHAINS, rbm.visible, peers.SEED)
    base, betas = ais.base_of(rbm, start), np.linspace(0.0, 1.0, 101)
    rbm.compiled  # noqa: B018  (chosen now)
    ais.anneal(rbm, base, start, betas[:2], peers.SEED)
    return lambda: peers.cpu_seconds(lambda: ais.anneal(rbm, base, start, betas, peers.SEED)) / 100


if __name__ == "__main__":
    main()
