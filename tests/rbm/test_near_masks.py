"""Masks of near and of correlated sites link where their rules say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

import exact
import psiprune as pp
from psiprune.rbm.isometries import isometries, unit_images
from psiprune.rbm.near_masks import correlation_mask, nearest_mask
from refusals import refuses

GRID = pp.lattice_positions("square", 4, 4)


def links(mask: np.ndarray[Any, Any]) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in mask]


def test_nearest_sites_of_a_chain() -> None:
    mask = nearest_mask(7, links=3)
    assert links(mask) == [[0, 1, 2], *([i - 1, i, i + 1] for i in range(1, 6)), [4, 5, 6]]
    assert links(nearest_mask(6, periodic=True, links=3))[0] == [0, 1, 5]
    assert links(nearest_mask(6, 2, links=3)) == [[0, 1, 2, 3], [2, 3, 4, 5]]  # one link connects


def test_nearest_sites_of_a_lattice() -> None:
    apart = np.linalg.norm(GRID[:, None] - GRID, axis=2)
    mask = nearest_mask(16, links=5, positions=3.5 * GRID)
    assert np.isin(mask.sum(axis=1), (5, 6)).all()  # 6 in a corner, where the last two are images
    assert (np.where(mask, apart, 0).max(axis=1) <= np.sort(apart, axis=1)[:, 4]).all()
    shells = nearest_mask(16, links=5, shells=True, positions=GRID)
    assert (mask <= shells).all()
    np.testing.assert_array_equal(shells, apart <= np.sort(apart, axis=1)[:, 4:5] + 1e-9)
    other = nearest_mask(16, links=5, positions=GRID, seed=1)
    assert (other != mask).any()  # of sites at the same distance
    np.testing.assert_array_equal(
        shells, nearest_mask(16, links=5, shells=True, positions=GRID, seed=1)
    )


def test_far_links_follow_the_power_law() -> None:
    """Chi-squared of one far link of each of 4,000 units of a site, p above 1e-4."""
    options: dict[str, Any] = {"links": 3, "far": 1, "exponent": 2.0, "positions": np.arange(9)}
    mask = nearest_mask(9, 36_000, **options)[3 * 4000 : 4 * 4000]
    assert mask[:, 2:5].all()
    assert (mask.sum(axis=1) == 4).all()
    far = mask.sum(axis=0)[[0, 1, 5, 6, 7, 8]]
    for exponent, right in ((2.0, True), (1.0, False), (3.0, False)):
        weight = np.array([3.0, 2.0, 2.0, 3.0, 4.0, 5.0]) ** -exponent
        p = scipy.stats.chisquare(far, 4000 * weight / weight.sum()).pvalue
        assert (p > 1e-4) == right


@pytest.mark.parametrize(
    ("lattice", "length", "width", "images"),
    [("square", 4, 4, 8), ("square", 5, 5, 8), ("square", 4, 3, 4), ("triangular", 4, 4, 2)],
)
def test_masks_have_the_symmetries_of_a_lattice(
    lattice: Any, length: int, width: int, images: int
) -> None:
    """With one and two units on each site; units on no axis of it have as many links as asked."""
    positions, number = pp.lattice_positions(lattice, length, width), length * width
    sites = isometries(positions)
    assert len(sites) == images
    for hidden in (number, 2 * number):
        units = unit_images(sites, hidden)
        moved = [u for u in range(hidden) if len({*units[:, u].tolist()}) == images]
        for near, far in ((3, 2), (5, 0), (7, 4)):
            mask = nearest_mask(number, hidden, links=near, far=far, positions=positions)
            for unit, site in zip(units, sites, strict=True):
                np.testing.assert_array_equal(mask, mask[np.ix_(unit, site)])
            assert (mask[moved].sum(axis=1) == near + far).all()
            assert (mask.sum(axis=1) >= near + far).all()
    weights = 6 * number // 4 * 4 + number % 2  # only the link in the middle is its own image
    mask = nearest_mask(number, weights=weights, far=2, positions=positions)
    assert mask.sum() == weights
    assert all((mask == mask[np.ix_(site, site)]).all() for site in sites)
    bent = positions + 0.1 * np.eye(number, 2)
    assert len(isometries(bent)) == 1
    mask = nearest_mask(number, links=3, far=2, positions=bent)
    assert any((mask != mask[np.ix_(site, site)]).any() for site in sites)
    assert (mask.sum(axis=1) == 5).all()


def test_global_units_are_linked_to_all_sites() -> None:
    near = nearest_mask(16, 32, links=3, far=1, positions=GRID, seed=2)
    mask = nearest_mask(16, 32, links=3, far=1, positions=GRID, seed=2, global_units=2)
    np.testing.assert_array_equal(mask[:32], near)
    assert mask.shape == (34, 16)
    assert mask[32:].all()
    sites = isometries(GRID)
    for unit, site in zip(unit_images(sites, 34), sites, strict=True):
        np.testing.assert_array_equal(mask, mask[np.ix_(unit, site)])
    with refuses("global_units", 3, 4):
        nearest_mask(4, links=2, global_units=4)


def test_all_masks_are_connected() -> None:
    for number in (1, 2, 16):
        for far in (0, 16 - number):
            mask = nearest_mask(16, 5, links=number, far=far, positions=GRID)
            assert exact.components(mask) == 1
            assert (mask.sum(axis=1) >= number + far).all()
            assert mask.any(axis=0).all()


@pytest.mark.parametrize("hidden", [1, 5, 16, 20])
def test_every_number_of_weights(hidden: int) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (50, 16))
    least, most = hidden + 15, 16 * hidden
    for number in {least, min(least + 1, most), (least + most) // 2, most}:
        for far in (0, 3):
            near = nearest_mask(16, hidden, weights=number, far=far, positions=GRID)
            correlated = correlation_mask(bits, hidden, weights=number)
            for mask in (near, correlated):
                assert mask.sum() == number
                assert exact.components(mask) == 1
    whole = nearest_mask(16, links=5, positions=GRID)
    same = nearest_mask(16, weights=int(whole.sum()), positions=GRID)
    np.testing.assert_array_equal(same, whole)
    with refuses("weights", least, most, least - 1):
        nearest_mask(16, hidden, weights=least - 1)


def test_correlated_sites_are_linked() -> None:
    """Pairs of sites that copy each other; site 6 never changes."""
    generator = np.random.default_rng(0)
    free = generator.integers(0, 2, (500, 3))
    noise = generator.random((500, 3)) < 0.1
    bits = np.hstack([free, free ^ noise, np.zeros((500, 1), int)])
    mask = correlation_mask(bits, links=2)
    for i in range(6):
        assert mask[i, i]
        assert mask[i, (i + 3) % 6]
    assert mask[6, 6]
    assert exact.components(mask) == 1
    assert mask.sum() <= 7 * 2 + 3
    few = correlation_mask(bits, 2, links=2)  # of sites 1 and 5
    assert few[0, [1, 4]].all()
    assert few[1, [5, 2]].all()


def test_sites_that_differ_are_correlated() -> None:
    generator = np.random.default_rng(1)
    bits = generator.integers(0, 2, (200, 4))
    bits[:, 3] = 1 - bits[:, 0]
    assert correlation_mask(bits, links=2)[[0, 3], [3, 0]].all()


def test_correlations_of_a_lattice_find_its_neighbours() -> None:
    model = pp.TFIM2D(length=3, width=3, field=4.0)
    shots = pp.quantum_monte_carlo(model, 5_000, projection=40).shots
    found = correlation_mask(shots, links=5)[4]  # in the middle
    np.testing.assert_array_equal(found, nearest_mask(9, links=5, positions=model.places)[4])


@pytest.mark.parametrize(
    ("given", "states"),
    [
        ({"links": 0}, ("links", 1, 0)),
        ({"links": 5}, ("links", 4, 5)),
        ({"links": 3, "far": 2}, ("far", 1, 2)),
        ({}, ("links, weights", "one of them")),
        ({"links": 3, "weights": 9}, ("links, weights", "one of them")),
        ({"links": 3, "exponent": -1}, ("exponent", 0, -1)),
    ],
)
def test_refusals(given: dict[str, Any], states: tuple[Any, ...]) -> None:
    with refuses(*states):
        nearest_mask(4, **given)


def test_refused_correlations() -> None:
    with refuses("links", 2, 3):
        correlation_mask(np.eye(2, dtype=int), links=3)
    misread = pp.Shots(np.eye(2, dtype=int), readout=pp.ReadoutError.from_rates(0.1, sites=2))
    with refuses("array", "readout"):
        correlation_mask(misread, links=1)
