"""The order of the sites from shots alone: what is found, what cannot be, and no false alarm."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
import rates
from psiprune.data.ordering import find_order

CRITICAL = pp.ground_state(pp.TFIM(sites=12, field=1.0))
BITS = pp.sample(CRITICAL, 4000, seed=5).bits


def test_the_order_of_a_chain_is_found_to_be_right() -> None:
    found = find_order(BITS)
    assert found is not None
    assert found.order == tuple(range(12))
    assert (found.sigmas, found.p_value) == (0, 1)
    exact = np.diag(CRITICAL.correlations(), 1).mean()
    assert found.strength == found.found_strength == pytest.approx(exact, abs=0.04)


@pytest.mark.parametrize("seed", range(4))
def test_a_permuted_register_is_put_right(seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(12)
    found = find_order(BITS[:, mixed])
    assert found is not None
    assert found.p_value < 1e-9
    assert found.found_strength > found.strength + 0.05
    again = mixed[list(found.order)]
    assert (np.abs(np.diff(again)) == 1).all()


def test_a_permutation_shows_where_correlations_are_nearly_alike() -> None:
    ordered = pp.sample(pp.ground_state(pp.TFIM(sites=12, field=0.5)), 8000, seed=5).bits
    given, mixed = (
        find_order(ordered[:, order])
        for order in (np.arange(12), np.random.default_rng(0).permutation(12))
    )
    assert given is not None
    assert mixed is not None
    assert given.p_value > 0.01
    assert mixed.p_value < 1e-4


def test_two_exchanged_sites_are_seen() -> None:
    swapped = np.arange(12)
    swapped[[5, 6]] = 6, 5
    found = find_order(BITS[:, swapped])
    assert found is not None
    assert found.p_value < 1e-4
    assert found.order == tuple(swapped)


def test_a_reversed_chain_cannot_be_told() -> None:
    found = find_order(BITS[:, ::-1])
    assert found is not None
    assert (found.order, found.p_value) == (tuple(range(12)), 1)


def test_where_there_is_nothing_to_tell() -> None:
    generator = np.random.default_rng(0)
    assert find_order(BITS[:, :2]) is None
    assert find_order(BITS[:99]) is None
    assert find_order(np.zeros((200, 1025), np.uint8)) is None
    assert find_order(np.zeros((200, 5), np.uint8)) is None
    assert find_order(generator.integers(0, 2, (1000, 5), np.uint8)) is None


@rates.factors
def test_equal_correlations_raise_no_alarm(factor: float) -> None:
    """With one correlation between all pairs every order is as good: p <= 0.05 in at most 5 %.

    The search finds another order in nearly all of them, so the test is not an empty one.
    """
    generator, values, other = np.random.default_rng(3), [], 0
    for _ in range(rates.repeats(0.05, factor, at_most=True)):
        common = generator.integers(0, 2, (600, 1))
        noise = generator.random((600, 6)) < 0.2
        found = find_order((common ^ noise).astype(np.uint8))
        assert found is not None
        values.append(found.p_value)
        other += found.order != tuple(range(6))
    assert other > 0.75 * len(values)
    rates.check(np.array(values) <= 0.05, 0.05, factor, at_most=True)


def test_the_same_whatever_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = np.random.default_rng(1).permutation(12)
    whole = find_order(BITS[:, mixed])
    monkeypatch.setattr("psiprune.data.ordering._CHUNK", 1000)
    pieces = find_order(BITS[:, mixed])
    assert whole is not None
    assert pieces is not None
    assert pieces.order == whole.order
    assert pieces.sigmas == pytest.approx(whole.sigmas, rel=1e-5)
