"""A sweep that is stopped in the middle of a dense training, and taken up there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tiny
from psiprune.experiments.study import train_dense
from psiprune.io import checkpoint
from psiprune.sweeps import tasks
from psiprune.sweeps.api import sweep
from psiprune.sweeps.settings import SweepSettings
from psiprune.training.cd import CD
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.method import Method
from psiprune.training.train import Callback, TrainingProgress
from swept import made


def settings(method: Method) -> SweepSettings:
    """One point, whose dense training is by this method."""
    return SweepSettings(study=tiny.settings(fields=(1.0,), train=method))


def kept(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob(".*.checkpoint"))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each epoch."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)


def interrupted(
    monkeypatch: pytest.MonkeyPatch, epoch: int
) -> tuple[list[int], Callable[[], object]]:
    """The epochs that trainings go through, broken once after one; and how to go on unbroken."""
    seen: list[int] = []

    def callback(state: TrainingProgress) -> None:
        seen.append(state.epoch)
        if state.epoch == epoch:
            raise OSError("the machine is gone")

    def watch(callback: Callback) -> None:
        monkeypatch.setattr(
            tasks,
            "train_dense",
            lambda settings, member, _, checkpoints: train_dense(
                settings, member, callback, checkpoints
            ),
        )

    watch(callback)
    return seen, lambda: watch(lambda state: seen.append(state.epoch))


@pytest.mark.parametrize(
    "method",
    [pytest.param(CD(epochs=9), marks=pytest.mark.slow), ExactNaturalGradient(epochs=9)],
    ids=str,
)
def test_a_dense_training_is_taken_up_where_it_stopped(
    method: Method, eager: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings(method)
    assert sweep(own, tmp_path / "whole", "serial").done == 1
    assert kept(tmp_path / "whole") == []

    folder = tmp_path / "broken"
    seen, repair = interrupted(monkeypatch, 6)
    ((_, cause),) = sweep(own, folder, "serial").failed
    assert cause == "dense: OSError: the machine is gone"
    (dense,) = folder.glob("dense/*")
    assert kept(folder) == [f"dense/{dense.name}/.rbm.nc.1.checkpoint"]

    seen.clear()
    repair()
    assert sweep(own, folder, "serial").done == 1
    assert seen[0] == 5  # the state that was kept last, which is shown once more
    assert kept(folder) == []
    assert made(folder, "config.toml") == made(tmp_path / "whole", "config.toml")
