"""Epochs of CD and PCD against their formula in plain NumPy, with every setting on and off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import plain
import psiprune as pp
from machines import random_rbm
from psiprune.core.random import Stream, stream_key
from psiprune.kernels import cd, layout
from psiprune.training.contrastive_divergence import ContrastiveDivergence, ContrastiveState

EVERYTHING = {
    "batch_size": 30,
    "steps": 2,
    "momentum": 0.6,
    "weight_decay": 0.2,
    "learning_rate_decay": 0.04,
}


def chains_of(state: ContrastiveState) -> plain.Float64 | None:
    """Persistent chains [chain, site], or None."""
    _, visible, _ = state.chains.shape
    chains = state.chains.transpose(0, 2, 1).reshape(-1, visible).astype(float)
    return chains if len(chains) else None


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("kind", [pp.CD, pp.PCD])
@pytest.mark.parametrize(
    ("sites", "shots", "density", "changes"),
    [
        (4, 60, 1.0, {}),
        (4, 60, 0.6, {}),  # mask
        (4, 60, 1.0, {"weight_decay": 0.2}),
        (4, 60, 1.0, {"momentum": 0.6}),
        (4, 60, 1.0, {"learning_rate_decay": 0.04}),
        (4, 60, 1.0, {"steps": 3}),
        (4, 60, 1.0, {"batch_size": 20}),  # several batches
        (4, 70, 1.0, {"batch_size": 30}),  # the last one is short
        (4, 200, 1.0, {"batch_size": 150}),  # several tiles, then one of them
        (4, 70, 0.6, EVERYTHING),
        (4, 200, 0.6, {**EVERYTHING, "batch_size": 150}),
        (33, 7, 0.1, {"batch_size": 3}),  # bits in two words
        (1, 3, 1.0, {"batch_size": 1}),
    ],
)
def test_epochs_of_contrastive_divergence(
    kind: type[ContrastiveDivergence],
    sites: int,
    shots: int,
    density: float,
    changes: dict[str, Any],
) -> None:
    usual = {"batch_size": 60, "steps": 1, "momentum": 0.0, "learning_rate_decay": 1.0}
    method = kind(**{**usual, "epochs": 3, "learning_rate": 0.5, **changes})
    bits = np.random.default_rng(1).integers(0, 2, (shots, sites), dtype=np.uint8)
    state = method.init(random_rbm(sites, 3, density=density), pp.Shots(bits), seed=7)
    expected = plain.Trained(state.rbm, np.zeros(len(plain.theta(state.rbm))), chains_of(state))
    if expected.chains is not None:  # fair bits
        z = 2 * (expected.chains.mean(axis=0) - 0.5) * np.sqrt(len(expected.chains))
        assert np.abs(z).max() < 5
    tile = 16 * len(layout.tile_shape(method.batch_size))
    for epoch in range(3):
        numbers = plain.Numbers(int(stream_key(7, Stream.NEGATIVE_PHASE, epoch)))
        order = plain.shuffled(shots, int(stream_key(7, Stream.SHUFFLE, epoch)))
        rate = 0.5 * method.learning_rate_decay ** (epoch / 2)
        for first in range(0, shots, method.batch_size):
            rows = bits[order[first : first + method.batch_size]].astype(float)
            expected.update(rows, method, rate, numbers, tile)
        state, info = method.step(state)
        assert info.learning_rate == pytest.approx(rate)
        found = np.concatenate(state.params), np.concatenate(state.velocity)
        for one, other in zip(found, (plain.theta(expected.rbm), expected.velocity), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6)
        np.testing.assert_array_equal(chains_of(state), expected.chains)


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize("tiles", [0, 1])
def test_an_epoch_of_two_batches_is_two_epochs_of_one(tiles: int) -> None:
    rbm, steps, lanes = random_rbm(4, 3), 2, 64
    bits = np.random.default_rng(1).integers(0, 2, (100, 4), dtype=np.uint8)
    runs = []
    for parts in ((np.arange(100),), (np.arange(60), np.arange(60, 100))):
        params = layout.Parameters(*(values.copy() for values in rbm.compiled.params))
        velocity = layout.Parameters(*(np.zeros_like(values) for values in params))
        chains = np.zeros((tiles, 4, lanes), np.float32)
        key = 9
        for part in parts:
            cd.train_epoch(
                *(layout.pack(bits), part.astype(np.int32), 60, steps, chains),
                *(rbm.compiled.graph, params, velocity),
                *(np.float32(0.5), np.float32(0.6), np.float32(0.2)),
                *(np.uint64(key), layout.NARROW),
            )
            key += steps * (rbm.visible + rbm.hidden)
        runs.append((*params, *velocity, chains))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("sums")
def test_an_epoch_is_the_same_in_any_thread() -> None:
    method = pp.CD(steps=3)
    bits = np.random.default_rng(1).integers(0, 2, (700, 9), dtype=np.uint8)
    state = method.init(random_rbm(9, 5, density=0.8), pp.Shots(bits), seed=5)
    alone = np.concatenate(method.step(state)[0].params)
    with ThreadPoolExecutor(4) as pool:
        for after, _ in pool.map(method.step, [state] * 8):
            np.testing.assert_array_equal(np.concatenate(after.params), alone)
