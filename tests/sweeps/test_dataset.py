"""A sweep's table as a grid: seeds, variants, and which of them are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from psiprune.sweeps.dataset import MEASURES, drawn_ratios, drawn_variants, grid_of


def row(**changes: Any) -> dict[str, Any]:
    """A row of the table of a sweep with one hidden unit for two sites."""
    before = {"point": "x", "sites": 4, "hidden": 2, "coupling": 1.0, "shots_seed": 0, "shots": 9}
    own = {"prune_criterion": "random", "field": 1.0, "seed": 0, "level": 0}
    measures = {**dict.fromkeys(MEASURES, 0.5), "fraction_pruned": 0.0}
    whole = {"prunable": 0.5, "prunable_all": False, "kl_floor": 0.1, "correlation_length": 1.0}
    return {**before, **own, **measures, **whole, **changes}


def test_seeds_of_shots_are_seeds() -> None:
    pairs = [(3, 0), (3, 1), (12, 0)]
    rows = [
        row(shots_seed=shots, seed=seed, sites=sites, prunable=0.1 * k + 0.01 * sites)
        for k, (shots, seed) in enumerate(pairs)
        for sites in (4, 6)
    ]
    grid = grid_of(rows)
    assert grid["variant"].values.tolist() == [""]
    assert grid["seed"].values.tolist() == ["shots 3, RBM 0", "shots 3, RBM 1", "shots 12, RBM 0"]
    found = grid["prunable"].sel(variant="", sites=6, ratio=1.0)
    np.testing.assert_allclose(found, [0.06, 0.16, 0.26])


def test_seeds_of_the_same_shots_are_numbers() -> None:
    grid = grid_of([row(shots_seed=7, seed=seed) for seed in (11, 2)])
    assert grid["seed"].values.tolist() == [2, 11]
    assert grid["seed"].dtype.kind == "i"


#: Those of phases.toml in docs/sweep.md.
FIELDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0]


@pytest.mark.parametrize(
    ("larger", "shown"),
    [
        ([0.5, 0.8, 1.0, 1.25, 2.0, 3.0], [0.5, 0.8, 1.0, 2.0, 3.0]),
        (FIELDS, [0.5, 0.7, 1.0, 1.35, 1.75, 3.0]),
        # The critical field, though one size lacks it.
        ([0.5, 0.8, 1.5, 3.0], [0.5, 0.8, 1.0, 1.5, 3.0]),
        # A sweep that has hardly begun with the larger size.
        ([0.5], [0.5, 0.7, 1.0, 1.35, 1.75, 3.0]),
    ],
)
def test_the_fields_of_small_multiples(larger: list[float], shown: list[float]) -> None:
    rows = [row(field=field) for field in FIELDS]
    rows += [row(field=field, sites=50, hidden=25) for field in larger]
    assert drawn_ratios(grid_of(rows)) == shown


def test_fields_of_a_negative_coupling() -> None:
    grid = grid_of([row(field=field, coupling=-1.0) for field in (0.5, 1.0, 2.0)])
    assert drawn_ratios(grid) == [-2.0, -1.0, -0.5]


def test_the_first_variants_of_the_grid_are_drawn() -> None:
    grid = grid_of([row(shots=shots) for shots in range(900, 100, -100)])
    assert drawn_variants(grid) == [f"shots {shots}" for shots in range(900, 300, -100)]


def test_floors_and_whether_kl_doubled() -> None:
    levels = [row(), row(level=1, kl_floor=0.01)]
    other = [row(seed=1, kl_floor=float("nan"), prunable_all=True)]
    here = grid_of(levels + other).sel(variant="", sites=4, ratio=1.0)
    np.testing.assert_array_equal(here["kl_floor"], [[0.1, 0.01], [np.nan, np.nan]])
    np.testing.assert_array_equal(here["prunable_all"], [0, 1])


def test_a_grid_with_gaps() -> None:
    larger = row(sites=6, hidden=3, field=2.0, seed=1, level=1, kl_exact=0.25)
    grid = grid_of([row(), larger])
    # `hidden` is decided by the size, so it is no variant.
    assert grid["variant"].values.tolist() == [""]
    assert int(grid["prunable"].notnull().sum()) == 2
    kl = grid["kl"].sel(variant="", sites=6, ratio=2.0, seed=1)
    np.testing.assert_array_equal(kl, [np.nan, 0.25])
    grid = grid_of([row(), row(hidden=3)])
    assert grid["variant"].values.tolist() == ["hidden 2", "hidden 3"]
