"""Masks no wider than the correlations of the shots."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.metrics.correlation_decay import reach_of
from refusals import refuses

SITES, SHOTS = 40, 10_000


def chain(length: float, seed: int = 0) -> np.ndarray:
    """Shots of a chain with C(d) = exp(-d / length)."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 2, (SHOTS, 1))
    walls = generator.random((SHOTS, SITES - 1)) < (1.0 - np.exp(-1.0 / length)) / 2.0
    return ((np.cumsum(np.hstack([first, walls]), axis=1)) % 2).astype(np.uint8)


@pytest.mark.parametrize("length", [1.0, 2.0])
def test_links_end_where_correlations_do(length: float) -> None:
    """C(d) is 3 standard errors, 0.03, at length * ln(1 / 0.03)."""
    for seed in range(3):
        mask = pp.mask_for_shots(chain(length, seed))
        links, odd = divmod(int(mask.sum()), SITES)
        assert odd == 0
        assert abs((links - 1) / 2 - length * np.log(1 / 0.03)) < 1 + 0.6 * length
        np.testing.assert_array_equal(mask, pp.scale_free_mask(SITES, weights=links * SITES))


def test_long_correlations_have_the_links_of_the_default() -> None:
    for hidden in (None, 7):
        mask = pp.mask_for_shots(chain(30.0), hidden)
        np.testing.assert_array_equal(mask, pp.scale_free_mask(SITES, hidden))


def test_independent_bits_have_the_links_that_connect_them() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (500, 9), dtype=np.uint8)
    assert pp.mask_for_shots(bits).sum() <= 3 * 9
    constant = pp.mask_for_shots(np.zeros((5, 9), np.uint8), 4)
    assert constant.sum() == 9 + 4 - 1


def test_reach_is_up_to_the_first_correlation_in_the_noise() -> None:
    assert reach_of([1, 0.5, -0.4, 0.2, 0.5], [0.1] * 5) == 2
    assert reach_of([1, 0.5, -0.4], [0.1] * 3) == 2
    assert reach_of([1, 0.3], [0.1, 0.1]) == 0


def test_one_shot_shows_no_correlation() -> None:
    with refuses("number of shots", 2, 1):
        pp.mask_for_shots(np.zeros((1, 9), np.uint8))
    with refuses("hidden", 1, 0):
        pp.mask_for_shots(np.zeros((5, 9), np.uint8), 0)
