"""The error of an RBM's observables from the rates that it was trained with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from confusions import calibrated
from machines import random_rbm
from psiprune.core.random import Stream, derive_seed
from psiprune.inference import response
from psiprune.metrics import rates_error
from psiprune.metrics.rates_error import errors_from_rates
from psiprune.rbm.observed import distribution
from psiprune.reporting.metric_tables import shots_report_numbers, shots_report_text
from psiprune.training.train import fit
from refusals import refuses

ERROR = calibrated(pp.ReadoutError.from_rates(0.03, 0.06, sites=4), 1000)
SHOTS = pp.Shots(random_rbm(4, 2).sample_exact(4000, seed=1)).with_readout_error(ERROR, 2)


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_RECORDS", 4000), ("_DRAWS", 4000), ("_SAMPLES", 10_000)):
        monkeypatch.setattr(response, name, number)


@pytest.fixture(scope="module")
def trained() -> pp.RBM:
    return pp.train(SHOTS, hidden=2)


def observables(rbm: pp.RBM) -> NDArray[np.float64]:
    """<m>, the mean of <Z_i Z_{i+1}> and C(0), C(1), C(2) from site 1, by sums over all states."""
    prob, z = distribution(rbm), 1.0 - 2.0 * exact.basis(4)
    mean, pair = prob @ z, (z * prob[:, None]).T @ z
    far = pair[1, 1:] - mean[1] * mean[1:]
    return np.array([mean.mean(), np.diag(pair, 1).mean(), *far])


def test_errors_are_the_spread_of_new_fits(trained: pp.RBM) -> None:
    seeds = (derive_seed(3, Stream.RATES_ERROR, k) for k in range(8))
    method = pp.ExactNaturalGradient.for_fine_tuning()
    start, *others = (
        observables(fit(trained, replace(SHOTS, readout=each), method, 0))
        for each in (ERROR, *map(ERROR.resampled, seeds))
    )
    expected = np.sqrt(np.mean([(each - start) ** 2 for each in others], axis=0))
    found = errors_from_rates(trained, SHOTS, 8, seed=3)
    assert [*found] == ["magnetization", "neighbours", "correlation"]
    np.testing.assert_allclose(np.hstack([*found.values()]), expected, rtol=0.1, atol=4e-4)


def test_errors_shrink_with_more_calibration_shots() -> None:
    few, many = (
        np.hstack([*errors_from_rates(pp.train(shots, hidden=2), shots, 8, seed=0).values()])
        for shots in (SHOTS, replace(SHOTS, readout=calibrated(ERROR, 100_000)))
    )
    assert np.linalg.norm(few) / np.linalg.norm(many) == pytest.approx(10, rel=0.3)


def test_reports_have_them_for_rbms_trained_through_the_errors(
    trained: pp.RBM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "_RECORDS", 500)
    monkeypatch.setattr(response, "_DRAWS", 500)
    report = pp.evaluate(trained, SHOTS, draws=500)
    for name, values in errors_from_rates(trained, SHOTS, 16, seed=0).items():
        np.testing.assert_array_equal(report.state[name].rates_error, values)
    assert report.correlation.rates_error is None
    assert "  rates  " in shots_report_text(report).splitlines()[0]
    numbers = shots_report_numbers(report)
    assert len(numbers["state_correlation"]["rates_error"]) == 3
    untrained = replace(trained, provenance={})
    elsewhere = replace(SHOTS, readout=ERROR.resampled(1))
    assert errors_from_rates(trained, elsewhere, 2, seed=3) == {}
    for rbm, sets in ((trained, 0), (untrained, 16)):
        without = pp.evaluate_on_shots(rbm, SHOTS, draws=500, rate_sets=sets)
        assert without.state["neighbours"].rates_error is None
        # Only an RBM of the same rates shares their error, so that it cancels.
        of_both = without.state["neighbours"].shots_sampling_error
        assert (of_both is None) == (rbm is untrained)
        assert "rates" not in shots_report_text(without).splitlines()[0]
    for limit in (trained.number_of_parameters, trained.number_of_parameters - 1):
        monkeypatch.setattr(rates_error, "RATES_ERROR_PARAMETERS", limit)
        few = limit == trained.number_of_parameters
        assert bool(errors_from_rates(trained, SHOTS, 1, seed=0)) == few
    with refuses("rate_sets", 0, -1):
        pp.evaluate_on_shots(trained, SHOTS, rate_sets=-1)


def test_a_single_site_has_no_bonds() -> None:
    error = calibrated(pp.ReadoutError.from_rates(0.1, 0.2, sites=1), 100)
    shots = pp.Shots(np.arange(400)[:, None] % 4 == 0).with_readout_error(error)
    found = errors_from_rates(pp.train(shots, hidden=1), shots, 4, seed=0)
    assert np.isnan(found["neighbours"])
    assert found["magnetization"] > 0
    assert found["correlation"].shape == (1,)
