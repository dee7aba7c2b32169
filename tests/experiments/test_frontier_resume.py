"""A frontier that is killed loses one training: what a path has made stands beside its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from psiprune.experiments import frontier_methods
from psiprune.experiments.frontier import run_frontier
from psiprune.experiments.settings import FrontierSettings
from psiprune.pruning.settings import RewireSettings
from psiprune.training.exact_natural_gradient import ExactNaturalGradient


def settings() -> FrontierSettings:
    return tiny.frontier_settings(
        levels=3,
        rewired=(2,),
        widths=(3,),
        fine_tune=ExactNaturalGradient.for_fine_tuning(epochs=2),
        rewire=RewireSettings(rounds=3),
    )


class Killed(BaseException):
    """Stands for a signal that leaves no time to write anything."""


@pytest.mark.slow
def test_a_start_goes_on_from_the_last_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run_frontier(settings(), tmp_path / "unbroken")
    run = tmp_path / "run"
    made: list[tuple[Any, ...]] = []
    starts, done = 0, False

    def counted(name: str) -> None:
        plain = getattr(frontier_methods, name)

        def once_a_start(*arguments: Any, **others: Any) -> Any:
            if made and made[-1][0] == starts:
                raise Killed
            made.append((starts, name))
            return plain(*arguments, **others)

        monkeypatch.setattr(frontier_methods, name, once_a_start)

    # One training a start: each round of rewiring, and each count of a path.
    for name in ("fine_tuned", "train", "rewire_step"):
        counted(name)
    monkeypatch.setattr("psiprune.core.threads.cores", lambda: 1)
    while not done:
        starts += 1
        assert starts < 200
        try:
            again = run_frontier(settings(), run)
            done = True
        except Killed:
            assert made[-1][0] == starts, "a start has made nothing"
    assert starts > 30
    assert tiny.raw(again) == tiny.raw(unbroken)
    assert tiny.names(run) == tiny.names(tmp_path / "unbroken")


@pytest.mark.slow
def test_a_folder_that_outlived_its_file_goes(tmp_path: Path) -> None:
    run_frontier(settings(), tmp_path)
    before = tiny.names(tmp_path)
    left = tmp_path / "h=1/seed-0/surgeon"
    left.mkdir()
    (left / "7.nc").write_bytes(b"half")
    run_frontier(settings(), tmp_path)
    assert not left.exists()
    assert tiny.names(tmp_path) == before
