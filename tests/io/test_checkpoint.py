"""A training that is stopped anywhere goes on where it stood, and ends as if it never had."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.experiments.recording import train_with_history
from psiprune.io import checkpoint
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.paths import draft_file, side_file
from psiprune.io.run import one_writer, open_run
from psiprune.io.work_status import note_lost, reset_work_status, work_status
from psiprune.metrics.against_state import metric_values
from psiprune.metrics.reference import reference_of
from psiprune.rbm.init import initial_rbm
from psiprune.training import stopping
from psiprune.training.method import Method
from psiprune.training.train import TrainingProgress, train
from refusals import refuses

EPOCHS = 9
SECONDS, LEAST = checkpoint.SECONDS, checkpoint.LEAST
METHODS: dict[str, Method] = {
    "cd": pp.CD(epochs=EPOCHS, batch_size=30, momentum=0.5),
    # One Gibbs step: after ten, chains that share random numbers have met wherever they started.
    "pcd": pp.PCD(epochs=EPOCHS, batch_size=200, steps=1),
    # Two Fisher matrices are computed, as the distribution moves.
    "natural": pp.NaturalGradient(epochs=EPOCHS, chains=200, steps=1, learning_rate=2.0),
    "exact": pp.ExactNaturalGradient(epochs=EPOCHS, weight_decay=1e-3),
}


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch is kept."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "LEAST", 0.0)


@cache
def shots() -> pp.Shots:
    return pp.sample(pp.ground_state(pp.TFIM(sites=5, field=1.0)), 200, seed=3)


@cache
def whole(method: str) -> pp.RBM:
    """The result of a training that is never stopped."""
    return train(shots(), hidden=3, seed=1, method=METHODS[method])


def learn(
    result: Path,
    callback: Callable[[TrainingProgress], None] | None = None,
    step: int = 1,
    **changes: Any,
) -> pp.RBM:
    """Train on all shots, in another order if the step is -1, and write the result."""
    values = {"hidden": 3, "seed": 1, "method": pp.CD(epochs=EPOCHS), "callback": callback}
    data = shots() if step == 1 else shots().bits[::step].copy()
    with Checkpoints(result) as checkpoints:
        rbm = train(data, **{**values, **changes}, checkpoints=checkpoints)
        rbm.save(result)
    return rbm


def until(epoch: int) -> Callable[[TrainingProgress], None]:
    """A watcher that is interrupted in an epoch, before it is kept."""

    def stop(state: TrainingProgress) -> None:
        if state.epoch == epoch:
            raise KeyboardInterrupt

    return stop


def interrupted(result: Path, epoch: int, **changes: Any) -> None:
    """A training that is interrupted in an epoch."""
    with pytest.raises(KeyboardInterrupt):
        learn(result, until(epoch), **changes)


def same(one: pp.RBM, other: pp.RBM) -> bool:
    names = ("weights", "visible_bias", "hidden_bias", "mask")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return equal and one.provenance == other.provenance


def checkpoint_of(folder: Path, number: int = 1) -> Path:
    return folder / f".rbm.nc.{number}.checkpoint"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stop", [2, 5])
def test_it_goes_on_where_it_stood(tmp_path: Path, method: str, stop: int) -> None:
    interrupted(tmp_path / "rbm.nc", stop, method=METHODS[method])
    assert tiny.names(tmp_path) == {".rbm.nc.1.checkpoint"}
    seen: list[int] = []
    again = learn(
        tmp_path / "rbm.nc", lambda state: seen.append(state.epoch), method=METHODS[method]
    )
    assert same(again, whole(method))
    # The state taken up is shown once more; what was interrupted in epoch `stop` is done again.
    assert seen == list(range(stop - 1, int(again.provenance["epochs_done"]) + 1))
    assert tiny.names(tmp_path) == {"rbm.nc"}


#: As long as most file systems allow, and the longest that is not cut in the names of side files.
LONG = ["\u00fc" * 126 + ".nc", "x" * 180]


@pytest.mark.parametrize("name", LONG, ids=[str(len(name)) for name in LONG])
def test_a_long_name_has_checkpoints_too(tmp_path: Path, name: str) -> None:
    out, other = tmp_path / name, tmp_path / f"{name[:-1]}d"
    for file in (out, other):
        with one_writer(file), pytest.raises(KeyboardInterrupt):
            learn(file, until(4), seed=len(file.name))
    assert len([*tmp_path.glob(".*.1.checkpoint")]) == 2
    for written in (out, side_file(out, "1.checkpoint"), side_file(out, "begun")):
        draft_file(written, "0123abcd").touch()
    with one_writer(out):
        seen: list[int] = []
        again = learn(out, lambda state: seen.append(state.epoch), seed=len(name))
    assert seen[0] == 3
    assert same(again, train(shots(), hidden=3, seed=len(name), method=pp.CD(epochs=EPOCHS)))
    with one_writer(other):
        learn(other, seed=len(other.name))
    assert {*tmp_path.iterdir()} == {out, other}


@pytest.mark.parametrize(
    ("method", "part", "value"),
    [
        *(("cd", "velocity", 0.0), ("pcd", "chains", 0.0), ("natural", "chains", 0.0)),
        *(("natural", "fisher_parameters", 0.0), ("natural", "fisher_moved", 10.0)),
        ("exact", "damping", 10.0),
    ],
)
def test_every_part_of_a_checkpoint_is_needed(
    tmp_path: Path, method: str, part: str, value: float
) -> None:
    interrupted(tmp_path / "rbm.nc", 3, method=METHODS[method])
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    kept[part][...] = value
    write_dataset(checkpoint_of(tmp_path), kept, "checkpoint")
    again = learn(tmp_path / "rbm.nc", method=METHODS[method])
    assert not np.array_equal(again.weights, whole(method).weights)


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


@pytest.mark.parametrize("method", METHODS)
def test_what_ended_is_not_trained_again(tmp_path: Path, method: str) -> None:
    def twice(callback: Callable[[TrainingProgress], None]) -> None:
        values: dict[str, Any] = {"hidden": 3, "method": METHODS[method]}
        with Checkpoints(tmp_path / "rbm.nc") as values["checkpoints"]:
            train(shots(), seed=1, callback=callback, **values)
            train(shots(), seed=2, **values)
            raise RuntimeError("killed before the result was written")

    seen: tuple[list[int], list[int]] = ([], [])
    for epochs in seen:
        with pytest.raises(RuntimeError):
            twice(lambda state, epochs=epochs: epochs.append(state.epoch))  # type: ignore[misc]
        assert tiny.names(tmp_path) == {checkpoint_of(tmp_path, k).name for k in (1, 2)}
    assert len(seen[0]) > 3
    assert seen[1] == seen[0][-1:]  # no epoch but the last one, which is shown


def test_a_history_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = reference_of(pp.ground_state(pp.TFIM(sites=5, field=1.0)))
    settings = pp.CD(epochs=EPOCHS, batch_size=30)
    start, measured_at = initial_rbm(5, 3, 1), list[int]()

    def count(*arguments: Any, **options: Any) -> Any:
        measured_at.append(1)
        return metric_values(*arguments, **options)

    monkeypatch.setattr("psiprune.experiments.recording.metric_values", count)

    def run(folder: Path, tick: Callable[[TrainingProgress], None]) -> tuple[pp.RBM, xr.Dataset]:
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


def test_what_was_noted_of_an_unfinished_epoch_is_dropped(tmp_path: Path) -> None:
    class StatefulCallback:
        notes: ClassVar[checkpoint.Notes] = {}

        def __call__(self, state: TrainingProgress) -> None:
            self.notes[state.epoch] = (float(state.epoch), 0.5)
            until(4)(state)

    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "rbm.nc", StatefulCallback())
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    assert kept.attrs["epoch"] == 3
    assert kept["notes"].values.tolist() == [[1, 1, 0.5], [2, 2, 0.5], [3, 3, 0.5]]


# ---- when it is written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by the clock, in seconds; checkpoints are written as often as for users."""
    now = [0.0]
    monkeypatch.setattr(checkpoint, "SECONDS", SECONDS)
    monkeypatch.setattr(checkpoint, "LEAST", LEAST)
    monkeypatch.setattr("psiprune.io.checkpoint.time.monotonic", lambda: now[0])
    return now


def test_it_is_written_by_the_clock(tmp_path: Path, clock: list[float]) -> None:
    kept: list[int | None] = []

    def callback(state: TrainingProgress) -> None:
        file = checkpoint_of(tmp_path)
        kept.append(int(read_dataset(file).attrs["epoch"]) if file.exists() else None)
        clock[0] += 4.0  # seconds an epoch

    learn(tmp_path / "rbm.nc", callback)
    # After the third epoch 12 s have passed, and 24 s after the sixth.
    assert kept == [None, None, None, 3, 3, 3, 6, 6, 6]


def test_cheap_trainings_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    monkeypatch.setattr(checkpoint, "write_arrays", lambda *_: pytest.fail("written"))

    def callback(_: TrainingProgress) -> None:
        clock[0] += 0.2

    learn(tmp_path / "rbm.nc", callback)
    interrupted(tmp_path / "other.nc", 3)
    assert tiny.names(tmp_path) == {"rbm.nc"}


def test_nothing_is_kept_where_no_result_is_named(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "rbm.nc"):
        pass
    before = set(tmp_path.iterdir())
    train(shots(), hidden=2, method=pp.CD(epochs=2))
    assert set(tmp_path.iterdir()) == before == set()


def test_threads_do_not_mix(tmp_path: Path) -> None:
    files = [tmp_path / str(seed) / "rbm.nc" for seed in range(4)]
    for file in files:
        file.parent.mkdir()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: interrupted(files[seed], 4, seed=seed), range(4)))
        found = list(pool.map(lambda seed: learn(files[seed], seed=seed), range(4)))
    for seed, rbm in enumerate(found):
        assert same(rbm, train(shots(), hidden=3, seed=seed, method=pp.CD(epochs=EPOCHS)))


def test_what_diverges_leaves_nothing(tmp_path: Path) -> None:
    divergent = pp.CD(epochs=50, learning_rate=1000, weight_decay=1e20)
    with pytest.raises(pp.DivergenceError):
        learn(tmp_path / "rbm.nc", method=divergent)
    assert list(tmp_path.iterdir()) == []


# ---- what is not taken for it


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"seed": 2}, "other seed: 1, now 2"),
        ({"method": pp.CD(epochs=EPOCHS, learning_rate=0.2)}, "other learning_rate: 0.1, now 0.2"),
        ({"method": pp.CD(epochs=10)}, "other epochs: 9, now 10"),
        ({"method": pp.PCD(epochs=EPOCHS)}, "other method: cd, now pcd"),
        ({"hidden": 2}, "other initial RBM: "),
        ({"step": -1}, "other shots: "),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(
    tmp_path: Path, changes: dict[str, Any], fact: str
) -> None:
    interrupted(tmp_path / "rbm.nc", 4)
    before = tiny.contents(tmp_path)
    with refuses(checkpoint_of(tmp_path), "another training", fact, "delete it"):
        learn(tmp_path / "rbm.nc", **changes)
    assert tiny.contents(tmp_path) == before


@pytest.mark.parametrize("part", ["training", "epoch", "velocity", "notes"])
def test_a_checkpoint_without_a_part_is_named(tmp_path: Path, part: str) -> None:
    interrupted(tmp_path / "rbm.nc", 4)
    kept = read_dataset(checkpoint_of(tmp_path), "checkpoint")
    if part in kept.attrs:
        del kept.attrs[part]
    else:
        kept = kept.drop_vars(part)
    write_dataset(checkpoint_of(tmp_path), kept, "checkpoint")
    with refuses(checkpoint_of(tmp_path), f"'{part}'", "delete it"):
        learn(tmp_path / "rbm.nc")


def test_a_checkpoint_that_its_result_outlived_is_cleared(tmp_path: Path) -> None:
    with open_run(tmp_path, pp.StudySettings()):
        pass
    (tmp_path / "h=1").mkdir()
    for name in ("level-00.nc", ".level-00.nc.1.checkpoint", ".level-01.nc.2.checkpoint"):
        (tmp_path / "h=1" / name).touch()
    with open_run(tmp_path, pp.StudySettings()):
        assert tiny.names(tmp_path / "h=1") == {"level-00.nc", ".level-01.nc.2.checkpoint"}


@pytest.mark.parametrize(
    ("method", "stop"), [("exact", 6), pytest.param("natural", 3, marks=pytest.mark.slow)]
)
def test_a_cross_validation_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, stop: int
) -> None:
    asked: list[pp.RBM] = []
    last, likelihood = 0, stopping.mean_log_likelihood

    def held_out(rbm: pp.RBM, some: pp.Shots) -> float:
        asked.append(rbm)
        if len(asked) == last:
            raise KeyboardInterrupt
        return likelihood(rbm, some)

    def learned(folds: int = 2) -> pp.RBM:
        asked.clear()
        with Checkpoints(tmp_path / "rbm.nc") as checkpoints:
            return train(
                shots(),
                hidden=3,
                seed=1,
                method=METHODS[method],
                folds=folds,
                checkpoints=checkpoints,
            )

    monkeypatch.setattr(stopping, "mean_log_likelihood", held_out)
    expected = learned()
    steps, last = len(asked), stop  # in the third or second comparison
    with pytest.raises(KeyboardInterrupt):
        learned()
    file = side_file(tmp_path / "rbm.nc", "1.checkpoint")
    with refuses(file.name, f"other method: {method}, cross-validated over 2 parts, now {method}"):
        learned(folds=0)
    last = 0
    found = learned()
    assert len(asked) == steps - 2 * ((stop - 1) // 2) > 0
    np.testing.assert_array_equal(found.weights, expected.weights)
    assert found.provenance == expected.provenance
    assert not file.exists()


def test_an_end_that_leaves_no_checkpoint_does_not_count_as_kept(tmp_path: Path) -> None:
    def stopped(leave: Callable[[Path], None]) -> None:
        with Checkpoints(tmp_path / "rbm.nc") as checkpoints:
            leave(checkpoints.next_file())
            assert work_status() == "kept"
            raise KeyboardInterrupt

    reset_work_status()
    note_lost()
    for leave, status in ((lambda _: None, "lost"), (Path.touch, "kept")):
        with pytest.raises(KeyboardInterrupt):
            stopped(leave)
        assert work_status() == status
    reset_work_status()
