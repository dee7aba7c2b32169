"""Clusters that were planted are found; weights at random pass for clusters at the stated rate."""

from __future__ import annotations

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
    with pytest.raises(InputError, match=r"^largest: .* 9, found 9"):
        best_widths(weights, 9)


def test_a_second_cluster_is_found_and_a_wider_one_is_none() -> None:
    one, wide = planted([4]), planted([4], 5)
    two = one.copy()
    two[0, 12:15] = (3.0, 2.0, 3.0)
    p = [float(second_windows(each, 3)[0]) for each in (one, wide, two)]
    assert p[2] <= 0.05 < min(p[:2])
    # Of five sites two are left, which no window of three fits.
    assert second_windows(np.array([[9.0, 9.0, 9.0, 1.0, 1.0]]), 3).tolist() == [1.0]


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


def test_p_by_all_orders() -> None:
    # 2 1 0 0 0: of 20 orders of places (2, 1), 8 have both side by side.
    clusters = find_clusters(model(np.array([[0.0, -2.0, 1.0, 0.0, 0.0]])), width=2, threshold=0.3)
    assert float(clusters["p_value"][0]) == pytest.approx(8 / 20, abs=4 * 0.005)
    assert not clusters["found"][0]
    assert not clusters["inside"].values.any()


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


def test_units_without_weights() -> None:
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
