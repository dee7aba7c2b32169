"""Scale-free masks link where their rules say, with exactly the weights asked for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

import exact
from psiprune.rbm.geometry import read_positions
from psiprune.rbm.masks import Mask
from psiprune.rbm.scale_free import power_law_mask, scale_free_mask
from refusals import refuses

#: Sites and hidden units: one of each, more units than sites, fewer, odd and even.
SIZES = [(1, 1), (1, 4), (2, 1), (2, 2), (3, 2), (5, 8), (7, 7), (9, 4), (16, 16)]
GRID = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2)


def links(mask: Mask) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in mask]


def unpaired(mask: Mask) -> int:
    """Links that lack their mirror image."""
    return int((mask & ~mask[::-1, ::-1]).sum())


# ---- near sites and geometric steps


def test_steps_by_the_rule() -> None:
    """As the picture in the docstring: 4 nearest sites with ties, distances 1, 2, 4, 8, 16, 32."""
    mask = scale_free_mask(33, near=4, ratio=2.0)
    rings = [0, 1, 2, 4, 8, 16, 32]
    assert links(mask)[0] == [0, 1, 2, 3, 4, 8, 16, 32]
    assert links(mask)[16] == sorted({16 - r for r in rings[:-1]} | {16 + r for r in rings[:-1]})
    assert links(mask)[8] == [0, 4, 6, 7, 8, 9, 10, 12, 16, 24]
    # Middles 1, 4, 7 and 10; 1, 2, 3, 4.5, 6.75 and 10.125 from them. 4.5 ends halfway between two
    # sites and takes the farther one.
    assert links(scale_free_mask(12, 4, near=1, ratio=1.5)) == [
        [0, 1, 2, 3, 4, 6, 8, 11],
        [1, 2, 3, 4, 5, 6, 7, 9, 11],
        [0, 2, 4, 5, 6, 7, 8, 9, 10],
        [0, 3, 5, 7, 8, 9, 10, 11],
    ]
    # Middles 0.5, 2.5, ... lie between two sites: 1, 2, 4, 8 end halfway, at the farther one.
    assert links(scale_free_mask(12, 6, near=2, ratio=2.0))[2] == [0, 2, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize(("visible", "hidden"), SIZES)
@pytest.mark.parametrize("ratio", [1.4, 2.0, 1e9])
def test_every_mask_is_connected_and_symmetric(visible: int, hidden: int, ratio: float) -> None:
    for near in {1, min(4, visible), visible}:
        mask = scale_free_mask(visible, hidden, near=near, ratio=ratio)
        assert mask.shape == (hidden, visible)
        assert mask.dtype == bool
        assert exact.components(mask) == 1
        assert mask.any(axis=0).all()
        assert (mask.sum(axis=1) >= near).all()
        # Rings of N_h units and `near` sites hold together unless units are few.
        assert unpaired(mask) == 0 or near < visible / hidden
    assert scale_free_mask(visible, hidden, near=visible).all()


def test_defaults() -> None:
    mask = scale_free_mask(30)
    np.testing.assert_array_equal(mask, scale_free_mask(30, 30, near=8, ratio=1.4))
    assert links(mask)[15] == [3, 7, 9, *range(11, 20), 21, 23, 27]
    assert scale_free_mask(3).all()  # near 8 of 3 sites


def test_nesting_in_near_and_in_the_ratio() -> None:
    masks = [scale_free_mask(40, 25, near=near, ratio=2.0) for near in (1, 2, 5, 9, 40)]
    assert all((smaller <= larger).all() for smaller, larger in pairwise(masks))
    # Distances 1, 4, 16 are among 1, 2, 4, 8, 16, 32.
    assert (scale_free_mask(40, near=1, ratio=4.0) <= scale_free_mask(40, near=1, ratio=2.0)).all()


# ---- exact numbers of weights


@pytest.mark.parametrize(("visible", "hidden"), SIZES)
@pytest.mark.parametrize("kind", [scale_free_mask, power_law_mask])
def test_every_possible_number_of_weights(visible: int, hidden: int, kind: Any) -> None:
    least, most = visible + hidden - 1, visible * hidden
    numbers = {*range(least, min(least + 3, most) + 1), (least + most) // 2, most}
    for number in numbers:
        mask = kind(visible, hidden, weights=number)
        assert mask.sum() == number
        assert exact.components(mask) == 1
        np.testing.assert_array_equal(mask, kind(visible, hidden, weights=number))
    facts = (visible, hidden, least, most)
    for number in (least - 1, most + 1):
        with refuses("weights", *facts, number):
            kind(visible, hidden, weights=number)


def test_the_rule_for_the_ratio() -> None:
    """The smallest of 2.75, 1.875, 1.583, ... that fits, and then the shortest missing links."""
    steps = [scale_free_mask(40, near=k, ratio=1 + 3.5 / k) for k in (2, 4, 6)]
    for coarse, fine in pairwise(steps):
        for number in (coarse.sum(), coarse.sum() + 1, (coarse.sum() + fine.sum()) // 2):
            mask = scale_free_mask(40, weights=int(number))
            assert (coarse <= mask).all()
            far = np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
            assert (far * (mask & ~coarse)).max() <= far[~mask].min()
    # Below the coarsest the longest links are left out.
    few = scale_free_mask(40, weights=int(steps[0].sum()) - 30)
    assert (few <= steps[0]).all()
    assert far[steps[0] & ~few].min() >= far[few].max()


@pytest.mark.parametrize("hidden", [7, 10, 20, 31])
def test_weights_nest_for_a_fixed_ratio_and_keep_the_mirror(hidden: int) -> None:
    previous = np.zeros((hidden, 20), bool)
    for number in range(hidden + 19, hidden * 20 + 1, 31):
        mask = scale_free_mask(20, hidden, weights=number, ratio=1.6)
        assert (previous <= mask).all()
        if number > 3 * (hidden + 20):  # all links of the shortest distances are there
            assert unpaired(mask) <= 1
        previous = mask


def test_leftover_links_are_spread_over_the_units() -> None:
    """Half of the next distance's links: each quarter of the chain gets some of them."""
    whole = scale_free_mask(64, weights=1200, ratio=2.0)
    extra = scale_free_mask(64, weights=1216, ratio=2.0) & ~whole
    assert (extra.reshape(4, 16, 64).sum(axis=(1, 2)) >= 2).all()


# ---- rings and sites with positions


@pytest.mark.parametrize("sites", [1, 2, 3, 9, 16])
def test_a_ring_looks_the_same_from_every_unit(sites: int) -> None:
    mask = scale_free_mask(sites, near=min(2, sites), ratio=2.0, periodic=True)
    for shift in range(sites):
        np.testing.assert_array_equal(mask, np.roll(mask, (shift, shift), axis=(0, 1)))
    if sites == 16:
        assert links(mask)[0] == [0, 1, 2, 4, 8, 12, 14, 15]
    # The same where a ring of units is half as dense.
    half = scale_free_mask(2 * sites, sites, periodic=True)
    np.testing.assert_array_equal(half, np.roll(half, (1, 2), axis=(0, 1)))


def test_a_chain_is_sites_with_positions() -> None:
    line = 0.3 * np.arange(14) - 5.0
    expected = scale_free_mask(14, near=3, ratio=1.7)
    for positions in (line, line[:, None], np.column_stack([line, np.zeros(14)])):
        found = scale_free_mask(14, near=3, ratio=1.7, positions=positions)
        np.testing.assert_array_equal(found[:, :], expected)
    # Any order of sites, as the units follow them.
    order = np.random.default_rng(0).permutation(14)
    found = scale_free_mask(14, near=3, ratio=1.7, positions=line[order])
    np.testing.assert_array_equal(found, expected[order][:, order])


def test_a_square_lattice() -> None:
    """Near 5 in a plane is a cross; rings lie along both axes."""
    grid = 2.5 * np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)
    mask = scale_free_mask(81, near=5, ratio=2.0, positions=grid)
    picture = [
        "....#....",
        ".........",
        "....#....",
        "....#....",
        "#.#####.#",
        "....#....",
        "....#....",
        ".........",
        "....#....",
    ]
    assert ["".join(".#"[x] for x in row) for row in mask[40].reshape(9, 9).astype(int)] == picture
    assert unpaired(mask) == 0
    # A lattice turned by a quarter has the same mask.
    turned = scale_free_mask(81, near=5, ratio=2.0, positions=grid @ [[0, 1], [-1, 0]])
    np.testing.assert_array_equal(mask, turned)


@pytest.mark.parametrize("hidden", [1, 7, 20, 33])
@pytest.mark.parametrize("kind", [scale_free_mask, power_law_mask])
def test_positions_with_exact_numbers(hidden: int, kind: Any) -> None:
    for number in {hidden + 19, 5 * hidden + 15, 20 * hidden}:
        mask = kind(20, hidden, weights=number, positions=GRID)
        assert mask.sum() == number
        assert exact.components(mask) == 1
    if hidden == 7:  # unit j on site floor((j + 1/2) 20 / 7)
        near = scale_free_mask(20, 7, near=1, ratio=1e9, positions=GRID)
        assert near[np.arange(7), [1, 4, 7, 10, 12, 15, 18]].all()


# ---- drawn from a power law


def test_units_have_equal_numbers_of_drawn_links() -> None:
    previous = np.zeros((12, 30), bool)
    for number in (60, 100, 101, 240, 333, 360):
        mask = power_law_mask(30, 12, weights=number, seed=3)
        assert np.ptp(mask.sum(axis=1)) <= 1
        assert (previous <= mask).all()
        previous = mask
    other = power_law_mask(30, 12, weights=240, seed=4)
    assert (other != power_law_mask(30, 12, weights=240, seed=3)).any()


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_links_are_drawn_from_the_power_law(exponent: float) -> None:
    """One link a unit beyond those that connect a ring: distances as by the law, chi-squared."""
    sites = 48
    tree = power_law_mask(sites, weights=2 * sites - 1, periodic=True)
    free = tree.sum(axis=1) == 2
    distance = np.abs(np.subtract.outer(np.arange(sites), np.arange(sites)))
    distance = np.minimum(distance, sites - distance)[free]
    odds = np.where(tree[free], 0.0, np.maximum(distance, 1.0) ** -exponent)
    groups = np.digitize(distance, [2, 3, 5, 9, 16]).ravel()
    found = np.zeros(6)
    for seed in range(20):
        options: dict[str, Any] = {"exponent": exponent, "seed": seed, "periodic": True}
        mask = power_law_mask(sites, weights=3 * sites, **options)[free] & ~tree[free]
        assert (mask.sum(axis=1) == 1).all()
        found += np.bincount(groups, mask.ravel())
    chances = odds / odds.sum(axis=1, keepdims=True)
    expected = 20 * np.bincount(groups, chances.ravel())
    assert scipy.stats.chisquare(found, expected).pvalue > 1e-3


# ---- refusals


@pytest.mark.parametrize("kind", [scale_free_mask, power_law_mask])
@pytest.mark.parametrize(
    ("sizes", "options", "facts"),
    [
        ((0, 3), {}, ("visible", 1, 0)),
        ((0,), {}, ("visible", 1, 0)),
        ((3, 0), {}, ("hidden", 1, 0)),
        ((10**5, 10**5), {}, ("hidden", "100,000 hidden units", 20_000_000)),
        ((3, 3), {"periodic": True, "positions": np.arange(3)}, ("periodic", True, "omit")),
        ((3, 3), {"positions": [0.0, 1.0]}, ("positions", 3, (2,))),
        ((3, 3), {"positions": [[0], [1, 2], [3]]}, ("positions", "[site, axis]")),
        ((3, 3), {"positions": [0.0, np.nan, 1.0]}, ("positions", "finite", "site 1")),
        ((3, 3), {"positions": [[0.0, 1.0], [2.0, 0.0], [2.0, 0.0]]}, ("positions", "site 1")),
        ((2, 2), {"weights": 3.0}, ("weights", 0, 3.0)),
    ],
)
def test_bad_arguments_of_both(
    kind: Any, sizes: tuple[int, ...], options: dict[str, Any], facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        kind(*sizes, **{"weights": 7, **options})


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ({"near": 0}, ("near", 1, 0)),
        ({"near": 5}, ("near", 4, 5)),
        ({"ratio": 1.0}, ("ratio", 1, 1.0)),
        ({"ratio": float("inf")}, ("ratio", float("inf"))),
        ({"ratio": 1 + 1e-7, "positions": [0, 1, 2, 1e9]}, ("ratio", 10_000, "1e+09", 1 + 1e-7)),
        ({"weights": 8, "near": 2}, ("near", "weights = 8", 2, "not both")),
    ],
)
def test_bad_steps(options: dict[str, Any], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        scale_free_mask(4, **options)


@pytest.mark.parametrize(
    ("options", "facts"), [({"exponent": -1}, ("exponent", 0, -1)), ({"seed": -1}, ("seed", 0, -1))]
)
def test_bad_draws(options: dict[str, Any], facts: tuple[object, ...]) -> None:
    with refuses(*facts):
        power_law_mask(4, weights=9, **options)


# ---- files of positions


def test_positions_from_text(tmp_path: Path) -> None:
    file = tmp_path / "sites.txt"
    file.write_text("# x, y in micrometres\n0, 0\n5.5 0\n\n(0, -5.5)\n")
    expected: NDArray[np.float64] = np.array([[0, 0], [5.5, 0], [0, -5.5]])
    np.testing.assert_array_equal(read_positions(file), expected)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("0 0\n1 x\n", ("line 2", "'1 x'")),
        ("0 0\n1\n", ("line 2", "has 1", "has 2")),
        ("# x, y in micrometres\n\n", ("coordinates", "comments")),
    ],
)
def test_bad_files_of_positions(tmp_path: Path, text: str, facts: tuple[str, ...]) -> None:
    (tmp_path / "sites.txt").write_text(text)
    with refuses(tmp_path / "sites.txt", *facts):
        read_positions(tmp_path / "sites.txt")
