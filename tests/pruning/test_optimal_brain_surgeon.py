"""Optimal brain surgery: the algebra, the promise, and the guard that holds it to that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from psiprune.inference import fisher
from psiprune.inference.fisher import damped_inverse, model_fisher
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.pruning import criteria, optimal_brain_surgeon
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.optimal_brain_surgeon import divergence_from, prune_obs, remove_weights
from psiprune.rbm.likelihood import to_vector
from psiprune.rbm.model import RBM
from refusals import refuses


def random_rbm(visible: int, hidden: int, seed: int, scale: float = 1.0) -> RBM:
    generator = np.random.default_rng(seed)
    weights = scale * generator.normal(size=(hidden, visible))
    return RBM(weights, generator.normal(size=visible), generator.normal(size=hidden))


def random_matrix(size: int, seed: int) -> NDArray[np.float64]:
    """A positive matrix with eigenvalues from 0.01 to 10."""
    generator = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(generator.normal(size=(size, size)))
    return np.asarray((axes * np.geomspace(0.01, 10, size)) @ axes.T)


def inverse_of(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def constrained_minimum(
    matrix: NDArray[np.float64], theta: NDArray[np.float64], gone: list[int]
) -> NDArray[np.float64]:
    """The delta of least delta.F.delta / 2 with theta + delta = 0 at `gone`, by Lagrange."""
    size, count = len(theta), len(gone)
    system = np.zeros((size + count, size + count))
    system[:size, :size] = matrix
    for row, k in enumerate(gone):
        system[size + row, k] = system[k, size + row] = 1.0
    right = np.concatenate([np.zeros(size), -theta[gone]])
    return np.linalg.solve(system, right)[:size]


def kl(rbm: RBM, other: RBM) -> float:
    p, q = (exact.rbm_distribution(r.weights, r.visible_bias, r.hidden_bias) for r in (rbm, other))
    return float(p @ np.log(p / q))


def by_magnitude(rbm: RBM, count: int) -> RBM:
    return rbm.with_mask(top_k_mask(rbm.mask, criteria.magnitude(rbm), count))


# --- the algebra -----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_correction_is_the_constrained_minimum(count: int) -> None:
    rbm = replace(random_rbm(4, 3, seed=count), provenance={"seed": 1})
    theta = to_vector(rbm)
    matrix = random_matrix(len(theta), seed=count)
    made = remove_weights(rbm, inverse_of(matrix), count)
    gone: list[int] = []
    for _ in range(count):  # of the weights left, the one that then costs least
        costs = {}
        for k in set(range(12)) - set(gone):
            delta = constrained_minimum(matrix, theta, [*gone, k])
            costs[k] = delta @ matrix @ delta
        gone.append(min(costs, key=costs.__getitem__))
    assert {*np.flatnonzero(~made.rbm.mask.ravel())} == {*gone}
    assert made.rbm.provenance == {"seed": 1}
    delta = constrained_minimum(matrix, theta, gone)
    after = np.concatenate([made.rbm.weights.ravel(), made.rbm.visible_bias, made.rbm.hidden_bias])
    np.testing.assert_allclose(after, theta + delta, atol=1e-9)
    assert made.predicted == pytest.approx(delta @ matrix @ delta / 2)
    np.testing.assert_array_equal(made.unadjusted.weights, rbm.weights * made.rbm.mask)
    np.testing.assert_array_equal(made.unadjusted.visible_bias, rbm.visible_bias)


def test_the_first_weight_may_be_another_one() -> None:
    """The next one is then the least of the others again; without correlations in their order."""
    rbm = random_rbm(4, 3, seed=2)
    variance = np.random.default_rng(2).random(19) + 0.1
    order = np.argsort(to_vector(rbm)[:12] ** 2 / variance[:12]).tolist()
    for first in range(12):
        mask = remove_weights(rbm, np.diag(variance), 2, first=first).rbm.mask
        assert {*np.flatnonzero(~mask.ravel())} == {order[first], order[first == 0]}


def test_of_equal_weights_the_last_goes() -> None:
    rbm = RBM(np.ones((4, 8)), np.zeros(8), np.zeros(4))
    mask = remove_weights(rbm, np.eye(44), 12).rbm.mask
    assert np.flatnonzero(mask).tolist() == [*range(20)]


def test_a_remaining_variance_is_positive() -> None:
    """F^-1 of rank 1: without weight 1 nothing is left of the others but rounding, 1e-14 of it."""
    rbm = RBM(np.array([[3.0, 1.0]]), np.zeros(2), np.zeros(1))
    found = remove_weights(rbm, np.full((5, 5), 4.0), 2)
    assert found.predicted == pytest.approx(1 / 8 + 2**2 / (8 * 1e-14))


# --- what it costs ---------------------------------------------------------------------------


def test_a_small_weight_costs_what_its_saliency_says() -> None:
    rbm = random_rbm(6, 3, seed=3)
    weights = rbm.weights.copy()
    weights[1, 4] = 0.0002
    rbm = RBM(weights, rbm.visible_bias, rbm.hidden_bias)
    inverse = damped_inverse(model_fisher(rbm, draws=1, seed=0), 1e-6)
    made = remove_weights(rbm, inverse, 1)
    assert not made.rbm.mask[1, 4]
    cost = kl(rbm, made.rbm)
    assert cost == pytest.approx(made.predicted, rel=0.05)
    assert criteria.surgeon(rbm, damping=1e-6)[1, 4] == pytest.approx(made.predicted)
    assert cost < 0.5 * kl(rbm, made.unadjusted)


def test_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal_brain_surgeon, "EXACT_SITES", 6)
    rbm, other = random_rbm(6, 3, seed=4), random_rbm(6, 3, seed=5)
    divergence = divergence_from(rbm, draws=1, seed=0)
    assert divergence(other) == pytest.approx(kl(rbm, other))
    assert divergence(rbm) == pytest.approx(0, abs=1e-12)


# --- the guard -------------------------------------------------------------------------------


def test_the_guard_saves_levels_that_the_quadratic_form_alone_ruins() -> None:
    """Half of the weights of 25 RBMs, about half of which are far beyond a quadratic form."""
    ratios, saved = [], []
    for seed in range(25):
        rbm = random_rbm(6, 4, seed, scale=3.0)
        cost = kl(rbm, prune_obs(rbm, 12))
        ratios.append(cost / kl(rbm, by_magnitude(rbm, 12)))
        inverse = damped_inverse(model_fisher(rbm, draws=1, seed=0), criteria.DAMPING)
        unguarded = remove_weights(rbm, inverse, 12)
        if kl(rbm, unguarded.rbm) > 5 * unguarded.predicted:
            saved.append(cost / kl(rbm, unguarded.rbm))
    assert len(saved) > 5
    assert np.median(saved) < 0.3
    assert max(ratios) < 0.5
    assert np.median(ratios) < 0.05


# --- a level ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sampled", [False, True])
def test_counts_are_exact_and_masks_nested(monkeypatch: pytest.MonkeyPatch, sampled: bool) -> None:
    if sampled:
        for module in (fisher, optimal_brain_surgeon):
            monkeypatch.setattr(module, "EXACT_SITES", 5)
    rbm = pp.RBM(random_rbm(6, 4, seed=9).weights, np.zeros(6), np.zeros(4), provenance={"seed": 1})
    assert prune_obs(rbm, 24) is rbm
    assert prune_obs(rbm, 30) is rbm
    for count in (23, 17, 6, 1, 0):
        pruned = prune_obs(rbm, count, draws=500, seed=2)
        assert pruned.number_of_weights == count
        assert not (pruned.mask & ~rbm.mask).any()
        assert (pruned.weights[~pruned.mask] == 0).all()
        assert dict(pruned.provenance) == {"seed": 1}
        again = prune_obs(rbm, count, draws=500, seed=2)
        np.testing.assert_array_equal(pruned.weights, again.weights)
        np.testing.assert_array_equal(pruned.hidden_bias, again.hidden_bias)
        rbm = pruned


@pytest.mark.parametrize("given", [False, True])
def test_samples_do_nearly_as_well_as_the_basis(
    monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """Costs of 8 RBMs relative to those with exact sums, and to those by magnitude."""
    ratios, rivals = [], []
    for seed in range(8):
        rbm = random_rbm(7, 3, seed)
        whole = kl(rbm, prune_obs(rbm, 13))
        with monkeypatch.context() as patch:
            for module in (fisher, optimal_brain_surgeon):
                patch.setattr(module, "EXACT_SITES", 6)
            bits = rbm.sample_exact(20_000, seed=seed)
            bits = bits[np.lexsort(bits.T)]  # sorted, as counts of a file may be
            pruned = prune_obs(rbm, 13, samples=bits if given else None, seed=seed)
        assert pruned.number_of_weights == 13
        ratios.append(kl(rbm, pruned) / whole)
        rivals.append(kl(rbm, pruned) / kl(rbm, by_magnitude(rbm, 13)))
    assert np.exp(np.mean(np.log(ratios))) < 2.5
    assert np.median(rivals) < 0.1


def test_too_few_samples_are_refused() -> None:
    rbm = random_rbm(6, 4, seed=9)  # 34 parameters
    bits = np.random.default_rng(0).integers(0, 2, (272, 6), dtype=np.uint8)
    assert prune_obs(rbm, 20, samples=bits).number_of_weights == 20
    with refuses("samples", 272, 8, 271):
        prune_obs(rbm, 20, samples=bits[:271])
    with refuses("array", "5 sites", 6):
        prune_obs(rbm, 20, samples=bits[:, :5])


EXACT = pp.ExactNaturalGradient(weight_decay=0.0)


@pytest.mark.slow
def test_half_of_the_weights_without_training() -> None:
    state = pp.ground_state(pp.TFIM(sites=10, field=1.0))
    reference = reference_of(state)
    shots = pp.sample(state, shots=20_000, seed=0)
    ratios, rise = [], []
    for seed in range(10):
        rbm = pp.train(shots, hidden=5, seed=seed, method=EXACT, initial="random")
        found = [
            exact_metrics(r, reference).kl for r in (rbm, prune_obs(rbm, 25), by_magnitude(rbm, 25))
        ]
        rise.append(found[1] / found[0])
        ratios.append(found[2] / found[1])
    assert np.median(ratios) > 5
    assert np.median(rise) < 3  # 2.3 over 20 seeds


@pytest.mark.parametrize("scale", [20.0, 100.0, 1000.0])
@pytest.mark.parametrize(("visible", "hidden"), [(3, 2), (5, 3), (8, 4)])
def test_a_state_of_hardly_any_freedom_is_pruned_too(
    scale: float, visible: int, hidden: int
) -> None:
    """The Fisher matrix is then rounding error of either sign."""
    for seed in range(5):
        g = np.random.default_rng(seed)
        rbm = RBM(
            scale * g.normal(size=(hidden, visible)),
            scale * g.normal(size=visible),
            scale * g.normal(size=hidden),
        )
        left = prune_obs(rbm, 1)
        assert left.number_of_weights == 1
        assert np.isfinite(left.weights).all()
        assert np.isfinite(left.log_partition())


# --- nearly deterministic states -------------------------------------------------------------


def by_magnitude_compensated(rbm: RBM, count: int) -> RBM:
    return absorb_into_biases(rbm, top_k_mask(rbm.mask, criteria.magnitude(rbm), count))


def cat_like(scale: float, seed: int) -> RBM:
    """Weights of one sign, all near `scale`, and p(v) = p(1 - v): nearly all 0 or all 1."""
    weights = scale * (1 + 0.1 * np.random.default_rng(seed).normal(size=(4, 8)))
    return RBM(weights, -weights.sum(axis=0) / 2, -weights.sum(axis=1) / 2)


@pytest.mark.parametrize("scale", [5.0, 10.0, 20.0, 50.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_level_of_a_cat_state_costs_more_than_removal_without_surgery(
    scale: float, seed: int
) -> None:
    dense = cat_like(scale, seed)
    cost = divergence_from(dense, draws=1, seed=0)
    for count in (29, 23, 16, 10):
        ours = cost(prune_obs(dense, count))
        assert ours <= cost(by_magnitude_compensated(dense, count)) + 2e-6
        assert ours <= cost(by_magnitude(dense, count)) + 2e-6


@pytest.mark.parametrize("seed", [0, 2])
def test_a_level_on_samples_is_compared_too(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    for module in (fisher, optimal_brain_surgeon):
        monkeypatch.setattr(module, "EXACT_SITES", 5)
    dense = cat_like(50.0, seed)
    assert kl(dense, prune_obs(dense, 16)) <= kl(dense, by_magnitude_compensated(dense, 16)) + 2e-6
