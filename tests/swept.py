"""Small sweeps that several test files run, and what their folders must hold."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import psiprune as pp
import tiny
from psiprune.sweeps.grid import GridSettings
from psiprune.sweeps.points import points_of
from psiprune.sweeps.tasks import Point, Run

#: Times, which differ from run to run, and what else says when a file was made.
UNLIKE = (".lock", "seconds.json", "processor_seconds.json", "provenance.json")
BASE = """
[study]
sites = 4
hidden = 3
shots = 300
fields = [1.0, 2.0]
history_every = 2
train = { epochs = 3, batch_size = 50 }
fine_tune = { epochs = 2 }
prune = { levels = 3, fraction = 0.3 }
measure = { draws = 200 }
"""
GRID = "[[grid]]\nproduct.prune.criterion = ['magnitude', 'random']\n"


def study_sweep(grid: str = GRID) -> pp.SweepSettings:
    """Two fields by the criteria of a grid."""
    return pp.SweepSettings(**tomllib.loads(BASE + grid))


def rbms_of(given: pp.SweepSettings) -> list[Point]:
    """The RBMs of a sweep of studies."""
    return [point for point in points_of(given) if isinstance(point, Point)]


def sparse_sweep(**others: Any) -> pp.SweepSettings:
    """Two sparse runs that share their shots."""
    grid = (GridSettings(product={"hidden": (2, 3)}),)
    return pp.SweepSettings(sparse=tiny.sparse_settings(), grid=grid, **others)


def brief_study(**changes: Any) -> pp.StudySettings:
    """Two fields, levels of 12 and 8 weights."""
    return tiny.settings(prune=pp.PruneSettings(levels=1, fraction=0.3), **changes)


def mixed_sweep() -> pp.SweepSettings:
    """RBMs one by one beside searches for the smallest."""
    limit: dict[str, Any] = {"until.measure": "kl", "until.draws": 200}
    points = ({"hidden": 3}, {**limit, "until.limit": 0.5}, {**limit, "until.limit": 1e-9})
    return pp.SweepSettings(study=brief_study(seeds=2), grid=(GridSettings(points=points),))


def runs_of(settings: pp.SweepSettings) -> list[Run]:
    """The points of a sweep of which each is a complete run."""
    found = points_of(settings)
    runs = [point for point in found if isinstance(point, Run)]
    assert len(runs) == len(found)
    return runs


def made(folder: Path, *without: str) -> dict[str, object]:
    """All files of a run or a sweep except those with times."""
    return tiny.numbers(folder, but=(*UNLIKE, *without))
