"""A run that has lost files makes just these again, to the last bit, and names a damaged one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.experiments.pruning_path import run_path
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.init import initial_rbm
from psiprune.training.method import Method
from refusals import refuses

RUNS: dict[str, tuple[Callable[..., Any], Any]] = {
    "finished": (pp.run_study, tiny.settings()),
    "sparse_run": (pp.run_sparse, tiny.sparse_settings()),
    "ablation_run": (pp.run_ablation, tiny.ablation_settings()),
}
STARTS = (".lock", "provenance.json")


@pytest.mark.parametrize("fixture", RUNS)
def test_lost_files_are_made_again(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run, settings = RUNS[fixture]
    whole = request.getfixturevalue(fixture)
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    result, *members = sorted(folder.rglob("*.nc"), key=lambda file: (len(file.parts), file))
    # All of one seed, and some of others; a history is lost only with its RBMs.
    lost = {result, *members[-1].parent.glob("*.nc")}
    some = [file for file in members if file.name not in ("history.nc", "level-00.nc")]
    for file in lost.union(random.Random(1).sample(some, 6)):
        file.unlink()
    before = tiny.contents(folder, but=STARTS)
    assert tiny.raw(run(settings, folder)) == tiny.raw(read_dataset(whole / result.name))
    after = tiny.contents(folder, but=STARTS)
    for name in before:
        assert after[name] == before[name] or "level-" in name  # a path is made again from a gap
    assert tiny.numbers(folder, but=STARTS) == tiny.numbers(whole, but=STARTS)
    damaged = random.Random(2).choice(members)
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with refuses(damaged, "damaged", "move it away"):
        run(settings, folder)


# ---- a pruning path


SHOTS = pp.Shots(np.random.default_rng(0).integers(0, 2, (200, 4), dtype=np.uint8))
PRUNE = pp.PruneSettings(levels=4, fraction=0.3)


def untrained(*_: object) -> pp.RBM:
    return initial_rbm(4, 3, seed=5)


def follow(
    folder: Path,
    dense: Callable[..., pp.RBM] = untrained,
    fine_tune: Method | None = pp.CD.for_fine_tuning(epochs=2),  # noqa: B008 (immutable)
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


def never(*_: object) -> pp.RBM:
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
