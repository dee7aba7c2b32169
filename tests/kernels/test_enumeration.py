"""Compiled sums against enumeration and plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.typing import NDArray

import exact
from psiprune.kernels import enumeration

Float64 = NDArray[np.float64]


# --- sums over all states --------------------------------------------------------------------


def random_layers(units: int, others: int, scale: float) -> tuple[Float64, Float64, Float64]:
    """(weights [other, unit], bias, other_bias)."""
    generator = np.random.default_rng([units, others])
    return (
        generator.normal(0, scale, (others, units)),
        generator.normal(0, scale, units),
        generator.normal(0, scale, others),
    )


def marginal(weights: Float64, bias: Float64, other_bias: Float64) -> Float64:
    x = exact.basis(len(bias)).astype(float)
    return np.asarray(x @ bias + np.logaddexp(0, x @ weights.T + other_bias).sum(axis=1))


@pytest.mark.parametrize("units", range(1, 10))
@pytest.mark.parametrize(("others", "scale"), [(1, 1.0), (6, 1.0), (5, 300.0), (1100, 0.01)])
def test_scan_is_the_marginal_of_every_state(units: int, others: int, scale: float) -> None:
    weights, bias, other_bias = random_layers(units, others, scale)
    found = enumeration.log_marginals_all(weights, bias, other_bias)
    np.testing.assert_allclose(found, marginal(weights, bias, other_bias), rtol=1e-12, atol=1e-10)
    assert np.isfinite(found).all()


def test_scan_of_several_pieces() -> None:
    weights, bias, other_bias = random_layers(17, 1, 1.0)  # two pieces of 2^16 states
    found = enumeration.log_marginals_all(weights, bias, other_bias)
    np.testing.assert_allclose(found, marginal(weights, bias, other_bias), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("others", [511, 512, 513, 1024, 1025, 2000])
def test_scan_with_factors_of_two_does_not_overflow(others: int) -> None:
    found = enumeration.log_marginals_all(np.zeros((others, 3)), np.zeros(3), np.zeros(others))
    np.testing.assert_allclose(found, others * np.log(2), rtol=1e-12)


def test_scan_of_a_piece() -> None:
    weights, bias, other_bias = random_layers(9, 4, 1.0)
    whole = marginal(weights, bias, other_bias)
    for first, count in ((0, 64), (128, 64), (64, 320), (448, 64)):
        out = np.empty(count)
        enumeration.log_marginals(weights, bias, other_bias, first, out)
        np.testing.assert_allclose(out, whole[first : first + count], rtol=1e-12)


@pytest.mark.parametrize("units", range(1, 10))
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_log_marginals_sum_is_the_partition_sum(units: int, scale: float) -> None:
    weights, bias, other_bias = random_layers(units, 5, scale)
    largest, total = enumeration.log_marginals_sum(weights, bias, other_bias, 0, 1 << units)
    joint = exact.rbm_joint(weights, bias, other_bias)
    assert largest + np.log(total) == pytest.approx(scipy.special.logsumexp(joint), rel=1e-12)
    values = marginal(weights, bias, other_bias)
    assert largest == pytest.approx(values.max(), rel=1e-12)


def test_log_marginals_sum_over_several_pieces() -> None:
    # 2^14 states are four pieces; the greatest value is in the last one.
    weights, bias, other_bias = random_layers(14, 3, 0.5)
    bias[-2:] = 100.0
    largest, total = enumeration.log_marginals_sum(weights, bias, other_bias, 0, 1 << 14)
    wanted = scipy.special.logsumexp(marginal(weights, bias, other_bias))
    assert largest + np.log(total) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("units", "states"), [(1100, 2), (3, 600), (511, 257), (513, 1)])
def test_sigmoids_and_their_softplus(units: int, states: int) -> None:
    generator = np.random.default_rng(units)
    a, weight = generator.normal(0, 3, (units, states)), generator.random(states)
    found = a.copy()
    total = enumeration.sigmoid_in_place(found, weight)
    assert total == pytest.approx(np.logaddexp(0, a).sum(axis=0) @ weight, rel=1e-12)
    np.testing.assert_allclose(found, scipy.special.expit(a), rtol=1e-12)
    found, sums = a.copy(), weight.copy()
    enumeration.sigmoids_and_sums(found, sums)
    np.testing.assert_allclose(sums, np.logaddexp(0, a).sum(axis=0) + weight, rtol=1e-12)
    np.testing.assert_allclose(found, scipy.special.expit(a), rtol=1e-12)


# --- one flipped site ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "hidden", "shots", "density", "scale"),
    [(6, 4, 64, 1.0, 1.0), (5, 3, 130, 0.4, 2.0), (1, 1, 1, 1.0, 1.0), (8, 2, 63, 1.0, 5.0)],
)
def test_local_energy_flips_are_ratios_of_amplitudes(
    visible: int, hidden: int, shots: int, density: float, scale: float
) -> None:
    generator = np.random.default_rng(12)
    mask = generator.random((hidden, visible)) < density
    bits = generator.integers(0, 2, (shots, visible), dtype=np.uint8)
    weights = np.where(mask, generator.normal(0, scale, mask.shape), 0.0)
    visible_bias, hidden_bias = (generator.normal(0, 0.5, n) for n in (visible, hidden))

    def log_p(v: Float64) -> Float64:
        activation = v @ weights.T + hidden_bias
        return np.asarray(v @ visible_bias + np.logaddexp(0, activation).sum(axis=1))

    v = bits.astype(float)
    wanted = np.zeros(shots)
    for i in range(visible):
        flipped = v.copy()
        flipped[:, i] = 1 - flipped[:, i]
        wanted += np.exp(0.5 * (log_p(flipped) - log_p(v)))
    found = np.empty(shots)
    enumeration.local_energy_flips(bits, weights, visible_bias, hidden_bias, found)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("strength", [10.0, 40.0, 100.0])
def test_local_energy_flips_with_biases_that_balance_large_weights(strength: float) -> None:
    # Odd factors of exp(+-strength) cancel one another in the ratio.
    weights = np.array([[2.0, 2.0, 0.0], [0.0, -1.0, 2.0]]) * strength + 0.1
    visible_bias = np.array([-1.5, -1.0, -1.3]) * strength
    hidden_bias = np.array([-1.0, 0.5]) * strength

    def log_p(v: Float64) -> float:
        return float(v @ visible_bias + np.logaddexp(0, weights @ v + hidden_bias).sum())

    bits = exact.basis(3)
    found = np.empty(8)
    enumeration.local_energy_flips(bits, weights, visible_bias, hidden_bias, found)
    for v, amplitude in zip(bits.astype(float), found, strict=True):
        wanted = 0.0
        for i in range(3):
            flipped = v.copy()
            flipped[i] = 1 - flipped[i]
            wanted += np.exp(0.5 * (log_p(flipped) - log_p(v)))
        assert amplitude == pytest.approx(wanted, rel=1e-10)


def flips_by_enumeration(
    bits: NDArray[np.uint8], weights: Float64, visible_bias: Float64, hidden_bias: Float64
) -> Float64:
    """Sum over sites of psi(flipped) / psi by the logarithm of each, one hidden unit at a time."""
    v = bits.astype(float)
    activation = v @ weights.T + hidden_bias
    total = np.zeros(len(v))
    for i in range(v.shape[1]):
        sign = 1 - 2 * v[:, i]
        after = activation + sign[:, None] * weights[:, i]
        gap = np.logaddexp(0, after) - np.logaddexp(0, activation)
        total += np.exp(0.5 * (sign * visible_bias[i] + gap.sum(axis=1)))
    return total


def check_flips(weights: Float64, visible_bias: Float64, hidden_bias: Float64) -> None:
    bits = exact.basis(weights.shape[1])
    found = np.empty(len(bits))
    enumeration.local_energy_flips(bits, weights, visible_bias, hidden_bias, found)
    wanted = flips_by_enumeration(bits, weights, visible_bias, hidden_bias)
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("strength", [5.0, 40.0, 200.0, 1000.0])
@pytest.mark.parametrize("balance", [-1.0, -0.5, 0.0])
def test_local_energy_flips_where_products_leave_the_range_of_floats(
    strength: float, balance: float
) -> None:
    # 50 weights of one sign against one bias, and 25 weights of either sign: partial products go
    # far out of range, and come back where the ratio is finite. Hidden biases put each unit at its
    # bend somewhere.
    generator = np.random.default_rng(3)
    weights = np.full((50, 6), strength)
    weights[:, 1] *= np.where(np.arange(50) < 25, 1, -1)
    weights[:, 2] *= generator.choice([-1, 0, 1], 50)
    hidden_bias = balance * strength * generator.integers(0, 4, 50) + generator.normal(0, 1, 50)
    for i in range(6):  # the site's bias balances its weights, at a configuration of its own
        v = generator.integers(0, 2, 6).astype(float)
        v[i] = 0
        off = weights @ v + hidden_bias
        gap = np.logaddexp(0, off + weights[:, i]) - np.logaddexp(0, off)
        bias = np.zeros(6)
        bias[i] = -gap.sum()
        found = np.empty(2)
        pair = np.array([v, v], np.uint8)
        pair[1, i] = 1
        alone = np.where(np.arange(6) == i, weights, 0.0)
        fixed = weights @ v + hidden_bias
        enumeration.local_energy_flips(pair, alone, bias, fixed, found)
        np.testing.assert_allclose(found, flips_by_enumeration(pair, alone, bias, fixed), rtol=1e-9)
        assert found == pytest.approx([6.0, 6.0], rel=1e-9)


def test_local_energy_flips_of_a_bias_against_fifty_weights() -> None:
    # 50 weights of 40 outweigh b = -1000; c = -20 - 40 k bends some of them off.
    hidden_bias = np.array([-20.0 - 40.0 * (j % 4) for j in range(50)])
    check_flips(np.full((50, 6), 40.0), np.full(6, -1000.0), hidden_bias)
    generator = np.random.default_rng(0)
    weights = 40.0 * generator.choice([-1.0, 0.0, 1.0], (50, 6))
    check_flips(weights, -0.5 * weights.sum(axis=0), generator.normal(0, 20, 50))


@pytest.mark.parametrize("bias", [599.0, 601.0, 750.0, 1000.0])
def test_local_energy_flips_of_steep_biases_without_weights(bias: float) -> None:
    visible_bias = np.array([bias, -bias, 0.3])
    weights = np.zeros((2, 3))
    check_flips(weights, visible_bias, np.array([1.0, -1.0]))
    for weights[0, 2] in (1.0, 1.5):  # the steep sites still have none
        check_flips(weights, visible_bias, np.array([1.0, -1.0]))
    check_flips(np.ones((2, 3)), visible_bias, np.array([1.0, -1.0]))


def test_local_energy_flips_beyond_512_hidden_units() -> None:
    # Factors of 2 each, 1100 times: the product itself is beyond 2^1024.
    weights = np.full((1100, 2), 60.0)
    weights[:, 1] = np.where(np.arange(1100) % 2, 1.0, -1.0)
    hidden_bias = np.full(1100, -60.0)
    check_flips(weights, np.array([-1100 * np.log(2), 700.0]), hidden_bias)
