"""Steps of both natural gradients against their formulas, 4 visible and 3 hidden units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import distribution, magnet, score_moments
from psiprune.core.exceptions import DivergenceError
from psiprune.core.random import Stream, derive_seed
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import WeightedConfigurations
from psiprune.rbm.model import RBM
from psiprune.training import exact_natural_gradient, natural_metric

Float64 = NDArray[np.float64]
DENSE = np.ones((3, 4), bool)
MASK = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]], bool)
#: More than one piece of 8,192 configurations, and the last piece unlike the first one.
BITS = np.random.default_rng(1).choice(2, (9000, 4), p=[0.35, 0.65]).astype(np.uint8)
BITS[:, 1] ^= BITS[:, 0]
BITS[8192:, 2] = 0
SHOTS = pp.Shots(BITS)
DATA = exact.empirical(BITS)
#: A correct sampler fails below this p-value once in a million seeds.
REJECT = 1e-6


def random_rbm(mask: NDArray[np.bool_] = DENSE, scale: float = 1.0) -> RBM:
    """Weights of a size at which chains have not forgotten their start after a few steps."""
    rng = np.random.default_rng(7)
    weights, visible_bias = rng.normal(0, 2, (3, 4)), rng.normal(0, 0.5, 4)
    return RBM(scale * weights, visible_bias, rng.normal(0, 0.5, 3), mask)


def parameters_of(rbm: RBM) -> Float64:
    """Weights of the mask row by row, visible biases, hidden biases."""
    return np.concatenate([rbm.weights[rbm.mask], rbm.visible_bias, rbm.hidden_bias])


def penalties(rbm: RBM, weight_decay: float) -> Float64:
    """The coefficients of theta^2 / 2 in the L2 penalty: weights alone are penalised."""
    weights, biases = rbm.mask.sum(), sum(rbm.mask.shape)
    return np.repeat([weight_decay, 0.0], [weights, biases])


# --- averages over chains --------------------------------------------------------------------


@pytest.mark.parametrize("mask", [DENSE, MASK], ids=["dense", "masked"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("rate", "epochs", "ages"),
    [
        # Short steps: F is computed once.
        pytest.param(0.05, 3, [0, 1, 2], id="free"),
        # Steps shortened to 0.3: four change the distribution by more than 1.
        pytest.param(50.0, 9, [0, 1, 2, 3, 0, 1, 2, 3, 0], id="shortened"),
    ],
)
def test_steps_over_chains(
    mask: NDArray[np.bool_], weight_decay: float, rate: float, epochs: int, ages: list[int]
) -> None:
    check_steps_over_chains(random_rbm(mask), weight_decay, rate, epochs, ages)


@pytest.mark.parametrize("mask", [DENSE, MASK], ids=["dense", "masked"])
def test_steps_over_chains_without_the_matrix(
    monkeypatch: pytest.MonkeyPatch, mask: NDArray[np.bool_]
) -> None:
    monkeypatch.setattr(natural_metric, "_SQUARED_PARAMETERS", 0)
    # 20 products span all of 19 parameters, except for their rounding.
    check_steps_over_chains(random_rbm(mask), 0.1, 0.05, 3, [0, 1, 2], chains=4500, formed=False)


def test_the_metric_over_chains_is_renewed_after_50_steps() -> None:
    check_steps_over_chains(random_rbm(), 0.0, 1e-3, 52, [*range(50), 0, 1])


def check_steps_over_chains(
    start: RBM,
    weight_decay: float,
    rate: float,
    epochs: int,
    ages: list[int],
    *,
    chains: int = 2000,
    formed: bool = True,
) -> None:
    method = pp.NaturalGradient(
        epochs=epochs,
        chains=chains,
        steps=1,
        learning_rate=rate,
        learning_rate_decay=0.25,
        weight_decay=weight_decay,
    )
    state = method.init(start, SHOTS, 0)
    parts = max(1, len(BITS) // (2 * chains))
    fisher, mean = np.empty(()), np.empty(())
    for t, age in enumerate(ages):
        rbm, theta, t_rate = state.rbm, parameters_of(state.rbm), rate * 0.25 ** (t / (epochs - 1))
        state, info = method.step(state)
        # The chains that the step averages over stand in the state after it.
        model, covariance = score_moments(rbm, exact.empirical(state.chains))
        gradient = score_moments(rbm, exact.empirical(BITS[t % parts :: parts]))[0] - model
        gradient -= penalties(rbm, weight_decay) * theta
        momentum = max(0.0, 1 - 4 * t_rate) if t else 0.0
        mean = momentum * mean + (1 - momentum) * gradient
        if age == 0:  # the damping falls from 1e-2 in the first step to 1e-4 in the last
            fisher = covariance + 10.0 ** (-2 - 2 * t / (epochs - 1)) * np.eye(len(theta))
        step = t_rate * np.linalg.solve(fisher, mean)
        length = np.sqrt(step @ fisher @ step)
        shortened = min(1.0, 0.3 / length)
        assert (shortened < 1) == (rate == 50.0)
        moved = parameters_of(state.rbm) - theta
        error = moved - shortened * step
        if formed:
            # Averages are in float32; where damping is 1e-4 it amplifies their rounding.
            np.testing.assert_allclose(error, 0.0, atol=3e-3 * np.abs(moved).max())
        else:  # a hundredth of its length
            assert error @ fisher @ error < 1e-4 * moved @ fisher @ moved
        assert info.learning_rate == pytest.approx(t_rate)
        assert info.shortened == pytest.approx(shortened, rel=1e-3)
        assert info.length == pytest.approx(min(0.3, length), rel=1e-3)
        assert (info.fisher_age, state.epoch) == (age, t + 1)
    np.testing.assert_array_equal(state.rbm.weights != 0, start.mask)


@pytest.mark.parametrize(
    ("steps", "thirds"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (7, [2, 2, 3])]
)
def test_model_averages_are_over_each_third_of_the_steps(steps: int, thirds: list[int]) -> None:
    method, rbm = pp.NaturalGradient(chains=500, steps=steps), random_rbm()
    start = method.init(rbm, SHOTS, 0)
    after, _ = method.step(start)
    seed = derive_seed(0, Stream.NATURAL_STEP, 0)
    chains, seen = gibbs.start_chains(rbm.compiled, start.chains, seed), []
    for number in thirds:
        chains = gibbs.step(gibbs.step_with_flips(chains, 1), number - 1)
        seen.append(chains.bits)
    np.testing.assert_array_equal(after.chains, seen[-1])
    model, _ = score_moments(rbm, exact.empirical(np.concatenate(seen)))
    data, _ = score_moments(rbm, exact.empirical(BITS[::9]))
    assert after.gradient is not None
    np.testing.assert_allclose(after.gradient, data - model, atol=1e-6)


def test_chains_start_at_shots_take_flips_and_continue() -> None:
    # With hardly any learning, chains of two steps of training follow powers of one matrix.
    method = pp.NaturalGradient(epochs=9, chains=40_000, steps=2, learning_rate=1e-9)
    rbm = magnet(4, 3, 2.0, tilt=1.0)
    state = method.init(rbm, SHOTS, 3)
    assert exact.chi_squared_p(state.chains, DATA) > REJECT
    start = exact.index(BITS[:1])[0]
    state = replace(state, chains=np.repeat(BITS[:1], method.chains, axis=0))
    first, _ = method.step(state)
    second, _ = method.step(first)
    pairs = np.concatenate([first.chains, second.chains], axis=1)
    here = distribution(rbm) / (
        distribution(rbm) + distribution(rbm)[::-1]
    )  # keep v rather than 1 - v
    flips = np.diag(here) + np.diag(1 - here)[:, ::-1]
    gibbs = exact.gibbs_matrix(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    for step, right in ((flips @ gibbs, True), (gibbs, False)):
        twice = step @ step
        assert (exact.chi_squared_p(first.chains, twice[start]) > REJECT) == right
        # Index a + 16 b of a pair: numbers of the second step do not repeat those of the first.
        joint = (twice[start][:, None] * twice).T.ravel()
        assert (exact.chi_squared_p(pairs, joint) > REJECT) == right


def test_no_step_where_data_and_chains_agree() -> None:
    # Biases of 60 hold every chain where all shots are.
    rbm = RBM(np.zeros((1, 3)), np.full(3, 60.0), np.zeros(1))
    method = pp.NaturalGradient(chains=64)
    state, info = method.step(method.init(rbm, pp.Shots(np.ones((64, 3), np.uint8)), 0))
    np.testing.assert_array_equal(parameters_of(state.rbm), parameters_of(rbm))
    assert (info.length, info.shortened) == (0.0, 1.0)


def test_the_rules_of_steps_over_chains_at_their_limits() -> None:
    method = pp.NaturalGradient(epochs=2, chains=500, steps=1, learning_rate=1e-3)
    start = method.init(random_rbm(), SHOTS, 0)
    assert start.epoch == 0
    # The damping: 1e-2 in the first step, 1e-4 in the last.
    for epochs, epoch, damping in ((1, 0, 1e-2), (2, 0, 1e-2), (2, 1, 1e-4)):
        chosen = method.model_copy(update={"epochs": epochs})
        after, _ = chosen.step(replace(start, epoch=epoch))
        assert after.fisher is not None
        assert after.fisher.damping == pytest.approx(damping)
    fisher = after.fisher
    assert fisher is not None
    # A metric serves until the distribution has changed by more than 1.
    for moved, age in ((1.0, 1), (np.nextafter(1.0, 2.0), 0)):
        _, info = method.step(replace(after, fisher=replace(fisher, moved=moved)))
        assert info.fisher_age == age
    # A step twice as long as allowed is halved, however short.
    _, info = method.step(start)
    longer = method.model_copy(update={"learning_rate": 1e-3 * 0.6 / info.length})
    _, info = longer.step(start)
    assert info.length == pytest.approx(0.3)
    assert info.shortened == pytest.approx(0.5)
    # Chains start at all shots.
    two = method.init(random_rbm(), pp.Shots(np.eye(4, dtype=np.uint8)[:2]), 0)
    np.testing.assert_array_equal(np.unique(two.chains, axis=0), np.eye(4)[1::-1])


def test_a_step_that_is_not_finite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    method, step = pp.NaturalGradient(chains=9), np.append(np.zeros(18), np.nan)
    state = method.init(random_rbm(), SHOTS, 0)
    monkeypatch.setattr("psiprune.training.natural_metric.solve", lambda *_, **__: step)
    with pytest.raises(DivergenceError, match="epoch 1 "):
        method.step(state)


# --- sums over all states --------------------------------------------------------------------


@pytest.mark.parametrize("mask", [DENSE, MASK], ids=["dense", "masked"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_over_all_states(mask: NDArray[np.bool_], weight_decay: float) -> None:
    method = pp.ExactNaturalGradient(weight_decay=weight_decay)
    state = method.init(random_rbm(mask, scale=2.0), SHOTS, 0)
    assert state.damping == 1e-3
    there, rules = DATA > 0, set()

    def objective(rbm: RBM) -> float:
        penalty = 0.5 * penalties(rbm, weight_decay) @ parameters_of(rbm) ** 2
        return float(DATA[there] @ np.log(distribution(rbm)[there]) - penalty)

    while not state.done:
        rbm, theta, damping = state.rbm, parameters_of(state.rbm), state.damping
        penalty = penalties(rbm, weight_decay)
        of_data, covariance = score_moments(rbm, DATA)
        gradient = of_data - score_moments(rbm, distribution(rbm))[0] - penalty * theta
        fisher = covariance + np.diag(penalty)
        state, info = method.step(state)
        # Rejected steps raise the damping by factors of 4.
        while True:
            step = np.linalg.solve(fisher + damping * np.eye(len(theta)), gradient)
            promised = gradient @ step - 0.5 * step @ fisher @ step
            gain = objective(with_parameters(rbm, theta + step)) - objective(rbm)
            if gain > 0 or promised < 1e-9:
                break
            damping *= 4
            rules.add("rejected")
        assert info.damping == pytest.approx(damping)
        assert info.promised == pytest.approx(promised, rel=1e-4, abs=1e-12)
        assert state.done == (promised < 1e-9)
        assert state.log_likelihood == info.log_likelihood
        assert info.log_likelihood == pytest.approx(objective(state.rbm), abs=1e-10)
        if state.done:  # rounding may decide whether the last step is taken
            break
        assert info.accepted
        np.testing.assert_allclose(
            parameters_of(state.rbm), theta + step, atol=1e-5 * np.abs(step).max()
        )
        ratio = gain / promised
        factor = 1 / 3 if ratio > 0.75 else 2 if ratio < 0.25 else 1
        rules.add(f"times {factor:.2g}")
        assert state.damping == pytest.approx(max(factor * damping, 1e-9))
    if weight_decay == 0.0:  # the paths are long enough to meet every rule
        assert rules == {"rejected", "times 0.33", "times 1", "times 2"}


def test_the_damping_has_limits() -> None:
    # One bit: log(0.6 / 0.4) = 0.405 is almost (0.6 - 0.5) / 0.24, so the first step is good.
    method, shots = pp.ExactNaturalGradient(), pp.Shots(np.array([[1], [1], [1], [0], [0]]))
    rbm = RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.zeros((1, 1), bool))
    state = method.init(rbm, shots, 0)
    assert method.step(replace(state, damping=2e-9))[0].damping == 1e-9
    last, info = method.step(replace(state, damping=1e6))  # promises 1e-8
    assert (last.done, info.accepted) == (False, True)
    # No step reaches a likelihood of 1, so damping ends the training where it is.
    state = replace(state, log_likelihood=0.0, slope=np.array([0.1, 0.0]))
    last, info = method.step(replace(state, damping=1e6 / 4**9))
    assert (last.done, info.accepted, info.damping) == (True, False, 4e6)
    np.testing.assert_array_equal(parameters_of(last.rbm), np.zeros(2))


def test_no_step_at_the_maximum() -> None:
    rbm = RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.zeros((1, 1), bool))
    method = pp.ExactNaturalGradient()
    last, info = method.step(method.init(rbm, pp.Shots(np.array([[0], [1]])), 0))
    assert (last.done, info.accepted, last.damping) == (True, False, 1e-3)
    np.testing.assert_array_equal(parameters_of(last.rbm), np.zeros(2))


def with_parameters(rbm: RBM, theta: Float64) -> RBM:
    """The RBM of the same mask with these parameters."""
    weights = np.zeros(rbm.mask.shape)
    weights[rbm.mask], biases = theta[: -sum(rbm.mask.shape)], theta[-sum(rbm.mask.shape) :]
    return RBM(weights, biases[: rbm.visible], biases[rbm.visible :], rbm.mask)


def test_a_large_fisher_sample_follows_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    weight = rng.gamma(2.0, size=10_000)
    bits = (np.arange(10_000) >> np.arange(14)[:, None]) & 1
    data = WeightedConfigurations(bits.astype(float), 2 * weight / weight.sum())
    samples = [exact_natural_gradient._sample(data, 5, epoch) for epoch in (1, 2)]
    places = [sample.bits.T @ (1 << np.arange(14)) for sample in samples]
    for sample, place in zip(samples, places, strict=True):
        np.testing.assert_array_equal(sample.weight, np.full(8192, 1 / 8192))
        # Groups of a hundred configurations, in the order of their weights.
        group = np.argsort(np.argsort(data.weight)) // 100
        expected = 4096 * np.bincount(group, data.weight)
        found = np.bincount(group[place.astype(int)], minlength=100)
        assert scipy.stats.chisquare(found, expected).pvalue > REJECT
    assert (places[0] != places[1]).any()
    # All of the data, if it is small; and the last configuration counts.
    monkeypatch.setattr(exact_natural_gradient, "_FISHER_SAMPLE", 8)
    for configurations in (8, 9):
        weight = np.append(np.full(configurations - 1, 1e-12), 1.0)
        small = WeightedConfigurations(bits[:, :configurations].astype(float), weight)
        drawn = exact_natural_gradient._sample(small, 5, 1)
        assert (drawn is small) == (configurations == 8)
        assert configurations == 8 or (drawn.bits == small.bits[:, -1:]).all()
