"""Numbers of steps that end: caps, and paths that stop at one weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
from psiprune.experiments.settings import AblationSettings, FrontierSettings, SparseSettings
from psiprune.paper.settings import PaperSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings, SearchSettings
from psiprune.rbm.init import initial_rbm
from refusals import refuses
from tiny import call

BITS = np.random.default_rng(0).integers(0, 2, (100, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (PruneSettings, "levels"),
        (SearchSettings, "levels"),
        (SparseSettings, "levels"),
        (AblationSettings, "levels"),
        (FrontierSettings, "levels"),
        (PaperSettings, "levels"),
        (RewireSettings, "rounds"),
    ],
)
def test_steps_are_capped(model: Any, key: str) -> None:
    with refuses(key, 10_000, 10_001):
        model(**{key: 10_001})
    assert getattr(model(**{key: 10_000}), key) == 10_000


def test_a_density_that_takes_too_many_steps_is_refused() -> None:
    with refuses("density", 0.5, "6.93e+08 steps", 10_000):
        PruneSettings(density=0.5, fraction=1e-9)
    assert PruneSettings(density=0.5, fraction=1e-9, levels=3).levels == 3
    assert PruneSettings(density=0.999**10_000, fraction=0.001).levels == 10_000


@pytest.mark.parametrize("how", [{"levels": 300}, {"density": 1e-320}])
def test_a_path_ends_at_one_weight(tmp_path: Path, how: dict[str, Any]) -> None:
    dense = initial_rbm(6, 3, seed=0)
    path = pp.prune(dense, BITS, fine_tune=None, **how)
    counts = [level.rbm.number_of_weights for level in path]
    assert counts[-2:] == [2, 1]
    files = dense.save(tmp_path / "rbm.nc"), pp.Shots(BITS).save(tmp_path / "shots.nc")
    options = [f"--{key}={value}" for key, value in how.items()]
    command = ("prune", *files, "--no-fine-tune", *options, "-o", tmp_path / "path")
    for _ in range(2):  # the second takes it up
        assert call(*command).status == 0
        assert len(list((tmp_path / "path").glob("level-*.nc"))) == len(counts)
    assert "missing" not in call("info", tmp_path / "path").out
