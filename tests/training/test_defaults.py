"""The default method finds the state: open chains in all phases, GHZ and W states."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from psiprune.metrics.reference import reference_of

TWO = pytest.param(range(2), id="2 seeds")
TEN = pytest.param(range(10), id="10 seeds", marks=pytest.mark.slow)
seeds = pytest.mark.parametrize("seeds", [TWO, TEN])


def fidelity(rbm: pp.RBM, probability: NDArray[np.float64]) -> float:
    """|<psi|Psi>|^2 of two states without signs."""
    p = np.exp(rbm.log_prob(exact.basis(rbm.visible)))
    return float(np.sqrt(probability * p).sum() ** 2)


def trained(bits: pp.Shots | NDArray[np.uint8], seed: int) -> pp.RBM:
    """With all defaults, and without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pp.TrainingWarning)
        return pp.train(bits, seed=seed)


@cache
def chain(field: float) -> tuple[pp.MPS, NDArray[np.float64]]:
    state = pp.ground_state(pp.TFIM(sites=10, field=field))
    log_q = reference_of(state).log_q
    assert log_q is not None
    return state, np.exp(log_q)


@seeds
@pytest.mark.parametrize("field", [0.2, 0.4, 0.6, 1.0])
def test_chains_of_10_qubits_from_10000_shots(field: float, seeds: range) -> None:
    state, probability = chain(field)
    for seed in seeds:
        assert fidelity(trained(pp.sample(state, 10_000, seed=seed), seed), probability) >= 0.996


@seeds
@pytest.mark.parametrize("name", ["GHZ", "W"])
def test_ghz_and_w_states_from_2000_shots(name: str, seeds: range) -> None:
    sites = {"GHZ": 5, "W": 6}[name]
    ones = exact.basis(sites).sum(axis=1)
    probability = np.isin(ones, [0, sites] if name == "GHZ" else [1]).astype(float)
    probability /= probability.sum()
    for seed in seeds:
        rng = np.random.default_rng(1000 + seed)
        bits = exact.basis(sites)[rng.choice(len(ones), 2000, p=probability)]
        assert fidelity(trained(bits, seed), probability) >= 0.99
