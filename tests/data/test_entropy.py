"""Entropy from counts: the formula as printed, the jackknife as defined, states known exactly."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma

import psiprune as pp
import rates
from psiprune.data.entropy import estimate_entropy

COUNTS = [
    *([1, 1, 1, 2, 5], [3, 3, 4], [1, 2, 2, 2, 9, 40], [1, 1, 7], [2, 2], [1, 1, 1], [1, 30, 300]),
    *([1, *[2] * 30, 3, 3], [50]),
]


def printed(counts: list[int]) -> float:
    """Chao, Wang & Jost (2013), Eq. 6, term by term."""
    n, f1, f2 = sum(counts), counts.count(1), counts.count(2)
    seen = sum(c / n * (digamma(n) - digamma(c)) for c in counts)
    if f1 == 0 or n < 2:
        return float(seen)
    above, below = (f2, (n - 1) * f1 + 2 * f2) if f2 else (1, (n - 1) * (f1 - 1) + 2)
    with localcontext(prec=80):  # the bracket is a small difference
        a = Decimal(2 * above) / below
        if a == 1:
            return float(seen)
        bracket = -a.ln() - sum((1 - a) ** r / r for r in range(1, n))
        return float(seen) + float(f1 * (1 - a) ** (1 - n) * bracket / n)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_formula_and_the_jackknife(counts: list[int]) -> None:
    found = estimate_entropy(np.array(counts))
    assert found.value == pytest.approx(printed(counts), rel=1e-9)
    p = np.array(counts) / sum(counts)
    assert found.plug_in == pytest.approx(-(p * np.log(p)).sum(), abs=1e-15)
    assert found.coverage == 1 - counts.count(1) / sum(counts)
    without: list[float] = []
    for k, c in enumerate(counts):
        rest = [x for x in (*counts[:k], c - 1, *counts[k + 1 :]) if x]
        without += [printed(rest)] * c
    again, n = np.array(without), len(without)
    jackknife = np.sqrt((n - 1) / n * ((again - again.mean()) ** 2).sum())
    assert found.error == pytest.approx(jackknife, rel=1e-6, abs=1e-12)


def test_one_draw_says_nothing() -> None:
    found = estimate_entropy(np.array([1]))
    assert np.isnan([found.value, found.error]).all()
    assert (found.plug_in, found.coverage) == (0.0, 0.0)


def draws(p: NDArray[np.float64], shots: int, seed: int) -> NDArray[np.int64]:
    counts = np.random.default_rng(seed).multinomial(shots, p)
    return counts[counts > 0]


@pytest.mark.parametrize("field", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("sites", "shots"), [(6, 300), (6, 30_000), (10, 300), (10, 3000)])
def test_ground_states(sites: int, field: float, shots: int) -> None:
    """S is within the correction and 4 errors of each of 20 estimates, and their bias is small."""
    p = pp.ground_state(pp.TFIM(sites=sites, field=field)).to_vector() ** 2
    p /= p.sum()
    exact = -(p[p > 0] * np.log(p[p > 0])).sum()
    found = [estimate_entropy(draws(p, shots, seed)) for seed in range(20)]
    for each in found:
        assert abs(each.value - exact) < each.unseen + 4 * each.error
    bias, plain = (
        np.mean([getattr(each, name) for each in found]) - exact for name in ("value", "plug_in")
    )
    noise = np.std([each.value for each in found]) / np.sqrt(20)
    assert abs(bias) < 4 * noise + 0.5 * abs(plain)
    if (sites, field, shots) == (10, 2.0, 300):  # where the frequencies alone are far off
        assert plain < -1.0


@rates.factors
def test_error_bars_cover(factor: float) -> None:
    """Of 8 values, all of which are seen."""
    p = np.random.default_rng(0).dirichlet(np.full(8, 5.0))
    found = [estimate_entropy(draws(p, 500, seed)) for seed in range(rates.intervals(factor))]
    value, error = np.array([(each.value, each.error) for each in found]).T
    rates.check_intervals(value, error, -(p * np.log(p)).sum(), factor)
