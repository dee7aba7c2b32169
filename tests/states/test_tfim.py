"""The chain: free fermions, diagonalisation and the reference file against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exact
from psiprune.states import mps, tfim
from psiprune.states.tfim import TFIM, midpoint
from refusals import refuses

SMALL = [
    (2, 1.0, 1.0),
    (3, 0.3, 1.0),
    (6, 1.0, 1.0),
    (7, 2.0, 1.0),
    (8, 0.5, -1.0),
    (9, 1.3, -0.7),
    (8, 1.0, 0.0),
    (9, 1.5, 1.0),
]


@pytest.mark.parametrize(("sites", "field", "coupling"), SMALL)
def test_free_fermions_agree_with_diagonalisation(
    sites: int, field: float, coupling: float
) -> None:
    model = TFIM(sites=sites, field=field, coupling=coupling)
    hamiltonian = exact.tfim_hamiltonian(sites, field, coupling)
    energies, vectors = np.linalg.eigh(hamiltonian)
    ground = vectors[:, 0] * np.sign(vectors[:, 0].sum())
    z = 1.0 - 2.0 * exact.basis(sites)
    correlations = (z * ground[:, None] ** 2).T @ z

    assert model.ground_energy() == pytest.approx(energies[0], rel=1e-12)
    np.testing.assert_allclose(model.ground_state_vector(), ground, atol=1e-9)
    np.testing.assert_allclose(model.correlations(), correlations, atol=1e-10)
    np.testing.assert_allclose(
        model.correlation_from_midpoint(),
        correlations[sites // 2 - 1, sites // 2 - 1 :],
        atol=1e-10,
    )
    np.testing.assert_allclose(
        model.transverse_magnetization(),
        [ground @ exact.operator(sites, {i: exact.X}) @ ground for i in range(sites)],
        atol=1e-10,
    )
    assert model.transverse_magnetization().flags.writeable
    vector = np.random.default_rng(0).normal(size=2**sites)
    np.testing.assert_allclose(model.apply_hamiltonian(vector), hamiltonian @ vector, atol=1e-10)


@pytest.mark.parametrize("entry", exact.REFERENCE, ids=lambda e: f"{e['sites']}-{e['field']}")
def test_free_fermions_agree_with_the_reference(entry: dict[str, Any]) -> None:
    model = TFIM(sites=entry["sites"], field=entry["field"], coupling=entry["coupling"])
    assert model.ground_energy() == pytest.approx(entry["energy"], rel=1e-12)
    assert model.transverse_magnetization().mean() == pytest.approx(entry["sigma_x_mean"], rel=1e-9)
    correlations = model.correlations()
    assert np.diag(correlations, 1).sum() == pytest.approx(entry["zz_nn_sum"], rel=1e-9)
    assert correlations.mean() == pytest.approx(entry["m2"], rel=1e-9)
    np.testing.assert_allclose(
        model.correlation_from_midpoint(), entry["correlation_from_midpoint"], atol=1e-11
    )


@pytest.mark.parametrize(("sites", "field"), [(14, 0.1), (16, 0.3), (12, 1e-3)])
def test_near_degenerate_states_do_not_mix(sites: int, field: float) -> None:
    model = TFIM(sites=sites, field=field)
    vector = model.ground_state_vector()
    energy = vector @ model.apply_hamiltonian(vector)
    assert energy == pytest.approx(model.ground_energy(), rel=1e-13)
    np.testing.assert_array_equal(vector, vector[::-1])  # <prod X> = +1
    assert (vector >= 0).all()
    np.testing.assert_array_equal(vector, model.ground_state_vector())


def test_the_ground_state_at_an_underflowing_field() -> None:
    vector = TFIM(sites=3, field=1e-300, coupling=-1e300).ground_state_vector()
    assert vector == pytest.approx([0, 0, 0.5**0.5, 0, 0, 0.5**0.5, 0, 0])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-20, 1e20, 1e200, 1e300])
@pytest.mark.parametrize("sites", [3, 10])
def test_units_of_the_energy_change_only_energies(sites: int, scale: float) -> None:
    model = TFIM(sites=sites, field=0.7 * scale, coupling=-scale)
    plain = TFIM(sites=sites, field=0.7, coupling=-1.0)
    assert model.ground_energy() / scale == pytest.approx(plain.ground_energy(), rel=1e-13)
    vector = plain.ground_state_vector()
    np.testing.assert_allclose(model.ground_state_vector(), vector, atol=1e-12)
    np.testing.assert_allclose(
        model.apply_hamiltonian(vector) / scale, plain.apply_hamiltonian(vector), atol=1e-13
    )
    for name in ("correlations", "correlation_from_midpoint", "transverse_magnetization"):
        np.testing.assert_allclose(getattr(model, name)(), getattr(plain, name)(), atol=1e-12)


def test_the_sign_of_the_zero_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below rounding error, an SVD pairs its two vectors with either sign."""
    pair = TFIM(sites=2, field=1e-200, coupling=-1.0)
    assert pair.transverse_magnetization() == pytest.approx([2e-200, 2e-200])
    model = TFIM(sites=5, field=1e-5)
    q, (u, s, vt) = tfim._polar_factor(model), np.linalg.svd(tfim._bidiagonal(model))
    u[:, -1] *= -1
    monkeypatch.setattr(np.linalg, "svd", lambda _: (u.copy(), s, vt))
    np.testing.assert_allclose(tfim._polar_factor(model), q, atol=1e-13)


def test_deep_in_the_ordered_phase() -> None:
    model = TFIM(sites=60, field=0.3)
    correlations = model.correlations()
    # The two ends, as the bulk, point the same way: to (1 - h^2)^(1/8) each in the bulk, and to
    # (1 - h^2)^(1/2) at an end (Pfeuty 1970; McCoy and Wu 1973).
    assert correlations[0, -1] == pytest.approx(1 - 0.09, abs=1e-12)
    assert correlations[20, 40] == pytest.approx((1 - 0.09) ** 0.25, abs=1e-10)


def test_midpoint_stays_in_range() -> None:
    assert [midpoint(n) for n in (2, 3, 4, 5, 18)] == [0, 0, 1, 1, 8]
    assert TFIM(sites=18).correlation_from_midpoint().shape == (10,)
    assert TFIM(sites=5).correlation_from_midpoint().shape == (4,)


def test_the_correlation_length() -> None:
    # Far from both ends of a long chain, C(d + 1) / C(d) is exp(-1 / xi) up to a power of d.
    for field in (1.5, 2.0):
        model = TFIM(sites=160, field=field)
        c = model.correlation_from_midpoint()[:31]
        slope = np.log(c[20] / c[30]) / 10 - 0.5 * np.log(30 / 20) / 10
        assert model.correlation_length == pytest.approx(1 / slope, rel=0.01)
    # Below h = J, of the correlations less their limit m^2 = (1 - h^2)^(1/4).
    model = TFIM(sites=160, field=0.8)
    c = model.correlation_from_midpoint()[:31] - (1 - 0.8**2) ** 0.25
    slope = np.log(c[20] / c[30]) / 10 - 2.0 * np.log(30 / 20) / 10
    assert model.correlation_length == pytest.approx(1 / slope, rel=0.05)
    assert TFIM(sites=4, field=1.0).correlation_length == np.inf
    assert TFIM(sites=4, field=1.0, coupling=0.0).correlation_length == 0.0
    assert TFIM(sites=4, field=2.0, coupling=-1.0).correlation_length == 1 / np.log(2)


def test_a_thousand_sites() -> None:
    model = TFIM(sites=1000)
    # At h = J the open chain is solved in closed form: 1 - 1/sin(pi / (4 N + 2)).
    assert model.ground_energy() == pytest.approx(1 - 1 / np.sin(np.pi / 4002), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"sites": 1}, ("sites", 2, 1)),
        ({"sites": 2.5}, ("sites", 2.5)),
        ({}, ("sites", "missing")),
        ({"sites": 4, "field": 0.0}, ("field", 0, 0.0, "give |h|")),
        ({"sites": 4, "field": -1.0}, ("field", 0, -1.0)),
        ({"sites": 4, "field": float("nan")}, ("field", "nan")),
        ({"sites": 4, "coupling": float("inf")}, ("coupling", "inf")),
        ({"sites": 4, "h": 1.0}, ("h", "sites, field, coupling")),
    ],
)
def test_bad_parameters(values: dict[str, Any], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        TFIM(**values)


def test_dense_vectors_have_a_largest_size() -> None:
    model = TFIM(sites=21)
    with refuses("sites", 20, 21):
        model.ground_state_vector()
    with refuses("sites", 20, 21):
        model.apply_hamiltonian(np.ones(4))
    with refuses("vector", (8,), (4,)):
        TFIM(sites=3).apply_hamiltonian(np.ones(4))


def test_the_largest_size_of_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tfim, mps):
        monkeypatch.setattr(module, "EXACT_SITES", 3)
    vector = TFIM(sites=3).ground_state_vector()
    np.testing.assert_allclose(mps.mps_from_vector(vector).to_vector(), vector, atol=1e-14)
    monkeypatch.setattr(mps, "EXACT_SITES", 2)
    with refuses("vector", 2, 2, (8,)):
        mps.mps_from_vector(vector)
