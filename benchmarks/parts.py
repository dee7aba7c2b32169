"""What takes the time of a CD update at 18 x 9?

Each part of `kernels/cd.py` in a loop of its own on one core, batch 100, CPU time, least of many. A
CD-k update consists of the parts as often as the column `CD-1` says; each further step is a draw of
either layer. Only CPUs with tables of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, uint64

import peers
from psiprune.core.hardware import gibbs_sums, vector_instructions
from psiprune.kernels import cd, layer, layout, pairs, tables
from psiprune.kernels.simd import OPTIONS

VISIBLE, HIDDEN, LOOPS, SHOTS = 18, 9, 2_000, 20_000
WIDE = layout.WIDE
RATES = tuple(np.float32(rate) for rate in (0.01, 0.0, 0.0, 0.0))


def main() -> None:
    args = peers.options(__doc__)
    repeats = 3 if args.quick else 25
    about = peers.header(
        f"Parts of a CD-1 update, 18 x 9: CPU time, {vector_instructions()}, {gibbs_sums()}",
        f"{SHOTS:,} shots of fair bits, batch {peers.BATCH}; least of {repeats}; seed {peers.SEED}",
    )
    rows: list[peers.Row] = []
    if gibbs_sums() == "loops":
        print("This CPU has no AVX2: nothing to measure.")
    else:
        with peers.one_core():
            parts = works()
            seconds = peers.best(repeats, *(task for _, _, task in parts))
        for (name, times, _), each in zip(parts, seconds, strict=True):
            rows.append(
                {"part": name, "us": 1e6 * each, "CD-1": times, "in all": 1e6 * times * each}
            )
        total = sum(float(str(row["in all"])) for row in rows)
        rows.append({"part": "sum", "in all": total})
        peers.show(rows)
    peers.save(args.json, about, parts=rows)


def works() -> list[tuple[str, int, Callable[[], float]]]:
    """Name of a part, how often it is in an update of CD-1, and a clock."""
    generator = np.random.default_rng(peers.SEED)
    graph = layout.graph_of(np.ones((HIDDEN, VISIBLE), bool))
    weights = 0.1 * generator.standard_normal(HIDDEN * VISIBLE).astype(np.float32)
    sizes = (VISIBLE, HIDDEN)
    params = layout.Parameters(weights, *(np.zeros(size, np.float32) for size in sizes))
    velocity = layout.Parameters(*(np.zeros_like(each) for each in params))
    data = layout.pack(generator.integers(0, 2, (SHOTS, VISIBLE)).astype(np.uint8))
    order = generator.permutation(SHOTS).astype(np.int32)
    to_hidden, to_visible, v, h, p, space, spread, shots = spaces(graph, params, WIDE)
    v[:] = generator.integers(0, 16, v.shape)
    phases = (v, p, v.copy(), p.copy())
    key = uint64(1)
    update = (graph, params, velocity, space, to_hidden, to_visible, RATES)
    return [
        ("shuffle", 1, clock(shuffle, order, key)),
        ("gather shots", 1, clock(gather, data, order, shots)),
        ("unpack shots", 1, clock(unpack, to_visible, shots, v, WIDE)),
        ("p(h | v)", 2, clock(probabilities, to_hidden, v, p, WIDE)),
        ("draw h by p", 1, clock(bernoulli, to_hidden, p, h, spread, key, WIDE)),
        ("draw v given h", 1, clock(draws, to_visible, h, v, spread, key, WIDE)),
        ("draw h given v", 0, clock(draws, to_hidden, v, h, spread, key, WIDE)),
        ("gradient", 1, clock(gradient, graph, to_visible, phases, space, WIDE)),
        ("step of the weights", 1, clock(step, *update)),
    ]


def clock(part: Callable[..., Any], *arguments: Any) -> Callable[[], float]:
    """A clock of one pass."""
    part(*arguments)
    return lambda: peers.cpu_seconds(lambda: part(*arguments)) / LOOPS


compiled = njit(**OPTIONS)


@compiled
def spaces(graph, params, vectors):  # type: ignore[no-untyped-def]
    """What `cd.train_epoch` allocates."""
    lanes = 112
    to_hidden = tables.hidden_layer(graph, params.weights, params.hidden_bias)
    to_visible = tables.visible_layer(graph, params.weights, params.visible_bias)
    p = layer.lane_space(HIDDEN + 2, lanes)
    p[HIDDEN, :100] = 1.0
    spread, shots = np.zeros(lanes, np.uint32), np.zeros((1, lanes), np.uint32)
    for lane in range(lanes):
        spread[lane] = lane * 0x9E3779B9
    v, h = tables.state_space(to_visible, lanes), tables.state_space(to_hidden, lanes)
    space = pairs.gradient_space(graph, params, lanes)
    return to_hidden, to_visible, v, h, p, space, spread, shots


@compiled
def shuffle(order, key):  # type: ignore[no-untyped-def]
    """Shuffles of 100 shots each, the share of an update."""
    for k in range(LOOPS // (SHOTS // 100)):
        cd.shuffle(order, key + uint64(k))


@compiled
def gather(data, order, shots):  # type: ignore[no-untyped-def]
    for k in range(LOOPS):
        cd.gather(data, order, 100 * k % (SHOTS - 100), 100, shots)


@compiled
def unpack(to_visible, shots, v, vectors):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        tables.unpack(to_visible, shots, v, vectors)


@compiled
def probabilities(to_hidden, v, p, vectors):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        tables.probabilities(to_hidden, v, p[HIDDEN], p[:HIDDEN], vectors)


@compiled
def bernoulli(to_hidden, p, h, spread, key, vectors):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        key = tables.bernoulli(to_hidden, p[:HIDDEN], h, spread, key, vectors)


@compiled
def draws(layer, x, y, spread, key, vectors):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        key = tables.sample_layer(layer, x, y, spread, key, vectors)


@compiled
def gradient(graph, to_visible, phases, space, vectors):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        pairs.add_gradient(graph, to_visible, 100, phases, space, vectors)


@compiled
def step(graph, params, velocity, space, to_hidden, to_visible, rates):  # type: ignore[no-untyped-def]
    for _ in range(LOOPS):
        pairs.take_step(graph, params, velocity, space, to_hidden, to_visible, rates)


if __name__ == "__main__":
    main()
