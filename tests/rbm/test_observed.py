"""The likelihood of records with readout errors, against sums written out and differences."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.rbm import observed
from psiprune.rbm.likelihood import (
    flatten,
    from_vector,
    log_likelihood,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.observed import check_exact_sites, log_prob_recorded, observe, records_of


def recorded(sites: int, shots: int = 60) -> pp.Shots:
    generator = np.random.default_rng(sites)
    error = pp.ReadoutError.from_rates(0.3 * generator.random(sites), 0.4 * generator.random(sites))
    bits = generator.integers(0, 2, (shots, sites), dtype=np.uint8)
    return pp.Shots(bits, readout=error)


def test_probabilities_of_records_are_sums_over_true_bits() -> None:
    rbm, shots = random_rbm(3, 2), recorded(3)
    assert shots.readout is not None
    states = np.array(list(itertools.product((0, 1), repeat=3)), np.uint8)
    prob = np.exp(rbm.log_prob_unnormalized(states) - rbm.log_partition())
    log_prob = log_prob_recorded(rbm, shots.readout)
    for y in states:
        total = 0.0
        for v, p in zip(states, prob, strict=True):
            confusion = 1.0
            for site, (flip_zero, flip_one) in enumerate(shots.readout.rates):
                wrong = flip_one if v[site] else flip_zero
                confusion *= wrong if v[site] != y[site] else 1 - wrong
            total += p * confusion
        assert log_prob[int(y @ [1, 2, 4])] == pytest.approx(np.log(total), abs=1e-12)


@pytest.mark.parametrize(("sites", "hidden"), [(1, 1), (2, 3), (5, 3), (13, 2)])
def test_gradient_is_that_of_finite_differences(
    sites: int, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "_PIECE", 1 << 10)  # 8 pieces of the states of 13 sites
    rbm, records = random_rbm(sites, hidden), records_of(recorded(sites))
    found, x = observe(rbm, records), to_vector(rbm)
    directions = np.random.default_rng(0).normal(size=(4, len(x)))
    slope = flatten(rbm.mask, found.gradient)
    for d in directions:
        up, down = (
            observe(from_vector(rbm, x + sign * 1e-5 * d), records).log_likelihood
            for sign in (1, -1)
        )
        assert slope @ d == pytest.approx((up - down) / 2e-5, abs=1e-8)
    assert found.posterior.weight.sum() == pytest.approx(1.0)


def test_perfect_readout_gives_the_plain_likelihood() -> None:
    rbm, shots = random_rbm(6, 3), recorded(6)
    perfect = replace(shots, readout=pp.ReadoutError.from_rates(0.0, sites=6))
    found = observe(rbm, records_of(perfect))
    value, gradient = log_likelihood(rbm, unique_configurations(shots))
    assert found.log_likelihood == pytest.approx(value)
    np.testing.assert_allclose(
        flatten(rbm.mask, found.gradient), flatten(rbm.mask, gradient), atol=1e-12
    )


def test_more_sites_than_can_be_summed() -> None:
    with pytest.raises(pp.InputError, match="N <= 20, found 21; use method 'natural'"):
        records_of(recorded(21))
    check_exact_sites(20)
