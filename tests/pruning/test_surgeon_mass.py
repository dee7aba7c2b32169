"""Mass that a level of surgery puts where the samples of its check have none."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.inference import fisher
from psiprune.pruning import criteria, optimal_brain_surgeon
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.rbm.model import RBM


@pytest.fixture(scope="module")
def nearly_cat() -> RBM:
    """Trained near h = 0, where nearly all mass is in two states."""
    shots = pp.sample(pp.ground_state(pp.TFIM(sites=8, field=0.02)), shots=4000, seed=0)
    return pp.train(shots, hidden=6, seed=0, method=pp.ExactNaturalGradient(epochs=60))


def kl(rbm: RBM, other: RBM) -> float:
    log_p, log_q = (r.log_prob_all() - r.log_partition() for r in (rbm, other))
    return float(np.exp(log_p) @ (log_p - log_q))


def by_magnitude_compensated(rbm: RBM, count: int) -> RBM:
    return absorb_into_biases(rbm, top_k_mask(rbm.mask, criteria.magnitude(rbm), count))


def test_mass_outside_of_given_samples_is_seen(nearly_cat: RBM) -> None:
    samples = nearly_cat.sample_exact(4000, seed=5)
    after = prune_obs(nearly_cat, 43, samples=samples)
    # 4.62 nat where the check looks at the samples alone.
    assert kl(nearly_cat, after) < 0.01


def test_mass_outside_of_drawn_samples_is_seen(
    nearly_cat: RBM, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fisher, optimal_brain_surgeon):
        monkeypatch.setattr(module, "EXACT_SITES", 7)
    for seed in range(3):
        after = prune_obs(nearly_cat, 43, draws=2000, seed=seed)
        plain = by_magnitude_compensated(nearly_cat, 43)
        assert kl(nearly_cat, after) < kl(nearly_cat, plain)
