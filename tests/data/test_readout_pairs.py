"""Frequencies of pairs of bits that readout errors exclude: bounds, hulls, false alarms."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, multinomial

import exact
import psiprune as pp
from confusions import calibrated, dense, flips_together, random_error
from psiprune.data import readout_pairs
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_pairs import _frequencies, _hulls, _lack, _limits, excluded_pairs
from psiprune.data.readout_range import LEVEL, contradicted_rates

Float64 = NDArray[np.float64]
#: Two sites: 00, 01 and 10 are possible, or 00 and 11.
STATES: dict[str, list[float]] = {
    "blockade": [0.4, 0.3, 0.3, 0.0],
    "GHZ": [0.5, 0.0, 0.0, 0.5],
    "all zero": [1.0, 0.0, 0.0, 0.0],
}


def rows_of(error: ReadoutError) -> Float64:
    """C(y | v) of two sites, [v, y]."""
    return dense(error).T


def drawn(state: str, error: ReadoutError, shots: int, seed: int) -> pp.Shots:
    v = np.random.default_rng(seed).choice(4, shots, p=STATES[state])
    bits = np.stack([v & 1, v >> 1], axis=1).astype(np.uint8)
    return pp.Shots(error.misread(bits, seed), readout=error)


@pytest.mark.parametrize("state", STATES)
def test_correct_rates_are_excluded_no_more_often_than_stated(state: str) -> None:
    # All outcomes of 20 shots, with their probabilities.
    number, rows = 20, rows_of(ReadoutError.from_rates([0.4, 0.35], [0.3, 0.4]))
    counts = np.array([c for c in product(range(number + 1), repeat=4) if sum(c) == number])
    prob = multinomial.pmf(counts, number, np.array(STATES[state]) @ rows)
    for level in (0.5, 0.1, 1e-2):
        found = _lack(counts / number, np.tile(rows, (len(counts), 1, 1)), number, np.log(level))
        excluded = found > 0
        assert prob[excluded].sum() <= level
        assert excluded.any()


def test_what_the_best_distribution_lacks() -> None:
    # The best distribution on a segment between two rows, by trying many.
    rows, number = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.4, 0.2, 0.2]]), 200
    weight = np.linspace(0, 1, 20_001)[:, None]
    for frequency in ([0.1, 0.7, 0.1, 0.1], [0.5, 0.0, 0.25, 0.25], [0.9, 0.1, 0.0, 0.0]):
        seen = np.array(frequency)
        between = (1 - weight) * rows[0] + weight * rows[1]
        there = seen > 0
        lack = number * (seen * np.log(np.where(there, seen, 1) / between)).sum(axis=1).min()
        log_chance = 3 * (1 + np.log(lack / 3)) - lack
        for least, excluded in ((log_chance + 0.01, True), (log_chance - 0.01, False)):
            (found,) = _lack(seen[None], rows[None], number, least)
            assert (found > 0) == excluded
            assert found <= lack + 1e-6
    (nothing,) = _lack((0.3 * rows[0] + 0.7 * rows[1])[None], rows[None], number, -1e-9)
    assert nothing == 0


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("shots", [50, 20_000])
def test_rates_that_are_too_large_are_excluded(state: str, shots: int) -> None:
    true = ReadoutError.from_rates(0.02, sites=2)
    records = drawn(state, true, shots, 3)
    for rate, excluded in ((0.02, False), (0.01, False), (0.3, True)):
        error = ReadoutError.from_rates(rate, sites=2)
        found = excluded_pairs(records.bits, error, shots, LEVEL)
        assert (found is not None) == (excluded and (shots > 50 or state != "blockade"))


def test_a_pair_is_named_where_no_site_is() -> None:
    generator = np.random.default_rng(0)
    walls = generator.random((500, 6)) < [0.5, 0.03, 0.03, 0.03, 0.03, 0.03]
    bits = np.cumsum(walls, axis=1).astype(np.uint8) % 2  # as many zeros as ones
    records = pp.Shots(bits).with_readout_error(ReadoutError.from_rates(0.02, sites=6), 0)
    assert contradicted_rates(records) == ""
    wrong = ReadoutError.from_rates(0.15, sites=6)
    line = contradicted_rates(replace(records, readout=wrong))
    found = excluded_pairs(records.bits, wrong, 500, LEVEL / 2)
    assert found is not None
    of_pair = records.bits[:, list(found.sites)]
    inverse = np.linalg.inv(dense(ReadoutError.from_rates(0.15, sites=2)))
    prob = inverse @ exact.empirical(of_pair)
    assert found.probability == pytest.approx(prob.min())
    assert exact.index(np.array([[int(bit) for bit in found.state]]))[0] == prob.argmin()
    assert found.pairs > 1
    assert line == (
        f"sites {found.sites[0]} and {found.sites[1]} (and {found.pairs - 1} more pairs): without "
        f"readout errors bits {found.state} would have a probability of {prob.min():.4g}, below 0 "
        "by more than chance: the readout error rates are too large for these shots; check them, "
        "or calibrate again"
    )
    assert contradicted_rates(replace(records, readout=wrong), 60.0) == ""  # 8 independent ones


def test_the_noise_of_the_calibration_counts() -> None:
    # 20 calibration shots: rates that come out too large by chance are not those of the device.
    true, level = ReadoutError.from_rates(0.1, sites=2), 0.2
    alarms = np.zeros(2, int)
    for seed in range(100):
        records = drawn("GHZ", true, 2000, seed)
        prepared = {
            2 * str(k): true.misread(np.full((20, 2), k, np.uint8), 1000 + 2 * seed + k)
            for k in (0, 1)
        }
        found = pp.calibrate_readout(prepared)
        given = ReadoutError.from_rates(*found.rates.T)
        for k, error in enumerate((found, given)):
            alarms[k] += excluded_pairs(records.bits, error, 2000, level) is not None
    most = binom.isf(1e-6, 100, level)
    assert alarms[0] <= most < alarms[1]
    # Many calibration shots make the wrong rates certain.
    wrong = calibrated(ReadoutError.from_rates(0.2, sites=2), 10_000)
    assert excluded_pairs(records.bits, wrong, 2000, LEVEL) is not None


@pytest.mark.parametrize("prepared", [None, 30])
def test_hulls_hold_the_rows_of_all_true_bits(prepared: int | None) -> None:
    error = random_error([[2, 0], [1], [3, 5, 4]], seed=3)
    matrix = dense(error)  # [y, true bits of all sites]
    pairs = np.stack(np.triu_indices(6, 1), axis=1)
    seen = error if prepared is None else calibrated(error, prepared)
    number = np.zeros(len(pairs), int)
    for some, hulls in _hulls(seen, pairs, 0.1):
        for k, hull in zip(some, hulls, strict=True):
            number[k] += 1
            np.testing.assert_allclose(hull.sum(axis=1), 1)
            record = exact.index(exact.basis(6)[:, pairs[k]])
            rows = np.stack([matrix[record == y].sum(axis=0) for y in range(4)], axis=1)
            rows = np.unique(rows.round(12), axis=0)
            inside = _lack(rows, np.tile(hull, (len(rows), 1, 1)), 1e4, -1e-9)
            np.testing.assert_array_equal(inside, 0)
            # Corners of the hull are rows, unless the rates are uncertain.
            near = np.abs(hull[:, None] - rows).max(axis=2).min(axis=1)
            assert near.max() < 1e-9 if prepared is None else near.max() > 0.05
    np.testing.assert_array_equal(number, 1)


def test_limits_hold_with_the_stated_probability() -> None:
    alpha, number, prob = 0.05, 40, 0.1
    seen = np.arange(number + 1)
    rows = np.stack([1 - seen / number, seen / number], axis=1)
    low, high = _limits(rows, np.full(len(rows), number), alpha)
    chance = binom.pmf(seen, number, prob)
    for y, p in ((0, 1 - prob), (1, prob)):
        for wrong in (low[:, y] > p, high[:, y] < p):
            assert 0 < chance[wrong].sum() <= alpha
    assert ((low >= 0) & (high <= 1)).all()


def test_frequencies_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (50, 3), dtype=np.uint8)
    monkeypatch.setattr(readout_pairs, "_CHUNK", 20)
    pairs = np.array([[0, 2], [1, 2]])
    for found, (one, other) in zip(_frequencies(bits, pairs), pairs, strict=True):
        np.testing.assert_allclose(found, exact.empirical(bits[:, [one, other]]))


def test_one_site_has_no_pairs() -> None:
    error = ReadoutError.from_rates(0.1, sites=1)
    assert excluded_pairs(np.zeros((100, 1), np.uint8), error, 100, LEVEL) is None


def test_a_pair_that_is_read_together() -> None:
    true, wrong = (flips_together([(1, 0)], together, 1e-3) for together in (0.02, 0.2))
    records = drawn("all zero", true, 1000, 0)
    assert excluded_pairs(records.bits, true, 1000, LEVEL) is None
    found = excluded_pairs(records.bits, wrong, 1000, LEVEL)
    assert found is not None
    prob = np.linalg.inv(dense(wrong)) @ exact.empirical(records.bits)
    assert (found.state, found.pairs) == ("11", 1)
    assert found.probability == pytest.approx(prob[3])
    assert excluded_pairs(records.bits, calibrated(wrong, 9), 1000, LEVEL) is None
