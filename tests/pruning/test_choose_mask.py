"""The number of hidden units and links is chosen by what the shots support."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of
from psiprune.core.random import Stream, generator_for
from psiprune.core.statistics import choose
from psiprune.rbm.masks import read_mask
from refusals import refuses

METHOD = pp.ExactNaturalGradient(epochs=20)


@pytest.fixture(scope="module")
def pairs() -> pp.Shots:
    """600 shots of two pairs of sites that mostly agree; sites 0 and 2 are near each other."""
    generator = np.random.default_rng(0)
    free = generator.integers(0, 2, (600, 2), dtype=np.uint8)
    bits = np.hstack([free, free ^ (generator.random((600, 2)) < 0.05)])
    places = [[0, 0], [9, 0], [0, 1], [9, 1]]
    return pp.Shots(bits.astype(np.uint8), provenance={"positions": places})


def test_two_pairs_need_two_units(pairs: pp.Shots) -> None:
    found = pp.choose_mask(pairs, hidden=(4, 2, 1), links=(9, 4), method=METHOD)
    assert [(each.hidden, each.links) for each in found.candidates] == [(1, 4), (2, 4), (4, 4)]
    assert found.chosen.hidden == 2
    np.testing.assert_array_equal(found.mask, found.chosen.rbm.mask)
    # Of two pairs, one unit describes one.
    assert found.candidates[0].loss > 10 * found.candidates[0].error


def test_links_are_not_chosen_where_they_do_not_help() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (500, 5))
    found = pp.choose_mask(bits, hidden=(3,), links=(2, 3, 5), method=METHOD)
    assert found.chosen.links == 2
    assert found.chosen.weights == min(each.weights for each in found.candidates)


def test_the_rule_is_that_of_the_scores(pairs: pp.Shots) -> None:
    """As by hand: of training shots less parameters / shots, and of the held-out ones."""
    found = pp.choose_mask(pairs, hidden=(2,), links=(1, 2, 3), method=METHOD, held_out=0.3, seed=3)
    order = generator_for(3, Stream.MASK_SPLIT).permutation(600)
    held, rest = pairs.bits[order[:180]], pairs.bits[order[180:]]
    scores = []
    for each in found.candidates:
        again = pp.train(rest, hidden=2, mask=each.rbm.mask, seed=3, method=METHOD)
        np.testing.assert_array_equal(again.weights, each.rbm.weights)
        log_p = [again.log_prob_unnormalized(part) - again.log_partition() for part in (rest, held)]
        scores.append(np.append(log_p[0] - again.compact().number_of_parameters / 420, log_p[1]))
    sizes = [each.rbm.compact().number_of_parameters for each in found.candidates]
    choice = choose(np.array(scores), np.zeros(3), sizes)
    np.testing.assert_allclose([each.loss for each in found.candidates], choice.losses, atol=1e-9)
    np.testing.assert_allclose([each.error for each in found.candidates], choice.errors, atol=1e-9)
    assert found.chosen is found.candidates[choice.chosen]


def test_links_go_to_near_sites() -> None:
    """Sites 0 and 1 are correlated, but 0 and 2 are near each other."""
    free = np.random.default_rng(2).integers(0, 2, (200, 3), dtype=np.uint8)
    places = [[0, 0], [9, 0], [0, 1], [9, 1]]
    shots = pp.Shots(free[:, [0, 0, 1, 2]], provenance={"positions": places})
    options: tuple[dict[str, Any], ...] = ({}, {"positions": places})
    for given in options:
        found = pp.choose_mask(shots, hidden=(4,), links=(2,), method=METHOD, **given)
        assert found.mask[[0, 1, 2, 3], [2, 3, 0, 1]].all()
        assert found.mask.sum() == 8 + 4  # one link connects the pairs, with all its images


def test_units_of_all_sites_are_tried_with_links() -> None:
    """By default above 20 sites."""
    bits = np.random.default_rng(3).integers(0, 2, (150, 21), dtype=np.uint8)
    places = np.stack(np.divmod(np.arange(21), 7), axis=1)
    given: dict[str, Any] = {"hidden": (2,), "links": (3,), "method": pp.CD(epochs=1)}
    found = pp.choose_mask(bits, positions=places, **given)
    assert (found.chosen.hidden, found.chosen.global_units) == (2, 2)
    assert found.mask[2:].all()
    np.testing.assert_array_equal(found.mask[:2], pp.nearest_mask(21, 2, links=3, positions=places))
    without: tuple[dict[str, Any], ...] = ({"global_units": 0, "positions": places}, {})
    for options in without:
        assert pp.choose_mask(bits, **options, **given).mask.shape == (2, 21)
    given["links"] = (21,)  # a dense RBM
    assert pp.choose_mask(bits, positions=places, **given).mask.shape == (2, 21)


def test_without_positions_links_follow_the_correlations(pairs: pp.Shots) -> None:
    found = pp.choose_mask(pairs.bits, hidden=(4,), links=(2,), method=METHOD)
    assert found.mask[[0, 1, 2, 3], [2, 3, 0, 1]].all()


def test_the_command(tmp_path: Path, pairs: pp.Shots) -> None:
    file, out = pairs.save(tmp_path / "shots.nc"), tmp_path / "mask.txt"
    command = ("mask", "choose", file, "--hidden", 1, "--links", 4, "-o", out, "--json")
    found = json_of(tiny.call(*command))
    expected = pp.choose_mask(pairs, hidden=(1,), links=(4,))
    np.testing.assert_array_equal(read_mask(out), expected.mask)
    assert (found["hidden"], found["links"], found["global_units"]) == (1, 4, 0)
    assert [row["loss"] for row in found["candidates"]] == [
        each.loss for each in expected.candidates
    ]


@pytest.mark.parametrize(
    ("given", "states"),
    [
        ({"held_out": 0.04}, ("held_out", 600, 30)),
        ({"held_out": 1.0}, ("held_out", "between 0 and 1", 1.0)),
        ({"links": (0,)}, ("links", 1, 0)),
        ({"links": ()}, ("hidden, links",)),
        ({"global_units": 4}, ("global_units", 3, 4)),
    ],
)
def test_refusals(pairs: pp.Shots, given: dict[str, Any], states: tuple[Any, ...]) -> None:
    with refuses(*states):
        pp.choose_mask(pairs, **given)
