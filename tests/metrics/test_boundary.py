"""Errors of fits that reach a probability of 0, against the true values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from psiprune.data.dependence import INDEPENDENT
from psiprune.metrics.boundary import BoundaryErrors, boundary_errors
from psiprune.metrics.corrected import Inverted, invert_records
from psiprune.metrics.observables import Estimate

FLIP, ONES, SHOTS = 0.05, 0.01, 500


def fitted(sites: int, alike: bool, seed: int) -> tuple[np.ndarray, Inverted, np.ndarray]:
    """Fit a product state to records through rates that are wrong by their error of 0.01.

    Return the p(1) of the fit, the estimates from the records, and draws of the fit.
    """
    generator = np.random.default_rng(seed)
    true = pp.ReadoutError.from_rates(FLIP, sites=sites)
    shape = (2,) if alike else (2, sites)
    rates = np.clip(FLIP + 0.01 * generator.normal(size=shape), 0.005, 0.2)
    given = pp.ReadoutError.from_rates(
        *rates, errors=(0.01 + 0 * rates[0], 0.01 + 0 * rates[1]), sites=sites
    )
    bits = (generator.random((SHOTS, sites)) < ONES).astype(np.uint8)
    records = true.misread(bits, seed)
    zero, one = given.rates.T
    prob = np.maximum((records.mean(axis=0) - zero) / (1 - zero - one), 0.0)
    draws = (generator.random((5000, sites)) < prob).astype(np.uint8)
    return prob, invert_records(records, given, seed, INDEPENDENT), draws


def mean_errors(found: BoundaryErrors, name: str) -> float:
    return float(np.hypot(found.training[name], found.rates[name]))


@pytest.mark.parametrize(
    ("sites", "alike", "seeds"), [(2, True, 20), pytest.param(6, False, 20, marks=pytest.mark.slow)]
)
def test_fits_at_the_boundary_are_within_their_errors(sites: int, alike: bool, seeds: int) -> None:
    sigmas, first_order = [], []
    for seed in range(seeds):
        prob, direct, draws = fitted(sites, alike, seed)
        found = boundary_errors(draws, direct, {}, 1.0)
        gap = 2 * (ONES - prob).mean()
        # A site with p(1) = 0 has no variance to first order.
        errors = np.linalg.norm(direct.z, axis=0) * (prob > 0)
        total = (errors.sum() if alike else np.linalg.norm(errors)) / sites + 1e-9
        first_order.append(gap / total)
        sigmas.append(gap / max(total, mean_errors(found, "magnetization")))
    assert np.max(np.abs(sigmas)) < 3
    assert np.sqrt(np.mean(np.square(sigmas))) > 0.4  # nor are they far too large
    if alike:
        assert np.mean(np.abs(first_order) > 3) >= 0.1


def test_biases_of_many_sites_add_up() -> None:
    """Each of 200 sites is 0 in the true state, so the fit deviates on one side only."""
    generator = np.random.default_rng(0)
    estimates = generator.normal(size=(2000, 200))
    projected = np.maximum(estimates, 0).mean(axis=1)
    z = np.ones((2, 200)) * [[1], [0]]  # errors of 1 from the shots, none from rates
    mean = Estimate(np.float64(1), np.float64(0), np.float64(0))
    direct = fitted(2, True, 0)[1]
    assert np.sqrt(np.mean(projected**2)) > 4 / np.sqrt(200)
    single = replace(
        direct.estimates["magnetization"],
        **vars(mean) | {"sampling_error": 1 / np.sqrt(200), "rates_error": 0.0},
    )
    estimates_of = {
        "magnetization": single,
        "neighbours": single,
        "correlation": replace(single, sampling_error=np.ones(101), rates_error=np.zeros(101)),
    }
    pairs = np.array([(i, i + 1) for i in range(199)] + [(99, j) for j in range(100, 200)])
    wide = Inverted(estimates_of, pairs, z, np.ones((2, len(pairs))), np.ones((2, len(pairs), 4)))
    found = boundary_errors(np.zeros((10, 200), np.uint8), wide, {}, 1.0)
    rms = np.sqrt(np.mean(projected**2))
    assert rms < found.training["magnetization"] < 1.1 * rms


def test_interior_fits_keep_their_errors() -> None:
    generator = np.random.default_rng(0)
    errors = pp.ReadoutError.from_rates(FLIP, errors=(0.002, 0.002), sites=4)
    bits = (generator.random((SHOTS, 4)) < 0.4).astype(np.uint8)
    direct = invert_records(errors.misread(bits, 1), errors, 0, INDEPENDENT)
    found = boundary_errors(bits, direct, {"custom": direct.estimates["neighbours"]}, 0.5)
    for of_name in (found.training, found.rates, found.records):
        assert all(np.all(each == 0) for each in of_name.values())
    assert found.note == ""
    # A pair that is never 11, as in a W state or under a blockade, although both bits vary.
    bits[:, 1] &= 1 - bits[:, 0]
    direct = invert_records(errors.misread(bits, 1), errors, 0, INDEPENDENT)
    recorded = {"custom": direct.estimates["neighbours"]}
    found = boundary_errors(bits, direct, recorded, 0.5)
    assert "sites 0, 1 have" in found.note
    assert found.training["magnetization"] == 0 < found.training["neighbours"]
    assert found.rates["neighbours"] > direct.estimates["neighbours"].rates_error
    assert found.records["custom"] == pytest.approx(np.sqrt(0.5) * recorded["custom"].error)


def test_sums_of_strings_have_the_errors_of_their_estimates() -> None:
    """At the boundary those of the same observable by another name are as large, up to biases."""
    errors = pp.ReadoutError.from_rates(FLIP, errors=(0.01, 0.01), sites=3)
    bits = np.zeros((SHOTS, 3), np.uint8)
    bits[::2, 2] = 1
    sums = {
        "one": pp.Hamiltonian({"ZII": 1.0}),
        "bonds": pp.Hamiltonian({"ZZI": 0.5, "IZZ": 0.5}),
        "inside": pp.Hamiltonian({"IIZ": 1.0}),
    }
    direct = invert_records(errors.misread(bits, 1), errors, 0, INDEPENDENT, sums)
    found = boundary_errors(bits, direct, {}, 1.0, sums)
    for of_name in (found.training, found.rates):
        assert of_name["inside"] == 0
        assert of_name["bonds"] == pytest.approx(of_name["neighbours"], rel=0.3)
    assert found.rates["one"] >= direct.estimates["one"].rates_error > 0
    assert found.training["one"] >= direct.estimates["one"].sampling_error > 0


@pytest.mark.parametrize(("errors", "near"), [(1.5, True), (2.5, False)])
def test_up_to_two_errors_from_0_is_at_the_boundary(errors: float, near: bool) -> None:
    bits = np.zeros((1000, 2), np.uint8)
    bits[:100, 0] = bits[50:450, 1] = 1  # 1 - <Z> = 0.2 and 0.8
    z = np.array([[0.2 / errors, 0.01], [0, 0]])
    direct = fitted(2, True, 0)[1]
    joint = np.zeros_like(direct.joint)  # no pair is at the boundary
    found = boundary_errors(bits, direct._replace(z=z, joint=joint), {}, 1.0)
    assert found.sites == ((0,) if near else ())
    assert bool(found.training["magnetization"] > 0) == near


def test_reports_have_errors_where_the_rbm_is_certain() -> None:
    readout = pp.ReadoutError.from_rates(FLIP, errors=(0.01, 0.01), sites=2)
    zeros = np.zeros((500, 2), np.uint8)
    rbm = pp.RBM(np.zeros((1, 2)), np.full(2, -60.0), np.zeros(1))
    plain = replace(rbm, provenance={"training_shots": 400})
    report = pp.evaluate_on_shots(plain, zeros, draws=1000)
    for found in (report.magnetization, report.neighbours):
        assert found.value == 1
        assert found.error == 1 / 1000
        assert found.training_error == 1 / 400
    assert report.boundary_note == ""
    through = replace(rbm, provenance={"training_shots": 400, "readout_sha256": readout.digest})
    report = pp.evaluate_on_shots(
        through, pp.Shots(readout.misread(zeros, 0), readout=readout), draws=1000
    )
    assert "sites 0, 1 have" in report.boundary_note
    for of_state in report.state.values():
        sampling = of_state.shots_sampling_error
        assert sampling is not None
        assert of_state.rates_error is not None
        assert of_state.training_error is not None
        assert (of_state.training_error >= sampling * np.sqrt(500 / 400)).all()
        assert (np.hypot(of_state.rates_error, sampling) >= 0.999 * of_state.shots_error).all()
        assert np.min(of_state.error) > 0
    for of_records in (report.magnetization, report.abs_magnetization, report.neighbours):
        assert of_records.training_error is not None
        assert of_records.training_error >= np.sqrt(500 / 400) * of_records.shots_error
