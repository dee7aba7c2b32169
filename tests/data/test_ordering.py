"""The order of the sites from shots alone: what is found, what cannot be, and no false alarm."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
import rates
from psiprune.data.ordering import Ordering, find_order

CRITICAL = pp.ground_state(pp.TFIM(sites=12, field=1.0))
BITS = pp.sample(CRITICAL, 4000, seed=5).bits


def ordered(bits: NDArray[np.uint8]) -> Ordering:
    found = find_order(bits)
    assert found is not None
    return found


def test_the_order_of_a_chain_is_found_to_be_right_and_its_mirror_image_too() -> None:
    found = ordered(BITS)
    assert (found.order, found.sigmas, found.p_value) == (tuple(range(12)), 0, 1)
    exact = np.diag(CRITICAL.correlations(), 1).mean()
    assert found.strength == found.found_strength == pytest.approx(exact, abs=0.04)
    mirrored = ordered(BITS[:, ::-1])
    assert (mirrored.order, mirrored.p_value) == (found.order, 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_permuted_register_is_put_right(seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(12)
    found = ordered(BITS[:, mixed])
    assert found.p_value < 1e-9
    assert found.found_strength > found.strength + 0.05
    assert (np.abs(np.diff(mixed[list(found.order)])) == 1).all()


def test_a_permutation_shows_where_correlations_are_nearly_alike() -> None:
    """A sound order has p < 1e-4 in at most 1 of 10^4 data sets."""
    bits = pp.sample(pp.ground_state(pp.TFIM(sites=12, field=0.5)), 8000, seed=5).bits
    assert ordered(bits).p_value > 1e-4
    assert ordered(bits[:, np.random.default_rng(0).permutation(12)]).p_value < 1e-4


def test_two_exchanged_sites_are_seen() -> None:
    swapped = np.arange(12)
    swapped[[5, 6]] = 6, 5
    found = ordered(BITS[:, swapped])
    assert found.p_value < 1e-4
    assert found.order == tuple(swapped)


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
        found = ordered((common ^ noise).astype(np.uint8))
        values.append(found.p_value)
        other += found.order != tuple(range(6))
    assert other > 0.75 * len(values)
    rates.check(np.array(values) <= 0.05, 0.05, factor, at_most=True)


def test_the_same_whatever_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = np.random.default_rng(1).permutation(12)
    whole = ordered(BITS[:, mixed])
    monkeypatch.setattr("psiprune.data.ordering._CHUNK", 1000)
    pieces = ordered(BITS[:, mixed])
    assert pieces.order == whole.order
    assert pieces.sigmas == pytest.approx(whole.sigmas, rel=1e-5)
