"""Masks no wider than the correlations of the shots."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
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
    """A correlation of one of 780 pairs is significant from 0.046 on, C(length * ln(1 / 0.046))."""
    for seed in range(3):
        mask = pp.mask_for_shots(chain(length, seed))
        links, odd = divmod(int(mask.sum()), SITES)
        assert odd == 0
        assert abs((links - 1) / 2 - length * np.log(1 / 0.046)) < 1 + 0.6 * length
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


def links_of(bits: np.ndarray) -> float:
    """Return the links of each of 4 units; of 40 sites the default mask gives up to 20."""
    return float(pp.mask_for_shots(bits, 4).sum()) / 4


def test_a_constant_middle_bit_hides_no_correlation() -> None:
    all_equal = np.random.default_rng(0).integers(0, 2, (200, 1), dtype=np.uint8)
    ghz = np.repeat(all_equal, SITES, axis=1)
    ghz[:, SITES // 2] = 1
    np.testing.assert_array_equal(pp.mask_for_shots(ghz), pp.scale_free_mask(SITES))


def test_correlations_beyond_a_gap_count() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, SITES), dtype=np.uint8)
    tree = (SITES + 4 - 1) / 4
    assert links_of(bits) == tree
    bits[:, 6 : 2 * 6] = bits[:, :6]  # the distance 6 only
    assert links_of(bits) == 2 * 6 + 1


def test_independent_bits_show_a_correlation_in_few_of_many_sets() -> None:
    """By chance in 0.27 % of sets; of 50 in 3 once in 2,000. Without Bonferroni in 16 %."""
    generator = np.random.default_rng(2)
    for probability in (0.5, 0.01):
        sets = (generator.random((50, 300, 12)) < probability).astype(np.uint8)
        assert sum(pp.mask_for_shots(bits).sum() > 12 + 12 - 1 for bits in sets) < 3


def test_one_shot_shows_no_correlation() -> None:
    with refuses("number of shots", 2, 1):
        pp.mask_for_shots(np.zeros((1, 9), np.uint8))
    with refuses("hidden", 1, 0):
        pp.mask_for_shots(np.zeros((5, 9), np.uint8), 0)
