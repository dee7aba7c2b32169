"""The exact likelihood against enumeration and finite differences."""

from __future__ import annotations

import os

import numpy as np
import pytest

from machines import sparse_rbm, whole_basis
from psiprune.rbm import likelihood
from psiprune.rbm.likelihood import (
    data_moments,
    flatten,
    from_vector,
    log_likelihood,
    model_moments,
    to_vector,
    unique_configurations,
)
from psiprune.rbm.model import RBM


def test_collapse_counts_each_configuration() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, 3), dtype=np.uint8)
    data = unique_configurations(bits)
    index = (data.bits.T @ (1 << np.arange(3))).astype(int)
    counts = np.bincount(bits @ (1 << np.arange(3)), minlength=8)
    np.testing.assert_allclose(data.weight[np.argsort(index)], counts / 500)


@pytest.mark.parametrize("bias", [0.0, 900.0])  # p~ is e^bias at least
@pytest.mark.parametrize(("visible", "hidden"), [(5, 3), (3, 5), (4, 4), (1, 1), (1, 3), (17, 2)])
def test_model_moments_are_averages_over_the_basis(visible: int, hidden: int, bias: float) -> None:
    rbm = sparse_rbm(visible, hidden)
    # One more unit, without weights and always 1, in either layer.
    biases = np.append(rbm.visible_bias, bias), np.append(rbm.hidden_bias, bias)
    rbm = RBM(np.pad(rbm.weights, (0, 1)), *biases)
    log_z, found = model_moments(rbm)
    _, wanted = data_moments(rbm, whole_basis(rbm))
    assert log_z == pytest.approx(rbm.log_partition(), rel=1e-14, abs=1e-12)
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


def test_pieces_and_threads_change_rounding_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm = sparse_rbm(8, 7)
    data = unique_configurations(np.random.default_rng(1).integers(0, 2, (250, 8), dtype=np.uint8))
    x = flatten(rbm.mask, log_likelihood(rbm, data)[1])
    monkeypatch.setattr(likelihood, "_PIECE", 32)  # 4 pieces of states, 6 of configurations
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        value, gradient = log_likelihood(rbm, data)
        found.append(np.append(flatten(rbm.mask, gradient), value))
    np.testing.assert_allclose(found[0][:-1], x, atol=1e-14)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_vectors_and_rbms_are_one() -> None:
    rbm = sparse_rbm(4, 3)
    again = from_vector(rbm, to_vector(rbm))
    assert (again.weights == rbm.weights).all()
    assert (again.visible_bias == rbm.visible_bias).all()
    assert (again.hidden_bias == rbm.hidden_bias).all()
