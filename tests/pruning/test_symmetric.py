"""Pruning of parameters that are tied to a symmetry: they keep it, and images go together."""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from machines import random_rbm
from psiprune.inference.fisher import absolute_damping, model_fisher
from psiprune.pruning.criteria import top_k_mask
from psiprune.pruning.iterative import prune_to_count
from psiprune.pruning.optimal_brain_surgeon import LocalModel, remove_weights
from psiprune.pruning.search import find_smallest
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.likelihood import to_vector
from psiprune.training.method import SymmetryName
from psiprune.training.symmetry import Symmetry, orbits_of, projector, symmetry_named, tied
from refusals import refuses

each_symmetry = pytest.mark.parametrize("name", ["flip", "mirror", "flip-mirror"])
#: 16 weights, 8 pairs of images.
RBM = random_rbm(4, 4)


def subspace(symmetry: Symmetry) -> NDArray[np.float64]:
    """An orthonormal basis [parameter, direction] of the parameters with the symmetry."""
    tie = projector(RBM.mask, symmetry)
    assert tie is not None
    u, s, _ = np.linalg.svd(tie.toarray())
    return u[:, s > 1e-9]


@each_symmetry
def test_the_correction_is_the_minimum_in_the_subspace(name: SymmetryName) -> None:
    symmetry = Symmetry(name)
    rbm = tied(RBM, symmetry)
    fisher, theta, basis = model_fisher(rbm, draws=1, seed=0), to_vector(rbm), subspace(symmetry)
    damped = fisher + absolute_damping(fisher, 1e-3) * np.eye(len(fisher))
    local = LocalModel(fisher, lambda _: 0.0, symmetry)
    made = remove_weights(rbm, local.inverse(rbm.mask, 1e-3), 5, symmetry=symmetry)
    gone = list[int]()
    while len(gone) < 5:
        found = list[tuple[float, int, NDArray[np.float64]]]()
        for k in sorted(set(range(16)) - set(gone)):
            rows = basis[[*gone, k]]
            # The least x.A.x for the coordinates x in the subspace with rows @ x = -theta.
            response = np.linalg.solve(basis.T @ damped @ basis, rows.T)
            multipliers = np.linalg.lstsq(rows @ response, -theta[[*gone, k]], rcond=1e-9)[0]
            delta = basis @ (response @ multipliers)
            found.append((float(delta @ damped @ delta / 2), k, theta + delta))
        cost, k, expected = min(found, key=itemgetter(0))
        gone += [k] if name == "flip" else [k, 15 - k]
    assert {*np.flatnonzero(~made.rbm.mask.ravel())} == {*gone}
    after = np.concatenate([made.rbm.weights.ravel(), made.rbm.visible_bias, made.rbm.hidden_bias])
    np.testing.assert_allclose(after, np.where(np.abs(expected) < 1e-9, 0, expected), atol=1e-7)
    assert made.predicted == pytest.approx(cost, rel=1e-4)  # 1e-10 more damping
    np.testing.assert_allclose(to_vector(tied(made.rbm, symmetry)), to_vector(made.rbm), atol=1e-9)
    # Without the symmetry the adjustments leave the subspace.
    free = remove_weights(rbm, LocalModel(fisher, lambda _: 0.0).inverse(rbm.mask, 1e-3), 5).rbm
    everywhere = replace(free, mask=rbm.mask)
    assert np.abs(to_vector(tied(everywhere, symmetry)) - to_vector(everywhere)).max() > 1e-3


@each_symmetry
@pytest.mark.parametrize("criterion", ["magnitude", "damage", "surgeon", "random"])
def test_every_criterion_keeps_the_symmetry(criterion: Any, name: SymmetryName) -> None:
    symmetry = Symmetry(name)
    for count in (10, 7):
        pruned = prune_to_count(
            RBM, count, PruneSettings(criterion=criterion), 1, 1, symmetry=symmetry
        )
        odd = count == 7 and name != "flip"
        assert pruned.number_of_weights == count - odd
        if name != "flip":
            np.testing.assert_array_equal(pruned.mask, pruned.mask[::-1, ::-1])
        if criterion == "surgeon":
            after = to_vector(pruned)
            np.testing.assert_allclose(to_vector(tied(pruned, symmetry)), after, atol=1e-9)


@pytest.mark.parametrize("criterion", ["magnitude", "damage", "surgeon", "random"])
def test_every_criterion_keeps_the_symmetries_of_a_lattice(criterion: Any) -> None:
    """On a 2 x 2 square 16 weights are orbits of 4, 8 and 4: own sites, neighbours, diagonals."""
    places = pp.lattice_positions("square", 2, 2)
    symmetry, moves = (symmetry_named(name, places) for name in ("flip-lattice", "lattice"))
    assert np.unique(orbits_of(RBM.mask, symmetry), return_counts=True)[1].tolist() == [4, 8, 4]
    settings = PruneSettings(criterion=criterion)
    for count in (12, 9, 4):
        pruned = prune_to_count(RBM, count, settings, 1, 1, symmetry=symmetry)
        assert count - 8 < pruned.number_of_weights <= count
        kept = symmetry if criterion == "surgeon" else moves  # fine-tuning ties the biases again
        after = to_vector(pruned)
        np.testing.assert_allclose(to_vector(tied(pruned, kept)), after, atol=1e-9)


@pytest.mark.parametrize("limit", [3, 5, 11])
def test_a_search_reports_rbms_that_it_made(limit: int) -> None:
    """Weights go in orbits of 4 and 8, so that most numbers of weights have no RBM."""
    places = pp.lattice_positions("square", 2, 2).tolist()
    bits = np.random.default_rng(0).integers(0, 2, (50, 4), dtype=np.uint8)
    found = find_smallest(
        RBM,
        pp.Shots(bits, provenance={"positions": places}),
        measure=lambda rbm: 16.0 - rbm.number_of_weights,
        limit=limit,
        fine_tune=pp.ExactNaturalGradient.for_fine_tuning(symmetry="lattice", epochs=0),
    )
    made = [trial.rbm.number_of_weights for trial in found.trials]
    assert found.rbm.number_of_weights == min(count for count in made if 16 - count <= limit)
    assert found.fewer in made
    assert found.fewer < found.rbm.number_of_weights


def test_equal_pairs_go_one_after_the_other() -> None:
    mask = top_k_mask(np.ones((2, 4), bool), np.ones((2, 4)), 5, Symmetry("mirror"))
    assert mask.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_a_path_with_a_symmetry_ends_where_it_should() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (300, 4), dtype=np.uint8)
    exact = pp.ExactNaturalGradient(epochs=5, symmetry="mirror")
    dense = pp.train(bits, hidden=4, method=exact, initial="random")
    tuning = pp.ExactNaturalGradient.for_fine_tuning(symmetry="mirror", epochs=2)
    path = pp.prune(dense, bits, criterion="surgeon", density=0.5, fine_tune=tuning)
    assert path[-1].rbm.number_of_weights == 8
    for level in path:
        np.testing.assert_allclose(level.rbm.weights, level.rbm.weights[::-1, ::-1], atol=1e-12)
    lopsided = dense.with_mask(np.tri(4, dtype=bool))
    with refuses("symmetry", "mirror", "weights without their image"):
        pp.prune(lopsided, bits, fine_tune=tuning, levels=1)
