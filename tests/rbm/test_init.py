"""Initial RBMs by their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from psiprune.core.random import Stream, generator_for
from psiprune.data.shots import Shots
from psiprune.rbm.init import coded_rbm, local_rbm
from psiprune.rbm.model import RBM
from refusals import refuses


def biased_shots() -> Shots:
    """Five sites, more shots than one block.

    Sites 0 and 1 are equal and rarely 1, so that the ridge matters; 2 and 3 are correlated in the
    second block alone.
    """
    generator = np.random.default_rng(0)
    bits = (generator.random((24_000, 5)) < [0.003, 0.5, 0.6, 0.5, 0.8]).astype(np.uint8)
    bits[:, 1] = bits[:, 0]
    bits[1 << 14 :, 3] = 1 - bits[1 << 14 :, 2]
    return Shots(bits)


SHOTS = biased_shots()
MEAN = (SHOTS.bits.sum(axis=0) + 0.5) / 24_001


def check_biases(rbm: RBM) -> None:
    """c_j = -sum_i W_ji <v_i> and b_i = logit <v_i> - sum_j W_ji / 2."""
    np.testing.assert_allclose(rbm.hidden_bias, -rbm.weights @ MEAN, rtol=1e-12)
    logit = np.log(MEAN / (1 - MEAN))
    np.testing.assert_allclose(rbm.visible_bias, logit - rbm.weights.sum(axis=0) / 2, rtol=1e-12)


def test_local_weights_are_partial_correlations() -> None:
    rbm = local_rbm(SHOTS, 36, seed=0)
    centred = SHOTS.bits - MEAN
    inverse = np.linalg.inv(centred.T @ centred / 24_000 + 1e-3 * np.eye(5))
    partial = -inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    np.fill_diagonal(partial, 1.0)
    site = (2 * np.arange(36) + 1) * 5 // 72  # floor((j + 1/2) 5 / 36)
    noise = generator_for(0, Stream.LOCAL_WEIGHTS).standard_normal((36, 5))
    np.testing.assert_allclose(rbm.weights, 3 * partial[site] + 0.05 * noise, rtol=1e-10)
    check_biases(rbm)


def test_units_linked_to_all_sites_belong_to_none() -> None:
    mask = np.concatenate([np.tri(5, dtype=bool), np.ones((2, 5), bool)])
    rbm, noise = local_rbm(SHOTS, 7, 0, mask), local_rbm(SHOTS, 7, 0)
    drawn = generator_for(0, Stream.LOCAL_WEIGHTS).standard_normal((7, 5))
    np.testing.assert_allclose(rbm.weights[5:], 3 / 5 + 0.05 * drawn[5:])
    np.testing.assert_allclose(rbm.weights[np.arange(5), np.arange(5)], 3 + 0.05 * np.diag(drawn))
    assert np.abs(noise.weights[5:] - rbm.weights[5:]).max() > 1  # a dense RBM has no such units
    check_biases(rbm)
    few = local_rbm(SHOTS, 3, 0, mask[[2, 5, 6]])
    np.testing.assert_allclose(few.weights[1:], 3 / 5 + 0.05 * drawn[1:3])
    assert few.weights[0, 2] == pytest.approx(3 + 0.05 * drawn[0, 2])


@pytest.mark.parametrize("initial", [local_rbm, coded_rbm])
def test_a_mask_takes_weights_before_biases_are_set(initial: type) -> None:
    mask = np.random.default_rng(1).random((3, 5)) < 0.5
    whole, masked = initial(SHOTS, 3, 0), initial(SHOTS, 3, 0, mask)
    np.testing.assert_array_equal(masked.weights, np.where(mask, whole.weights, 0))
    check_biases(whole)
    check_biases(masked)
    assert (initial(SHOTS, 3, 1).weights != whole.weights).all()
    with refuses("mask", (3, 5), (2, 4)):
        initial(SHOTS, 3, 0, np.ones((2, 4), bool))
    with refuses("hidden", 1, 0):
        initial(SHOTS, 0, 0)


@pytest.mark.parametrize(("sites", "coded"), [(8, 3), (9, 4), (2, 1)])
def test_coded_weights_tell_all_sites_apart(sites: int, coded: int) -> None:
    shots = Shots(np.zeros((1, sites), np.uint8))
    generator = generator_for(0, Stream.CODED_WEIGHTS)
    signs = generator.choice([-1.0, 1.0], (200, sites))
    signs[:coded] = [[-1.0 if i >> j & 1 else 1.0 for i in range(sites)] for j in range(coded)]
    wanted = (2 * signs + generator.standard_normal((200, sites)) / 2) / np.sqrt(sites)
    np.testing.assert_allclose(coded_rbm(shots, 200, seed=0).weights, wanted, rtol=1e-14)
