"""Train an RBM with a history of metrics, and measure the steps of a pruning path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import Member
from psiprune.experiments.pruning_path import run_path
from psiprune.experiments.settings import SparseSettings
from psiprune.io.checkpoint import Notes, checkpointing
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.metrics.against_state import MetricValues, Reference, evaluate, metric_values
from psiprune.pruning.iterative import Level
from psiprune.rbm.model import RBM
from psiprune.training.methods import TrainSettings
from psiprune.training.train import Callback, TrainingProgress, initial, train

#: What is kept of the observables of a level or a training set, with its dimension.
OBSERVED: Mapping[str, tuple[str, ...]] = {
    "magnetization": (),
    "abs_magnetization": (),
    "correlation": ("distance",),
    "magnetization_distribution": ("ones",),
}


def train_keeping(
    files: Mapping[int, Path], start: RBM, fit: Callable[[Callback], RBM], tick: Callback
) -> RBM:
    """fit(watch), which trains `start`, with the RBM of some epochs saved, each to its file.

    Epoch 0 is `start` itself; an epoch after training had converged is its end.
    """
    if 0 in files:
        start.save(files[0])

    def watch(state: TrainingProgress) -> None:
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
    tick: Callback,
) -> tuple[RBM, xr.Dataset]:
    """Train, and measure before training, every few epochs, and at the end.

    Returns:
        The RBM, and a dataset over `epoch` with history_kl, history_infidelity, ...: sums over all
        states up to 20 sites, above from `draws` samples.
    """

    def measure(rbm: RBM) -> MetricValues:
        return metric_values(rbm, reference, draws=draws, seed=seed)

    recorder = Recorder(measure, every, tick)
    recorder.note(0, start)
    rbm = train(shots, start=start, settings=settings, seed=seed, watch=recorder)
    return rbm, recorder.take(rbm)


class Recorder:
    """A watcher of training that measures every few epochs, until its history is taken.

    Attributes:
        notes: the measures by epoch, which outlive a kill in the checkpoint of the training.
    """

    def __init__(self, measure: Callable[[RBM], MetricValues], every: int, tick: Callback) -> None:
        """Measure by `measure` after each `every` epochs; call `tick` after each."""
        self._measure, self._every, self._tick = measure, every, tick
        self._seen = 0
        self.notes: Notes = {}

    def __call__(self, state: TrainingProgress) -> None:
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
            for name, values in zip(MetricValues._fields, zip(*entries, strict=True), strict=True)
        }
        return xr.Dataset(history, {"epoch": epochs})


def measured_level(level: Level, reference: Reference, draws: int, seed: int) -> xr.Dataset:
    """One level's RBM with all its measures, as it is kept on disk.

    Each measure of `evaluate` with `_error` and `_floor` beside it; up to 20 sites also its value
    by sums over all states, `_exact`.
    """
    rbm = level.rbm
    own = derive_seed(seed, Stream.LEVEL_METRICS, level.step)
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


_LOG = logging.getLogger(__name__)


def new_rbm(settings: SparseSettings, member: Member, mask: NDArray[np.bool_] | None = None) -> RBM:
    """The untrained RBM of a seed; one seed has one set of initial weights, whatever the mask."""
    return initial(member.problem.shots, settings.hidden_units, member.seed, settings.train, mask)


def trained(
    file: Path,
    start: RBM,
    training: TrainSettings,
    settings: SparseSettings,
    member: Member,
    tick: Callback,
) -> xr.Dataset:
    """An RBM trained from a start, read from its file or made and written.

    Returns:
        The RBM as `RBM.to_dataset` gives it, its measures, and history_kl, ... over `epoch`. The
        measures are sums over all states up to 20 sites and sampled above.

    Raises:
        InputError: the file is damaged.
    """
    if not file.exists():
        with checkpointing(file):
            rbm, history = train_with_history(
                start,
                member.problem.shots,
                training,
                member.seed,
                member.problem.reference,
                settings.history_every,
                _draws_of_a_history(settings),
                tick,
            )
            write_dataset(file, _described(rbm, history, settings, member), "rbm")
        _LOG.info("%s: written", file)
    else:
        _LOG.info("%s: taken as it is", file)
    return read_dataset(file, "rbm").drop_attrs()


def dense_and_pruned(settings: SparseSettings, member: Member, tick: Callback) -> list[xr.Dataset]:
    """Train a dense RBM, then prune by magnitude and fine-tune: a dataset as `trained` a level.

    The history of a level above 0 is that of its fine-tuning, its epochs counted from 1.
    """
    problem, seed, folder = member
    measure = _measurer(member, _draws_of_a_history(settings))
    recorder = Recorder(measure, settings.history_every, tick)

    def dense() -> RBM:
        start = new_rbm(settings, member)
        recorder.note(0, start)
        return train(problem.shots, start=start, settings=settings.train, seed=seed, watch=recorder)

    def describe(level: Level) -> xr.Dataset:
        return _described(level.rbm, recorder.take(level.rbm), settings, member)

    levels = run_path(
        folder, dense, problem.shots, settings.prune, settings.fine_tune, seed, describe, recorder
    )
    return [level.drop_attrs() for level in levels]


def _draws_of_a_history(settings: SparseSettings) -> int:
    return max(100, settings.measure.draws // 10)  # each of its many entries needs less


def _measurer(member: Member, draws: int) -> Callable[[RBM], MetricValues]:
    return lambda rbm: metric_values(rbm, member.problem.reference, draws=draws, seed=member.seed)


def _described(
    rbm: RBM, history: xr.Dataset, settings: SparseSettings, member: Member
) -> xr.Dataset:
    values = _measurer(member, settings.measure.draws)(rbm)._asdict()
    counts = {"weights_kept": rbm.number_of_weights, "components": rbm.components}
    return label(rbm.to_dataset().merge(history).assign({**counts, **values}))


def mask_of(piece: xr.Dataset) -> NDArray[np.bool_]:
    """The mask of a kept RBM, bool [hidden, visible]."""
    return piece["mask"].values.astype(bool)
