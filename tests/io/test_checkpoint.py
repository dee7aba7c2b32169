"""A training that is stopped anywhere goes on where it stood, and ends as if it never had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.experiments.recording import train_with_history
from psiprune.experiments.settings import StudySettings
from psiprune.io import checkpoint
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.against_state import metric_values, reference_of
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.train import TrainingProgress, train
from refusals import refuses

EPOCHS = 9
METHODS: dict[str, Method] = {
    "cd": pp.CD(epochs=EPOCHS, batch_size=30, momentum=0.5),
    # One Gibbs step: after ten, chains that share random numbers have met wherever they started.
    "pcd": pp.PCD(epochs=EPOCHS, batch_size=200, steps=1),
    # Two Fisher matrices are computed, as the distribution moves.
    "natural": pp.NaturalGradient(epochs=EPOCHS, chains=200, steps=1, learning_rate=2.0),
    "exact": pp.ExactNaturalGradient(epochs=EPOCHS, weight_decay=1e-3),
}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch is kept."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)


@cache
def shots() -> pp.Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=5, field=1.0)), 200, seed=3)


def learn(
    result: Path, callback: Callable[[TrainingProgress], None] | None = None, **changes: Any
) -> RBM:
    """Train and write the result."""
    with Checkpoints(result) as checkpoints:
        values = {
            "hidden": 3,
            "seed": 1,
            "callback": callback,
            "method": pp.CD(epochs=EPOCHS),
            **changes,
        }
        rbm = train(shots(), **values, checkpoints=checkpoints)
        rbm.save(result)
    return rbm


def until(epoch: int) -> Callable[[TrainingProgress], None]:
    """A watcher that is interrupted in an epoch, before it is kept."""

    def stop(state: TrainingProgress) -> None:
        if state.epoch == epoch:
            raise KeyboardInterrupt

    return stop


def same(one: RBM, other: RBM) -> bool:
    names = ("weights", "visible_bias", "hidden_bias", "mask")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return equal and one.provenance == other.provenance


def checkpoint_of(folder: Path, number: int = 1) -> Path:
    return folder / f".rbm.nc.{number}.checkpoint"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [2, 5])
def test_it_goes_on_where_it_stood(tmp_path: Path, method: str, stop: int) -> None:
    whole = train(shots(), hidden=3, seed=1, method=METHODS[method])
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(stop), method=METHODS[method])
    assert tiny.names(tmp_path) == {".rbm.nc.1.checkpoint"}
    seen: list[int] = []
    again = learn(
        tmp_path / "rbm.nc", lambda state: seen.append(state.epoch), method=METHODS[method]
    )
    assert same(again, whole)
    # The state taken up is shown once more; what was interrupted in epoch `stop` is done again.
    assert seen == list(range(stop - 1, int(again.provenance["epochs_done"]) + 1))
    assert tiny.names(tmp_path) == {"rbm.nc"}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("method", "part", "value"),
    [
        ("cd", "velocity", 0.0),
        ("pcd", "chains", 0.0),
        ("natural", "chains", 0.0),
        ("natural", "fisher_parameters", 0.0),
        ("natural", "fisher_moved", 10.0),
        ("exact", "damping", 10.0),
    ],
)
def test_every_part_of_a_checkpoint_is_needed(
    tmp_path: Path, method: str, part: str, value: float
) -> None:
    whole = train(shots(), hidden=3, seed=1, method=METHODS[method])
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(3), method=METHODS[method])
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    kept[part][...] = value
    write_dataset(checkpoint_of(tmp_path), kept, "checkpoint")
    assert not np.array_equal(
        learn(tmp_path / "rbm.nc", method=METHODS[method]).weights, whole.weights
    )


@pytest.mark.usefixtures("eager")
def test_a_training_from_several_starts_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where each result misses structure of the shots: all three starts are tried.
    monkeypatch.setattr("psiprune.training.train.misses_structure", lambda *_: True)
    method, result = METHODS["exact"], tmp_path / "rbm.nc"
    unbroken = train(shots(), hidden=3, seed=1, method=method)
    first = train(shots(), hidden=3, seed=1, method=method, initial=method.INITIAL[0])
    calls = 0

    def stop_in_the_second(state: TrainingProgress) -> None:
        nonlocal calls
        calls += 1
        if calls == int(first.provenance["epochs_done"]) + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(result, stop_in_the_second, method=method)
    assert tiny.names(tmp_path) == {".rbm.nc.1.checkpoint", ".rbm.nc.2.checkpoint"}
    assert same(learn(result, method=method), unbroken)
    assert tiny.names(tmp_path) == {"rbm.nc"}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("method", METHODS)
def test_what_ended_is_not_trained_again(tmp_path: Path, method: str) -> None:
    seen: list[int] = []

    def twice() -> tuple[RBM, RBM]:
        with Checkpoints(tmp_path / "rbm.nc") as checkpoints:
            values: dict[str, Any] = {
                "hidden": 3,
                "method": METHODS[method],
                "checkpoints": checkpoints,
            }
            first = train(
                shots(), seed=1, callback=lambda state: seen.append(state.epoch), **values
            )
            second = train(shots(), seed=2, **values)
            if not seen or seen[-1] > 0:
                seen.append(-1)
                raise RuntimeError("killed before the result was written")
        return first, second

    with pytest.raises(RuntimeError):
        twice()
    done = seen[-2]
    assert {file.name for file in tmp_path.iterdir()} == {
        checkpoint_of(tmp_path).name,
        checkpoint_of(tmp_path, 2).name,
    }
    seen[:] = [-1]
    with pytest.raises(RuntimeError):
        twice()
    assert seen == [-1, done, -1]  # no epoch but the last one, which is shown


@pytest.mark.usefixtures("eager")
def test_a_history_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = reference_of(pp.ground_state(pp.TFIM(sites=5, field=1.0)))
    settings = pp.CD(epochs=EPOCHS, batch_size=30)
    start, measured_at = initial_rbm(5, 3, 1), list[int]()

    def count(*arguments: Any, **options: Any) -> Any:
        measured_at.append(1)
        return metric_values(*arguments, **options)

    monkeypatch.setattr("psiprune.experiments.recording.metric_values", count)

    def run(folder: Path, tick: Callable[[TrainingProgress], None]) -> tuple[RBM, xr.Dataset]:
        with Checkpoints(folder / "rbm.nc") as checkpoints:
            return train_with_history(
                start, shots(), settings, 1, reference, 2, 100, tick, checkpoints
            )

    (tmp_path / "whole").mkdir()
    rbm, history = run(tmp_path / "whole", lambda _: None)
    assert history["epoch"].values.tolist() == [0, 2, 4, 6, 8, 9]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, until(6))
    measured_at.clear()
    again, found = run(tmp_path, lambda _: None)
    assert same(rbm, again)
    assert tiny.raw(found) == tiny.raw(history)
    assert len(measured_at) == 4  # of epochs 0, 6, 8 and 9


@pytest.mark.usefixtures("eager")
def test_what_was_noted_of_an_unfinished_epoch_is_dropped(tmp_path: Path) -> None:
    class StatefulCallback:
        def __init__(self) -> None:
            self.notes: checkpoint.Notes = {}

        def __call__(self, state: TrainingProgress) -> None:
            self.notes[state.epoch] = (float(state.epoch), 0.5)
            if state.epoch == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", StatefulCallback())
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    assert kept.attrs["epoch"] == 3
    assert kept["notes"].values.tolist() == [[1, 1, 0.5], [2, 2, 0.5], [3, 3, 0.5]]


# ---- when it is written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    monkeypatch.setattr("psiprune.io.checkpoint.time.monotonic", lambda: now[0])
    return iter([now])


def test_it_is_written_by_the_clock(tmp_path: Path, clock: Iterator[list[float]]) -> None:
    now = next(clock)
    kept: list[int | None] = []

    def callback(state: TrainingProgress) -> None:
        file = checkpoint_of(tmp_path)
        kept.append(int(read_dataset(file).attrs["epoch"]) if file.exists() else None)
        now[0] += 4.0  # seconds an epoch

    learn(tmp_path / "rbm.nc", callback)
    # After the third epoch 12 s have passed, and 24 s after the sixth.
    assert kept == [None, None, None, 3, 3, 3, 6, 6, 6]


def test_cheap_trainings_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Iterator[list[float]]
) -> None:
    now = next(clock)

    def refuse(*_: object) -> None:
        pytest.fail("written")

    monkeypatch.setattr(checkpoint, "write_dataset", refuse)

    def callback(_: TrainingProgress) -> None:
        now[0] += 0.2

    learn(tmp_path / "rbm.nc", callback)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "other.nc", until(3))
    assert tiny.names(tmp_path) == {"rbm.nc"}


@pytest.mark.usefixtures("eager")
def test_nothing_is_kept_where_no_result_is_named(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "rbm.nc"):
        pass
    before = set(tmp_path.iterdir())
    train(shots(), hidden=2, method=pp.CD(epochs=2))
    assert set(tmp_path.iterdir()) == before == set()


@pytest.mark.usefixtures("eager")
def test_threads_do_not_mix(tmp_path: Path) -> None:
    def stopped(seed: int) -> None:
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path / str(seed) / "rbm.nc", until(4), seed=seed)

    for seed in range(4):
        (tmp_path / str(seed)).mkdir()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(stopped, range(4)))
        found = list(
            pool.map(lambda seed: learn(tmp_path / str(seed) / "rbm.nc", seed=seed), range(4))
        )
    for seed, rbm in enumerate(found):
        assert same(rbm, train(shots(), hidden=3, seed=seed, method=pp.CD(epochs=EPOCHS)))


@pytest.mark.usefixtures("eager")
def test_what_diverges_leaves_nothing(tmp_path: Path) -> None:
    def learn_too_fast() -> None:
        divergent = pp.CD(epochs=50, learning_rate=1000, weight_decay=1e20)
        learn(tmp_path / "rbm.nc", method=divergent)

    with pytest.raises(pp.DivergenceError):
        learn_too_fast()
    assert list(tmp_path.iterdir()) == []


# ---- what is not taken for it


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"seed": 2}, "seed = 1, now 2"),
        ({"method": pp.CD(epochs=EPOCHS, learning_rate=0.2)}, "learning_rate = 0.1, now 0.2"),
        ({"method": pp.CD(epochs=10)}, "epochs = 9, now 10"),
        ({"method": pp.PCD(epochs=EPOCHS)}, "method = cd, now pcd"),
        ({"hidden": 2}, "start = "),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(
    tmp_path: Path, changes: dict[str, Any], fact: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(4))
    before = tiny.contents(tmp_path)
    with refuses(checkpoint_of(tmp_path), "another training", fact, "delete it"):
        learn(tmp_path / "rbm.nc", **changes)
    assert tiny.contents(tmp_path) == before


@pytest.mark.usefixtures("eager")
def test_other_shots_are_another_training(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(4))
    method, turned = pp.CD(epochs=EPOCHS), shots().bits[::-1].copy()
    with (
        refuses(checkpoint_of(tmp_path), "another training", "shots = ", "delete it"),
        Checkpoints(tmp_path / "rbm.nc") as checkpoints,
    ):
        train(turned, hidden=3, seed=1, method=method, checkpoints=checkpoints)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("part", ["training", "epoch", "velocity", "notes"])
def test_a_checkpoint_without_a_part_is_named(tmp_path: Path, part: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(4))
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    if part in kept.attrs:
        del kept.attrs[part]
    else:
        kept = kept.drop_vars(part)
    write_dataset(checkpoint_of(tmp_path), kept, "checkpoint")
    with refuses(checkpoint_of(tmp_path), f"'{part}'", "delete it"):
        learn(tmp_path / "rbm.nc")


@pytest.mark.usefixtures("eager")
def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", until(4))
    whole = checkpoint_of(tmp_path).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :]
    for content in (whole[:-40], whole[:middle], flipped, b"", b"0 1 1\n"):
        checkpoint_of(tmp_path).write_bytes(content)
        with refuses(checkpoint_of(tmp_path)):
            learn(tmp_path / "rbm.nc")
        assert checkpoint_of(tmp_path).read_bytes() == content


def test_a_checkpoint_that_its_result_outlived_is_cleared(tmp_path: Path) -> None:
    with open_run(tmp_path, StudySettings()):
        pass
    (tmp_path / "h=1").mkdir()
    for name in ("level-00.nc", ".level-00.nc.1.checkpoint", ".level-01.nc.2.checkpoint"):
        (tmp_path / "h=1" / name).touch()
    with open_run(tmp_path, StudySettings()):
        assert {file.name for file in (tmp_path / "h=1").iterdir()} == {
            "level-00.nc",
            ".level-01.nc.2.checkpoint",
        }
