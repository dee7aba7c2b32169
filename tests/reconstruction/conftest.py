"""A finished tiny reconstruction, which several test files look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from psiprune.data.read_shots import read_shots
from psiprune.data.shots import Shots


@pytest.fixture(scope="session")
def shots(stages: Path) -> Shots:
    """300 shots of 4 sites."""
    return read_shots(stages / "shots.nc")


@pytest.fixture(scope="session")
def done(shots: Shots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pp.Reconstruction]:
    """A finished tiny run with an observable of its own, and what it returned."""
    folder = tmp_path_factory.mktemp("reconstruct")
    (folder / "mine.py").write_text(tiny.OWN)
    settings = tiny.reconstruct_settings(observable=(f"{folder / 'mine.py'}:walls",))
    return folder, pp.reconstruct(shots, folder / "run", settings=settings)


@pytest.fixture
def run(done: tuple[Path, pp.Reconstruction], tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(done[0] / "run", tmp_path / "run"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures, which take as long as a tiny run; for tests that do not look at them."""
    monkeypatch.setattr(Figure, "savefig", tiny.not_drawn)
