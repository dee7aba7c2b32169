"""Flips of records beyond their readout errors: slopes, calibration, power, what they move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

import psiprune as pp
from machines import random_phase_rbm
from psiprune.data.readout_range import LEVEL
from psiprune.metrics.excess_flips import ExcessFlips, _flipped, excess_flips, rates_covariance
from psiprune.metrics.phase_information import phase_information
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import (
    basis_frequencies,
    from_parameters,
    recorded_probabilities,
    to_parameters,
)
from psiprune.training.natural_phase import fit_phases

BASES = ("ZZZ", "XXX", "YYY", "XYZ", "ZXY", "YZX", "XZY", "ZYX")
STATE = random_phase_rbm(3, 3, 6)
RATES = pp.ReadoutError.from_rates([0.03, 0.05, 0.02], [0.04, 0.02, 0.05])


def fitted(
    seed: int, shots: int, misread: pp.ReadoutError | None, assumed: pp.ReadoutError | None
) -> tuple[PhaseRBM, ExcessFlips]:
    """Fit misread shots of the state with the errors assumed, and test these."""
    size = shots // len(BASES)
    drawn = {}
    for k, basis in enumerate(BASES):
        bits = STATE.sample(size, basis, seed=seed * len(BASES) + k)
        drawn[basis] = bits if misread is None else misread.misread(bits, seed * len(BASES) + k)
    data = basis_frequencies(drawn, assumed)
    rbm = fit_phases(STATE, data, 100).rbm
    share = data.shots / data.shots.sum()
    information = phase_information(rbm, data.bases, share, assumed)
    return rbm, excess_flips(rbm, data, information, seed)


def test_slopes_are_those_of_further_flips() -> None:
    prob, step = RATES.apply(STATE.probabilities("XYZ")), 1e-6
    for k, slope in enumerate(_flipped(prob)):
        value, site = divmod(k, 3)
        rates = np.zeros((2, 3))
        rates[value, site] = step
        moved = pp.ReadoutError.from_rates(*rates).apply(prob) - prob
        np.testing.assert_allclose(moved / step, slope, atol=1e-9)


def test_right_rates_pass_and_none_fail() -> None:
    """The case that must fail: 2 to 5 % of the bits are flipped, and the fit ignores it."""
    _, right = fitted(0, 8000, RATES, RATES)
    assert right.p_value > 1e-3
    _, none = fitted(0, 8000, RATES, None)
    assert none.p_value < LEVEL
    assert (np.abs(none.value - RATES.rates.mean(axis=0)) < 0.02).all()
    _, clean = fitted(0, 8000, None, None)
    assert clean.p_value > 1e-3
    assert (np.abs(clean.value) < 4 * clean.error).all()
    _, halved = fitted(0, 8000, None, RATES)
    assert halved.p_value < LEVEL
    assert (halved.value < 0).all()


def test_errors_are_those_of_a_fit_of_state_and_flips() -> None:
    """The inverse of the information of parameters and flips together, by finite differences."""
    rbm, found = fitted(0, 8000, RATES, RATES)
    x, step = to_parameters(rbm), 1e-5
    information = np.zeros((len(x) + 2, len(x) + 2))
    for basis in BASES:

        def records(shift: NDArray[np.float64], basis: str = basis) -> NDArray[np.float64]:
            return recorded_probabilities(from_parameters(rbm, x + shift), basis, RATES)

        prob = records(0 * x)
        rows = [(records(e) - records(-e)) / (2 * step) for e in step * np.eye(len(x))]
        for rates in ((step, 0.0), (0.0, step)):
            more = pp.ReadoutError.from_rates(*rates, sites=3)
            rows.append((more.apply(prob) - prob) / step)
        slopes = np.array(rows) / np.sqrt(prob)
        information += slopes @ slopes.T / len(BASES)
    covariance = np.linalg.pinv(information, rcond=1e-9)[-2:, -2:]
    np.testing.assert_allclose(found.error, np.sqrt(covariance.diagonal() / 8000), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("misread", [None, RATES])
def test_p_values_of_right_rates_are_uniform(misread: pp.ReadoutError | None) -> None:
    """Kolmogorov-Smirnov over 120 records, p > 1e-3; the floor of 0.002 is a tenth of the noise."""
    known = misread
    if misread is not None:  # so well measured that their errors do not count
        known = pp.ReadoutError.from_rates(*misread.rates.T, errors=(1e-4, 1e-4))
    found = [fitted(seed, 2400, misread, known)[1] for seed in range(120)]
    assert kstest([each.p_value for each in found], "uniform").pvalue > 1e-3
    scores = np.array([each.value / each.error for each in found])
    assert (np.abs(scores.mean(axis=0)) < 4 / 120**0.5).all()
    np.testing.assert_allclose(scores.std(axis=0), 1.0, atol=4 * (2 * 120) ** -0.5)


@pytest.mark.slow
def test_rates_within_their_uncertainty_are_not_excluded() -> None:
    """True rates are drawn within the 10 % of assumed ones: at most 1 of 30 p-values below 1e-3."""
    found = [fitted(k, 40_000, RATES.resampled(k), RATES)[1].p_value for k in range(30)]
    assert sum(p < 1e-3 for p in found) <= 1
    double = replace(RATES, groups=pp.ReadoutError.from_rates(*2 * RATES.rates.T).groups)
    assert fitted(0, 40_000, double, RATES)[1].p_value < LEVEL


def test_the_covariance_of_independent_rates_is_diagonal() -> None:
    measured = pp.ReadoutError.from_rates(
        [0.03, 0.05], [0.04, 0.02], errors=([0.003] * 2, [0.004] * 2)
    )
    covariance = rates_covariance(measured, 2, 0)
    # 100 draws: a variance within 4 * 14 %; F = M^-1 M' moves by the error over 1 - p - q.
    expected = np.array([0.003, 0.003, 0.004, 0.004]) / np.tile([0.93, 0.93], 2)
    np.testing.assert_allclose(np.sqrt(covariance.diagonal()), expected, rtol=0.35)
    correlation = covariance / np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    assert (np.abs(correlation - np.eye(4)) < 0.45).all()
    assert not rates_covariance(None, 2, 0).any()
    assert not rates_covariance(pp.ReadoutError.from_rates(0.0, sites=2), 2, 0).any()
