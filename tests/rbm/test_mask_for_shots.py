"""Masks of as many weights as shots of a chain determine, and which shots are of a chain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from invented import markov_chain
from psiprune.rbm import mask_for_shots
from psiprune.rbm.mask_for_shots import mask_of_long_chain, most_weights
from psiprune.training.train import default_mask
from refusals import refuses

SITES = 40


def links_of(bits: np.ndarray, hidden: int | None = None) -> float:
    """Weights per site."""
    return float(pp.mask_for_shots(bits, hidden).sum()) / bits.shape[1]


def expected(length: float, shots: int) -> float:
    """The least of KL / N = 0.0013 exp(-b k - 2 / length) + k / (2 shots), on a grid."""
    k = np.linspace(3, SITES, 10_000)
    rate = 4.5 / SITES + max(1 / length, 3 / SITES)
    kl = 0.0013 * np.exp(-rate * k - 2 * (rate - 4.5 / SITES)) + k / (2 * shots)
    return float(k[kl.argmin()])


@pytest.mark.parametrize(("length", "shots"), [(30.0, 3000), (30.0, 30_000), (3.0, 30_000)])
def test_weights_minimise_what_links_lack_and_what_noise_costs(length: float, shots: int) -> None:
    """Up to what C(1) > exp(-1 / length) in I(1) / I(r / 2) makes the chain seem shorter."""
    found = links_of(markov_chain(length, SITES, shots))
    assert found == pytest.approx(expected(length, shots), rel=0.12)


def test_few_links_are_spread_over_half_as_many_units() -> None:
    for shots, units in ((1000, SITES // 2), (30_000, SITES)):
        bits = markov_chain(30.0, SITES, shots)
        mask = pp.mask_for_shots(bits)
        assert len(mask) == units
        np.testing.assert_array_equal(mask, pp.scale_free_mask(SITES, units, weights=mask.sum()))
        assert pp.mask_for_shots(bits, 7).shape == (7, SITES)
    assert links_of(markov_chain(30.0, SITES, 1000)) == 3
    assert links_of(markov_chain(30.0, SITES, 1000), SITES) == 6
    assert most_weights(SITES, SITES, 1000) == 6 * SITES
    assert pp.mask_for_shots(markov_chain(30.0, SITES, 30_000), 3).all()


def test_correlations_that_never_decay_need_the_links_of_a_critical_chain() -> None:
    all_equal = np.random.default_rng(0).integers(0, 2, (20_000, 1), dtype=np.uint8)
    ghz = np.repeat(all_equal, SITES, axis=1)
    assert links_of(ghz) == pytest.approx(expected(SITES / 3, 20_000), rel=0.01)
    for hidden in (SITES, 7, 1):
        assert most_weights(SITES, hidden, 20_000) == pp.mask_for_shots(ghz, hidden).sum()
    ghz[:, SITES // 2] = 1  # a site that never changes has no correlations, and hides none
    assert links_of(ghz) == pytest.approx(expected(SITES / 3, 20_000), rel=0.05)


def test_natural_gradient_can_train_them_all() -> None:
    bits = np.tile(markov_chain(30.0, 2, 30_000), 50)  # 50 equal pairs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_for_shots, "FISHER_PARAMETERS", 1_000)
        assert pp.mask_for_shots(bits, 100).sum() == 1_000 - 200


def test_independent_bits_have_the_links_that_connect_them() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (500, 9), dtype=np.uint8)
    assert pp.mask_for_shots(bits).sum() == 9 + 5 - 1
    constant = pp.mask_for_shots(np.zeros((5, 9), np.uint8), 4)
    assert constant.sum() == 9 + 4 - 1
    assert pp.mask_for_shots(np.zeros((5, 2), np.uint8)).all()


def test_independent_bits_show_a_correlation_in_few_of_many_sets() -> None:
    """By chance in 0.27 % of sets; of 50 in 3 once in 2,000. Without Bonferroni in 16 %."""
    generator = np.random.default_rng(2)
    for probability in (0.5, 0.01):
        sets = (generator.random((50, 300, 12)) < probability).astype(np.uint8)
        assert sum(pp.mask_for_shots(bits).sum() > 12 + 6 - 1 for bits in sets) < 3


def test_one_shot_shows_no_correlation() -> None:
    with refuses("number of shots", 2, 1):
        pp.mask_for_shots(np.zeros((1, 9), np.uint8))
    with refuses("hidden", 1, 0):
        pp.mask_for_shots(np.zeros((5, 9), np.uint8), 0)


# ---- the default of train


def test_shots_of_a_chain_are_told_from_others() -> None:
    """Rows of a lattice: sites 6 apart are neighbours. Shuffled sites: no distance at all."""
    for length in (0.8, 3.0, 30.0):
        shots = pp.Shots(markov_chain(length, 36, 4000))
        np.testing.assert_array_equal(mask_of_long_chain(shots), pp.mask_for_shots(shots))
        shuffled = shots.bits[:, np.random.default_rng(0).permutation(36)]
        assert mask_of_long_chain(pp.Shots(shuffled)) is None
    rows = markov_chain(3.0, 6, 4000, copies=6)  # 6 independent chains along the columns
    assert mask_of_long_chain(pp.Shots(rows)) is None
    noise = np.random.default_rng(0).integers(0, 2, (4000, 36), dtype=np.uint8)
    assert mask_of_long_chain(pp.Shots(noise)) is None


def test_the_default_is_for_long_chains_and_natural_gradient() -> None:
    shots = pp.Shots(markov_chain(3.0, 24, 1000))
    mask = pp.mask_for_shots(shots)
    for method in ("auto", "natural", {"epochs": 3}):
        np.testing.assert_array_equal(default_mask(shots, method), mask)
    for method in ("cd", "pcd", "exact"):
        assert default_mask(shots, method) is None
    assert default_mask(shots, "auto", "random") is None
    for other in (
        pp.Shots(shots.bits[:, :20]),
        pp.Shots(shots.bits[:1]),
        replace(shots, readout=pp.ReadoutError.from_rates(0.01, sites=24)),
    ):
        assert default_mask(other, "auto") is None
    trained = pp.train(shots, method={"epochs": 1, "chains": 50, "method": "natural"})
    np.testing.assert_array_equal(trained.mask, mask)
    dense = pp.train(shots, method={"epochs": 0}, hidden=12)
    assert dense.mask.all()
