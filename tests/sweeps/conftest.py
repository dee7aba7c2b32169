"""Finished sweeps, which several test files look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import psiprune as pp
from swept import mixed_sweep, sparse_sweep, study_sweep


def finished(settings: pp.SweepSettings, points: int, factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep with so many points."""
    folder = factory.mktemp("swept") / "run"
    found = pp.sweep(settings, folder, "serial")
    assert (len(found.points), found.before, found.done, found.failed) == (points, 0, points, [])
    return folder


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two fields and two criteria; copy it to change it."""
    return finished(study_sweep(), 4, tmp_path_factory)


@pytest.fixture(scope="session")
def swept_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of sparse runs; copy it to change it."""
    return finished(sparse_sweep(), 2, tmp_path_factory)


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of RBMs one by one beside searches for the smallest."""
    return finished(mixed_sweep(), 4 + 2, tmp_path_factory)


@pytest.fixture
def copy(swept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept, tmp_path / "run"))


@pytest.fixture
def runs_copy(swept_runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept_runs, tmp_path / "run"))
