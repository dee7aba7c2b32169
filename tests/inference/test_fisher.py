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
from psiprune.rbm.likelihood import to_vector
from psiprune.rbm.model import RBM


@pytest.mark.parametrize("given", [0.0, 0.5])
def test_a_zero_weight_inside_the_mask_is_a_parameter(given: float) -> None:
    rng = np.random.default_rng(3)
    weights, mask = rng.normal(size=(3, 4)), np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]])
    weights[1, 2] = weights[2, 3] = given
    rbm = RBM(weights, rng.normal(size=4), rng.normal(size=3), mask.astype(bool))
    expected = score_moments(rbm, distribution(rbm))[1]
    assert expected.shape == (14, 14)
    theta = np.concatenate([rbm.weights[rbm.mask], rbm.visible_bias, rbm.hidden_bias])
    np.testing.assert_array_equal(to_vector(rbm), theta)
    np.testing.assert_allclose(basis_fisher(rbm), expected, atol=1e-12)
    np.testing.assert_allclose(fisher_matrix(rbm, whole_basis(rbm)), expected, atol=1e-12)
    np.testing.assert_allclose(sample_fisher(rbm, whole_basis(rbm)), expected, atol=1e-6)


#: Six sites, each bound to a hidden unit of its own: p(v_i = 1) = 0.7, and its correlation with the
#: start falls by tanh(2)^2 = 0.93 in a Gibbs step.
SLOW = RBM(np.diag(np.full(6, 8.0)), np.full(6, np.log(7 / 3) - 4.0), np.full(6, -4.0))


#: Two wells, of probability 11/16 and 5/16, between which only flips of all bits lead. The bits
#: of 8 chains that stay in their wells have a mean that is off by 1/16 or more.
WELLS = magnet(4, 2, 8.0, tilt=float(np.log(11 / 5)))


@pytest.mark.parametrize(
    ("rbm", "chains", "draws"),
    [
        pytest.param(SLOW, 2016, 20160, id="slow"),
        pytest.param(WELLS, 2016, 2016, id="wells"),
        pytest.param(WELLS, 8, 4003, id="wells, few chains"),
    ],
)
def test_chains_of_a_fisher_matrix_forget_their_start(
    monkeypatch: pytest.MonkeyPatch, rbm: RBM, chains: int, draws: int
) -> None:
    # Fails without a burn-in, without flips before or between records, or with records a step
    # apart. A correct sampler fails once in a million seeds.
    monkeypatch.setattr(fisher, "independent_draws", lambda *_, **__: None)
    monkeypatch.setattr(fisher, "_CHAINS", chains)
    bits, weight = model_configurations(rbm, draws, seed=0)
    counts = np.round(draws * weight).astype(int)
    assert counts.sum() == draws
    np.testing.assert_allclose(weight, counts / draws, rtol=1e-12)
    drawn = np.repeat(bits.T.astype(np.uint8), counts, axis=0)
    assert exact.chi_squared_p(drawn, distribution(rbm)) > 1e-6
