"""The error of an RBM's observables from the noise of its training shots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from confusions import dense
from machines import random_rbm, score_moments
from psiprune.inference import response
from psiprune.metrics import training_error
from psiprune.metrics.training_error import errors_from_training, training_of
from psiprune.rbm.observed import distribution
from psiprune.reporting.metric_tables import shots_report_numbers, shots_report_text
from psiprune.training.train import fit

NAMES = ("magnetization", "neighbours", "correlation")
ERROR = pp.ReadoutError.from_rates(0.06, 0.1, sites=4)


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("_RECORDS", 500), ("_DRAWS", 4000), ("_SAMPLES", 20_000)):
        monkeypatch.setattr(response, name, number)


def functions(sites: int, prob: NDArray[np.float64]) -> NDArray[np.float64]:
    """m, the mean of Z_i Z_{i+1} and what changes as C(d), of every state, [2^N, function]."""
    z = 1.0 - 2.0 * exact.basis(sites)
    right = (z - prob @ z)[:, (sites - 1) // 2 :]
    bonds = (z[:, :-1] * z[:, 1:]).mean(axis=1)
    return np.column_stack([z.mean(axis=1), bonds, right[:, :1] * right])


def observables(rbm: pp.RBM) -> NDArray[np.float64]:
    """<m>, the mean of <Z_i Z_{i+1}> and C(d) by sums over all states."""
    prob = distribution(rbm)
    return prob @ functions(rbm.visible, prob)


def trained(rbm: pp.RBM, shots: int, error: pp.ReadoutError | None = None) -> pp.RBM:
    through = {} if error is None else {"readout_sha256": error.digest}
    return replace(rbm, provenance={"training_shots": shots, **through})


def errors_of(
    rbm: pp.RBM, error: pp.ReadoutError | None, state: bool, draws: int = 20_000
) -> NDArray[np.float64]:
    """Return the errors of `observables`."""
    training = training_of(rbm, rbm.sample_exact(draws, seed=1), error, 0)
    assert training.note == ""
    found = errors_from_training(rbm, training, error, {}, 0)
    return np.hstack([(found.state if state else found.records)[name] for name in NAMES])


def test_errors_without_readout_errors_are_those_of_the_projection_on_the_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response, "_DRAWS", 20_000)
    rbm, prob = random_rbm(4, 1), distribution(random_rbm(4, 1))
    f = functions(4, prob)
    _, fisher = score_moments(rbm, prob)
    covariance = _covariance_with_scores(rbm, prob, f)
    expected = np.einsum("pf,pq,qf->f", covariance, np.linalg.pinv(fisher), covariance)
    found = errors_of(trained(rbm, 400), None, state=False)
    for number, used in ((100, 100), (30_000, 20_000)):
        bits = rbm.sample_exact(number, seed=1)
        curvature = training_of(trained(rbm, 400), bits, None, 0).curvature
        assert curvature is not None
        assert len(curvature.bits) == used
        np.testing.assert_array_equal(curvature.bits[[0, -1]], bits[[0, -1]])
    np.testing.assert_allclose(found, np.sqrt(expected / 400), rtol=0.05, atol=1e-4)
    spread = np.sqrt(prob @ f**2 - (prob @ f) ** 2)
    assert (expected <= spread**2 * (1 + 1e-9)).all()
    assert (expected < 0.95 * spread**2).any()  # not all of them lie in the span of the scores


@pytest.mark.parametrize("state", [True, False], ids=["true bits", "records"])
def test_errors_with_readout_errors_by_sums_over_all_states(state: bool) -> None:
    """The Fisher matrix is that of E[s | y]; observables f of records are C^T f of true bits."""
    rbm, prob = random_rbm(4, 1), distribution(random_rbm(4, 1))
    confusion = dense(ERROR)  # [y, v]
    posterior = confusion * prob / (confusion @ prob)[:, None]
    scores = _scores(rbm)
    given = posterior @ scores
    recorded = confusion @ prob
    mean = recorded @ given
    fisher = (given * recorded[:, None]).T @ given - np.outer(mean, mean)
    f = functions(4, prob) if state else confusion.T @ functions(4, recorded)
    covariance = _covariance_with_scores(rbm, prob, f)
    expected = np.einsum("pf,pq,qf->f", covariance, np.linalg.pinv(fisher), covariance)
    found = errors_of(trained(rbm, 400, ERROR), ERROR, state)
    np.testing.assert_allclose(found, np.sqrt(expected / 400), rtol=0.1, atol=1e-4)


def _scores(rbm: pp.RBM) -> NDArray[np.float64]:
    v = exact.basis(rbm.visible).astype(float)
    s = 1.0 / (1.0 + np.exp(-(v @ rbm.weights.T + rbm.hidden_bias)))
    return np.concatenate([(s[:, :, None] * v[:, None, :])[:, rbm.mask], v, s], axis=1)


def _covariance_with_scores(
    rbm: pp.RBM, prob: NDArray[np.float64], f: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (_scores(rbm) * prob[:, None]).T @ (f - prob @ f)


@pytest.mark.slow
@pytest.mark.parametrize("rates", [None, (0.03, 0.03), (0.06, 0.1)])
def test_pulls_of_many_training_sets_have_unit_width(rates: tuple[float, float] | None) -> None:
    """The observables of 60 RBMs of 6 sites, each trained on a record of its own.

    Draws alone, with an error like that of 100,000, would have pulls of 2 or more.
    """
    error = None if rates is None else pp.ReadoutError.from_rates(*rates, sites=6)
    truth, wanted = random_rbm(6, 2), observables(random_rbm(6, 2))
    prob = distribution(truth)
    spread = np.sqrt(prob @ functions(6, prob) ** 2 - (prob @ functions(6, prob)) ** 2)
    method, pulls, of_draws = pp.ExactNaturalGradient.for_fine_tuning(), [], []
    for seed in range(60):
        shots = pp.Shots(truth.sample_exact(4000, seed=seed))
        shots = shots if error is None else shots.with_readout_error(error, seed)
        rbm = fit(truth, shots, method, seed)
        gap = observables(rbm) - wanted
        pulls.append(gap / errors_of(rbm, error, state=error is not None))
        of_draws.append(gap / (spread / np.sqrt(100_000)))
    linear = [0, 1, 3, 4, 5]  # C(0) = 1 - <Z>^2 with <Z> near 0 depends on <Z> to second order
    # The root mean square of 60 normal numbers is 1 within 0.36 (4 standard errors), and less of
    # the mean over observables.
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))[linear]
    assert (np.abs(rms - 1) < 0.36).all()
    assert abs(rms.mean() - 1) < 0.2
    assert np.sqrt(np.mean(np.square(of_draws), axis=0))[linear].min() > 2


def test_reports_have_the_errors_or_state_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = random_rbm(4, 1)
    bits = rbm.sample_exact(300, seed=1)
    records = pp.Shots(bits).with_readout_error(ERROR, 2)

    def report(of: pp.RBM, shots: pp.Shots, draws: int = 2000) -> pp.ShotsReport:
        walls = {"walls": lambda v: (v[:, 1:] != v[:, :-1]).sum(axis=1), "one": lambda v: 1.0}
        return pp.evaluate_on_shots(of, shots, draws=draws, observables=walls, rate_sets=0)

    found = report(trained(rbm, 400), pp.Shots(bits))
    assert found.training_note == ""
    text = shots_report_text(found)
    assert "  training  " in text.splitlines()[0]
    assert "noise of the shots that the RBM was trained on" in " ".join(text.split())
    # Walls are N - 1 bonds, half of those of <Z Z> each.
    assert found.custom["walls"].training_error == pytest.approx(
        3 / 2 * float(np.asarray(found.neighbours.training_error))
    )
    assert found.custom["one"].training_error is None
    assert np.asarray(found.correlation.training_error).shape == (3,)
    assert shots_report_numbers(found)["abs_magnetization"]["training_error"] > 0
    assert found.abs_magnetization.error == report(rbm, pp.Shots(bits)).abs_magnetization.error
    through = report(trained(rbm, 400, ERROR), records)
    plain = report(trained(rbm, 400), records)  # the errors ignored in training
    for name in NAMES:
        with_rates, ignoring = (
            np.asarray(each.state[name].training_error, float) for each in (through, plain)
        )
        assert np.max(with_rates / ignoring) > 1.1
    for of, shots, draws, why in (
        (rbm, pp.Shots(bits), 2000, "how many shots the RBM was trained on is not recorded"),
        (trained(rbm, 400, ERROR), pp.Shots(bits), 2000, "trained through readout errors that"),
        (trained(rbm, 400, ERROR.resampled(1)), records, 2000, "trained through readout errors"),
        (trained(random_rbm(4, 4), 400), pp.Shots(bits), 191, "it takes 192 draws"),
    ):
        without = report(of, shots, draws)
        assert why in without.training_note
        assert without.neighbours.training_error is None
        text = " ".join(shots_report_text(without).split())
        assert f"note: the noise of the training shots is unknown: {without.training_note}" in text
        assert " training " not in text.partition("magnetization")[0]
        assert shots_report_numbers(without)["training_note"] == without.training_note
    assert report(trained(random_rbm(4, 4), 400), pp.Shots(bits), 192).training_note == ""
    monkeypatch.setattr(training_error, "RATES_ERROR_PARAMETERS", 9)
    assert report(trained(rbm, 400), pp.Shots(bits)).training_note == ""
    monkeypatch.setattr(training_error, "RATES_ERROR_PARAMETERS", 8)
    large = report(trained(rbm, 400), pp.Shots(bits))
    assert "has 9 parameters, more than 8" in large.training_note
    unwanted = pp.evaluate_on_shots(rbm, bits, draws=100, training_noise=False)
    assert unwanted.training_note == ""


@pytest.mark.parametrize("shots", [None, 0, -3, True, 2.5, "400"])
def test_a_damaged_number_of_training_shots_is_not_recorded(shots: Any) -> None:
    rbm = trained(random_rbm(4, 1), shots)
    found = training_of(rbm, rbm.sample_exact(200, seed=1), None, 0)
    assert found == (None, "how many shots the RBM was trained on is not recorded", 0)


def test_errors_of_training_that_ended_early_are_upper_estimates() -> None:
    shots: Any = np.int64(400)
    rbm = trained(random_rbm(4, 1), shots)
    for change, early in (({}, False), ({"folds": 2}, True), ({"folds": 2, "converged": 1}, False)):
        of = replace(rbm, provenance={**rbm.provenance, **change})
        report = pp.evaluate_on_shots(of, rbm.sample_exact(50, seed=1), draws=300)
        assert report.neighbours.training_error is not None
        assert ("upper estimates" in report.training_note) == early
        assert report.training_note in " ".join(shots_report_text(report).split())
        assert ("upper estimates" in shots_report_text(report)) == early


def test_rbms_of_other_rates_are_named_in_python_too() -> None:
    rbm = random_rbm(4, 1)
    plain, records = (pp.Shots(np.eye(4, dtype=np.uint8), readout=each) for each in (None, ERROR))
    through = replace(rbm, provenance={"readout": str(ERROR), "readout_sha256": ERROR.digest})

    def warning(of: pp.RBM, shots: pp.Shots) -> str:
        return pp.evaluate_on_shots(of, shots, draws=100, rate_sets=0).readout_warning

    assert warning(rbm, plain) == warning(through, records) == ""
    assert "was trained through readout errors, but the shots (" in warning(through, plain)
    assert "not known to be trained through these readout errors (" in warning(rbm, records)
    other = replace(records, readout=ERROR.resampled(1))
    assert f"but through {ERROR}: its state may deviate" in warning(through, other)
