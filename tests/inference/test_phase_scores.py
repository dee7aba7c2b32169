"""Fisher information of shots in bases that rotate few sites, against sums over all states."""

from __future__ import annotations

import numpy as np
import pytest

from exact import basis
from machines import random_phase_rbm
from psiprune.inference.phase_fisher import classical_fisher, quantum_fisher
from psiprune.inference.phase_scores import draws_fisher, shot_scores, terms_fisher
from psiprune.rbm import phase_terms
from psiprune.rbm.phase_likelihood import from_parameters, to_parameters
from psiprune.rbm.phase_terms import log_amplitudes, terms_of

BASES = ("ZZZZ", "XZYZ", "YXZZ", "ZZYX", "XXYX")


@pytest.mark.parametrize("size", [1 << 16, 16])  # all shots at once, and in many pieces
def test_the_information_of_all_outcomes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phase_terms, "_TERMS", size)
    whole = random_phase_rbm(4, 3, 3)
    rbm = whole.with_masks(whole.amplitude.weights > -0.5, whole.phase.weights > -0.2)
    share = np.arange(1, 6) / 15
    log_z = rbm.amplitude.log_partition()
    pieces = []
    for piece in terms_of(dict.fromkeys(BASES, basis(4))):
        [logs] = log_amplitudes(rbm, [piece])
        pieces.append(piece._replace(weight=np.exp(logs - log_z) * share[piece.basis]))
    assert sum(piece.weight.sum() for piece in pieces) == pytest.approx(1)
    exact = classical_fisher(rbm, BASES, share)
    np.testing.assert_allclose(terms_fisher(rbm, pieces), exact, atol=2e-6)
    assert np.abs(classical_fisher(rbm, BASES, share[::-1]) - exact).max() > 1e-3


def test_the_score_of_a_shot_is_a_derivative() -> None:
    rbm = random_phase_rbm(4, 3, 3)
    [piece] = terms_of({"XZYZ": basis(4)[[5, 11]]})
    x, scores = to_parameters(rbm), shot_scores(rbm, piece)
    for k in (0, 7, 20, 30):
        moved = [x + sign * 1e-5 * (np.arange(len(x)) == k) for sign in (1, -1)]
        [up], [down] = (log_amplitudes(from_parameters(rbm, each), [piece]) for each in moved)
        np.testing.assert_allclose(scores[:, k], (up - down) / 2e-5, atol=1e-5)


def test_the_quantum_information_over_draws() -> None:
    rbm = random_phase_rbm(4, 3, 3)
    draws = rbm.amplitude.sample_exact(40_000, seed=1)
    uniform = np.random.default_rng(1).integers(0, 2, draws.shape, dtype=np.uint8)
    for found, other, exact in zip(
        draws_fisher(rbm, draws), draws_fisher(rbm, uniform), quantum_fisher(rbm), strict=True
    ):
        assert np.abs(found - exact).max() < 5 * 0.5 / np.sqrt(40_000)
        assert np.abs(other - exact).max() > 0.02
