"""Draw configurations of an RBM: Gibbs chains of any length, and exact independent draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_DRAW_UNITS
from psiprune.core.random import Stream, generator_for, stream_key
from psiprune.core.repr import one_line
from psiprune.core.threads import map_threads
from psiprune.kernels import enumeration, gibbs, layout

# Most tiles of a task, large enough that threads add little overhead; a multiple of so many tasks,
# which 2, 4 and 8 threads share evenly.
_TILES_PER_TASK, _TASKS = 8, 8


@one_line
@dataclass(frozen=True)
class CompiledRBM:
    """An RBM in the layout of the kernels: its graph, and its parameters in float32."""

    graph: layout.Graph
    params: layout.Parameters


@one_line
@dataclass(frozen=True)
class Chains:
    """Gibbs chains of an RBM. `state` is [tile, visible, lane]; padding lanes are not in `bits`."""

    compiled: CompiledRBM
    state: NDArray[np.float32]
    count: int
    seed: int
    steps: int

    @property
    def bits(self) -> NDArray[np.uint8]:
        """The current visible configurations, uint8 [chain, site]."""
        return bits_of(self.state, self.count)


def start_chains(compiled: CompiledRBM, start: NDArray[np.uint8], seed: int) -> Chains:
    """Return chains that start at the configurations `start` [chain, site]."""
    return Chains(compiled, tiles_of(start), len(start), seed, 0)


def tiles_of(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return bits [chain, site] as the state of chains [tile, visible, lane], padded with 0."""
    count, visible = bits.shape
    lanes = layout.lanes_of(layout.WIDE)
    tiles = -(-count // lanes)
    padded = np.zeros((tiles * lanes, visible), np.float32)
    padded[:count] = bits
    return np.ascontiguousarray(padded.reshape(tiles, lanes, visible).transpose(0, 2, 1))


def bits_of(state: NDArray[np.float32], count: int) -> NDArray[np.uint8]:
    """Return the visible configurations of the first `count` chains, uint8 [chain, site]."""
    tiles, visible, lanes = state.shape
    chains = state.transpose(0, 2, 1).reshape(tiles * lanes, visible)
    return chains[:count].astype(np.uint8)


def random_start(chains: int, sites: int, seed: int) -> NDArray[np.uint8]:
    """Return configurations of independent fair bits [chain, site]."""
    generator = generator_for(seed, Stream.CHAIN_START)
    return generator.integers(0, 2, (chains, sites), dtype=np.uint8)


def step(chains: Chains, steps: int) -> Chains:
    """Return the chains after some block Gibbs steps: hidden given visible, visible given hidden.

    Tiles of chains run in threads. The random numbers of a chain come from the seed, its index and
    the number of steps, so the result does not depend on the number of threads.
    """
    return _step(chains, steps, gibbs.gibbs)


def step_with_flips(chains: Chains, steps: int) -> Chains:
    """Return the chains after some steps, each a global spin flip or none, then a Gibbs step.

    1 - v replaces v with probability p~(1 - v) / (p~(v) + p~(1 - v)): Gibbs sampling of the pair,
    which leaves any p invariant. So chains do not get stuck in one magnetized half where the RBM
    has the symmetry of the Ising chain, even approximately. Metropolis' min(1, p~(1 - v) / p~(v))
    would flip at every step where both are equal, and every second draw would show one half only.
    """
    return _step(chains, steps, gibbs.gibbs_with_flips)


def _step(chains: Chains, steps: int, kernel: Callable[..., None]) -> Chains:
    state = chains.state.copy()
    key = stream_key(chains.seed, Stream.GIBBS, chains.steps)
    graph, params = chains.compiled.graph, chains.compiled.params

    def run(tiles: slice) -> None:
        kernel(state[tiles], steps, graph, params, tiles.start, key, layout.WIDE)

    map_threads(run, _shares(len(state)))
    return replace(chains, state=state, steps=chains.steps + steps)


def _shares(tiles: int) -> list[slice]:
    """Return the tiles of each task, nearly as many in each; no random number depends on them."""
    tasks = min(tiles, _TASKS * -(-tiles // (_TASKS * _TILES_PER_TASK)))
    ends = np.linspace(0, tiles, tasks + 1).astype(int).tolist()
    return [slice(*pair) for pair in pairwise(ends)]


def visited(
    compiled: CompiledRBM, start: NDArray[np.uint8], seed: int, legs: Sequence[int]
) -> list[NDArray[np.uint8]]:
    """Return the states of chains [chain, site] after each of several legs of so many steps.

    The first step of a leg begins with a global flip or none. The same as `step_with_flips` and
    `step` in turn, but each thread takes its chains all the way and converts them.
    """
    calls, done = [], 0
    for leg in legs:
        for kernel, steps in ((gibbs.gibbs_with_flips, 1), (gibbs.gibbs, leg - 1)):
            calls.append((kernel, steps, stream_key(seed, Stream.GIBBS, done)))
            done += steps
    states = [np.empty_like(start) for _ in legs]
    lanes = layout.lanes_of(layout.WIDE)
    graph, params = compiled.graph, compiled.params

    def run(tiles: slice) -> None:
        some = slice(tiles.start * lanes, tiles.stop * lanes)
        chains = tiles_of(start[some])
        for number, (kernel, steps, key) in enumerate(calls):
            kernel(chains, steps, graph, params, tiles.start, key, layout.WIDE)
            if number % 2 == 1:
                out = states[number // 2][some]
                out[:] = bits_of(chains, len(out))

    map_threads(run, _shares(-(-len(start) // lanes)))
    return states


def exact_draws(
    weights: NDArray[np.float64],
    visible_bias: NDArray[np.float64],
    hidden_bias: NDArray[np.float64],
    shots: int,
    seed: int,
) -> NDArray[np.uint8]:
    """Return independent draws from p(v), exact up to float64 rounding: uint8 [shot, visible].

    The marginal of the smaller layer is tabulated over all its states; a state is drawn from it,
    and the larger layer given that state from a product of Bernoulli distributions.

    Raises:
        InputError: both layers have more than 25 units.
    """
    hidden, visible = weights.shape
    if min(hidden, visible) > EXACT_DRAW_UNITS:
        raise InputError(
            f"rbm: exact draws need a layer of at most {EXACT_DRAW_UNITS} units, found {visible} "
            f"visible and {hidden} hidden; use RBM.sample(shots, steps=...), Gibbs chains"
        )
    generator = generator_for(seed, Stream.EXACT_DRAWS)
    if visible <= hidden:
        table = enumeration.log_marginals_all(weights, visible_bias, hidden_bias)
    else:
        table = enumeration.log_marginals_all(weights.T, hidden_bias, visible_bias)
    table -= table.max()  # in place, as the table may be large
    cumulative = np.cumsum(np.exp(table, out=table), out=table)
    states = np.searchsorted(cumulative, generator.random(shots) * cumulative[-1], side="right")
    units = min(hidden, visible)
    drawn = ((states[:, None] >> np.arange(units)) & 1).astype(np.uint8)
    if visible <= hidden:
        return drawn
    prob = 1.0 / (1.0 + np.exp(-np.clip(drawn @ weights + visible_bias, -700, 700)))
    return (generator.random((shots, visible)) < prob).astype(np.uint8)
