"""Observables against dense matrices and sums over all states; error bars that cover."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import rates
from machines import distribution, random_rbm
from psiprune.metrics.observables import (
    data_observables,
    exact_observables,
    observable_values,
    reference_observables,
    sampled_observables,
)
from psiprune.rbm.model import RBM
from psiprune.states.dmrg import ground_state
from psiprune.states.mps import MPS, mps_from_vector
from psiprune.states.tfim import TFIM, midpoint

Float64 = NDArray[np.float64]
NAMES = (
    "energy",
    "magnetization",
    "abs_magnetization",
    "correlation",
    "magnetization_distribution",
)


def brute_force(prob: Float64, model: TFIM) -> dict[str, Any]:
    """The observables by their definitions, with a dense Hamiltonian."""
    n = model.sites
    psi = np.sqrt(prob)
    hamiltonian = exact.tfim_hamiltonian(n, model.field, model.coupling)
    z = 1.0 - 2.0 * exact.basis(n)
    m = z.mean(axis=1)
    site = n // 2 - 1  # site N/2, counted from 1
    correlation = [
        prob @ (z[:, site] * z[:, j]) - (prob @ z[:, site]) * (prob @ z[:, j])
        for j in range(site, n)
    ]
    return {
        "energy": psi @ hamiltonian @ psi,
        "magnetization": prob @ m,
        "abs_magnetization": prob @ np.abs(m),
        "correlation": correlation,
        "magnetization_distribution": [
            prob[exact.basis(n).sum(axis=1) == ones].sum() for ones in range(n + 1)
        ],
    }


@pytest.mark.parametrize("sites", [2, 3, 5, 6, 7])
@pytest.mark.parametrize(("field", "coupling"), [(1.0, 1.0), (0.5, -2.0)])
def test_exact_observables(sites: int, field: float, coupling: float) -> None:
    model = TFIM(sites=sites, field=field, coupling=coupling)
    prob = np.random.default_rng(sites).dirichlet(np.ones(2**sites))
    found = exact_observables(prob, sites, model)
    for name, wanted in brute_force(prob, model).items():
        estimate = getattr(found, name)
        np.testing.assert_allclose(estimate.value, wanted, atol=1e-12)
        assert not np.any(estimate.error)
        assert np.shape(estimate.error) == np.shape(estimate.value)


def test_the_local_energy_of_each_configuration() -> None:
    model, rbm = TFIM(sites=4, field=1.5, coupling=0.8), random_rbm(4, 3)
    psi = np.sqrt(distribution(rbm))
    found = observable_values(rbm, exact.basis(4), model)["energy"]
    np.testing.assert_allclose(found, exact.tfim_hamiltonian(4, 1.5, 0.8) @ psi / psi, rtol=1e-9)


@rates.factors
@pytest.mark.parametrize("draws", [1, 5])
def test_error_bars_cover(draws: int, factor: float) -> None:
    """Of independent draws, and of chains that stay where they are 9 times of 10."""
    model, chains, repeats = TFIM(sites=4, field=1.0), 300, rates.intervals(factor)
    rbm = random_rbm(4, 3, scale=0.5)
    rbm = RBM(rbm.weights, 0.3 * rbm.visible_bias + 0.4, rbm.hidden_bias)
    prob, generator = distribution(rbm), np.random.default_rng(draws)
    states = generator.choice(16, (repeats, chains, draws), p=prob)
    moved = generator.random(states.shape) < 0.1
    for k in range(1, draws):
        states[..., k] = np.where(moved[..., k], states[..., k], states[..., k - 1])
    bits = exact.basis(4)
    found = [sampled_observables(rbm, bits[each], model) for each in states]
    for name, wanted in brute_force(prob, model).items():
        value, error = (
            np.array([getattr(getattr(each, name), kind) for each in found])
            for kind in ("value", "error")
        )
        if name == NAMES[-1]:  # the error of a bin with few draws is not normal
            usable = np.abs(np.array(wanted) - 0.5) < 0.35
            value, error, wanted = value[:, usable], error[:, usable], np.array(wanted)[usable]
        rates.check_intervals(value, error, wanted, factor, name)


def test_data_observables_are_those_of_the_shots() -> None:
    prob = np.random.default_rng(0).dirichlet(np.ones(32))
    bits = exact.basis(5)[np.random.default_rng(1).choice(32, 3000, p=prob)]
    found = data_observables(bits)
    seen = brute_force(exact.empirical(bits), TFIM(sites=5))
    assert set(found) == set(NAMES) - {"energy"}
    for name, estimate in found.items():
        np.testing.assert_allclose(estimate.value, seen[name], atol=1e-12)
    z = 1.0 - 2.0 * bits
    m = z.mean(axis=1)
    assert found["magnetization"].error == pytest.approx(m.std() / np.sqrt(3000), rel=1e-3)


# --- the reference ---------------------------------------------------------------------------


@cache
def ground(sites: int, field: float) -> MPS:
    return ground_state(TFIM(sites=sites, field=field))


@pytest.mark.parametrize("entry", exact.REFERENCE[:4], ids=lambda e: f"{e['sites']}-{e['field']}")
def test_reference_observables_agree_with_the_reference(entry: dict[str, Any]) -> None:
    state = ground(entry["sites"], entry["field"])
    found = reference_observables(state)
    assert float(found.energy.value) == pytest.approx(entry["energy"], rel=1e-10)
    assert float(found.magnetization.value) == pytest.approx(0, abs=1e-8)
    assert float(found.abs_magnetization.value) == pytest.approx(entry["abs_m"], rel=1e-8)
    wanted = entry["correlation_from_midpoint"]
    assert len(wanted) == entry["sites"] // 2 + 1
    np.testing.assert_allclose(found.correlation.value, wanted, atol=1e-8)
    spread = np.sqrt(entry["m2"] - entry["abs_m"] ** 2)
    assert float(found.abs_magnetization.deviation) == pytest.approx(spread, rel=1e-6)
    assert float(found.magnetization.deviation) == pytest.approx(np.sqrt(entry["m2"]), rel=1e-6)
    np.testing.assert_allclose(
        found.correlation.deviation, np.sqrt(1 - np.array(wanted) ** 2), atol=1e-6
    )


@pytest.mark.parametrize("sites", [2, 5, 6])
def test_reference_observables_of_any_state(sites: int) -> None:
    model = TFIM(sites=sites, field=0.7)
    psi = np.random.default_rng(sites).random(2**sites)
    state = mps_from_vector(psi, model)
    prob = psi**2 / (psi @ psi)
    found = reference_observables(replace(state, energy=0.0))  # all from the tensors
    for name, wanted in brute_force(prob, model).items():
        estimate = getattr(found, name)
        np.testing.assert_allclose(estimate.value, wanted, atol=1e-10)
        assert not np.any(estimate.error)
        assert np.shape(estimate.error) == np.shape(estimate.value)
    assert found.energy.deviation == 0
    # The deviation of one draw of m and of |m|.
    m = (1.0 - 2.0 * exact.basis(sites)).mean(axis=1)
    assert float(found.magnetization.deviation) == pytest.approx(
        np.sqrt(prob @ m**2 - (prob @ m) ** 2), abs=1e-10
    )
    assert float(found.abs_magnetization.deviation) == pytest.approx(
        np.sqrt(prob @ m**2 - (prob @ np.abs(m)) ** 2), abs=1e-10
    )
    # C(d) is taken as a mean of products of two signs; P(m) of indicators.
    z = 1.0 - 2.0 * exact.basis(sites)
    i = midpoint(sites)
    products = np.array([prob @ (z[:, i] * z[:, j]) for j in range(i, sites)])
    np.testing.assert_allclose(found.correlation.deviation, np.sqrt(1 - products**2), atol=1e-7)
    p = found.magnetization_distribution.value
    np.testing.assert_allclose(found.magnetization_distribution.deviation, np.sqrt(p * (1 - p)))
