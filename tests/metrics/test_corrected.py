"""Observables of true bits estimated from records: unbiased, with error bars that cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.core.random import Stream, derive_seed
from psiprune.data.confusion import Confusion
from psiprune.data.dependence import INDEPENDENT
from psiprune.metrics.bootstrap import bootstrap_means
from psiprune.metrics.corrected import _Estimator, corrected_estimates, recorded_states

RBM = random_rbm(5, 3)
BY_SITE = np.linspace(0.02, 0.1, 5), np.linspace(0.2, 0.05, 5)
INDEPENDENT_ERRORS = pp.ReadoutError.from_rates(*BY_SITE)
TRIPLE = np.random.default_rng(0).dirichlet(np.ones(8), size=8)
JOINT = pp.ReadoutError(
    (
        Confusion((3, 1, 2), 0.7 * np.eye(8) + 0.3 * TRIPLE),
        Confusion((0,), np.array([[0.95, 0.05], [0.2, 0.8]])),
        Confusion((4,), np.array([[0.9, 0.1], [0.1, 0.9]])),
    )
)


@pytest.mark.parametrize("errors", [INDEPENDENT_ERRORS, JOINT], ids=["independent", "joint"])
@pytest.mark.parametrize("sites", [(0,), (2,), (1, 3), (0, 4), (2, 4)])
def test_estimates_are_unbiased(errors: pp.ReadoutError, sites: tuple[int, ...]) -> None:
    # Summed over all records with their exact probabilities, an estimate is the exact average.
    states = (np.arange(32)[:, None] >> np.arange(5)) & 1
    prob = np.exp(RBM.log_prob_all() - RBM.log_partition())
    exact = prob @ np.prod(1 - 2 * states[:, list(sites)], axis=1)
    by_record = _Estimator(
        recorded_states(states.astype(np.uint8), errors), errors, sites
    ).by_shot()
    assert errors.apply(prob) @ by_record == pytest.approx(exact, abs=1e-12)
    assert errors.apply(prob) @ np.prod(1 - 2 * states[:, list(sites)], axis=1) != pytest.approx(
        exact, abs=1e-3
    )


@pytest.mark.parametrize("errors", [INDEPENDENT_ERRORS, JOINT], ids=["independent", "joint"])
def test_means_by_table_are_those_by_shot(errors: pp.ReadoutError) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (200, 5), dtype=np.uint8)
    for sites in ((1,), (1, 3), (0, 1)):
        estimator = _Estimator(recorded_states(bits, errors), errors, sites)
        assert estimator.mean(errors) == pytest.approx(estimator.by_shot().mean())


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_values_and_errors_are_those_of_resampled_shots_and_rates(sites: int) -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (12, sites), dtype=np.uint8)
    bits[:, 1:] &= 1 - bits[:, :1]  # sites 0 and 1 are never both 1
    errors = pp.ReadoutError.from_rates(*generator.uniform(0.02, 0.2, (2, sites)))
    middle = max(0, sites // 2 - 1)

    def observables(errors: pp.ReadoutError, weight: np.ndarray) -> dict[str, np.ndarray]:
        to_one, to_zero = errors.rates.T
        z = (1.0 - 2.0 * bits - (to_zero - to_one)) / (1 - to_zero - to_one)
        mean = weight @ z
        far = weight @ (z[:, [middle]] * z[:, middle + 1 :]) - mean[middle] * mean[middle + 1 :]
        return {
            "magnetization": mean.mean(),
            "neighbours": (weight @ (z[:, :-1] * z[:, 1:])).mean() if sites > 1 else np.nan,
            "correlation": np.append(1 - mean[middle] ** 2, far),  # Z^2 = 1
        }

    alike = np.full(12, 1 / 12)
    by_shot = [observables(errors, w) for w in bootstrap_means(np.eye(12, dtype=np.float32), 5)]
    seeds = (derive_seed(5, Stream.CALIBRATION, k) for k in range(100))
    by_rate = [observables(errors.resampled(seed), alike) for seed in seeds]
    found = corrected_estimates(bits, errors, 5, INDEPENDENT)
    for name, value in observables(errors, alike).items():
        assert np.shape(found[name].value) == np.shape(value)
        np.testing.assert_allclose(found[name].value, value, atol=1e-12)
        spreads = [np.std([each[name] for each in s], axis=0, ddof=1) for s in (by_shot, by_rate)]
        np.testing.assert_allclose(found[name].error, np.hypot(*spreads), rtol=1e-4)
        np.testing.assert_allclose(found[name].sampling_error, spreads[0], rtol=1e-4)


def test_error_bars_cover_shots_and_calibration() -> None:
    """16 records, each with its own calibration, which causes most of the error."""
    states = (np.arange(32)[:, None] >> np.arange(5)) & 1
    z = 1 - 2 * states
    prob = np.exp(RBM.log_prob_all() - RBM.log_partition())
    exact = prob @ (z[:, :-1] * z[:, 1:]).mean(axis=1)
    sigmas = []
    for seed in range(16):
        records = pp.Shots(RBM.sample_exact(10_000, seed=seed)).with_readout_error(
            INDEPENDENT_ERRORS, seed
        )
        prepared = {
            str(bit) * 5: INDEPENDENT_ERRORS.misread(
                np.full((100, 5), bit, np.uint8), 2 * seed + bit
            )
            for bit in (0, 1)
        }
        calibrated = pp.calibrate_readout(prepared)
        found = corrected_estimates(records.bits, calibrated, seed, INDEPENDENT)["neighbours"]
        sigmas.append(float((found.value - exact) / found.error))
    # 16 standard normal numbers have a root mean square of 1 within 0.71 (4 standard errors).
    assert np.sqrt(np.mean(np.square(sigmas))) == pytest.approx(1, abs=0.71)


def test_the_error_of_the_calibration_cancels_in_differences() -> None:
    bits = RBM.sample_exact(500, seed=3)
    reports = []
    for prepared in (10, 60_000):
        groups = (
            Confusion(each.sites, each.matrix, np.full(2, prepared))
            for each in INDEPENDENT_ERRORS.groups
        )
        readout = pp.ReadoutError(tuple(groups))
        trained = replace(RBM, provenance={"readout_sha256": readout.digest})
        records = pp.Shots(bits, readout=readout)
        reports.append(pp.evaluate_on_shots(trained, records, draws=500).state)
    for name in ("magnetization", "neighbours", "correlation"):
        few, many = (report[name] for report in reports)
        np.testing.assert_array_equal(few.sigmas, many.sigmas)
        assert np.abs(few.sigmas).max() > 0.5
        assert np.max(few.shots_error / many.shots_error) > 1.3


def test_reports_on_records_compare_true_bits_too() -> None:
    records = pp.Shots(RBM.sample_exact(20_000, seed=3)).with_readout_error(JOINT, 1)
    report = pp.evaluate_on_shots(RBM, records, draws=20_000)
    names = [name for name, _ in report]
    assert [name for name in names if name.startswith("state_")] == [
        "state_magnetization",
        "state_neighbours",
        "state_correlation",
    ]
    for name in ("magnetization", "abs_magnetization", "neighbours", "correlation"):
        assert np.abs(report.comparison(name).sigmas).max() < 5
    for comparison in report.state.values():
        assert np.abs(comparison.sigmas).max() < 5
    ignored = pp.evaluate_on_shots(RBM, replace(records, readout=None), draws=20_000)
    assert abs(float(ignored.neighbours.sigmas)) > 5
    assert report.log_likelihood.value > ignored.log_likelihood.value
    assert not ignored.state
