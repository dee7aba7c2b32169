"""Frequencies of ones that readout errors exclude: what is warned of, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

import exact
import psiprune as pp
from confusions import dense, random_error
from psiprune.data.diagnostics import describe_shots
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_range import LEVEL, contradicted_rates, frequency_range


def records(ones: list[int], shots: int, readout: ReadoutError | None) -> pp.Shots:
    """Shots with so many ones at each site."""
    bits = np.arange(shots)[:, None] < np.array(ones)
    return pp.Shots(bits.astype(np.uint8), readout=readout)


def test_the_range_is_that_of_all_states() -> None:
    error = random_error([[2, 0], [1]], seed=3)
    bits = exact.basis(3).astype(float)
    of_each = bits.T @ dense(error)  # [site, true state]
    least, most = frequency_range(error)
    np.testing.assert_allclose(least, of_each.min(axis=1))
    np.testing.assert_allclose(most, of_each.max(axis=1))


@pytest.mark.parametrize("end", [0, 1])
def test_a_frequency_is_excluded_from_the_stated_level_on(end: int) -> None:
    rate, number = 0.05, 1000
    chance = LEVEL / 2 / 4  # half of it for two tests at each of two sites
    fewest = int(binom.ppf(chance, number, rate))
    assert binom.cdf(fewest - 1, number, rate) < chance <= binom.cdf(fewest, number, rate)
    error = ReadoutError.from_rates(*([rate, 0.2], 0.2)[:: 1 if end == 0 else -1], sites=2)
    for seen, warned in ((fewest, False), (fewest - 1, True)):
        shots = records([seen if end == 0 else number - seen, 500], number, error)
        alternating = np.arange(number, dtype=np.uint8)[:, None] % 2 * np.array([0, 1], np.uint8)
        shots = replace(shots, bits=shots.bits ^ alternating)  # sites are independent
        line = contradicted_rates(shots)
        assert bool(line) == warned
    expected = ("site 0: a share of", "below p(1|0) = 0.05")
    if end == 1:
        expected = ("site 0: a share of", "above 1 - p(0|1) = 0.95")
    assert all(part in line for part in expected)
    assert contradicted_rates(shots, 2.0) == ""  # half as many independent ones
    assert contradicted_rates(replace(shots, readout=None)) == ""


def test_the_noise_of_the_calibration_counts() -> None:
    ones, flips = np.ones((100, 1), np.uint8), (np.arange(100) < 7).astype(np.uint8)[:, None]
    error = pp.calibrate_readout({"0": flips, "1": ones})
    shots = records([400], 10_000, error)
    assert contradicted_rates(shots) == ""  # 4 % of ones; 7 of 100 may be 4 % as well
    given = ReadoutError.from_rates(0.07, 0.005, sites=1)
    assert "too large" in contradicted_rates(replace(shots, readout=given))


def test_info_names_the_worst_site() -> None:
    shots = records([10, 2, 1000], 2000, ReadoutError.from_rates(0.03, sites=3))
    (found,) = (each for each in describe_shots(shots).warnings if each.name == "readout")
    assert found.line.startswith(
        "site 1 (and 1 more): a share of 0.001 ones is below p(1|0) = 0.03"
    )
