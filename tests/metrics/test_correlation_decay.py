"""Power law or exponential: known decays, exact ground states, and noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
import rates
from psiprune.metrics.correlation_decay import compare_decays
from psiprune.metrics.observables import reference_observables
from refusals import refuses

D = np.arange(26)


def test_a_power_law_is_one_with_its_exponent() -> None:
    power = compare_decays(0.7 * np.maximum(D, 1) ** -0.25, 0.0, 25)
    assert power.exponent == pytest.approx(0.25)
    assert power.delta_aic < -100
    assert power.points == 25
    exponential = compare_decays(0.7 * np.exp(-D / 3.0), 0.0, 25)
    assert exponential.inverse_length == pytest.approx(1 / 3)
    assert exponential.delta_aic > 100


@pytest.mark.parametrize("relative", [0.0, 0.01])
def test_delta_aic_is_that_of_two_gaussian_fits(relative: float) -> None:
    """Residuals of ln C(d) weigh by its errors, here from 2 to 13 %, or all the same."""
    c = np.exp(-D / 4 + 0.05 * np.random.default_rng(0).normal(size=26))
    n, rss = 12, []
    d, y = D[1 : n + 1], np.log(c[1 : n + 1])
    w = 1 / (1.0 + d) if relative else np.ones(n)  # polyfit squares it
    for x in (np.log(d), d):
        residual = y - np.polynomial.Polynomial.fit(x, y, 1, w=w)(x)
        rss.append(np.sum((w * residual) ** 2))
    for scale in (1, 2):
        found = compare_decays(c, scale * relative * c * (1 + D), n)
        assert found.delta_aic == pytest.approx(n * np.log(rss[0] / rss[1]))


@pytest.mark.parametrize(
    ("sites", "exponent"),
    [(18, 0.343), pytest.param(50, 0.327, marks=pytest.mark.slow)],
)
def test_exact_ground_states_are_what_they_are(sites: int, exponent: float) -> None:
    for field, sign in ((1.0, -1), (2.0, 1)):
        state = pp.ground_state(pp.TFIM(sites=sites, field=field))
        c = reference_observables(state).correlation.value
        found = compare_decays(c, 0.0, sites // 4)
        assert sign * found.delta_aic > 2
        if field == 1.0:
            assert found.exponent == pytest.approx(exponent, abs=0.001)


def test_distances_end_where_noise_begins() -> None:
    c, error = np.exp(-D / 2.0), np.full(26, 0.0085)
    found = compare_decays(c, error, 25)
    assert found.points == 7  # exp(-7/2) = 0.0302 is known; exp(-8/2) = 0.018 has 2.2 errors
    c[4] = -0.5
    three = compare_decays(c, error, 25)
    assert three.points == 3
    assert np.isfinite(three.delta_aic)
    c[3] = np.nan
    assert compare_decays(c, error, 25)[:3] == pytest.approx((np.nan,) * 3, nan_ok=True)


def test_a_correlation_of_three_errors_is_not_known() -> None:
    c = np.array([1.0, 0.75, 0.75, 0.7500001, 0.0, 0.5])
    assert compare_decays(c, 0.25, 3).points == 0
    assert compare_decays(c[2:], 0.25, 1).points == 1
    assert compare_decays(c, 0.0, 5).points == 3


def test_constant_correlations_favour_neither() -> None:
    """Both lines go through all points; an error of 0 at one of them makes all weights equal."""
    found = compare_decays(np.ones(6), [0.1, 0.0, 0.1, 0.1, 0.1, 0.1], 5)
    assert found == (0, 0, 0, 5)


@cache
def correlations(sites: int, field: float) -> NDArray[np.float64]:
    return pp.ground_state(pp.TFIM(sites=sites, field=field)).correlations()


def missed(sites: int, field: float, repeats: int, weighted: bool = True) -> NDArray[np.bool_]:
    """Return which of so many sets of 10^5 draws of the exact state do not favour a power law.

    With the noise that C(d) has as all share a site; a power law is favoured by more than 2.
    """
    zz, i, k = correlations(sites, field), sites // 2 - 1, sites // 4
    c = zz[i, i : i + k + 1]
    there = np.arange(i + 1, i + k + 1)
    covariance = (zz[np.ix_(there, there)] - np.outer(c[1:], c[1:])) / 1e5
    error = np.r_[0.0, np.sqrt(np.diag(covariance))] if weighted else np.zeros(k + 1)
    rng = np.random.default_rng(0)
    noisy = rng.multivariate_normal(c[1:], covariance, size=repeats)
    return np.array([compare_decays(np.r_[1.0, row], error, k).delta_aic >= -2 for row in noisy])


@rates.factors
@pytest.mark.parametrize(("weighted", "stated"), [(True, 0.17), (False, 0.28)])
def test_how_often_samples_of_18_sites_miss_the_power_law(
    weighted: bool, stated: float, factor: float
) -> None:
    """So there the claims go by sums over all states."""
    events = missed(18, 1.0, rates.repeats(stated, factor), weighted)
    rates.check(events, stated, factor)


@pytest.mark.slow
def test_how_often_samples_of_50_sites_are_taken_for_what_they_are_not() -> None:
    rates.check(missed(50, 1.0, rates.repeats(0.05, 1.5, True)), 0.05, 1.5, at_most=True)
    rates.check(~missed(50, 2.0, rates.repeats(0.05, 1.5, True)), 0.05, 1.5, at_most=True)


def test_noise_decides_nothing_on_its_own() -> None:
    """Between the two forms, |delta AIC| > 2 must not favour one side: 5 % would see 65 of 100."""
    rng = np.random.default_rng(1)
    sign = []
    for _ in range(100):
        y = -0.5 * (np.log(D[1:13]) / np.log(12) + D[1:13] / 12) + 0.3 * rng.normal(size=12)
        sign.append(compare_decays(np.exp(np.r_[0.0, y]), 0.0, 12).delta_aic > 0)
    assert 25 < sum(sign) < 75


def test_refusals() -> None:
    with refuses("largest", 2, 3):
        compare_decays([1, 0.5, 0.2], 0.0, 3)
    with refuses("correlation", "[distance]", (3,), (2,)):
        compare_decays([1, 0.5, 0.2], [0.1, 0.1], 2)
