"""How does the time per update grow with N, N_h, k, shots and batch, and do replicas scale?

Fair bits as shots, batch 100 where not varied, one core; then sparse masks of 14 weights a hidden
unit up to N = 1000; then several RBMs trained at once, in one and two threads. A size that this
machine cannot do has a row with the reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import peers
import psiprune as pp
from psiprune.training.method import Method
from psiprune.training.train import new_rbm

REPLICAS = 4
LINKS = 14  # weights of a hidden unit, where masks are sparse
METHODS: tuple[Method, ...] = (pp.CD(steps=10), pp.PCD(steps=10), pp.NaturalGradient())


def main() -> None:
    args = peers.options(__doc__)
    count, repeats = (5_000, 3) if args.quick else (20_000, 15)
    about = peers.header(
        "Scaling: microseconds per update, one core",
        f"{count:,} shots of fair bits where not said, batch {peers.BATCH}, seed {peers.SEED}",
        f"least of {repeats} epochs; shuffling counts",
    )
    sizes = [(sites, sites // 2) for sites in (10, 20, 50, 100, 200, 400)]
    most = 6 if args.quick else 7
    tables = {
        "size": [update(*size, cd_steps, count, repeats) for cd_steps in (1, 10) for size in sizes],
        "hidden": [update(100, hidden, 1, count, repeats) for hidden in (10, 25, 50, 100, 200)],
        "steps": [update(18, 9, steps, count, repeats) for steps in (1, 2, 5, 10, 20, 50)],
        "shots": [update(18, 9, 1, 10**power, repeats) for power in range(3, most)],
        "batch": [
            update(100, 50, steps, count, repeats, batch)
            for steps in (1, 10)
            for batch in (50, 100, 112, 224, 448, 896)
        ],
    }
    for name, rows in tables.items():
        print(f"by {name}")
        peers.show(rows)
    print(f"sparse masks: CPU ms of an epoch of {count:,} shots, or of a step over 10,000 chains")
    with peers.one_core():
        tables["sparse"] = [
            sparse(method, sites, count, 2 if args.quick else 20)
            for method in METHODS
            for sites in (50, 100, 200, 400, 1000)
        ]
    peers.show(tables["sparse"])
    epochs = 2 if args.quick else 10
    tables["replicas"] = [
        replicas(*case, epochs, 2 if args.quick else 5)
        for case in ((18, 9, 1), (18, 9, 10), (100, 50, 1))
    ]
    print(f"{REPLICAS} replicas of {epochs} epochs on 20,000 shots; cores: {os.cpu_count()}")
    peers.show(tables["replicas"])
    peers.save(args.json, about, **tables)
    if args.update:
        peers.update_page("scaling-size", beside(tables["size"], "k", "CD-{}", "update [us]"))
        sparse_rows = beside(tables["sparse"], "method", "{} [ms]", "step [ms]")
        peers.update_page("scaling-sparse", sparse_rows)
        peers.update_page("scaling-replicas", tables["replicas"])


def beside(rows: list[peers.Row], key: str, name: str, value: str) -> list[peers.Row]:
    """One row for each size, with a column for each value of the key."""
    sizes: dict[object, peers.Row] = {}
    for row in rows:
        size = sizes.setdefault(row["visible"], {"N": row["visible"]})
        if "weights" in row:
            size["weights"] = row["weights"]
        size[name.format(row[key])] = row.get(value)
    return [*sizes.values()]


def or_reason(size: peers.Row, measured: Callable[[], peers.Row]) -> peers.Row:
    """A row of measurements, or one with the reason why there are none."""
    try:
        return {**size, **measured()}
    except (pp.InputError, MemoryError) as error:
        return {**size, "not measured": str(error) or "out of memory"}


def update(
    visible: int, hidden: int, cd_steps: int, count: int, repeats: int, batch: int = peers.BATCH
) -> peers.Row:
    """Microseconds per update; and nanoseconds per weight, chain and Gibbs step, which level off.

    An update of CD-k multiplies by the weights 2 k + 2 times, counting the gradient's two as one.
    """

    def measured() -> peers.Row:
        clock = peers.UpdateClock(
            peers.random_rbm(visible, hidden), peers.fair_bits(visible, count), cd_steps, batch
        )
        time = clock(repeats)
        work = visible * hidden * batch * (2 * cd_steps + 2)
        return {"update [us]": 1e6 * time, "per weight and chain [ps]": 1e12 * time / work}

    size: peers.Row = {"visible": visible, "hidden": hidden, "k": cd_steps, "shots": count}
    return or_reason({**size, "batch": batch}, measured)


def sparse(method: Method, sites: int, count: int, steps: int) -> peers.Row:
    """CPU time of a step with a sparse mask, in total and for each weight.

    The mean over steps, as natural gradient does work every few steps that serves the others. The
    first two are not counted: they compile, and are the first with a Fisher matrix.
    """
    hidden = sites // 2

    def measured() -> peers.Row:
        shots = peers.fair_bits(sites, count)
        mask = pp.scale_free_mask(visible=sites, hidden=hidden, weights=LINKS * hidden)
        state = method.init(new_rbm(shots, hidden, peers.SEED, "random", mask), shots, peers.SEED)
        for _ in range(2):
            state, _ = method.step(state)
        begin = time.process_time()
        for _ in range(steps):
            state, _ = method.step(state)
        seconds = (time.process_time() - begin) / steps
        return {"step [ms]": 1e3 * seconds, "per weight [us]": 1e6 * seconds / mask.sum()}

    size: peers.Row = {"method": method.method, "visible": sites, "weights": LINKS * hidden}
    return or_reason(size, measured)


def replicas(visible: int, hidden: int, cd_steps: int, epochs: int, repeats: int) -> peers.Row:
    """Several seeds trained one after another, and in two threads: time, and the same bits?"""
    data = peers.fair_bits(visible, 20_000)
    found: dict[int, list[pp.RBM]] = {}

    def run(threads: int) -> float:
        def train(seed: int) -> pp.RBM:
            return pp.train(
                data, hidden=hidden, seed=seed, method=pp.CD(epochs=epochs, steps=cd_steps)
            )

        with ThreadPoolExecutor(threads) as pool:
            return peers.seconds(lambda: found.update({threads: [*pool.map(train, range(4))]}))

    run(1)
    one, two = peers.best(repeats, lambda: run(1), lambda: run(2))
    same = all(
        np.array_equal(a.weights, b.weights) and np.array_equal(a.visible_bias, b.visible_bias)
        for a, b in zip(found[1], found[2], strict=True)
    )
    return {
        "visible": visible,
        "hidden": hidden,
        "k": cd_steps,
        "1 thread [s]": one,
        "2 threads [s]": two,
        "speed-up": one / two,
        "same numbers": "yes" if same else "NO",
    }


if __name__ == "__main__":
    main()
