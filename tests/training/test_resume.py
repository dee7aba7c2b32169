"""States of a training as arrays: restored from them, it ends with the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.rbm.likelihood import to_vector
from psiprune.training.method import Method

METHODS: tuple[Method, ...] = (
    pp.CD(epochs=6, momentum=0.5),
    pp.PCD(epochs=6),
    pp.NaturalGradient(epochs=6, chains=400, steps=3),
    pp.ExactNaturalGradient(epochs=6),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_a_restored_state_continues_with_the_same_bits(method: Method) -> None:
    shots = pp.Shots(np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8))
    first = method.init(random_rbm(4, 3), shots, 5)
    state = first
    for _ in range(3):
        state, _ = method.step(state)
    restored = first.restore(state.epoch, state.to_arrays())
    assert (restored.epoch, restored.done) == (3, state.done)
    np.testing.assert_array_equal(to_vector(restored.rbm), to_vector(state.rbm))
    whole, again = state, restored
    for _ in range(2):
        (whole, info), (again, same) = method.step(whole), method.step(again)
        assert info == same
        np.testing.assert_array_equal(to_vector(again.rbm), to_vector(whole.rbm))
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_a_restored_state_has_ended_where_the_training_had() -> None:
    method = pp.ExactNaturalGradient()
    first = method.init(random_rbm(2, 1), pp.Shots(np.array([[0, 0], [0, 1], [1, 0]])), 0)
    state = first
    while not state.done:
        state, _ = method.step(state)
    assert first.restore(state.epoch, state.to_arrays()).done


def test_persistent_chains_fill_the_tiles_of_a_batch() -> None:
    shots = pp.Shots(np.zeros((5, 4), np.uint8))
    for batch, tiles in ((1, 1), (64, 1), (112, 1), (113, 2), (300, 3)):
        state = pp.PCD(batch_size=batch).init(random_rbm(4, 3), shots, 0)
        count, visible, lanes = state.chains.shape
        assert (visible, -(-batch // lanes)) == (4, count)
        assert count == tiles or lanes == 64
