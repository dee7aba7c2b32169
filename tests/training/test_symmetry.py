"""Parameters tied to a symmetry: the distribution has it, and shots count once for each image."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.rbm.likelihood import (
    flatten,
    log_likelihood,
    to_vector,
    unique_configurations,
)
from psiprune.training.method import SymmetryName
from psiprune.training.symmetry import (
    Symmetry,
    contradicted_symmetry,
    free_parameters,
    projector,
    tied,
)
from refusals import refuses

#: Whether a symmetry flips all bits, and whether it reverses the sites.
PARTS: dict[SymmetryName, tuple[bool, bool]] = {
    "flip": (True, False),
    "mirror": (False, True),
    "flip-mirror": (True, True),
}
each_symmetry = pytest.mark.parametrize("name", PARTS)
#: The same with sites and hidden units reversed; one weight is its own image.
MASK = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 1, 0], [1, 0, 0, 1, 1]], bool)
RBM = random_rbm(5, 3).with_mask(MASK)
MEANS = [0.1, 0.3, 0.8, 0.4, 0.6]
#: Of a state without any symmetry.
BITS = (np.random.default_rng(3).random((500, 5)) < MEANS).astype(np.uint8)


def images(bits: NDArray[np.uint8], name: SymmetryName) -> list[NDArray[np.uint8]]:
    """Bits [shot, site] and all their images."""
    flips, mirrors = PARTS[name]
    every = [bits, 1 - bits] if flips else [bits]
    return [*every, *(image[:, ::-1] for image in every)] if mirrors else every


@each_symmetry
def test_a_tied_rbm_has_the_symmetry_and_no_other(name: SymmetryName) -> None:
    after = tied(RBM, Symmetry(name))
    basis = exact.basis(5)
    expected = after.log_prob(basis)
    for image in images(basis, name):
        np.testing.assert_allclose(after.log_prob(image), expected, atol=1e-12)
    for other in PARTS:
        if other != "flip-mirror" and name not in ("flip-mirror", other):
            assert np.abs(after.log_prob(images(basis, other)[-1]) - expected).max() > 0.1
    np.testing.assert_allclose(to_vector(tied(after, Symmetry(name))), to_vector(after), atol=1e-15)


@each_symmetry
def test_the_gradient_is_that_of_all_images(name: SymmetryName) -> None:
    after = tied(RBM, Symmetry(name))
    _, once = log_likelihood(after, unique_configurations(BITS))
    _, each = log_likelihood(after, unique_configurations(np.concatenate(images(BITS, name))))
    tie = projector(MASK, Symmetry(name))
    assert tie is not None
    found = tie.T @ flatten(MASK, once)
    np.testing.assert_allclose(found, tie.T @ flatten(MASK, each), atol=1e-12)
    # All images together leave no slope out of the subspace, along 1 - P.
    ahead = np.random.default_rng(0).normal(size=found.size)
    np.testing.assert_allclose(flatten(MASK, each) @ (ahead - tie @ ahead), 0.0, atol=1e-12)
    assert abs(flatten(MASK, once) @ (ahead - tie @ ahead)) > 0.01


@each_symmetry
def test_the_projector_has_the_rank_of_the_free_parameters(name: SymmetryName) -> None:
    for mask in (MASK, np.ones((2, 5), bool), np.ones((4, 6), bool)):
        tie = projector(mask, Symmetry(name))
        assert tie is not None
        np.testing.assert_allclose((tie @ tie).todense(), tie.todense(), atol=1e-15)
        pairs = [-(-int(part) // 2) for part in (mask.sum(), *mask.shape)]
        free = {"flip": mask.sum(), "mirror": sum(pairs), "flip-mirror": pairs[0]}
        assert free_parameters(mask, Symmetry(name)) == free[name]
        assert free_parameters(mask, None) == sum(mask.shape) + mask.sum()


@cache
def free_fit() -> pp.RBM:
    return pp.train(BITS, hidden=3, mask=MASK, method="exact", initial="random")


@each_symmetry
@pytest.mark.parametrize("method", ["exact", "natural"])
def test_training_reaches_the_maximum_over_tied_parameters(method: str, name: SymmetryName) -> None:
    chosen = {"method": method, "symmetry": name}
    settings = {"chains": 2000, "epochs": 60, "steps": 6} if method == "natural" else {}
    found = pp.train(BITS, hidden=3, mask=MASK, method={**chosen, **settings}, initial="random")
    data = unique_configurations(BITS)
    value, gradient = log_likelihood(found, data)
    same = to_vector(tied(found, Symmetry(name)))
    np.testing.assert_allclose(same, to_vector(found), atol=1e-12)
    assert found.provenance["symmetry"] == name
    tie = projector(MASK, Symmetry(name))
    assert tie is not None
    slope = np.abs(tie.T @ flatten(MASK, gradient)).max()
    assert slope < (1e-4 if method == "exact" else 1e-2)
    free = free_fit()
    assert log_likelihood(free, data)[0] > value + 0.01  # these shots do not have it
    assert "symmetry" not in free.provenance


def test_a_symmetry_that_the_state_has_lowers_the_kl() -> None:
    truth = tied(random_rbm(6, 3), Symmetry("flip-mirror"))
    probability = distribution(truth)
    # The noise of the shots costs free parameters / (2 shots).
    for symmetry, free in {None: 27, "flip": 18, "flip-mirror": 9}.items():
        kl = []
        for seed in range(8):
            shots = truth.sample_exact(1000, seed=seed)
            rbm = pp.train(shots, start=truth, method={"method": "exact", "symmetry": symmetry})
            kl.append(probability @ np.log(probability / distribution(rbm)))
        assert np.mean(kl) == pytest.approx(free / 2000, rel=0.4)


def test_shots_that_contradict_the_symmetry_are_warned_of() -> None:
    state = pp.ground_state(pp.TFIM(sites=5))
    shots = pp.sample(state, shots=4000, seed=0).bits
    one_up, uneven = shots.copy(), shots.copy()
    one_up[:600, 2] = 0
    uneven[:1000, 4] = uneven[:1000, 3]
    for bits, facts in ((shots, []), (one_up, ["site 2"]), (uneven, ["sites 0 and 1"])):
        problems = contradicted_symmetry(bits, Symmetry("flip-mirror"))
        assert bool(problems) == bool(facts), problems
        for fact in facts:
            assert fact in problems
    assert not contradicted_symmetry(one_up, Symmetry("mirror"))
    assert not contradicted_symmetry(uneven, Symmetry("flip"))
    assert not contradicted_symmetry(one_up, None)
    with pytest.warns(pp.TrainingWarning, match="site 2"):
        pp.train(one_up, hidden=2, method={"method": "exact", "symmetry": "flip"})


def test_what_cannot_be_tied_is_refused() -> None:
    one_sided = MASK.copy()
    one_sided[0, 0] = False
    for symmetry in ("mirror", "flip-mirror"):
        with refuses("symmetry", "mirror", 1, "flip"):
            pp.train(BITS, hidden=3, mask=one_sided, method={"symmetry": symmetry})
    assert pp.train(BITS, hidden=3, mask=one_sided, method={"symmetry": "flip", "epochs": 1})
    with refuses("symmetry", "diagonal", "mirror"):
        pp.train(BITS, hidden=3, method={"method": "exact", "symmetry": "diagonal"})
    with refuses("symmetry", "pcd", "exact"):
        pp.train(BITS, hidden=3, method={"method": "pcd", "symmetry": "flip"})
    with refuses("symmetry", 20_000, 40_400):
        pp.train(np.zeros((9, 200), np.uint8), hidden=200, method={"symmetry": "flip"})
