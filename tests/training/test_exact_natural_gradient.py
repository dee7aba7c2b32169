"""Natural gradient of the exact likelihood: its maximum, and what ends it."""

from __future__ import annotations

import numpy as np

import exact
from machines import sparse_rbm, whole_basis
from psiprune.rbm.likelihood import (
    flatten,
    log_likelihood,
    unique_configurations,
)
from psiprune.rbm.model import RBM
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import TrainingProgress, train
from refusals import refuses


def test_the_maximum_is_reached() -> None:
    # 6 sites and 3 hidden units, data drawn from such an RBM: at the maximum the gradient is 0 and
    # the fit beats the truth on its own data (by parameters / (2 shots) on average).
    truth = sparse_rbm(6, 3, seed=5)
    shots = truth.sample_exact(20_000, seed=1)
    states: list[TrainingProgress] = []
    rbm = train(
        shots,
        hidden=3,
        mask=truth.mask,
        seed=3,
        method=ExactNaturalGradient(weight_decay=0.0),
        initial="random",
        callback=states.append,
    )
    data = unique_configurations(shots)
    value, gradient = log_likelihood(rbm, data)
    assert np.abs(flatten(rbm.mask, gradient)).max() < 1e-4
    assert value > log_likelihood(truth, data)[0]
    assert (rbm.weights[~rbm.mask] == 0).all()
    kept = [log_likelihood(state.rbm, data)[0] for state in states]
    assert (np.diff(kept) >= 0).all()
    # It ends there, not after all 500 epochs.
    assert len(states) < 200
    assert (rbm.provenance["converged"], rbm.provenance["epochs_done"]) == (1, len(states))


def test_a_distribution_itself_can_be_fitted() -> None:
    truth = sparse_rbm(5, 2)
    start = RBM(truth.weights + 0.3, truth.visible_bias, truth.hidden_bias, truth.mask)
    method, basis = ExactNaturalGradient(epochs=100, weight_decay=0.0), exact.basis(5)
    last = method.init(start, whole_basis(truth), 0)
    while last.epoch < method.epochs and not last.done:
        last, _ = method.step(last)
    found, expected = np.exp(last.rbm.log_prob(basis)), np.exp(truth.log_prob(basis))
    assert last.done
    # It ends when a step promises less than 1e-9 nat; KL of 1e-8 is 1e-4 in probability at most.
    assert expected @ np.log(expected / found) < 1e-8
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_data_of_one_configuration_does_not_diverge() -> None:
    # The likelihood has no maximum (biases to infinity): damping must end the run.
    rbm = train(
        np.ones((50, 4), np.uint8), hidden=2, seed=0, method=ExactNaturalGradient(epochs=200)
    )
    assert np.isfinite(rbm.weights).all()
    assert float(rbm.log_prob(np.ones((1, 4)))[0]) > -1e-3


def test_layers_too_large_for_exact_sums_are_refused_in_one_line() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 20), dtype=np.uint8)
    with refuses("method", 18, 20, 19, "'natural', 'pcd' or 'cd'"):
        train(bits, hidden=19, method="exact")
