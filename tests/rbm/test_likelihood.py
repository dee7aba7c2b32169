"""The exact likelihood against enumeration and finite differences, and its maximum."""

from __future__ import annotations

import numpy as np
import pytest
from psiprune.training.natural_exact import natural_steps, start_natural

import exact
from psiprune.core.exceptions import InputError
from psiprune.inference.fisher import fisher_matrix
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    data_moments,
    flatten,
    from_vector,
    log_likelihood,
    model_moments,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.model import RBM
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import TrainingProgress, train


def sparse_rbm(visible: int, hidden: int, seed: int = 0) -> RBM:
    generator = np.random.default_rng(seed)
    mask = generator.random((hidden, visible)) < 0.7
    return RBM(
        generator.normal(size=(hidden, visible)),
        generator.normal(size=visible),
        generator.normal(size=hidden),
        mask,
    )


def whole_basis(rbm: RBM) -> WeightedConfigurations:
    """Every state with its probability under the RBM."""
    bits = exact.basis(rbm.visible)
    return WeightedConfigurations(bits.T.astype(float), np.exp(rbm.log_prob(bits)))


def test_collapse_counts_each_configuration() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, 3), dtype=np.uint8)
    data = unique_configurations(bits)
    index = (data.bits.T @ (1 << np.arange(3))).astype(int)
    counts = np.bincount(bits @ (1 << np.arange(3)), minlength=8)
    np.testing.assert_allclose(data.weight[np.argsort(index)], counts / 500)


@pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5), (4, 4), (1, 1), (1, 3), (17, 2)])
def test_model_moments_are_averages_over_the_basis(visible: int, hidden: int) -> None:
    rbm = sparse_rbm(visible, hidden)
    log_z, found = model_moments(rbm)
    _, wanted = data_moments(rbm, whole_basis(rbm))
    assert log_z == pytest.approx(rbm.log_partition(), abs=1e-12)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5)])
def test_the_gradient_is_that_of_finite_differences(visible: int, hidden: int) -> None:
    rbm = sparse_rbm(visible, hidden)
    data = unique_configurations(
        np.random.default_rng(1).integers(0, 2, (40, visible), dtype=np.uint8)
    )
    x = to_vector(rbm)

    def value(x: np.ndarray) -> float:
        return log_likelihood(from_vector(rbm, x), data)[0]

    direct = float(data.weight @ rbm.log_prob(data.bits.T))
    assert value(x) == pytest.approx(direct, abs=1e-12)
    gradient = flatten(rbm.mask, log_likelihood(rbm, data)[1])
    steps = 1e-5 * np.eye(len(x))
    differences = [(value(x + step) - value(x - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, differences, atol=1e-9)


def test_fisher_matrix_is_the_curvature_of_kl() -> None:
    # D(p_theta || p_theta + d) = d F d / 2 + O(d^3), both distributions by enumeration.
    rbm = sparse_rbm(4, 3)
    states = whole_basis(rbm)
    fisher, x = fisher_matrix(rbm, states), to_vector(rbm)
    direction = np.random.default_rng(2).normal(size=len(x))
    for size in (1e-2, 1e-3):
        step = size * direction
        moved = from_vector(rbm, x + step)
        kl = float(states.weight @ (np.log(states.weight) - moved.log_prob(states.bits.T)))
        assert kl == pytest.approx(0.5 * step @ fisher @ step, rel=20 * size)


def test_vectors_and_rbms_are_one() -> None:
    rbm = sparse_rbm(4, 3)
    again = from_vector(rbm, to_vector(rbm))
    assert (again.weights == rbm.weights).all()
    assert (again.visible_bias == rbm.visible_bias).all()
    assert (again.hidden_bias == rbm.hidden_bias).all()


def test_the_maximum_is_reached() -> None:
    # 6 sites and 3 hidden units, data drawn from such an RBM: at the maximum the gradient is 0 and
    # the fit beats the truth on its own data (by parameters / (2 shots) on average).
    truth = sparse_rbm(6, 3, seed=5)
    shots = truth.sample_exact(20_000, seed=1)
    states: list[TrainingProgress] = []
    rbm = train(shots, hidden=3, mask=truth.mask, seed=3, method="exact", watch=states.append)
    data = unique_configurations(shots)
    value, gradient = log_likelihood(rbm, data)
    assert np.abs(flatten(rbm.mask, gradient)).max() < 1e-4
    assert value > log_likelihood(truth, data)[0]
    assert (rbm.weights[~rbm.mask] == 0).all()
    kept = [log_likelihood(state.rbm, data)[0] for state in states]
    assert (np.diff(kept) >= 0).all()


def test_a_distribution_itself_can_be_fitted() -> None:
    truth = sparse_rbm(5, 2)
    start = RBM(truth.weights + 0.3, truth.visible_bias, truth.hidden_bias, truth.mask)
    *_, last = natural_steps(start_natural(start), whole_basis(truth), CD(epochs=100), seed=0)
    basis = exact.basis(5)
    found, expected = np.exp(last.rbm.log_prob(basis)), np.exp(truth.log_prob(basis))
    assert last.done
    # It ends when a step promises less than 1e-9 nat; KL of 1e-8 is 1e-4 in probability at most.
    assert expected @ np.log(expected / found) < 1e-8
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_exact_training_with_weight_decay_shrinks_weights() -> None:
    shots = sparse_rbm(5, 2, seed=1).sample_exact(5000, seed=0)
    free, held = (
        train(shots, hidden=2, seed=0, method=ExactNaturalGradient(weight_decay=w))
        for w in (0, 0.1)
    )
    assert np.abs(held.weights).sum() < np.abs(free.weights).sum()
    # At the penalised maximum the likelihood's gradient equals the pull of the penalty.
    gradient = log_likelihood(held, unique_configurations(shots))[1]
    np.testing.assert_allclose(gradient.visible_hidden, 0.1 * held.weights, atol=1e-4)


def test_exact_training_repeats_itself_and_takes_no_step_at_0_epochs() -> None:
    shots = sparse_rbm(5, 2).sample_exact(300, seed=0)
    first, second = (train(shots, hidden=2, seed=4, method="exact") for _ in range(2))
    assert (first.weights == second.weights).all()
    untouched = train(shots, hidden=2, seed=4, method=ExactNaturalGradient(epochs=0))
    assert not (untouched.weights == first.weights).all()


def test_data_of_one_configuration_does_not_diverge() -> None:
    # The likelihood has no maximum (biases to infinity): damping must end the run.
    rbm = train(
        np.ones((50, 4), np.uint8), hidden=2, seed=0, method=ExactNaturalGradient(epochs=200)
    )
    assert np.isfinite(rbm.weights).all()
    assert float(rbm.log_prob(np.ones((1, 4)))[0]) > -1e-3


def test_layers_too_large_for_exact_sums_are_refused_in_one_line() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 20), dtype=np.uint8)
    with pytest.raises(InputError, match="at most 18 units, found 20 visible and 19 hidden"):
        train(bits, hidden=19, method="exact")
