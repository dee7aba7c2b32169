"""The symmetry that shots support: found where it is, refused where averages deny it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import psiprune as pp
from psiprune.pruning.iterative import tuning_of
from refusals import refuses

SITES, SHOTS = 12, 4000
HALF = np.full(SITES, 0.5)
MASK = pp.scale_free_mask(SITES, weights=60)


def chain(
    walls: float | NDArray[np.float64], first: float = 0.5, seed: int = 0
) -> NDArray[np.uint8]:
    """Shots of a chain that begins with 1 at probability `first`, with walls between neighbours."""
    generator = np.random.default_rng(seed)
    start = generator.random((SHOTS, 1)) < first
    flips = generator.random((SHOTS, SITES - 1)) < walls
    return (np.cumsum(np.hstack([start, flips]), axis=1) % 2).astype(np.uint8)


def biased(means: NDArray[np.float64], seed: int = 0) -> NDArray[np.uint8]:
    """Independent bits."""
    return (np.random.default_rng(seed).random((SHOTS, len(means))) < means).astype(np.uint8)


def test_the_symmetry_of_a_chain_is_found() -> None:
    """T^2 is chi-squared with about 20 and 22 degrees: each exceeds twice that in 0.5 % of sets."""
    found = [pp.find_symmetry(chain(0.2, seed=seed), mask=MASK) for seed in range(20)]
    assert found.count("flip-mirror") >= 18


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (chain(np.linspace(0.1, 0.3, SITES - 1)), "flip"),
        (biased(HALF + 0.1), "mirror"),
        (biased(np.linspace(0.4, 0.6, SITES)), None),
    ],
)
def test_what_is_broken_is_not_found(bits: NDArray[np.uint8], expected: str | None) -> None:
    assert pp.find_symmetry(bits, mask=MASK) == expected


def test_many_small_deviations_count_together() -> None:
    """Each mean is off by 3 standard errors; only together do they break the flip."""
    small = 3.0 * 0.5 / np.sqrt(SHOTS)
    odd = HALF + small * (-1.0) ** np.arange(SITES)
    assert pp.find_symmetry(biased(odd), mask=MASK) is None
    assert pp.find_symmetry(biased(HALF + small / 6), mask=MASK) == "flip-mirror"


def test_one_large_deviation_counts_alone() -> None:
    """By 7 standard errors: T^2 is 102, less than 2 p = 103 for the flip of 48 sites."""
    means, mask = np.full(48, 0.5), pp.scale_free_mask(48, weights=200)
    assert pp.find_symmetry(biased(means), mask=mask) == "flip-mirror"
    means[3] += 7.0 * 0.5 / np.sqrt(SHOTS)
    assert pp.find_symmetry(biased(means), mask=mask) == "mirror"


def test_a_mask_without_the_mirror_leaves_the_flip() -> None:
    one_sided = MASK.copy()
    one_sided[0, 0] = False
    assert pp.find_symmetry(chain(0.2), mask=one_sided) == "flip"
    assert pp.find_symmetry(chain(0.2), hidden=3) == "flip-mirror"


def test_training_ties_to_what_it_finds_and_pruning_keeps_it() -> None:
    shots = chain(0.2)
    method = {"method": "exact", "epochs": 2}
    found, named, free = (
        pp.train(shots, hidden=3, initial="local", method={**method, "symmetry": symmetry})
        for symmetry in ("found", "flip-mirror", None)
    )
    np.testing.assert_array_equal(found.weights, named.weights)
    assert found.provenance["symmetry"] == "flip-mirror"
    assert np.abs(found.weights - free.weights).max() > 1e-3
    for rbm, expected in ((found, "flip-mirror"), (free, None)):
        tuning = tuning_of(rbm, {**method, "symmetry": "found"})
        assert tuning is not None
        assert tuning.model_dump().get("symmetry") == expected


def test_only_training_looks_for_a_symmetry() -> None:
    rbm = pp.train(chain(0.2), hidden=3, method={"method": "exact", "epochs": 0})
    with refuses("symmetry", "found", "flip-mirror"):
        pp.ExactNaturalGradient(symmetry="found").init(rbm, pp.Shots(chain(0.2)), 0)


def test_shots_with_readout_errors_are_refused() -> None:
    shots = pp.Shots(chain(0.2), readout=pp.ReadoutError.from_rates(0.01, sites=SITES))
    with refuses("array", "readout errors", "a symmetry"):
        pp.find_symmetry(shots)
