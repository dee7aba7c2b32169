"""Exact log p(y) of single records against the sum over all true and recorded states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import random_rbm
from psiprune.data.confusion import Confusion
from psiprune.inference import recorded_sums
from psiprune.inference.recorded_sums import (
    cheapest_sum,
    sum_by_contraction,
    sum_over_hidden,
)
from psiprune.inference.variable_elimination import plan_contraction
from psiprune.rbm.model import RBM
from spies import arguments_of

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


def joint_errors(*groups: tuple[int, ...], least: float = 0.0) -> pp.ReadoutError:
    """Random confusion matrices, whose entries below `least` are 0."""
    generator = np.random.default_rng(0)
    found = []
    for sites in groups:
        size = 1 << len(sites)
        matrix = 0.2 * generator.dirichlet(np.ones(size), size=size)
        matrix[matrix < least] = 0.0
        found.append(Confusion(sites, matrix + np.diag(1 - matrix.sum(axis=1))))
    return pp.ReadoutError(tuple(found))


def two_components() -> RBM:
    """Sites 0 to 2 and 3 to 5 on a hidden unit each, site 6 and hidden unit 2 without weights."""
    mask = np.zeros((4, 7), bool)
    mask[0, :3] = mask[1, 3:6] = mask[3, 4] = True
    rbm = random_rbm(7, 4)
    return RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, mask)


BY_SITE = pp.ReadoutError.from_rates(np.linspace(0.01, 0.3, 7), np.linspace(0.2, 0.02, 7))
CASES = {
    "dense": (random_rbm(7, 3), BY_SITE),
    "sparse": (random_rbm(7, 5, density=0.3), BY_SITE),
    "two components": (two_components(), BY_SITE),
    "no weights": (RBM(np.zeros((2, 7)), np.arange(7.0), np.ones(2)), BY_SITE),
    "steep": (random_rbm(7, 4, scale=300.0), BY_SITE),
    "steep and perfect": (random_rbm(7, 4, scale=50.0), pp.ReadoutError.from_rates(0.0, sites=7)),
    "zeros in C": (random_rbm(7, 3), pp.ReadoutError.from_rates([0, 0.1] * 3 + [0], 0.0)),
    "pairs": (random_rbm(7, 3), joint_errors((0, 1), (6, 2), (3,), (4, 5))),
    "three": (two_components(), joint_errors((5, 0, 3), (1,), (2,), (4, 6))),
    "joint with zeros": (
        random_rbm(7, 4, scale=20.0),
        joint_errors((5, 0, 3), (1,), (2, 6), (4,), least=0.03),
    ),
}


def by_hidden(rbm: RBM, readout: pp.ReadoutError, records: Bits) -> Float64:
    return sum_over_hidden(rbm, readout, records)


def by_contraction(rbm: RBM, readout: pp.ReadoutError, records: Bits) -> Float64:
    plan = plan_contraction(rbm, [group.sites for group in readout.groups])
    return sum_by_contraction(plan, readout, records)


def by_states(rbm: RBM, readout: pp.ReadoutError) -> Float64:
    """log sum_v p~(v) C(y | v) of every record."""
    states = np.eye(1 << rbm.visible)
    with np.errstate(divide="ignore"):
        log_c = np.log([readout.apply(one) for one in states])  # [v, y]
    return np.asarray(scipy.special.logsumexp(log_c + rbm.log_prob_all()[:, None], axis=0))


@pytest.mark.parametrize("method", [by_hidden, by_contraction])
@pytest.mark.parametrize("name", CASES)
def test_sums_over_all_states(
    name: str,
    method: Callable[[RBM, pp.ReadoutError, Bits], Float64],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded_sums, "_CACHE", 1 << 14)  # several blocks, the last one smaller
    rbm, readout = CASES[name]
    records = exact.basis(7)[1:]
    wanted = by_states(rbm, readout)[1:]
    found = method(rbm, readout, records)
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-10)
    ignoring = rbm.log_prob_unnormalized(records)
    assert (np.abs(ignoring - wanted).max() > 1e-3) == ("perfect" not in name)


def local(visible: int, reach: int) -> RBM:
    first = np.linspace(0, visible - reach, visible // 2).round().astype(int)[:, None]
    sites = np.arange(visible)
    rbm = random_rbm(visible, visible // 2)
    mask = (sites >= first) & (sites < first + reach)
    return RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, mask)


def test_the_quicker_method_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(rbm: RBM, records: int = 1000) -> str:
        found = cheapest_sum(rbm, pp.ReadoutError.from_rates(0.1, sites=rbm.visible), records)
        return "" if found is None else found.method

    assert chosen(random_rbm(24, 12)) == "sum over 2^12 hidden states"
    assert chosen(local(28, 3)) == "contraction of width 2"
    assert chosen(local(28, 3), 20) == "sum over 2^14 hidden states"  # less than 0.1 s
    assert chosen(local(80, 4)).startswith("contraction of width ")
    assert chosen(random_rbm(100, 50)) == ""
    monkeypatch.setattr(recorded_sums, "RECORDED_BYTES", 10_000)
    assert chosen(random_rbm(24, 12)) == ""
    assert chosen(local(28, 3)) == "contraction of width 2"
    monkeypatch.setattr(recorded_sums, "RECORDED_BYTES", 100)
    assert chosen(local(28, 3)) == ""


def test_the_limits_of_memory_and_of_the_time_without_a_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rbm, readout = random_rbm(3, 6), pp.ReadoutError.from_rates(0.1, sites=3)
    memory = plan_contraction(rbm, [group.sites for group in readout.groups]).memory
    for limit, method in (
        (8 * 64 * 6, "sum"),  # 64 hidden states, 6 rows
        (8 * 64 * 6 - 1, "contraction"),
        (memory, "contraction"),
        (memory - 1, ""),
    ):
        monkeypatch.setattr(recorded_sums, "RECORDED_BYTES", limit)
        found = cheapest_sum(rbm, readout, 1000)
        assert ("" if found is None else found.method.split()[0]) == method
    monkeypatch.setattr(recorded_sums, "RECORDED_BYTES", 8 * 64 * 6)
    planned = arguments_of(monkeypatch, "psiprune.inference.recorded_sums.plan_contraction", "rbm")
    most = int((0.1 / 64e-9 - 30 * 3 * 4) / (8 + 0.6))  # records in 0.1 s
    cheapest_sum(rbm, readout, most)
    assert not planned
    cheapest_sum(rbm, readout, most + 1)
    assert planned


def test_the_estimate_grows_with_records_and_groups() -> None:
    rbm, pairs = random_rbm(24, 12), joint_errors(*((i, i + 1) for i in range(0, 24, 2)))
    alone = pp.ReadoutError.from_rates(0.1, sites=24)
    found = [
        cheapest_sum(rbm, readout, records)
        for readout, records in ((alone, 100), (alone, 10_000), (pairs, 100))
    ]
    few, many, joint = (each.seconds for each in found if each is not None)
    # 4096 states: 4 numbers in the table of a site, 16 in that of a pair; 48 rows of both.
    assert few == pytest.approx(4096e-9 * (30 * 24 * 4 + (8 + 4.8) * 100))
    assert many == pytest.approx(few + 4096e-9 * 12.8 * 9900)
    assert joint == pytest.approx(few + 4096e-9 * 30 * (12 * 16 - 24 * 4))
    plan = plan_contraction(rbm := local(40, 3), [])
    contraction = cheapest_sum(rbm, pp.ReadoutError.from_rates(0.1, sites=40), 10_000)
    blocks = -(-10_000 // ((1 << 20) // plan.memory))
    wanted = 25e-9 * plan.operations * 10_000 + 40e-6 * 60 * blocks
    assert contraction is not None
    assert contraction.seconds == pytest.approx(wanted)
