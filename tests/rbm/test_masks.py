"""Masks have exactly the weights asked for, where the rules say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

import exact
import tiny
from psiprune.core.exceptions import InputError
from psiprune.rbm.masks import (
    NARROWEST,
    Mask,
    break_clusters,
    cluster_mask,
    exclude_clusters,
    exclude_matched_control,
    random_mask,
    read_mask,
    write_mask,
)
from refusals import refuses

SIZES = [(1, 3), (1, 4), (2, 3), (3, 3), (2, 5), (3, 4), (3, 7), (5, 3), (9, 18), (7, 19)]


def rows(*words: str) -> Mask:
    return np.array([[letter == "1" for letter in word] for word in words])


# ---- random


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 60), st.integers(0, 5))
def test_a_random_mask_has_its_count(hidden: int, visible: int, count: int, seed: int) -> None:
    count = min(count, hidden * visible)
    mask = random_mask(hidden, visible, count, seed)
    assert mask.shape == (hidden, visible)
    assert mask.dtype == bool
    assert mask.sum() == count


def test_random_masks_are_equally_likely() -> None:
    found = Counter(random_mask(2, 3, 3, seed).tobytes() for seed in range(2000))
    assert len(found) == 20  # 6 over 3
    assert scipy.stats.chisquare(list(found.values())).pvalue > 1e-4
    np.testing.assert_array_equal(random_mask(9, 18, 96, 4), random_mask(9, 18, 96, 4))


# ---- clusters by rule


def least(hidden: int, visible: int) -> int:
    return max(NARROWEST * hidden, hidden + visible - 1)


@pytest.mark.parametrize(("hidden", "visible"), SIZES)
def test_every_possible_count_of_cluster_masks(hidden: int, visible: int) -> None:
    for count in range(least(hidden, visible), hidden * visible + 1):
        mask = cluster_mask(hidden, visible, count)
        assert mask.sum() == count
        assert exact.components(mask) == 1
        widths = mask.sum(axis=1)
        assert widths.min() >= NARROWEST
        assert np.ptp(widths) <= 1
        # One run of adjacent sites a unit, each run meeting the next one.
        first = mask.argmax(axis=1)
        last = first + widths - 1
        runs = [range(a, b + 1) for a, b in zip(first, last, strict=True)]
        assert [np.flatnonzero(row).tolist() for row in mask] == [list(run) for run in runs]
        assert all(set(a) & set(b) for a, b in pairwise(runs))


def test_the_papers_cluster_mask() -> None:
    mask = cluster_mask(9, 18, 96)
    assert sorted(mask.sum(axis=1).tolist()) == [10, 10, 10, 11, 11, 11, 11, 11, 11]
    # As many clusters hold the left end as the right one, give or take the uneven widths.
    assert abs(int(mask[:, 0].sum()) - int(mask[:, -1].sum())) <= 1
    sparsest = cluster_mask(9, 18, 27)
    assert [int(row.argmax()) for row in sparsest] == [0, 2, 4, 6, 8, 10, 12, 14, 15]


def test_widths_and_middles_by_the_rule() -> None:
    # Widths floor((j + 1) 10 / 3) - floor(j 10 / 3), middles nearest to 8 / 6, 4 and 40 / 6.
    assert [np.flatnonzero(row).tolist() for row in cluster_mask(3, 8, 10)] == [
        [0, 1, 2],
        [2, 3, 4],
        [4, 5, 6, 7],
    ]
    # Nothing binds here but the middles: 12 / 6, 6 and 10, rounded half up.
    assert cluster_mask(3, 12, 21).argmax(axis=1).tolist() == [0, 3, 5]
    assert cluster_mask(3, 12, 18).argmax(axis=1).tolist() == [0, 3, 6]


@pytest.mark.parametrize(
    ("hidden", "visible", "count", "facts"),
    [
        (9, 18, 26, ("count", 9, 18, 27, 162, 26)),
        (9, 18, 163, ("count", 27, 162, 163)),
        (2, 18, 18, ("count", 19, 36, 18)),
        (1, 5, 4, ("count", 5, 4)),
        (9, 18, -1, ("count", 0, -1)),
        (2, 2, 4, ("visible", 3, 2)),
        (1, 1, 1, ("visible", 3, 1)),
        (0, 18, 0, ("hidden", 1, 0)),
    ],
)
def test_impossible_cluster_masks(
    hidden: int, visible: int, count: int, facts: tuple[object, ...]
) -> None:
    with refuses(*facts):
        cluster_mask(hidden, visible, count)


@pytest.mark.parametrize(
    ("hidden", "visible", "count"), [(2, 3, 7), (2, 3, -1), (0, 3, 0), (2, 0, 0), (2, 3, 1.5)]
)
def test_impossible_random_masks(hidden: int, visible: int, count: int) -> None:
    with pytest.raises(InputError):
        random_mask(hidden, visible, count, 0)


# ---- breaking

MASKS = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**35 - 1)).map(
    lambda case: np.array(
        [[case[2] >> (j * case[1] + i) & 1 == 1 for i in range(case[1])] for j in range(case[0])]
    )
)


def steps(mask: Mask, seed: int) -> list[Mask]:
    """The mask after 0, 1, 2, ... of all moves."""
    total = int((mask & ~break_clusters(mask, 1.0, seed)).sum())
    return [break_clusters(mask, k / max(1, total), seed) for k in range(total + 1)]


@given(MASKS, st.integers(0, 3))
def test_breaking_moves_one_weight_after_another(mask: Mask, seed: int) -> None:
    path = steps(mask, seed)
    np.testing.assert_array_equal(path[0], mask)
    for before, after in pairwise(path):
        # One weight has left, one has come, in the same hidden unit.
        gone, come = np.argwhere(before & ~after), np.argwhere(after & ~before)
        assert len(gone) == len(come) == 1
        assert gone[0, 0] == come[0, 0]
        # Moves are never taken back: those of a small share are among those of a greater one.
        assert mask[tuple(gone[0])]
        assert not mask[tuple(come[0])]
    for broken in path:
        np.testing.assert_array_equal(broken.sum(axis=1), mask.sum(axis=1))
        assert np.abs(broken.sum(axis=0).astype(int) - mask.sum(axis=0)).max() <= 1
    np.testing.assert_array_equal(path[-1].sum(axis=0), mask.sum(axis=0))


def of_the_same_numbers(mask: Mask) -> set[bytes]:
    """Every mask with the same number of weights at every unit of both layers."""

    def options(count: int) -> list[NDArray[np.bool_]]:
        chosen = combinations(range(mask.shape[1]), count)
        return [np.isin(np.arange(mask.shape[1]), sites) for sites in chosen]

    found = [np.zeros((0, mask.shape[1]), bool)]
    for count in mask.sum(axis=1):
        found = [np.vstack([part, row]) for part in found for row in options(int(count))]
    return {part.tobytes() for part in found if (part.sum(axis=0) == mask.sum(axis=0)).all()}


@pytest.mark.parametrize("mask", [rows("1100", "0110", "0011"), rows("1100", "0011")])
def test_a_broken_mask_is_any_with_the_same_numbers(mask: Mask) -> None:
    found = Counter(break_clusters(mask, 1.0, seed).tobytes() for seed in range(300))
    assert set(found) == of_the_same_numbers(mask)
    assert scipy.stats.chisquare(list(found.values())).pvalue > 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_the_number_of_moves_is_rounded(seed: int) -> None:
    mask = cluster_mask(6, 18, 45)
    total = (mask & ~break_clusters(mask, 1.0, seed)).sum()
    for share in (0.01, 0.49 / total, 0.51 / total, 0.3, 0.7, 0.99, 1 - 0.49 / total):
        assert (mask & ~break_clusters(mask, share, seed)).sum() == round(share * total)
    changes = [broken.sum(axis=0) - mask.sum(axis=0, dtype=int) for broken in steps(mask, seed)]
    assert np.abs(changes).max() == 1


def test_the_first_move_is_any() -> None:
    """Site, unit and target at random: each is the first possible one as often as by chance.

    Sums over 60 seeds, within 4.5 standard deviations; a rule that always takes the first one is
    5.5 away at least.
    """
    mask, seeds = rows(*["11110000"] * 3, *["00001111"] * 3), range(60)
    first, chance = np.empty((2, len(seeds), 3))
    for k in seeds:
        target = break_clusters(mask, 1.0, k)
        leaving, coming = mask & ~target, target & ~mask
        moved = break_clusters(mask, 1 / leaving.sum(), k)
        ((unit, site),), ((_, to),) = np.argwhere(mask & ~moved), np.argwhere(moved & ~mask)
        choices = (
            (site, np.flatnonzero(leaving.any(axis=0))),
            (unit, np.flatnonzero(leaving[:, site])),
            (to, np.flatnonzero(coming[unit])),
        )
        first[k] = [chosen == possible[0] for chosen, possible in choices]
        chance[k] = [1 / len(possible) for _, possible in choices]
    spread = np.sqrt((chance * (1 - chance)).sum(axis=0))
    assert ((1 - chance).sum(axis=0) > 5.5 * spread).all()
    assert (np.abs((first - chance).sum(axis=0)) < 4.5 * spread).all()


@pytest.mark.parametrize(
    "mask", [rows("111"), rows("1", "0"), rows("000", "000"), rows("11", "11"), rows("10", "11")]
)
def test_where_nothing_can_move(mask: Mask) -> None:
    for broken in (break_clusters(mask, share, 0) for share in (0.0, 0.5, 1.0)):
        np.testing.assert_array_equal(broken, mask)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_out_of_range(share: float) -> None:
    with refuses("share", 0, 1, share):
        break_clusters(rows("10", "01"), share, 0)


CALLS: list[tuple[str, Callable[[ArrayLike], Mask]]] = [
    ("mask", lambda mask: break_clusters(mask, 0.5, 0)),
    ("inside", exclude_clusters),
    ("inside", lambda mask: exclude_matched_control(mask, 0)),
]


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize("mask", [[True], [[1, 0]], np.zeros((2, 2, 2), bool)])
def test_what_is_no_mask(name: str, call: Callable[[ArrayLike], Mask], mask: ArrayLike) -> None:
    with refuses(name, "bool [hidden, visible]", np.asarray(mask).dtype.name, np.shape(mask)):
        call(mask)


# ---- forbidding


def test_forbidding_leaves_all_the_others() -> None:
    np.testing.assert_array_equal(exclude_clusters(rows("0110", "0000")), rows("1001", "1111"))


@given(MASKS, st.integers(0, 3))
def test_the_control_bars_as_many_others(inside: Mask, seed: int) -> None:
    control = exclude_matched_control(inside, seed)
    assert (control | ~inside).all()
    barred = (~control).sum(axis=1)
    np.testing.assert_array_equal(barred, np.minimum(inside.sum(axis=1), (~inside).sum(axis=1)))


def test_the_control_is_any_such_mask() -> None:
    # Two masks for each unit: 40 seeds miss one of the four once in 25,000 times.
    inside = rows("100", "001")
    assert len({exclude_matched_control(inside, seed).tobytes() for seed in range(40)}) == 4


@pytest.mark.parametrize("name", ["mask.npz", "mask.nc", "mask.csv", "mask.PNG"])
def test_a_name_that_tells_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    with refuses(out, "mask", out.suffix.lower()):
        write_mask(np.ones((3, 6), bool), out)
    made = ("mask", "random", "--hidden=3", "--sites=6", "--count=9", "-o", out)
    assert tiny.refusal(tiny.call(*made)).startswith(f"{out}: ")
    assert not out.exists()


@pytest.mark.parametrize("name", ["mask.npy", "mask.NPY", "mask.txt", "mask", "mask.own"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    mask = random_mask(3, 6, 9, seed=0)
    np.testing.assert_array_equal(read_mask(write_mask(mask, tmp_path / name)), mask)


def test_masks_beyond_memory_are_refused() -> None:
    facts = ("hidden", "1,000,000 hidden units", "1,000,000 sites", 10**8)
    with refuses(*facts):
        random_mask(10**6, 10**6, 9, seed=0)
    with refuses(*facts):
        cluster_mask(10**6, 10**6, 10**8)
