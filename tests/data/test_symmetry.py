"""The ratio of a configuration's occurrences to its partner's."""

from __future__ import annotations

import numpy as np
import xarray as xr

import psiprune as pp
import rates
from psiprune.data.symmetry import partner_ratios
from refusals import refused


def repeated(**counts: int) -> np.ndarray:
    rows = [[int(bit) for bit in key[1:]] for key, count in counts.items() for _ in range(count)]
    return np.array(rows, dtype=np.uint8)


def test_counts_by_hand() -> None:
    bits = repeated(b000=6, b111=3, b010=4, b101=8, b100=2)
    found = partner_ratios(np.random.default_rng(0).permutation(bits), [1, 2, 4, 5, 6])
    np.testing.assert_allclose(found["ratio"][:2], [8 / 4, (8 / 4 + 6 / 3) / 2])
    np.testing.assert_allclose(found["ratio"][2], np.mean([2, 2, 1 / 2, 1 / 2]))
    np.testing.assert_allclose(found["ratio_spread"][2], np.std([2, 2, 0.5, 0.5], ddof=1))
    np.testing.assert_allclose(found["with_partner"], [1, 2, 4, 4, np.nan])
    np.testing.assert_allclose(found["occurrences"][:4], [8, 14, 21, 23])
    assert int(found["distinct"]) == 5


def test_a_symmetric_state_has_the_spread_of_counting_and_a_biased_one_has_not() -> None:
    """Mean within 5 standard errors of 1 for a Z2-symmetric state, far off for a biased one."""
    state = pp.ground_state(pp.TFIM(sites=10, field=1.0))
    bits = pp.sample(state, 50_000, seed=3).bits
    found = partner_ratios(bits, [50]).isel(most=0)
    error = float(found["ratio_spread"]) / np.sqrt(50)
    assert abs(float(found["ratio"]) - 1) < 5 * error
    assert 0.7 < float(found["ratio_spread"] / found["expected_spread"]) < 1.4
    # Eight seeds give 5.4 to 5.9.
    biased = bits & (np.random.default_rng(0).random(bits.shape) < 0.7)
    found = partner_ratios(biased, [50]).isel(most=0)
    assert float(found["ratio"]) > 4


def test_what_symmetric_shots_would_show_by_hand() -> None:
    """One pair of five: dealt 3 + 2 in 20 of 32 cases, 4 + 1 in 10, 5 + 0 (no partner) in 2."""
    found = partner_ratios(repeated(b0=3, b1=2), [1]).isel(most=0)
    spread = np.sqrt((20 * 1.5**2 + 10 * 4**2) / 30 - (7 / 3) ** 2)
    assert abs(float(found["expected_ratio"]) - 7 / 3) < 4 * spread / np.sqrt(370)
    assert int(found["shots"]) == 5


def test_smaller_pairs_change_nothing() -> None:
    """Pairs that cannot be among the most frequent are left out; the numbers stay as they are."""
    big = repeated(b0000=60, b1111=50, b0001=40, b1110=45)
    small = repeated(b0011=3, b1100=2, b0101=1)
    few, all_ = (partner_ratios(x, [2]) for x in (big, np.concatenate([big, small])))
    names = ["ratio", "expected_ratio", "expected_spread", "ratio_p"]
    xr.testing.assert_equal(few[names], all_[names])


@rates.factors
def test_chance_and_choice_are_not_taken_for_asymmetry(factor: float) -> None:
    """Of symmetric records p <= 0.2 in 20 %, of biased ones p <= 0.05 in most."""
    rng = np.random.default_rng(4)

    def p_values(bias: float, repeats: int) -> np.ndarray:
        values = []
        for _ in range(repeats):
            bits = (rng.random((400, 6)) < 0.2).astype(np.uint8)
            flip = (rng.random((400, 1)) < bias).astype(np.uint8)
            found = partner_ratios(bits ^ flip, [4]).isel(most=0)
            assert float(found["expected_ratio"]) > 1.05  # the four most frequent were chosen
            values.append(float(found["ratio_p"]))
        return np.array(values)

    symmetric = p_values(0.5, rates.repeats(0.2, factor, at_most=True))
    rates.check(symmetric <= 0.2, 0.2, factor, at_most=True)
    assert (p_values(0.3, 10) <= 0.05).sum() >= 6  # of each with a probability of 94 %


def test_more_sites_than_a_word_has_bits() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 70), dtype=np.uint8)
    found = partner_ratios(np.concatenate([bits, bits, 1 - bits]), [20, 40])
    np.testing.assert_allclose(found["ratio"], [2.0, 1.25])


def test_refusals() -> None:
    refused(r"bits: .*\(0, 3\)", partner_ratios, np.zeros((0, 3), np.uint8), [1])
    refused(r"most: .*\[0\]", partner_ratios, np.zeros((2, 3), np.uint8), [0])
