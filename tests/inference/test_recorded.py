"""log p(y) of records: sums over true bits, copies of a small RBM, and perfect readout."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.data.confusion import Confusion
from psiprune.inference import recorded
from psiprune.inference.log_partition import log_partition
from psiprune.inference.recorded import recorded_log_prob, shots_log_prob
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import log_prob_recorded

SMALL = random_rbm(6, 3)
RATES = np.linspace(0.01, 0.08, 6), np.linspace(0.1, 0.02, 6)


def copies(rbm: RBM, number: int) -> RBM:
    return RBM(
        np.kron(np.eye(number), rbm.weights).astype(float),
        np.tile(rbm.visible_bias, number),
        np.tile(rbm.hidden_bias, number),
    )


def records_of(rbm: RBM, error: pp.ReadoutError, shots: int) -> pp.Shots:
    return pp.Shots(rbm.sample_exact(shots, seed=1)).with_readout_error(error, 2)


def test_annealing_agrees_with_sums_over_all_states() -> None:
    # Four copies side by side: log p(y) is the sum of those of the copies.
    error = pp.ReadoutError.from_rates(*RATES)
    shots = records_of(SMALL, error, 4000)
    by_copy = log_prob_recorded(SMALL, error)[shots.bits @ (1 << np.arange(6))].reshape(-1, 4)
    large, wide = copies(SMALL, 4), pp.ReadoutError.from_rates(*(np.tile(r, 4) for r in RATES))
    log_z = log_partition(large)
    found = recorded_log_prob(large, shots.bits.reshape(-1, 24), wide, log_z, 3)
    gap = found.values - by_copy.sum(axis=1)
    # Each value is noisy; the mean must agree within 5 standard errors and the estimated bias.
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(gap)) + abs(found.bias)
    assert gap.std() < 0.15
    ignoring = large.log_prob_unnormalized(shots.bits.reshape(-1, 24)) - log_z.value
    assert (ignoring - by_copy.sum(axis=1)).std() > 2 * gap.std()  # without the errors
    assert "annealings" in found.method


def test_the_bias_of_few_annealings_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    # log r is normally distributed around 0 with variance s^2, so log of a mean of n is off by
    # about s^2 (n - 1) / (2 n) less than log of the mean of all, s^2 / 2.
    monkeypatch.setattr(recorded, "EXACT_SITES", 3)
    generator = np.random.default_rng(0)

    def noise(_: RBM, bits: np.ndarray, *__: object) -> np.ndarray:
        return np.asarray(generator.normal(-0.18, 0.6, (recorded.REPEATS, len(bits))))

    monkeypatch.setattr(recorded, "annealed_ratio", noise)
    bits = np.random.default_rng(1).integers(0, 2, (4000, 24), dtype=np.uint8)
    large = copies(SMALL, 4)
    log_z = log_partition(large)
    found = recorded_log_prob(large, bits, pp.ReadoutError.from_rates(0.1, sites=24), log_z, 0)
    off = (found.values - large.log_prob_unnormalized(bits) + log_z.value).mean()
    assert found.bias < -0.02
    assert abs(off) < 0.5 * abs(found.bias)  # without the correction off would be the bias


def test_exact_values_need_no_log_partition_function() -> None:
    error = pp.ReadoutError.from_rates(*RATES)
    shots = records_of(SMALL, error, 50)
    found = shots_log_prob(SMALL, shots, log_partition(SMALL), 0)
    wanted = log_prob_recorded(SMALL, error)[shots.bits @ (1 << np.arange(6))]
    np.testing.assert_array_equal(found.values, wanted)
    assert (found.error, found.bias, found.method) == (0.0, 0.0, "sum over 2^6 states")


def test_shots_without_errors_have_the_plain_likelihood() -> None:
    shots = pp.Shots(SMALL.sample_exact(50, seed=1))
    found = shots_log_prob(SMALL, shots, log_partition(SMALL), 0)
    np.testing.assert_allclose(found.values, SMALL.log_prob(shots.bits))


def test_equal_records_have_equal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "EXACT_SITES", 3)
    error = pp.ReadoutError.from_rates(*RATES)
    bits = np.repeat(records_of(SMALL, error, 30).bits, 3, axis=0)
    found = recorded_log_prob(SMALL, bits, error, log_partition(SMALL), 0).values.reshape(-1, 3)
    np.testing.assert_array_equal(found, found[:, :1].repeat(3, axis=1))


def test_correlated_errors_of_many_sites_are_refused() -> None:
    pair = Confusion((0, 1), 0.97 * np.eye(4) + 0.0075)
    rest = (Confusion((i,), np.array([[0.9, 0.1], [0.1, 0.9]])) for i in range(2, 21))
    rbm = random_rbm(21, 2)
    with pytest.raises(pp.InputError, match="correlated errors needs N <= 20, found 21"):
        recorded_log_prob(
            rbm, rbm.sample_exact(5), pp.ReadoutError((pair, *rest)), log_partition(rbm), 0
        )
