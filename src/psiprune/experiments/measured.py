"""What is kept of training and pruning: a history by epoch, early epochs, a level with its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.checkpoints import Notes
from psiprune.config import TrainSettings
from psiprune.errors import (
    Measures,
    Reference,
    evaluate,
    measures,
)
from psiprune.pruning import Level
from psiprune.rbm import RBM
from psiprune.shots import Shots
from psiprune.training import Progress, Watch, train

#: What is kept of the observables of a level or a training set, with its dimension.
OBSERVED: Mapping[str, tuple[str, ...]] = {
    "magnetization": (),
    "abs_magnetization": (),
    "correlation": ("distance",),
    "magnetization_distribution": ("ones",),
}


def train_keeping(
    files: Mapping[int, Path], start: RBM, fit: Callable[[Watch], RBM], tick: Watch
) -> RBM:
    """fit(watch), which trains `start`, with the RBM of some epochs saved, each to its file.

    Epoch 0 is `start` itself; an epoch after training had converged is its end.
    """
    if 0 in files:
        start.save(files[0])

    def watch(state: Progress) -> None:
        if state.epoch in files:
            state.rbm.save(files[state.epoch])
        tick(state)

    rbm = fit(watch)
    for epoch, file in files.items():
        if epoch > int(rbm.provenance.get("epochs_done", 0)):
            rbm.save(file)
    return rbm


def train_with_history(
    start: RBM,
    shots: Shots,
    settings: TrainSettings,
    seed: int,
    reference: Reference,
    every: int,
    draws: int,
    tick: Watch,
) -> tuple[RBM, xr.Dataset]:
    """Train, and measure before training, every few epochs, and at the end.

    Returns:
        The RBM, and a dataset over `epoch` with history_kl, history_infidelity, ...: sums over all
        states up to 20 sites, above from `draws` samples.
    """

    def measure(rbm: RBM) -> Measures:
        return measures(rbm, reference, draws=draws, seed=seed)

    recorder = Recorder(measure, every, tick)
    recorder.note(0, start)
    rbm = train(shots, start=start, settings=settings, seed=seed, watch=recorder)
    return rbm, recorder.take(rbm)


class Recorder:
    """A watcher of training that measures every few epochs, until its history is taken.

    Attributes:
        notes: the measures by epoch, which outlive a kill in the checkpoint of the training.
    """

    def __init__(self, measure: Callable[[RBM], Measures], every: int, tick: Watch) -> None:
        """Measure by `measure` after each `every` epochs; call `tick` after each."""
        self._measure, self._every, self._tick = measure, every, tick
        self._seen = 0
        self.notes: Notes = {}

    def __call__(self, state: Progress) -> None:
        """After an epoch."""
        self._tick(state)
        self._seen = state.epoch
        if self._seen % self._every == 0:
            self.note(self._seen, state.rbm)

    def note(self, epoch: int, rbm: RBM) -> None:
        """An entry at an epoch, if it has none."""
        if epoch not in self.notes:
            self.notes[epoch] = self._measure(rbm)

    def take(self, rbm: RBM) -> xr.Dataset:
        """The history over `epoch`, closed with the RBM that training ended with."""
        self.note(self._seen, rbm)
        epochs, entries = list(self.notes), list(self.notes.values())
        self._seen, self.notes = 0, {}
        history = {
            f"history_{name}": ("epoch", np.array(values))
            for name, values in zip(Measures._fields, zip(*entries, strict=True), strict=True)
        }
        return xr.Dataset(history, {"epoch": epochs})


def measured_level(level: Level, reference: Reference, draws: int, seed: int) -> xr.Dataset:
    """One level's RBM with all its measures, as it is kept on disk.

    Each measure of `evaluate` with `_error` and `_floor` beside it; up to 20 sites also its value
    by sums over all states, `_exact`.
    """
    rbm = level.rbm
    own = int(np.random.SeedSequence([seed, level.step]).generate_state(1)[0])
    report = evaluate(rbm, reference, draws=draws, seed=own)
    values: dict[str, object] = {
        "weights_kept": rbm.number_of_weights,
        "fraction_pruned": 1.0 - rbm.density,
        "components": rbm.components,
        "infidelity": 1.0 - report.fidelity.value,
        "infidelity_error": report.fidelity.error,
        "infidelity_floor": 1.0 - report.fidelity.floor,
    }
    if report.exact is not None:
        values |= {f"{name}_exact": value for name, value in report.exact._asdict().items()}
    for name, measure in report:
        values[name] = measure.value
        values[f"{name}_error"] = measure.error
        values[f"{name}_floor"] = measure.floor
    for name, dimensions in OBSERVED.items():
        estimate = getattr(report.observables, name)
        values[name] = (dimensions, estimate.value)
        values[f"{name}_error"] = (dimensions, estimate.error)
    return label(rbm.to_dataset().assign(values))


def label(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with the units of its variables: nat, those of J and h, or 1."""
    for name, variable in dataset.variables.items():
        if "units" in variable.attrs:
            continue
        if "kl" in str(name).split("_"):
            unit = "nat"
        elif name in ("field", "energy_reference"):
            unit = "energy"
        else:
            unit = {"distance": "sites"}.get(str(name), "1")
        variable.attrs["units"] = unit
    return dataset
