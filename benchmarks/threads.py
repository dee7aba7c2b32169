"""How much sooner does one training end with a thread on each core, with the same bits?

The first table is of trainings by `psiprune.train` from shots to RBM, checks included, with one
thread and with one a core in turn, on the clock, least of several. `in tasks` is the share of CPU
time that one thread spends in tasks which threads can divide, so `at most` is what the number of
cores would gain if a thread cost nothing; CPU time and this share hardly depend on what else the
machine does, but the gain on the clock does.

The second table says what two threads could gain in CD, which divides nothing: if each took half
of the chains, the time of a batch over that of half of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any
from unittest.mock import patch

import peers
import psiprune as pp
from psiprune.core import threads
from psiprune.training.method import Method

SHOTS = 100_000
#: Sites, density of the mask, method; N/2 hidden units.
CASES: tuple[tuple[int, float, Method], ...] = (
    (18, 1.0, pp.ExactNaturalGradient()),
    (36, 1.0, pp.ExactNaturalGradient(epochs=10)),
    (50, 1.0, pp.NaturalGradient()),
    (100, 1.0, pp.NaturalGradient()),
    (100, 0.1, pp.NaturalGradient()),
    (200, 0.07, pp.NaturalGradient()),
)
BATCHES = (100, 224, 448, 896)


def main() -> None:
    args = peers.options(__doc__)
    rounds = 1 if args.quick else 3
    about = peers.header(
        f"One training in one thread and in {threads.cores()}",
        f"{SHOTS:,} shots of the Ising chain, seed {peers.SEED}; least of {rounds}",
    )
    rows = []
    for sites, density, method in CASES:
        if args.quick:
            method = method.model_copy(update={"epochs": 5})
        rows.append(training(sites, density, method, rounds))
        peers.show(rows[-1:])
    peers.show(rows)
    halves = [half(steps, batch, 3 if args.quick else 15) for steps in (1, 10) for batch in BATCHES]
    print("CD, 100 x 50: an update, and one with half of the batch")
    peers.show(halves)
    peers.save(args.json, about, training=rows, halves=halves)
    if args.update:
        peers.update_page("threads-training", rows)
        peers.update_page("threads-halves", halves)


def training(sites: int, density: float, method: Method, rounds: int) -> peers.Row:
    """Train with one thread and with all in turn."""
    shots, hidden = peers.ising_shots(sites, SHOTS), sites // 2
    weights = round(density * sites * hidden)
    mask = None
    if density < 1.0:
        mask = pp.scale_free_mask(visible=sites, hidden=hidden, weights=weights)
    found: list[pp.RBM] = []

    def train() -> None:
        found.append(pp.train(shots, hidden=hidden, mask=mask, method=method, seed=peers.SEED))

    def clock(one: bool) -> tuple[float, float]:
        """Seconds and CPU seconds."""
        with peers.one_core() if one else nullcontext():
            start, cpu = time.perf_counter(), time.process_time()
            train()
            return time.perf_counter() - start, time.process_time() - cpu

    share = share_in_tasks(train)  # compiles, too
    times = [(*clock(True), *clock(False)) for _ in range(rounds)]
    one, cpu_one, every, cpu_every = (min(each) for each in zip(*times, strict=True))
    cores = threads.cores()
    return {
        "training": f"{method.method}, {sites} x {hidden}, {weights:,} weights",
        "1 thread [s]": one,
        f"{cores} threads [s]": every,
        "gain": one / every,
        "in tasks": f"{100 * share:.1f} %",
        "at most": 1.0 / (1.0 - share + share / cores),
        "CPU, 1 thread [s]": cpu_one,
        f"CPU, {cores} threads [s]": cpu_every,
        "same bits": "yes"
        if all((rbm.weights == found[0].weights).all() for rbm in found)
        else "NO",
    }


def share_in_tasks(train: Callable[[], None]) -> float:
    """The share of CPU time in tasks of `map_threads`, with one thread."""
    original, total = threads.map_threads, 0.0

    def timed(task: Callable[[Any], Any], items: Sequence[Any], stop: Any = None) -> list[Any]:
        nonlocal total
        start = time.thread_time()
        try:
            return original(task, items, stop)
        finally:
            total += time.thread_time() - start

    train()  # imports all modules that have tasks
    with ExitStack() as stack:
        stack.enter_context(peers.one_core())
        for module in [*sys.modules.values()]:
            if getattr(module, "map_threads", None) is original:
                stack.enter_context(patch.object(module, "map_threads", timed))
        start = time.thread_time()
        train()
        return total / (time.thread_time() - start)


def half(cd_steps: int, batch: int, repeats: int) -> peers.Row:
    """Time an update of CD, and one with half of the batch."""
    rbm, shots = peers.random_rbm(100, 50), peers.fair_bits(100, 20_160)
    clocks = [peers.UpdateClock(rbm, shots, cd_steps, size) for size in (batch, batch // 2)]
    times = peers.best(repeats, *(lambda clock=clock: clock(1) for clock in clocks))
    full, halved = (1e6 * each for each in times)
    row: peers.Row = {"k": cd_steps, "batch": batch, "update [us]": full}
    return {**row, "half of it [us]": halved, "gain at most": full / halved}


if __name__ == "__main__":
    main()
