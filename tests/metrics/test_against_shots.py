"""An RBM against shots alone: log-likelihood and observables, with errors that cover."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import exact
from machines import distribution, random_rbm
from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import LogPartition
from psiprune.inference.recorded import RecordedLogProb
from psiprune.metrics import against_shots, bootstrap, draws
from psiprune.metrics.against_shots import evaluate_on_shots
from psiprune.metrics.bootstrap import bootstrap_means
from psiprune.metrics.measure import Measure
from psiprune.metrics.observables import data_observables
from psiprune.metrics.shots_report import Comparison, ShotsReport
from psiprune.rbm.model import RBM
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import train
from refusals import refuses

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]

RBM_OF_6 = random_rbm(6, 3, scale=1.5)


@cache
def draws_of(count: int, seed: int) -> Bits:
    return RBM_OF_6.sample_exact(count, seed=seed)


@cache
def report(count: int = 4000, seed: int = 11) -> ShotsReport:
    return evaluate_on_shots(RBM_OF_6, draws_of(count, seed), draws=20_000, seed=1)


# --- values ----------------------------------------------------------------------------------


def test_likelihoods_by_enumeration() -> None:
    bits, found = draws_of(4000, 11), report()
    prob = distribution(RBM_OF_6)
    log_p = np.log(prob[exact.index(bits)])
    assert found.shots == 4000
    assert found.log_likelihood.value == pytest.approx(log_p.mean(), rel=1e-9)
    ones = bits.mean(axis=0)
    log_product = np.where(bits == 1, np.log(ones), np.log(1 - ones)).sum(axis=1)
    assert found.product_log_likelihood.value == pytest.approx(log_product.mean(), rel=1e-9)
    # The mean over the shots of a product fitted to them is minus the entropies of its bits.
    entropy = scipy.stats.entropy([ones, 1 - ones]).sum()
    assert found.product_log_likelihood.value == pytest.approx(-entropy, rel=1e-9)
    gain = found.log_likelihood_gain
    assert gain.value == pytest.approx(log_p.mean() + entropy, rel=1e-9)
    for measure, values in (
        (found.log_likelihood, log_p),
        (found.product_log_likelihood, log_product),
        (gain, log_p - log_product),
    ):
        # Bootstrap errors of means are sigma / sqrt(n), themselves known to 3.5 %.
        assert measure.error == pytest.approx(values.std() / np.sqrt(4000), rel=5 * 0.035)
        assert measure.effective_sample_size == 4000
        assert measure.warning == ""
    assert found.log_likelihood.method == "log Z by sum over 2^3 states"


def test_observables_by_enumeration() -> None:
    bits, found = draws_of(4000, 11), report()
    prob = distribution(RBM_OF_6)
    z, seen = 1.0 - 2.0 * exact.basis(6), 1.0 - 2.0 * bits
    m = z.mean(axis=1)
    bonds = (z[:, :-1] * z[:, 1:]).mean(axis=1)
    correlation = [
        prob @ (z[:, 2] * z[:, j]) - (prob @ z[:, 2]) * (prob @ z[:, j]) for j in range(2, 6)
    ]
    wanted = {
        "magnetization": prob @ m,
        "abs_magnetization": prob @ np.abs(m),
        "neighbours": prob @ bonds,
        "correlation": np.array(correlation),
    }
    own = data_observables(bits)
    for name, value in wanted.items():
        comparison: Comparison = getattr(found, name)
        assert (np.abs(comparison.value - value) < 5 * comparison.error).all()
        assert (np.abs(comparison.shots_value - value) < 5 * comparison.shots_error).all()
        assert (np.abs(comparison.sigmas) < 5).all()
        assert comparison.method == "independent draws"
        assert comparison.effective_sample_size == 20_000
        if name in own:
            np.testing.assert_allclose(comparison.shots_value, own[name].value, atol=1e-12)
            np.testing.assert_allclose(comparison.shots_error, own[name].error, rtol=0.2)
    value = (seen[:, :-1] * seen[:, 1:]).mean()
    assert found.neighbours.shots_value == pytest.approx(value, rel=1e-12)
    assert found.correlation.value.shape == (4,)


def test_the_floor_is_what_a_perfect_model_shows() -> None:
    # The RBM against draws of itself, 100 sets of shots.
    reports = [
        evaluate_on_shots(RBM_OF_6, draws_of(500, seed), draws=2000, seed=seed)
        for seed in range(100, 200)
    ]
    values = np.array([each.abs_magnetization_roe.value for each in reports])
    floors = np.array([each.abs_magnetization_roe.floor for each in reports])
    assert abs(values.mean() - floors.mean()) < 4 * values.std(ddof=1) / 10
    # As for coverage: 95 % intervals of the difference, binomial over 100.
    for name in ("magnetization", "abs_magnetization", "neighbours"):
        inside = [abs(float(getattr(each, name).sigmas)) < 1.96 for each in reports]
        assert 0.87 <= np.mean(inside) <= 1.0, name
        squares = np.mean([float(getattr(each, name).sigmas) ** 2 for each in reports])
        assert 0.6 < squares < 1.6, name  # chi-squared over 100: 1 +- 0.14
    expected = float(distribution(RBM_OF_6) @ np.log(distribution(RBM_OF_6)))
    inside = [
        abs(each.log_likelihood.value - expected) < 1.96 * each.log_likelihood.error
        for each in reports
    ]
    assert 0.87 <= np.mean(inside) <= 1.0


@pytest.mark.slow
def test_training_shots_flatter_by_parameters_over_shots() -> None:
    """Trained to the maximum on 300 shots, measured there and on fresh shots: 20 training sets."""
    gaps = []
    for seed in range(20):
        shots = draws_of(300, seed)
        rbm = train(shots, hidden=3, seed=0, method=ExactNaturalGradient(epochs=100))
        own = evaluate_on_shots(rbm, shots, draws=100)
        fresh = float(rbm.log_prob(draws_of(20_000, 999)).mean())
        gaps.append(own.log_likelihood.value - fresh)
    assert own.training_excess == pytest.approx((18 + 6 + 3) / 300)
    error = np.std(gaps, ddof=1) / np.sqrt(20)
    assert abs(np.mean(gaps) - own.training_excess) < 4 * error
    assert np.mean(gaps) > 4 * error  # no gap at all does not pass


# --- the bootstrap ---------------------------------------------------------------------------


def test_the_bootstrap_resamples_columns_together() -> None:
    table = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32) * [1, -1]
    means = bootstrap_means(table.astype(np.float32), seed=2)
    assert means.shape == (bootstrap.RESAMPLES, 2)
    np.testing.assert_allclose(means[:, 0], -means[:, 1], atol=1e-6)


# --- log Z without a sum ---------------------------------------------------------------------


def test_the_error_of_log_z_counts_and_its_warning_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, exact_z = report(), RBM_OF_6.log_partition()
    noisy = LogPartition(exact_z, 0.3, "annealing", 12.0, {"warning": "it lies"})
    asked: list[dict[str, Any]] = []

    def log_partition(_: RBM, **how: Any) -> LogPartition:
        asked.append(how)
        return noisy

    monkeypatch.setattr(against_shots, "log_partition", log_partition)
    shots = Shots(draws_of(4000, 11))
    found = evaluate_on_shots(RBM_OF_6, shots, draws=20_000, seed=1, progress=False)
    assert asked == [{"data": shots, "seed": 1, "progress": False}]
    for name in ("log_likelihood", "log_likelihood_gain"):
        measure: Measure = getattr(found, name)
        plain: Measure = getattr(known, name)
        assert measure.value == pytest.approx(plain.value)
        assert measure.error == pytest.approx(np.hypot(plain.error, 0.3))
        assert measure.warning == "depends on log Z, and it lies"
        assert measure.effective_sample_size == 12
        assert measure.method == "log Z by annealing"
    assert found.product_log_likelihood.error == known.product_log_likelihood.error
    assert found.abs_magnetization.warning == ""


def test_a_warning_about_records_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    doubted = RecordedLogProb(np.zeros(100), 0.0, 0.0, "m", "records are too low")
    monkeypatch.setattr(against_shots, "shots_log_prob", lambda *_: doubted)
    found = evaluate_on_shots(RBM_OF_6, draws_of(4000, 11)[:100], draws=100)
    warned = {name for name, measure in found if measure.warning == "records are too low"}
    assert warned == {"log_likelihood", "log_likelihood_gain"}


def test_chains_start_at_shots_where_there_are_no_independent_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = report()
    monkeypatch.setattr(draws, "independent_draws", lambda *_, **__: None)
    found = evaluate_on_shots(RBM_OF_6, draws_of(4000, 11), draws=5000, seed=1)
    assert found.magnetization.method.startswith("1000 Gibbs chains with flips")
    for name in ("magnetization", "abs_magnetization", "neighbours", "correlation"):
        comparison: Comparison = getattr(found, name)
        assert (np.abs(comparison.sigmas) < 5).all()
        assert comparison.warning == ""
        assert 1000 < comparison.effective_sample_size <= 5000
    assert found.log_likelihood.value == known.log_likelihood.value


# --- limits ----------------------------------------------------------------------------------


def test_reports_repeat() -> None:
    again = evaluate_on_shots(RBM_OF_6, Shots(draws_of(4000, 11)), draws=20_000, seed=1)
    other = evaluate_on_shots(RBM_OF_6, draws_of(4000, 11), draws=20_000, seed=2)
    for (name, a), (_, b), (_, c) in zip(report(), again, other, strict=True):
        assert a.method == b.method
        np.testing.assert_array_equal(a.value, b.value, err_msg=name)
        np.testing.assert_array_equal(a.error, b.error, err_msg=name)
        if isinstance(a, Comparison):
            assert (np.asarray(a.value) != c.value).any()
    assert [name for name, _ in other] == [
        "log_likelihood",
        "product_log_likelihood",
        "log_likelihood_gain",
        "abs_magnetization_roe",
        "magnetization",
        "abs_magnetization",
        "neighbours",
        "correlation",
    ]


def test_shots_that_are_all_the_same() -> None:
    bits = np.tile(np.array([0, 1, 0, 1, 0, 1], np.uint8), (50, 1))
    found = evaluate_on_shots(RBM_OF_6, bits, draws=1000)
    assert found.product_log_likelihood.value == found.product_log_likelihood.error == 0
    assert found.log_likelihood.value == pytest.approx(float(RBM_OF_6.log_prob(bits)[0]))
    assert found.log_likelihood.error == pytest.approx(0, abs=1e-12)
    assert found.magnetization.shots_value == 0
    assert found.magnetization.shots_error == found.neighbours.shots_error == 1 / 50
    assert found.neighbours.shots_value == -1
    assert np.isfinite(found.correlation.sigmas).all()
    # Nothing is relative to <|m|> = 0.
    assert np.isnan([found.abs_magnetization_roe.value, found.abs_magnetization_roe.floor]).all()


@pytest.mark.parametrize("sites", [1, 2])
def test_one_and_two_sites(sites: int) -> None:
    rbm = random_rbm(sites, 2)
    found = evaluate_on_shots(rbm, rbm.sample_exact(2000, seed=4), draws=2000)
    assert found.abs_magnetization.value.shape == ()
    assert abs(float(found.magnetization.sigmas)) < 5
    assert np.isnan(found.neighbours.value) == (sites == 1)
    assert np.isnan(found.neighbours.sigmas) == (sites == 1)
    assert found.correlation.value.shape == (sites,)
    assert np.isfinite(found.correlation.sigmas).all()


def test_two_shots_are_the_fewest() -> None:
    two = evaluate_on_shots(RBM_OF_6, draws_of(2, 0), draws=100)
    assert np.isfinite(two.log_likelihood.error)
    few = [evaluate_on_shots(RBM_OF_6, draws_of(n, 0), draws=100) for n in (26, 27)]
    assert [each.training_excess for each in few] == pytest.approx([np.nan, 1], nan_ok=True)


def test_what_does_not_fit_is_refused() -> None:
    bits = draws_of(4000, 11)
    with refuses("array", 2, 1):
        evaluate_on_shots(RBM_OF_6, bits[:1])
    with refuses("array", "0 shots"):
        evaluate_on_shots(RBM_OF_6, bits[:0])
    with refuses("array", "5 sites", 6):
        evaluate_on_shots(RBM_OF_6, bits[:, :5])
    with refuses("array", "basis X", "basis Z"):
        evaluate_on_shots(RBM_OF_6, Shots(bits, basis="X"))
    with refuses("draws", 100, 99):
        evaluate_on_shots(RBM_OF_6, bits, draws=99)
    with pytest.raises(InputError, match=r"^seed: "):
        evaluate_on_shots(RBM_OF_6, bits, seed=-1)
    with refuses("array", "row 0, column 0", "0 or 1", float(bits[0, 0]) + 0.5):
        evaluate_on_shots(RBM_OF_6, bits.astype(float) + 0.5)


def test_dead_parameters_do_not_flatter() -> None:
    mask = np.zeros((3, 6), bool)
    mask[0] = True
    pruned = RBM(RBM_OF_6.weights, RBM_OF_6.visible_bias, RBM_OF_6.hidden_bias, mask)
    found = evaluate_on_shots(pruned, draws_of(4000, 11), draws=100)
    assert found.training_excess == pytest.approx((6 + 6 + 1) / 4000)
