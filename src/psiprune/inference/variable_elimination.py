"""Exact sums over all states of a sparse RBM by variable elimination, one unit after the other.

The RBM is a graph of N + N_h units, unit i the visible unit i and unit N + j the hidden unit j.
Summing out a unit leaves a table over its neighbours, which become neighbours of one another
(Bertele & Brioschi 1972; Dechter, Artif. Intell. 113, 41 (1999)). The largest table, 2^width
numbers, and so the order sets the cost. Each order tried next takes the unit that adds the fewest
edges ("min fill") or has the fewest neighbours, with ties broken at random. For these graphs that
beats greedy paths for tensor networks: on a 100 x 50 RBM with hidden units on 10 adjacent sites,
with 200 and with 300 random weights, one min-fill order has widths 7, 15 and 29 and takes 0.06 s;
the best of 32 random greedy paths of cotengra 0.8.3 has 12, 16 and 35 after 1 to 8 s.

Tables hold logarithms, so nothing overflows and, unlike with one exponent per table, no entry is
lost that a later factor would make large: |W| = 50 on ten sites spans exp(+-500). Connected
components need no special treatment: their tables never share a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import ELIMINATION_BYTES, ELIMINATION_WIDTH
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import one_line
from psiprune.core.validation import check_count, check_seed
from psiprune.kernels import enumeration
from psiprune.rbm.likelihood import Moments
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
_TRIES = 16


@one_line
@dataclass(frozen=True, eq=False)
class Contraction:
    """The order in which the units of an RBM are summed out, and its cost.

    Attributes:
        rbm: the RBM.
        order: all units, the first one to be summed out first.
        scopes: for each unit of `order`, the units that its table is over, in the same order.
    """

    rbm: RBM
    order: tuple[int, ...]
    scopes: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """log2 of the largest table; 1 for a tree, 0 without weights."""
        return max(len(scope) for scope in self.scopes)

    @property
    def operations(self) -> int:
        """Number of terms added: 2^(1 + width of the table) for each unit."""
        return sum(2 << len(scope) for scope in self.scopes)

    @cached_property
    def memory(self) -> int:
        """Peak bytes of all tables while log Z is computed."""
        waiting: dict[int, int] = {}  # numbers in tables, by the unit that uses them up
        largest = 0
        for unit, scope in zip(self.order, self.scopes, strict=True):
            size = 1 << len(scope)
            largest = max(largest, sum(waiting.values()) + 3 * size)
            waiting.pop(unit, None)
            if scope:
                waiting[scope[0]] = waiting.get(scope[0], 0) + size
        return 8 * largest

    @property
    def memory_of_moments(self) -> int:
        """Peak bytes for moments and draws, which store all tables."""
        return self.memory + 16 * sum(1 << len(scope) for scope in self.scopes)


def plan_contraction(rbm: RBM) -> Contraction:
    """Find an order to sum out the units, fast and deterministic. Weights of 0 are no edges.

    Raises:
        InputError: no order was found with tables of at most 2^25 numbers and 1 GiB in total.
    """
    neighbours = [0] * (rbm.visible + rbm.hidden)  # a set of units is the bits of an int
    for j, i in np.argwhere(rbm.weights != 0):
        neighbours[i] |= 1 << (rbm.visible + int(j))
        neighbours[rbm.visible + int(j)] |= 1 << int(i)
    generator = generator_for(0, Stream.ELIMINATION_ORDER)
    best: tuple[float, list[int]] = (float(1 << (ELIMINATION_WIDTH + 12)), [])
    # In any order some table is over at least the smallest number of neighbours.
    hopeless = min(near.bit_count() for near in neighbours) > ELIMINATION_WIDTH
    for attempt in range(0 if hopeless else _TRIES):
        jitter = generator.random(len(neighbours)) if attempt else np.zeros(len(neighbours))
        for by_fill in (False, True):
            best = _better_order(neighbours, by_fill, jitter.tolist(), best)
    if not best[1]:
        raise InputError(
            f"rbm: contraction needs tables of more than 2^{ELIMINATION_WIDTH} numbers for these "
            f"{np.count_nonzero(rbm.weights)} weights; use method 'annealing', or prune further"
        )
    order = tuple(best[1])
    plan = Contraction(rbm, order, _scopes(neighbours, order))
    _check_memory(plan.memory)
    return plan


def contract(plan: Contraction) -> float:
    """Return log Z = log sum_v p~(v), exact up to float64 rounding."""
    return _sum_out(plan, store=False)[0]


def moments(plan: Contraction) -> Moments:
    """Return the exact <h_j v_i> of each weight that is not 0 (else 0), <v_i> and <h_j>.

    Raises:
        InputError: the tables take more than 1 GiB.
    """
    _check_memory(plan.memory_of_moments)
    return _moments(plan, _sum_out(plan, store=True)[1])


def pair_means(plan: Contraction, pairs: ArrayLike) -> Float64:
    """Return the exact <v_i v_j> for pairs (i, j) of sites, [pair, 2] -> [pair].

    <v_i v_j> = <v_i> <v_j | v_i = 1>: one more contraction for each distinct first site.

    Raises:
        InputError: a pair is not two sites, or the tables take more than 1 GiB.
    """
    table = np.asarray(pairs)
    sites = plan.rbm.visible
    if table.ndim != 2 or table.shape[1] != 2 or not np.issubdtype(table.dtype, np.integer):
        raise InputError(f"pairs: must be integers of shape [pair, 2], found shape {table.shape}")
    if table.size and not 0 <= table.min() <= table.max() < sites:
        raise InputError(
            f"pairs: sites must be from 0 to {sites - 1}, found {table.tolist()}"[:120]
        )
    means = moments(plan).visible
    out = np.empty(len(table))
    for i in np.unique(table[:, 0]):
        rows = table[:, 0] == i
        given = _moments(plan, _sum_out(plan, store=True, fixed=int(i))[1]).visible
        out[rows] = means[i] * given[table[rows, 1]]
    return out


def contraction_draws(plan: Contraction, shots: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return independent draws from p(v), exact up to rounding: uint8 [shot, visible].

    Units are drawn in reverse order, each given those that its table is over.

    Raises:
        InputError: shots < 1, the seed is out of range, or the tables take more than 1 GiB.
    """
    shots, seed = check_count("shots", shots, 1), check_seed(seed)
    _check_memory(plan.memory_of_moments)
    given = _sum_out(plan, store=True)[1]
    generator = generator_for(seed, Stream.ELIMINATION_DRAWS)
    drawn = np.zeros((len(plan.order), shots), np.uint8)
    for unit, scope, prob in reversed(list(zip(plan.order, plan.scopes, given, strict=True))):
        index = np.zeros(shots, np.int64)
        for other in scope:  # the first of a scope is the most significant bit
            index = 2 * index + drawn[other]
        drawn[unit] = generator.random(shots) < prob[index]
    return np.ascontiguousarray(drawn[: plan.rbm.visible].T)


def _better_order(
    neighbours: Sequence[int], by_fill: bool, jitter: Sequence[float], best: tuple[float, list[int]]
) -> tuple[float, list[int]]:
    """Return the operations and the greedy order, or `best` where that is cheaper."""
    near = dict(enumerate(neighbours))

    def score(unit: int) -> tuple[int, float]:
        around = near[unit]
        if not by_fill:
            return around.bit_count(), jitter[unit]
        return sum((around & ~near[x]).bit_count() - 1 for x in _units(around)), jitter[unit]

    scores = {unit: score(unit) for unit in near}
    order: list[int] = []
    cost = 0.0
    while near:
        unit = min(scores, key=scores.__getitem__)
        around = near.pop(unit)
        del scores[unit]
        cost += 2.0 ** (1 + around.bit_count())
        if around.bit_count() > ELIMINATION_WIDTH or cost >= best[0]:
            return best
        order.append(unit)
        changed = around
        for x in _units(around):
            near[x] = (near[x] | around) & ~(1 << x) & ~(1 << unit)
            changed |= near[x] if by_fill else 0
        for x in _units(changed):
            scores[x] = score(x)
    return cost, order


def _units(bits: int) -> list[int]:
    """Return the units of a set."""
    units = []
    while bits:
        low = bits & -bits
        units.append(low.bit_length() - 1)
        bits ^= low
    return units


def _scopes(neighbours: Sequence[int], order: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    near = list(neighbours)
    place = {unit: k for k, unit in enumerate(order)}
    scopes = []
    for unit in order:
        around = _units(near[unit])
        for x in around:
            near[x] = (near[x] | near[unit]) & ~(1 << x) & ~(1 << unit)
        scopes.append(tuple(sorted(around, key=place.__getitem__)))
    return tuple(scopes)


def _check_memory(needed: int) -> None:
    if needed > ELIMINATION_BYTES:
        raise InputError(
            f"rbm: contraction needs {needed / 2**30:.1f} GiB, more than "
            f"{ELIMINATION_BYTES / 2**30:g} GiB; use method 'annealing' or Gibbs chains, or prune "
            "further"
        )


def _sum_out(
    plan: Contraction, *, store: bool, fixed: int | None = None
) -> tuple[float, list[Float64]]:
    """Return log Z and, if `store`, p(unit = 1 | scope) of each unit in order, [2^len(scope)].

    With `fixed` the sum is over the states in which that unit is 1.
    """
    rbm, visible = plan.rbm, plan.rbm.visible
    bias = np.concatenate([rbm.visible_bias, rbm.hidden_bias])
    place = {unit: k for k, unit in enumerate(plan.order)}
    weights: list[dict[int, float]] = [{} for _ in plan.order]  # [earlier unit][later unit]
    for j, i in np.argwhere(rbm.weights != 0):
        first, second = sorted((int(i), visible + int(j)), key=place.__getitem__)
        weights[first][second] = float(rbm.weights[j, i])
    tables: dict[int, list[tuple[tuple[int, ...], Float64]]] = {}
    given: list[Float64] = []
    log_z = 0.0
    for unit, scope in zip(plan.order, plan.scopes, strict=True):
        one = np.array([bias[unit]])  # log of the terms with the unit at 1, flat over the scope
        for other in reversed(scope):
            one = np.concatenate([one, one + weights[unit].get(other, 0.0)])
        zero = np.full(len(one), 0.0 if unit != fixed else -np.inf)
        for inner, table in tables.pop(unit, []):
            # inner[0] is this unit: of all units in the table it is the first to be summed out.
            inner_shape, shape = _shapes(inner[1:], scope)
            for target, half in zip((zero, one), np.split(table, 2), strict=True):
                target.reshape(shape)[...] += half.reshape(inner_shape)
        enumeration.sum_unit(zero, one)
        if scope:
            tables.setdefault(scope[0], []).append((scope, zero))
        else:
            log_z += float(zero[0])
        if store:
            given.append(one)
    return log_z, given


def _shapes(inner: tuple[int, ...], outer: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return shapes that broadcast a flat table over `inner` against one over `outer`.

    One axis for each run of units that are all in `inner`, or all not.
    """
    inside = set(inner)
    members = groupby(unit in inside for unit in outer)
    runs = [(is_inner, 1 << len(list(run))) for is_inner, run in members]
    inner_shape = [1, *(size if is_inner else 1 for is_inner, size in runs)]
    return inner_shape, [1, *(size for _, size in runs)]


def _moments(plan: Contraction, given: list[Float64]) -> Moments:
    """Return averages from p(unit = 1 | scope), units in reverse order, each given its scope.

    Probabilities, not logarithms: a probability that underflows does not change an average.
    """
    rbm, visible = plan.rbm, plan.rbm.visible
    children: dict[int, list[int]] = {}
    for unit, scope in zip(plan.order, plan.scopes, strict=True):
        if scope:
            children.setdefault(scope[0], []).append(unit)
    scope_of = dict(zip(plan.order, plan.scopes, strict=True))
    of_scope: dict[int, Float64] = {}  # p(scope), flat
    mean = np.empty(len(plan.order))
    both = np.zeros(rbm.weights.shape)
    for unit, scope in reversed(list(zip(plan.order, plan.scopes, strict=True))):
        prob = of_scope.pop(unit, np.ones(1))
        conditional = given.pop()
        one = prob * conditional
        mean[unit] = one.sum()
        for k, other in enumerate(scope):
            j, i = max(unit, other) - visible, min(unit, other)
            if j >= 0 and i < visible and rbm.weights[j, i] != 0:
                both[j, i] = one.reshape(1 << k, 2, -1)[:, 1].sum()
        if unit in children:
            joint = np.concatenate([prob - one, one])
            for child in children[unit]:
                child_shape, shape = _shapes(scope_of[child], (unit, *scope))
                summed = tuple(k for k in range(len(shape)) if child_shape[k] != shape[k])
                of_scope[child] = joint.reshape(shape).sum(axis=summed).reshape(-1)
    return Moments(both, mean[:visible], mean[visible:])
