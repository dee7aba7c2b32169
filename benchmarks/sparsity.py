"""Does a pruned weight save time, and from which density on?

At 100 x 50, a random mask of each density, two ways: sparse, where the kernels walk the weights
that are there; dense, where all weights are there and the pruned ones are 0. Both go through the
same kernels, in turn, on one core. An update is one of CD with batch 100, a Gibbs step one of 112
chains, which is one tile.
"""

from __future__ import annotations

from collections.abc import Callable

import peers
import psiprune as pp
from psiprune.rbm import gibbs

VISIBLE, HIDDEN = 100, 50
DENSITIES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
CHAINS, STEPS = 112, 200


def main() -> None:
    args = peers.options(__doc__)
    count, repeats = (5_000, 3) if args.quick else (20_000, 15)
    about = peers.header(
        f"Sparsity at {VISIBLE}x{HIDDEN}: microseconds, one core",
        f"{count:,} shots of fair bits, batch {peers.BATCH}; Gibbs: {CHAINS} chains a step",
        f"least of {repeats}; seed {peers.SEED}",
    )
    data = peers.fair_bits(VISIBLE, count)
    tables: dict[str, list[peers.Row]] = {}
    for name, clock in (
        ("CD-1 update", lambda rbm: update(rbm, data, 1)),
        ("CD-10 update", lambda rbm: update(rbm, data, 10)),
        ("Gibbs step", gibbs_step),
    ):
        tables[name] = [compare(density, clock, repeats) for density in DENSITIES]
        full = tables[name][0]["sparse [us]"]
        for row in tables[name]:
            row["full / sparse"] = float(full) / float(row["sparse [us]"])  # type: ignore[arg-type]
        print(name)
        peers.show(tables[name])
        print(f"{break_even(tables[name])}\n")
    peers.save(args.json, about, **tables)


Clock = Callable[[pp.RBM], Callable[[], float]]


def compare(density: float, clock: Clock, repeats: int) -> peers.Row:
    """One density: microseconds where weights are pruned, and where they are 0 but there."""
    tasks = [
        clock(peers.random_rbm(VISIBLE, HIDDEN, density, zeros_kept=zeros_kept))
        for zeros_kept in (False, True)
    ]
    sparse, dense = peers.best(repeats, *tasks)
    return {
        "density": f"{density:.0%}",
        "weights": round(density * VISIBLE * HIDDEN),
        "sparse [us]": 1e6 * sparse,
        "dense [us]": 1e6 * dense,
        "dense / sparse": dense / sparse,
    }


def update(rbm: pp.RBM, data: pp.Shots, cd_steps: int) -> Callable[[], float]:
    """A clock of one training update."""
    clock = peers.UpdateClock(rbm, data, cd_steps)
    return lambda: clock(1)


def gibbs_step(rbm: pp.RBM) -> Callable[[], float]:
    """A clock of one Gibbs step of one tile of chains."""
    start = gibbs.random_start(CHAINS, VISIBLE, peers.SEED)
    chains = gibbs.start_chains(rbm.compiled, start, peers.SEED)
    gibbs.step(chains, 1)
    return lambda: peers.cpu_seconds(lambda: gibbs.step(chains, STEPS)) / STEPS


def break_even(rows: list[peers.Row]) -> str:
    """The largest density below 1 from which on down sparse is always faster."""
    found = None
    for row in reversed(rows[1:]):
        if float(row["dense / sparse"]) <= 1:  # type: ignore[arg-type]
            break
        found = row["density"]
    return f"break-even: sparse is faster from a density of {found} down" if found else "no gain"


if __name__ == "__main__":
    main()
