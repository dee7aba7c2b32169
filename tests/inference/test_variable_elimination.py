"""Summing out units one by one against sums over all states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import exact
from psiprune.core.exceptions import InputError
from psiprune.inference import variable_elimination
from psiprune.inference.log_partition import exact_log_partition
from psiprune.inference.variable_elimination import (
    Contraction,
    contract,
    contraction_draws,
    plan_contraction,
)
from psiprune.kernels import enumeration
from psiprune.rbm.model import RBM
from refusals import refuses


def local_mask(visible: int, hidden: int, reach: int) -> NDArray[np.bool_]:
    """Each hidden unit on `reach` adjacent sites."""
    first = np.linspace(0, visible - reach, hidden).round().astype(int)
    sites = np.arange(visible)
    return (sites >= first[:, None]) & (sites < first[:, None] + reach)


def sparse_rbm(seed: int, visible: int, hidden: int, density: float, scale: float) -> RBM:
    generator = np.random.default_rng(seed)
    return RBM(
        generator.normal(0, scale, (hidden, visible)),
        generator.normal(0, scale, visible),
        generator.normal(0, scale, hidden),
        generator.random((hidden, visible)) < density,
    )


def probability_of_zeros(plan: Contraction, *sites: int) -> float:
    """The probability that all these sites are 0: Z with the other states excluded, over Z."""
    bias = plan.rbm.visible_bias.copy()
    bias[list(sites)] -= 1000.0
    return float(
        np.exp(contract(replace(plan, rbm=replace(plan.rbm, visible_bias=bias))) - contract(plan))
    )


def test_draws_follow_the_distribution() -> None:
    rbm = sparse_rbm(1, 7, 5, 0.5, 1.0)
    drawn = contraction_draws(plan_contraction(rbm), 50_000, seed=2)
    assert drawn.shape == (50_000, 7)
    assert drawn.dtype == np.uint8
    p = exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    assert exact.chi_squared_p(drawn, p) > 1e-3
    np.testing.assert_array_equal(drawn, contraction_draws(plan_contraction(rbm), 50_000, seed=2))
    # The same test sees a distribution that is a little off.
    other = sparse_rbm(1, 7, 5, 0.5, 1.1)
    q = exact.rbm_distribution(other.weights, other.visible_bias, other.hidden_bias)
    assert exact.chi_squared_p(drawn, q) < 1e-6


def test_a_local_mask_at_100_sites() -> None:
    # As a transfer matrix along the chain: an independent way to the same sum.
    generator = np.random.default_rng(0)
    mask = local_mask(100, 50, 5)
    rbm = RBM(
        generator.normal(0, 1, (50, 100)),
        generator.normal(0, 0.5, 100),
        generator.normal(0, 0.5, 50),
        mask,
    )
    plan = plan_contraction(rbm)
    assert plan.width <= 5
    assert plan.operations < 10_000
    first = mask.argmax(axis=1)
    window = exact.basis(5).astype(float)  # bits of sites s-4 .. s
    log_weight = np.where(window[:, :4].any(axis=1), -np.inf, 0.0)  # before site 0: zeros
    log_weight = log_weight + rbm.visible_bias[0] * window[:, 4]
    for site in range(100):
        if site:
            old = scipy.special.logsumexp(log_weight.reshape(16, 2), axis=1)  # drops the oldest
            log_weight = np.concatenate([old, old + rbm.visible_bias[site]])
        for j in np.flatnonzero(first + 4 == site):
            activation = rbm.hidden_bias[j] + window @ rbm.weights[j, first[j] : first[j] + 5]
            log_weight = log_weight + np.logaddexp(0.0, activation)
    wanted = float(scipy.special.logsumexp(log_weight))
    assert contract(plan) == pytest.approx(wanted, rel=1e-12)
    zero = contraction_draws(plan, 20_000, seed=1) == 0
    spread = np.sqrt(0.25 / 20_000)
    for site in range(0, 100, 9):
        assert abs(zero[:, site].mean() - probability_of_zeros(plan, site)) < 5 * spread
    for site in range(50, 100, 7):
        both = (zero[:, 49] & zero[:, site]).mean()
        assert abs(both - probability_of_zeros(plan, 49, site)) < 5 * spread


def test_the_cost_is_known_before() -> None:
    chain = RBM(np.ones((9, 10)), np.zeros(10), np.zeros(9), local_mask(10, 9, 2))
    plan = plan_contraction(chain)
    assert plan.width == 1  # a tree
    assert plan.operations == 18 * 4 + 2
    full = plan_contraction(RBM(np.ones((4, 9)), np.zeros(9), np.zeros(4)))
    assert full.width == 4  # the smaller layer
    empty = plan_contraction(RBM(np.ones((4, 9)), np.zeros(9), np.zeros(4), np.zeros((4, 9), bool)))
    assert (empty.width, empty.operations) == (0, 26)
    again = plan_contraction(chain)
    assert (again.order, again.scopes) == (plan.order, plan.scopes)
    # A weight of 0 is no edge, whatever the mask says.
    assert plan_contraction(RBM(np.zeros((40, 60)), np.zeros(60), np.zeros(40))).width == 0


def test_tables_match_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_contraction(sparse_rbm(2, 20, 15, 0.2, 1.0))
    sizes: list[int] = []
    sum_unit = enumeration.sum_unit

    def watched(zero: NDArray[np.float64], one: NDArray[np.float64]) -> None:
        sizes.append(len(zero))
        sum_unit(zero, one)

    monkeypatch.setattr(enumeration, "sum_unit", watched)
    contract(plan)
    assert max(sizes) == 1 << plan.width
    assert 2 * sum(sizes) == plan.operations
    # Beside the two tables of a unit and a copy are those made before that no unit has used.
    users = [plan.order.index(scope[0]) if scope else -1 for scope in plan.scopes]
    peak = max(
        3 * sizes[k] + sum(sizes[made] for made in range(k) if users[made] >= k)
        for k in range(len(sizes))
    )
    assert plan.memory == 8 * peak
    assert plan.memory_of_draws == 8 * peak + 16 * sum(sizes)


@pytest.mark.parametrize("by_fill", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_greedy_order_is_its_definition(by_fill: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    edges = np.triu(generator.random((12, 12)) < 0.3, 1)
    near = {k: set(np.flatnonzero(row).tolist()) for k, row in enumerate(edges | edges.T)}
    given, jitter = [sum(1 << x for x in near[k]) for k in near], generator.random(12).tolist()

    def score(unit: int) -> tuple[int, float]:
        missing = [(x, y) for x in near[unit] for y in near[unit] if x < y and y not in near[x]]
        return len(missing if by_fill else near[unit]), jitter[unit]

    order, cost = {}, 0.0
    while near:
        unit = min(near, key=score)
        around = near.pop(unit)
        order[unit] = sum(1 << x for x in around)
        cost += 2 * 2 ** len(around)
        for x in around:
            near[x] = (near[x] | around) - {x, unit}
    nothing = (1e9, dict[int, int]())
    found = variable_elimination._better_order(given, by_fill, jitter, nothing)
    assert found == (cost, order)
    assert list(found[1]) == list(order)
    for other in (cost - 1, cost):
        best = (other, dict[int, int]())
        assert variable_elimination._better_order(given, by_fill, jitter, best) is best
    best = (cost + 1, dict[int, int]())
    assert variable_elimination._better_order(given, by_fill, jitter, best) == found


def test_orders_of_both_kinds_are_tried_with_ties_broken_at_random(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[tuple[bool, tuple[float, ...]]] = []
    better = variable_elimination._better_order

    def noted(
        near: list[int], by_fill: bool, jitter: list[float], best: tuple[float, dict[int, int]]
    ) -> tuple[float, dict[int, int]]:
        tried.append((by_fill, tuple(jitter)))
        return better(near, by_fill, jitter, best)

    monkeypatch.setattr(variable_elimination, "_better_order", noted)
    small_plan()
    assert [by_fill for by_fill, _ in tried] == [False, True] * 16
    ties = [jitter for _, jitter in tried[::2]]
    assert ties == [jitter for _, jitter in tried[1::2]]
    assert len(set(ties[0])) == 1  # first in the order of the units
    assert len({each for jitter in ties[1:] for each in jitter}) == 15 * 6


def test_a_table_may_be_as_wide_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variable_elimination, "ELIMINATION_WIDTH", 3)
    for hidden, visible in ((3, 3), (1, 9)):  # in the second case one unit has more neighbours
        rbm = sparse_rbm(0, visible, hidden, 1.0, 1.0)
        assert plan_contraction(rbm).width == hidden
    ones = small_plan()
    joint = exact.rbm_joint(ones.rbm.weights, ones.rbm.visible_bias, ones.rbm.hidden_bias)
    assert contract(ones) == pytest.approx(scipy.special.logsumexp(joint), rel=1e-12)
    with refuses("rbm", "2^3", 16, "'annealing'"):
        plan_contraction(sparse_rbm(0, 4, 4, 1.0, 1.0))


def test_what_is_too_wide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with refuses("rbm", "2^25", 5000, "'annealing'"):
        plan_contraction(RBM(np.ones((50, 100)), np.zeros(100), np.zeros(50)))
    plan = plan_contraction(RBM(np.ones((10, 12)), np.zeros(12), np.zeros(10)))
    monkeypatch.setattr(variable_elimination, "ELIMINATION_BYTES", plan.memory)
    assert plan_contraction(plan.rbm).order == plan.order
    with refuses("rbm", f"{plan.memory / 2**30:g} GiB", "'annealing'"):
        contraction_draws(plan, 5)
    monkeypatch.setattr(variable_elimination, "ELIMINATION_BYTES", plan.memory - 1)
    with pytest.raises(InputError, match="GiB"):
        plan_contraction(plan.rbm)


def test_bad_numbers_of_draws_are_refused() -> None:
    with pytest.raises(InputError, match=r"^shots: "):
        contraction_draws(small_plan(), 0)
    with pytest.raises(InputError, match=r"^seed: "):
        contraction_draws(small_plan(), 1, seed=-1)


def small_plan() -> Contraction:
    return plan_contraction(RBM(np.ones((2, 4)), np.zeros(4), np.zeros(2)))


def test_more_units_than_a_float_has_powers_of_2() -> None:
    complete = [(1 << 1100) - 1 - (1 << unit) for unit in range(1100)]
    best = (1e9, dict[int, int]())
    assert variable_elimination._better_order(complete, False, [0.0] * 1100, best) is best
    ring = np.eye(1030) + np.roll(np.eye(1030), 1, axis=0)
    rbm = RBM(ring, np.zeros(1030), np.zeros(1030))
    assert exact_log_partition(rbm, method="sum") is None
