"""Exact sums over all states of a sparse RBM by variable elimination, one unit after the other.

The RBM is a graph of N + N_h units, unit i the visible unit i and unit N + j the hidden unit j.
Summing out a unit leaves a table over its neighbours, which become neighbours of one another
(Bertele & Brioschi 1972; Dechter, Artif. Intell. 113, 41 (1999)). The largest table, 2^width
numbers, and so the order sets the cost. Each order tried next takes the unit that adds the fewest
edges ("min fill") or has the fewest neighbours, with ties broken at random: for these graphs
narrower and faster than the greedy paths of tensor-network libraries (cotengra).

Tables hold logarithms, so nothing overflows and, unlike with one exponent per table, no entry is
lost that a later factor would make large: |W| = 50 on ten sites spans exp(+-500). Connected
components need no special treatment: their tables never share a unit. A last axis of the tables is
over cases, RBMs that differ only by factors over visible units and are summed side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import ELIMINATION_BYTES, ELIMINATION_WIDTH
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import one_line
from psiprune.core.validation import check_count, check_seed
from psiprune.kernels import enumeration
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
    def memory_of_draws(self) -> int:
        """Peak bytes for draws, which store all tables."""
        return self.memory + 16 * sum(1 << len(scope) for scope in self.scopes)


def plan_contraction(rbm: RBM, joint: Iterable[Sequence[int]] = ()) -> Contraction:
    """Find an order to sum out the units, fast and deterministic. Weights of 0 are no edges.

    Args:
        rbm: the RBM.
        joint: sets of visible units, each of which a factor of `contract_cases` may be over.

    Raises:
        InputError: no order was found with tables of at most 2^25 numbers and 1 GiB in total.
    """
    neighbours = [0] * (rbm.visible + rbm.hidden)  # a set of units is the bits of an int
    for j, i in np.argwhere(rbm.weights != 0):
        neighbours[i] |= 1 << (rbm.visible + int(j))
        neighbours[rbm.visible + int(j)] |= 1 << int(i)
    for group in joint:
        for i in group:
            neighbours[i] |= sum(1 << other for other in group if other != i)
    generator = generator_for(0, Stream.ELIMINATION_ORDER)
    best: tuple[float, dict[int, int]] = (float(1 << (ELIMINATION_WIDTH + 12)), {})
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
    place = {unit: k for k, unit in enumerate(best[1])}
    scopes = (tuple(sorted(_units(near), key=place.__getitem__)) for near in best[1].values())
    plan = Contraction(rbm, tuple(best[1]), tuple(scopes))
    _check_memory(plan.memory)
    return plan


def contract(plan: Contraction) -> float:
    """Return log Z = log sum_v p~(v), exact up to float64 rounding."""
    return float(_sum_out(plan, [], 1, store=False)[0][0])


def contract_cases(
    plan: Contraction, factors: Sequence[tuple[Sequence[int], Float64]], cases: int
) -> Float64:
    """Return log sum_v p~(v) prod_f exp(table_f(v)) of each case, [case].

    Args:
        plan: the order; each set of more than one unit must be in the `joint` of its plan.
        factors: visible units and a finite table over them, [2^units, case] at row
            sum_k v_k 2^k with k the position in the units.
        cases: number of cases; all tables of the plan exist that many times.
    """
    return _sum_out(plan, factors, cases, store=False)[0]


def contraction_draws(plan: Contraction, shots: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return independent draws from p(v), exact up to rounding: uint8 [shot, visible].

    Units are drawn in reverse order, each given those that its table is over.

    Raises:
        InputError: shots < 1, the seed is out of range, or the tables take more than 1 GiB.
    """
    shots, seed = check_count("shots", shots, 1), check_seed(seed)
    _check_memory(plan.memory_of_draws)
    conditional = _sum_out(plan, [], 1, store=True)[1]
    generator = generator_for(seed, Stream.ELIMINATION_DRAWS)
    drawn = np.empty((len(plan.order), shots), np.uint8)
    for unit, scope, prob in reversed(list(zip(plan.order, plan.scopes, conditional, strict=True))):
        index = np.zeros(shots, np.int64)
        for other in scope:  # the first of a scope is the most significant bit
            index = 2 * index + drawn[other]
        drawn[unit] = generator.random(shots) < prob[index]
    return np.ascontiguousarray(drawn[: plan.rbm.visible].T)


def _better_order(
    neighbours: Sequence[int],
    by_fill: bool,
    jitter: Sequence[float],
    best: tuple[float, dict[int, int]],
) -> tuple[float, dict[int, int]]:
    """Return the operations and, in greedy order, each unit with its neighbours when summed out.

    Return `best` where that is cheaper.
    """
    near = dict(enumerate(neighbours))

    def score(unit: int) -> tuple[int, float]:
        around = near[unit]
        if not by_fill:
            return around.bit_count(), jitter[unit]
        return sum((around & ~near[x]).bit_count() - 1 for x in _units(around)), jitter[unit]

    scores = {unit: score(unit) for unit in near}
    order: dict[int, int] = {}
    cost = 0.0
    while near:
        unit = min(scores, key=scores.__getitem__)
        around = near.pop(unit)
        del scores[unit]
        if around.bit_count() > ELIMINATION_WIDTH:
            return best
        cost += 2.0 ** (1 + around.bit_count())
        if cost >= best[0]:
            return best
        order[unit] = around
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


def _check_memory(needed: int) -> None:
    if needed > ELIMINATION_BYTES:
        raise InputError(
            f"rbm: contraction needs {needed / 2**30:.1f} GiB, more than "
            f"{ELIMINATION_BYTES / 2**30:g} GiB; use method 'annealing' or Gibbs chains, or prune "
            "further"
        )


def _sum_out(
    plan: Contraction,
    factors: Sequence[tuple[Sequence[int], Float64]],
    cases: int,
    *,
    store: bool,
) -> tuple[Float64, list[Float64]]:
    """Return log Z of each case and, if `store`, p(unit = 1 | scope) of each unit in order.

    The latter is flat, with [2^len(scope)] numbers for one case.
    """
    rbm, visible = plan.rbm, plan.rbm.visible
    bias = np.concatenate([rbm.visible_bias, rbm.hidden_bias])
    place = {unit: k for k, unit in enumerate(plan.order)}
    weights: list[dict[int, float]] = [{} for _ in plan.order]  # [earlier unit][later unit]
    for j, i in np.argwhere(rbm.weights != 0):
        first, second = sorted((int(i), visible + int(j)), key=place.__getitem__)
        weights[first][second] = float(rbm.weights[j, i])
    tables: dict[int, list[tuple[tuple[int, ...], Float64]]] = {}
    for units, given in factors:
        scope = tuple(sorted(units, key=place.__getitem__))
        # The first axis of the table is the last of the units.
        axes = [len(scope) - 1 - list(units).index(unit) for unit in scope]
        table = given.reshape(*[2] * len(scope), cases).transpose(*axes, len(scope))
        tables.setdefault(scope[0], []).append((scope, table.reshape(-1, cases)))
    conditionals: list[Float64] = []
    log_z = np.zeros(cases)
    for unit, scope in zip(plan.order, plan.scopes, strict=True):
        alike = np.array([bias[unit]])  # log of the terms with the unit at 1, flat over the scope
        for other in reversed(scope):
            alike = np.concatenate([alike, alike + weights[unit].get(other, 0.0)])
        one = np.repeat(alike[:, None], cases, axis=1)
        zero = np.zeros(one.shape)
        for inner, table in tables.pop(unit, []):
            # inner[0] is this unit: of all units in the table it is the first to be summed out.
            inner_shape, shape = _shapes(inner[1:], scope)
            for target, half in zip((zero, one), np.split(table, 2), strict=True):
                target.reshape(*shape, cases)[...] += half.reshape(*inner_shape, cases)
        enumeration.sum_unit(zero.ravel(), one.ravel())
        if scope:
            tables.setdefault(scope[0], []).append((scope, zero))
        else:
            log_z += zero[0]
        if store:
            conditionals.append(one.ravel())
    return log_z, conditionals


def _shapes(inner: tuple[int, ...], outer: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return shapes that broadcast a flat table over `inner` against one over `outer`.

    One axis for each run of units that are all in `inner`, or all not.
    """
    inside = set(inner)
    members = groupby(unit in inside for unit in outer)
    runs = [(is_inner, 1 << len(list(run))) for is_inner, run in members]
    inner_shape = [1, *(size if is_inner else 1 for is_inner, size in runs)]
    return inner_shape, [1, *(size for _, size in runs)]
