"""A pruning path on disk is taken up where it stopped, and ends as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tiny
from psiprune.data.shots import Shots
from psiprune.experiments.pruning_path import run_path
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training.cd import CD
from psiprune.training.method import Method

SHOTS = Shots(np.random.default_rng(0).integers(0, 2, (200, 4), dtype=np.uint8))
PRUNE = PruneSettings(levels=4, fraction=0.3)


def untrained(*_: object) -> RBM:
    return initial_rbm(4, 3, seed=5)


def follow(
    folder: Path,
    dense: Callable[..., RBM] = untrained,
    fine_tune: Method | None = CD.for_fine_tuning(epochs=2),  # noqa: B008 (immutable)
) -> tuple[list[xr.Dataset], int]:
    """All levels, and the number of epochs trained for them."""
    epochs: list[int] = []
    levels = run_path(
        folder,
        dense,
        SHOTS,
        PRUNE,
        fine_tune,
        7,
        lambda level: level.rbm.to_dataset().assign(step=level.step),
        lambda state: epochs.append(state.epoch),
    )
    return levels, len(epochs)


def never(*_: object) -> RBM:
    raise AssertionError("the first level is on disk")


@pytest.mark.parametrize(
    ("lost", "epochs"), [((), 0), ((4,), 2), ((2,), 6), ((2, 3, 4), 6), ((1, 2, 3, 4), 8)]
)
def test_lost_levels_are_made_again(tmp_path: Path, lost: tuple[int, ...], epochs: int) -> None:
    whole = [tiny.raw(level) for level in follow(tmp_path)[0]]
    for step in lost:
        (tmp_path / f"level-0{step}.nc").unlink()
    before = tiny.contents(tmp_path)
    levels, done = follow(tmp_path, never)
    assert [tiny.raw(level) for level in levels] == whole
    assert done == epochs
    after = tiny.contents(tmp_path)
    kept = before if lost != (2,) else {"level-00.nc", "level-01.nc"}  # a gap is filled to the end
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_without_fine_tuning_weights_stay(tmp_path: Path) -> None:
    levels, epochs = follow(tmp_path, fine_tune=None)
    assert epochs == 0
    for level in levels:
        mask = level["mask"].values.astype(bool)
        np.testing.assert_array_equal(level["weights"].values[mask], untrained().weights[mask])
