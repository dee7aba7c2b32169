"""log p(y) of records: sums over true bits, copies of a small RBM, and perfect readout."""

from __future__ import annotations

import numpy as np
import pytest

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.data.confusion import Confusion
from psiprune.inference import recorded, recorded_sums
from psiprune.inference.log_partition import LogPartition, log_partition
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


def nearly_perfect(*sites: int, wrong: float) -> Confusion:
    size = 1 << len(sites)
    rows = np.random.default_rng(sites).dirichlet(np.ones(size), size)
    return Confusion(sites, (1 - wrong) * np.eye(size) + wrong * rows)


#: Two correlated pairs, one of them of sites that are not adjacent, and single sites.
PAIRS = nearly_perfect(0, 1, wrong=0.15), nearly_perfect(4, 2, wrong=0.15)
INDEPENDENT = pp.ReadoutError.from_rates(*RATES)
JOINT = pp.ReadoutError((*PAIRS, INDEPENDENT.groups[3], INDEPENDENT.groups[5]))


def side_by_side(error: pp.ReadoutError, number: int) -> pp.ReadoutError:
    return pp.ReadoutError(
        tuple(
            Confusion(tuple(6 * copy + site for site in group.sites), group.matrix)
            for copy in range(number)
            for group in error.groups
        )
    )


def only_annealing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "cheapest_sum", lambda *_: None)


@pytest.mark.parametrize("error", [INDEPENDENT, JOINT], ids=["independent", "joint"])
def test_exact_values_above_20_sites(error: pp.ReadoutError) -> None:
    # Four copies side by side: log p(y) is the sum of those of the copies.
    shots = records_of(SMALL, error, 200)
    by_copy = log_prob_recorded(SMALL, error)[shots.bits @ (1 << np.arange(6))].reshape(-1, 4)
    large = copies(SMALL, 4)
    # A unit of one weight, which the sum leaves out, only changes a bias and log Z.
    extra = RBM(
        np.vstack([large.weights, np.eye(24)[5:6]]),
        large.visible_bias - np.eye(24)[5] * (np.logaddexp(0, 1.3) - np.logaddexp(0, 0.3)),
        np.append(large.hidden_bias, 0.3),
        np.vstack([large.mask, np.eye(24, dtype=bool)[5:6]]),
    )
    for rbm in (large, extra):
        records = shots.bits.reshape(-1, 24)
        found = recorded_log_prob(rbm, records, side_by_side(error, 4), log_partition(rbm), 0)
        np.testing.assert_allclose(found.values, by_copy.sum(axis=1), atol=1e-10)
        assert (found.error, found.bias) == (0.0, 0.0)
        assert found.method.endswith("sum over 2^12 hidden states for each record")


def test_exact_values_where_they_are_quicker_or_take_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rbm, error = copies(SMALL, 4), side_by_side(INDEPENDENT, 4)
    log_z, bits = log_partition(rbm), rbm.sample_exact(3)
    # 48 steps of 4 annealings, 30 ns for each unit and 0.5 ns for each of 288 weights.
    annealing = 48 * 4 * 3 * 1e-9 * (30 * 36 + 0.5 * 288)

    def method(seconds: float, limit: float, of: pp.ReadoutError = error) -> str:
        def known(*_: object) -> recorded_sums.RecordedSum:
            return recorded_sums.RecordedSum(seconds, "exact", lambda y: np.zeros(len(y)))

        monkeypatch.setattr(recorded, "cheapest_sum", known)
        found = recorded_log_prob(rbm, bits, of, log_z, 0, limit).method
        return "exact" if "exact" in found else "annealing" if "annealings" in found else found

    assert method(1.0, 1.0) == "exact"
    assert method(1.001, 1.0) == "annealing"
    assert method(0.999 * annealing, 0.0) == "exact"
    assert method(1.001 * annealing, 0.0) == "annealing"
    joint = 48 * 4 * 3 * 1e-9 * (30 * 36 + 90 * 32 + 0.5 * 288)  # 4 states of each of 8 pairs
    assert method(0.999 * joint, 0.0, side_by_side(JOINT, 4)) == "exact"
    assert method(1.001 * joint, 0.0, side_by_side(JOINT, 4)) == "annealing"


@pytest.mark.parametrize(
    ("error", "number"), [(INDEPENDENT, 4000), (JOINT, 800)], ids=["independent", "joint"]
)
def test_annealing_agrees_with_sums_over_all_states(
    error: pp.ReadoutError, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_annealing(monkeypatch)
    shots = records_of(SMALL, error, number)
    by_copy = log_prob_recorded(SMALL, error)[shots.bits @ (1 << np.arange(6))].reshape(-1, 4)
    large, wide = copies(SMALL, 4), side_by_side(error, 4)
    log_z = log_partition(large)
    found = recorded_log_prob(large, shots.bits.reshape(-1, 24), wide, log_z, 3)
    gap = found.values - by_copy.sum(axis=1)
    # Each value is noisy; the mean must agree within 5 standard errors and the estimated bias.
    assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(gap)) + abs(found.bias)
    assert gap.std() < 0.15
    ignoring = large.log_prob_unnormalized(shots.bits.reshape(-1, 24)) - log_z.value
    assert (ignoring - by_copy.sum(axis=1)).std() > 2 * gap.std()  # without the errors
    assert "annealings" in found.method
    np.testing.assert_array_equal(wide.rates, side_by_side(error, 4).rates)  # left as they were


def test_the_bias_of_few_annealings_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    # log r is normally distributed around 0 with variance s^2, so log of a mean of n is off by
    # about s^2 (n - 1) / (2 n) less than log of the mean of all, s^2 / 2.
    only_annealing(monkeypatch)
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


def test_values_error_and_bias_follow_from_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    only_annealing(monkeypatch)
    monkeypatch.setattr(recorded, "_BLOCK", 2)
    log_w = np.random.default_rng(0).normal(size=(recorded.REPEATS, 3))

    def weights(_: RBM, bits: np.ndarray, *__: object) -> np.ndarray:
        return np.asarray(log_w[:, bits[:, 0] + bits[:, 1]])

    monkeypatch.setattr(recorded, "annealed_ratio", weights)
    times = np.array([1, 2, 5])
    bits = np.zeros((3, 24), np.uint8)
    bits[1:, 0] = bits[2, 1] = 1
    large, error = copies(SMALL, 4), pp.ReadoutError.from_rates(0.1, sites=24)
    records = bits.repeat(times, axis=0)
    found = recorded_log_prob(large, records, error, LogPartition(1.7, 0.2, "m"), 0)
    whole, even, odd = (np.log(np.exp(w).mean(axis=0)) for w in (log_w, log_w[::2], log_w[1::2]))
    bias, noise = (even + odd) / 2 - whole, (even - odd) / 2 * times / 8
    values = large.log_prob_unnormalized(bits) - 1.7 + whole - bias
    np.testing.assert_allclose(found.values, values.repeat(times))
    assert found.error == pytest.approx(np.linalg.norm([0.2, *noise]))
    assert found.bias == pytest.approx(bias @ times / 8)


def test_exact_values_need_no_log_partition_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "EXACT_SITES", 6)
    error = pp.ReadoutError.from_rates(*RATES)
    shots = records_of(SMALL, error, 50)
    found = shots_log_prob(SMALL, shots, log_partition(SMALL), 0)
    wanted = log_prob_recorded(SMALL, error)[shots.bits @ (1 << np.arange(6))]
    np.testing.assert_array_equal(found.values, wanted)
    assert (found.error, found.bias, found.method) == (0.0, 0.0, "sum over 2^6 states")


def test_shots_without_errors_have_the_plain_likelihood() -> None:
    shots = pp.Shots(SMALL.sample_exact(50, seed=1))
    found = shots_log_prob(SMALL, shots, LogPartition(SMALL.log_partition(), 0.3, "sum"), 0)
    np.testing.assert_allclose(found.values, SMALL.log_prob(shots.bits))
    assert (found.error, found.bias) == (0.3, 0.0)


def test_equal_records_have_equal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "EXACT_SITES", 3)
    only_annealing(monkeypatch)
    error = pp.ReadoutError.from_rates(*RATES)
    bits = np.repeat(records_of(SMALL, error, 30).bits, 3, axis=0)
    found = recorded_log_prob(SMALL, bits, error, log_partition(SMALL), 0).values.reshape(-1, 3)
    np.testing.assert_array_equal(found, found[:, :1].repeat(3, axis=1))


@pytest.mark.parametrize("sites", [((0, 2), (3, 1)), ((3, 0, 1), (2,))], ids=["pairs", "three"])
def test_annealing_of_joint_errors_has_the_ratio_of_probabilities_as_its_mean(
    sites: tuple[tuple[int, ...], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E[w] = p(y) / p(v = y) of each record, within 5 errors, and not that of other errors."""
    monkeypatch.setattr(recorded, "STEPS", 4)
    rbm, generator = random_rbm(4, 2, scale=2.0), np.random.default_rng(0)
    error = pp.ReadoutError(tuple(nearly_perfect(*each, wrong=0.3) for each in sites))
    bits = exact.basis(4).repeat(400, axis=0)
    log_w = recorded.annealed_ratio(rbm, bits, 0.0, 0.0, generator, error.groups)
    w = np.exp(log_w).reshape(-1, 16, 400).swapaxes(0, 1).reshape(16, -1)
    p, spread = distribution(rbm), w.std(axis=1) / np.sqrt(w.shape[1])

    def sigmas(of: pp.ReadoutError) -> float:
        return float((np.abs(w.mean(axis=1) - of.apply(p) / p) / spread).max())

    assert sigmas(error) < 5
    assert sigmas(pp.ReadoutError.from_rates(*error.rates.T)) > 10  # site by site


def test_weights_beyond_the_range_of_floats_are_those_of_the_first_states() -> None:
    # r = E[0.9 + 0.2 exp(1000 + 2 h)] over h from p(h | v = 0), where both h are as likely.
    rbm = RBM(np.array([[2.0]]), np.array([1000.0]), np.zeros(1))
    generator = np.random.default_rng(0)
    log_w = recorded.annealed_ratio(rbm, np.zeros((500, 1), np.uint8), 0.1, 0.2, generator)
    w = np.exp(log_w - 1000)
    assert abs(w.mean() - 0.1 * (1 + np.exp(2))) < 5 * w.std() / np.sqrt(w.size)


def test_annealing_beyond_the_range_of_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    # p(v = y) is exp(-2000) or less of most records. 00 is never recorded as 00.
    matrix = np.array([[0, 0.45, 0.45, 0.1], [0.3, 0.7, 0, 0], [0.3, 0, 0.7, 0], [0.3, 0, 0, 0.7]])
    joint = pp.ReadoutError((Confusion((0, 1), matrix),))
    monkeypatch.setattr(recorded, "EXACT_SITES", 1)
    only_annealing(monkeypatch)
    for error in (joint, pp.ReadoutError.from_rates([0.1, 0.01], 0.2)):
        for bias in (-3.0, -2000.0):
            rbm = RBM(np.zeros((1, 2)), np.full(2, bias), np.zeros(1))
            found = recorded_log_prob(rbm, exact.basis(2), error, log_partition(rbm), 0)
            wanted = log_prob_recorded(rbm, error)
            possible = wanted > -700
            assert possible.sum() == (3 if error is joint and bias < -700 else 4)
            np.testing.assert_allclose(found.values[possible], wanted[possible], atol=0.05)
            assert (found.values[~possible] < -700).all()
