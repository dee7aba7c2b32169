"""Mass that a level of surgery puts where the samples of its check have none."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.inference import fisher
from psiprune.pruning import criteria, optimal_brain_surgeon
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.optimal_brain_surgeon import divergence_from, prune_obs
from psiprune.rbm.likelihood import unique_configurations
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


def blind(rbm: RBM, monkeypatch: pytest.MonkeyPatch) -> RBM:
    """What surgery leaves with checks that see the samples alone."""
    with monkeypatch.context() as patch:
        patch.setattr(optimal_brain_surgeon, "CHECK_SECONDS", 0.0)
        return prune_obs(rbm, 43, samples=rbm.sample_exact(4000, seed=5))


def test_the_divergence_tells_the_whole_of_such_mass(
    nearly_cat: RBM, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = blind(nearly_cat, monkeypatch)
    assert kl(nearly_cat, other) > 0.5

    def measured(seed: int) -> float:
        drawn = unique_configurations(nearly_cat.sample_exact(4000, seed=seed))
        return divergence_from(nearly_cat, draws=4000, seed=0, samples=drawn)(other)

    # With some of these seeds one draw, by luck, is of the state where the mass has gone.
    found = [measured(seed) for seed in range(5, 12)]
    np.testing.assert_allclose(found, kl(nearly_cat, other), rtol=0.02)
    monkeypatch.setattr(optimal_brain_surgeon, "CHECK_SECONDS", 0.0)
    assert measured(5) < 0.01


def test_without_such_mass_the_divergence_has_little_noise() -> None:
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(3, 8))
    rbm = RBM(weights, np.zeros(8), np.zeros(3))
    other = RBM(weights + 0.01, np.zeros(8), np.zeros(3))
    found = [
        divergence_from(
            rbm, draws=4000, seed=0, samples=unique_configurations(rbm.sample_exact(4000, seed=k))
        )(other)
        for k in range(20)
    ]
    # E[d] alone scatters by sqrt(2 KL / 4000), which is more than the KL.
    np.testing.assert_allclose(found, kl(rbm, other), rtol=0.2)
