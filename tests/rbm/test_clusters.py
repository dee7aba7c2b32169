"""Clusters that were planted are found; weights at random pass for clusters at the stated rate."""

from __future__ import annotations

from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rates
from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.rbm.clusters import best_widths, find_clusters, second_windows, strongest_windows
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import exclude_clusters
from psiprune.rbm.model import RBM
from refusals import refuses


def model(weights: NDArray[np.float64], mask: NDArray[np.bool_] | None = None) -> RBM:
    hidden, visible = weights.shape
    return RBM(weights, np.zeros(visible), np.zeros(hidden), mask)  # type: ignore[arg-type]


def planted(first: list[int], width: int = 3, sites: int = 18) -> NDArray[np.float64]:
    """Weak noise, and strong weights of either sign in one window of each unit."""
    generator = np.random.default_rng(0)
    weights = 0.3 * generator.standard_normal((len(first), sites))
    for unit, site in enumerate(first):
        weights[unit, site : site + width] = (-1.0) ** unit * np.linspace(2, 4, width)
    return weights


@pytest.mark.parametrize("width", [3, 4, 5])
def test_planted_clusters_are_found(width: int) -> None:
    first = [0, 1, 5, 9, 18 - width]
    weights = planted(first, width)
    clusters = find_clusters(model(weights), width=width)
    assert clusters["first_site"].values.tolist() == first
    assert clusters["found"].values.all()
    for unit, site in enumerate(first):
        window = np.abs(weights[unit, site : site + width]).sum()
        assert float(clusters["strength"][unit]) == pytest.approx(window)
        assert float(clusters["share"][unit]) == pytest.approx(window / np.abs(weights[unit]).sum())
        assert np.flatnonzero(clusters["inside"][unit]).tolist() == [*range(site, site + width)]
    np.testing.assert_array_equal(
        exclude_clusters(clusters["inside"].values), ~clusters["inside"].values
    )


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_the_best_width_is_that_of_the_planted_clusters(width: int) -> None:
    assert best_widths(planted([0, 4, 13], width), 6).tolist() == [width] * 3


def test_the_best_width_leaves_the_least_sum_of_squares() -> None:
    weights = np.random.default_rng(3).normal(size=(20, 9))
    wanted = []
    for row in np.abs(weights):
        left = {}
        for width in range(1, 5):
            for first in range(9 - width + 1):
                inside = (np.arange(9) >= first) & (np.arange(9) < first + width)
                if row[inside].mean() > row[~inside].mean():
                    left[width, first] = row[inside].var() * width + row[~inside].var() * (
                        9 - width
                    )
        wanted.append(min(left, key=left.__getitem__)[0])
    assert best_widths(weights, 4).tolist() == wanted
    assert best_widths(weights, 1).tolist() == [1] * 20
    with pytest.raises(InputError, match=r"^largest: .* 9, found 9"):
        best_widths(weights, 9)


def p_by_all_orders(
    sizes: NDArray[np.float64], movable: list[int], windows: list[range], best: float
) -> float:
    """The share of all orders of the movable sizes with a window as strong as `best`."""
    orders = list(permutations(sizes[movable].tolist()))
    strong = 0
    for order in orders:
        placed = dict(zip(movable, order, strict=True))
        strong += max(sum(placed.get(i, 0.0) for i in each) for each in windows) > best - 1e-9
    return strong / len(orders)


#: Six sites of three sizes: of random orders many are equally strong.
SIZES = np.random.default_rng(5).choice([-2.0, 0.5, 1.0], (5, 6))
SIZES[4] = [0.1, 0.2, 0.3, 0.0, 0.0, 0.0]  # sums of these depend on the order in the last bit


@pytest.mark.parametrize("width", [2, 3])
def test_p_is_the_share_of_all_orders(width: int) -> None:
    mask = np.ones((5, 6), bool)
    mask[1, 2], mask[2, [0, 5]] = False, False
    windows = [range(s, s + width) for s in range(7 - width)]
    found = find_clusters(model(SIZES, mask), width=width, permutations=4000)
    wanted = []
    for row, there in zip(np.abs(SIZES) * mask, mask, strict=True):
        best = max(row[each].sum() for each in windows)
        wanted.append(p_by_all_orders(row, np.flatnonzero(there).tolist(), windows, best))
    # Five standard errors.
    np.testing.assert_allclose(found["p_value"], wanted, rtol=0, atol=5 * 0.5 / np.sqrt(4000))


def test_p_of_a_second_cluster_is_the_share_of_all_orders_elsewhere() -> None:
    """Largest at the left end, at the right end, and inside, with other sites on both sides."""
    width, rows = 2, []
    # The last one leaves a large weight at a site that is in no window.
    for first, site, size in ((0, 3, 0.3), (0, 3, 2.0), (6, 1, 2.0), (3, 6, 2.0), (2, 0, 4.0)):
        row = np.array([0.1, 0.4, 0.2, 0.5, 0.9, 0.3, 0.6, 0.8]) * (-1.0) ** np.arange(8)
        row[first : first + 2], row[site] = 5.0, size
        rows.append(row)
    found = second_windows(np.array(rows), width, permutations=4000)
    for row, p in zip(np.abs(rows), found, strict=True):
        first = int(np.argmax(row[:-1] + row[1:]))
        outside = [i for i in range(8) if not first - 1 <= i <= first + width]
        windows = [range(i, i + 2) for i in range(7) if {i, i + 1} <= set(outside)]
        best = max(row[each].sum() for each in windows)
        wanted = p_by_all_orders(row, outside, windows, best)
        assert p == pytest.approx(wanted, abs=5 * 0.5 / np.sqrt(4000))


def test_no_second_cluster_where_no_window_fits() -> None:
    assert second_windows(np.array([[0.1, 5, 5, 0.1], [5, 5, 0.1, 0.2]]), 2).tolist() == [1.0, 1.0]


def test_p_is_never_0_and_the_threshold_is_inclusive() -> None:
    rbm = model(planted([0, 5, 9]))
    p = find_clusters(rbm, permutations=9)["p_value"].values
    np.testing.assert_allclose(10 * p, np.rint(10 * p))
    assert p.min() >= 0.1
    assert find_clusters(rbm, permutations=9, threshold=p.max())["found"].values.all()
    # Each unit has its own orders, so that the errors of equal units are independent.
    equal = find_clusters(model(np.repeat(SIZES[:1], 10, axis=0)), permutations=50)["p_value"]
    assert len(set(equal.values)) > 1


def test_equal_windows_go_to_the_leftmost() -> None:
    assert strongest_windows(np.array([[1.0, 1.0, 0.0, -1.0, 1.0]]), 2)[0].tolist() == [0]


@rates.factors
def test_chance_makes_a_second_cluster_at_the_stated_rate(factor: float) -> None:
    """Beside a cluster few windows fit, whose ties make the test a conservative one."""
    number = rates.repeats(0.05, factor, at_most=True)
    p = second_windows(planted([k % 16 for k in range(number)]), 3, permutations=199)
    rates.check(p <= 0.05, 0.05, factor, at_most=True)
    assert (p <= 0.05).mean() > 0.01


def test_p_of_the_largest_side_by_side() -> None:
    # Only orders with all three side by side are as strong: 16 of the 816 places of three.
    clusters = find_clusters(model(planted([4, 8])), permutations=40_000)
    np.testing.assert_allclose(clusters["p_value"], 16 / comb(18, 3), atol=4 * 0.0007)


def test_one_large_weight_alone_is_no_cluster() -> None:
    weights = np.full((1, 18), 1e-9)
    weights[0, 7] = 5.0
    clusters = find_clusters(model(weights))
    assert float(clusters["share"][0]) > 0.99
    assert float(clusters["p_value"][0]) == 1.0


@rates.factors
@pytest.mark.parametrize("threshold", [0.05, 0.3])
def test_untrained_rbms_pass_at_the_stated_rate(threshold: float, factor: float) -> None:
    rbm = initial_rbm(18, rates.repeats(threshold, factor), seed=0)
    found = find_clusters(rbm, threshold=threshold, permutations=199)["found"]
    rates.check(found.values, threshold, factor)


def test_an_imposed_mask_is_no_evidence() -> None:
    mask = np.zeros((1, 18), bool)
    mask[0, 4:7] = True
    weights = np.where(mask, 2.0, 0.0)
    assert float(find_clusters(model(weights, mask))["p_value"][0]) == 1.0
    assert float(find_clusters(model(weights))["p_value"][0]) < 0.03


def test_units_of_one_window_and_without_weights() -> None:
    whole = find_clusters(model(np.full((1, 3), 0.1)), permutations=9)
    assert (float(whole["share"][0]), float(whole["p_value"][0])) == (1.0, 1.0)
    clusters = find_clusters(model(np.zeros((2, 5)), np.zeros((2, 5), bool)))
    assert clusters["share"].values.tolist() == [0.0, 0.0]
    assert clusters["p_value"].values.tolist() == [1.0, 1.0]
    first, strength, share = strongest_windows(np.zeros((1, 3)), 3)
    assert (first.tolist(), strength.tolist(), share.tolist()) == ([0], [0.0], [0.0])


def test_the_seed_fixes_the_result_and_files_keep_it(tmp_path: Path) -> None:
    rbm = initial_rbm(8, 3, seed=1)
    clusters = find_clusters(rbm, permutations=200, seed=3)
    assert clusters.identical(find_clusters(rbm, permutations=200, seed=3))
    assert not clusters.identical(find_clusters(rbm, permutations=200, seed=4))
    write_dataset(tmp_path / "clusters.nc", clusters, "clusters")
    read = read_dataset(tmp_path / "clusters.nc", "clusters")
    assert read.drop_attrs().equals(clusters.drop_attrs())
    assert read["found"].dtype == bool
    assert dict(clusters.attrs) == {"width": 3, "threshold": 0.05, "permutations": 200, "seed": 3}
    assert all("units" in variable.attrs for variable in clusters.values())


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({"width": 1}, (2,)),
        ({"width": 5}, (4,)),
        ({"threshold": 0.0}, (0, 1)),
        ({"threshold": 1.1}, (0, 1)),
        ({"threshold": float("nan")}, (0, 1)),
        ({"permutations": 0}, (1,)),
        ({"seed": -1}, (0, "2^63 - 1")),
    ],
)
def test_bad_arguments(options: dict[str, float], limits: tuple[object, ...]) -> None:
    ((name, value),) = options.items()
    with refuses(name, *limits, value):
        find_clusters(initial_rbm(4, 2, seed=0), **options)  # type: ignore[arg-type]


def test_permutations_beyond_memory_are_refused() -> None:
    rbm = initial_rbm(6, 3, seed=0)
    with refuses("permutations", 10**6, 10**9):
        find_clusters(rbm, permutations=10**9)
