"""Which parameters a Fisher matrix has, and which samples it averages over."""

from __future__ import annotations

import numpy as np
import pytest

import exact
from machines import distribution, magnet, score_moments, whole_basis
from psiprune.inference import fisher
from psiprune.inference.fisher import (
    basis_fisher,
    fisher_matrix,
    model_configurations,
    sample_fisher,
)
from psiprune.rbm.model import RBM


@pytest.mark.parametrize("given", [0.0, 0.5])
def test_a_zero_weight_inside_the_mask_is_a_parameter(given: float) -> None:
    rng = np.random.default_rng(3)
    weights, mask = rng.normal(size=(3, 4)), np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]])
    weights[1, 2] = weights[2, 3] = given
    rbm = RBM(weights, rng.normal(size=4), rng.normal(size=3), mask.astype(bool))
    expected = score_moments(rbm, distribution(rbm))[1]
    assert expected.shape == (14, 14)
    np.testing.assert_allclose(basis_fisher(rbm), expected, atol=1e-12)
    np.testing.assert_allclose(fisher_matrix(rbm, whole_basis(rbm)), expected, atol=1e-12)
    np.testing.assert_allclose(sample_fisher(rbm, whole_basis(rbm)), expected, atol=1e-6)


#: Four sites, each bound to a hidden unit of its own: a chain forgets tanh(2)^2 = 93 % in a step
#: less; p(v_i = 1) = 0.8.
SLOW = RBM(np.diag(np.full(4, 8.0)), np.full(4, np.log(4.0) - 4.0), np.full(4, -4.0))


@pytest.mark.parametrize("rbm", [SLOW, magnet(4, 2, 8.0, tilt=1.0)], ids=["slow", "two wells"])
def test_chains_of_a_fisher_matrix_forget_their_start(
    monkeypatch: pytest.MonkeyPatch, rbm: RBM
) -> None:
    # Without a burn-in, without flips or with records that repeat each other, chi-squared is tens
    # of standard deviations too large; a correct sampler fails once in a million seeds.
    monkeypatch.setattr(fisher, "independent_draws", lambda *_, **__: None)
    draws = 10 * 2016
    bits, weight = model_configurations(rbm, draws, seed=0)
    counts = np.round(draws * weight).astype(int)
    assert counts.sum() == draws
    drawn = np.repeat(bits.T.astype(np.uint8), counts, axis=0)
    assert exact.chi_squared_p(drawn, distribution(rbm)) > 1e-6
