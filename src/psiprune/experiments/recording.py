"""Train an RBM with a history of metrics, and measure the steps of a pruning path."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from psiprune.core.random import Stream, derive_seed
from psiprune.data.shots import Shots
from psiprune.experiments.ensemble import label
from psiprune.io.checkpoint import Checkpoints, Notes
from psiprune.metrics.against_state import evaluate, exact_metrics, metric_values
from psiprune.metrics.observables import exact_observables
from psiprune.metrics.reference import Reference
from psiprune.metrics.settings import MeasureSettings
from psiprune.metrics.state_report import MetricValues, Report
from psiprune.pruning.iterative import Level
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.train import Callback, TrainingProgress, train

#: The observables that are written of a level or a training set, with their dimensions.
OBSERVED: Mapping[str, tuple[str, ...]] = {
    "magnetization": (),
    "abs_magnetization": (),
    "correlation": ("distance",),
    "magnetization_distribution": ("ones",),
}


def train_with_history(
    start: RBM,
    shots: Shots,
    method: Method,
    seed: int,
    reference: Reference,
    every: int,
    draws: int,
    callback: Callback,
    checkpoints: Checkpoints | None = None,
) -> tuple[RBM, xr.Dataset]:
    """Train, and measure before training, after each `every` epochs, and at the end.

    Returns:
        The RBM, and a dataset over `epoch` with history_kl, history_infidelity, ...: sums over all
        states up to 20 sites, from `draws` samples above.
    """
    recorder = Recorder(
        lambda rbm: metric_values(rbm, reference, draws=draws, seed=seed), every, callback
    )
    recorder.note(0, start)
    rbm = train(
        shots, start=start, method=method, seed=seed, callback=recorder, checkpoints=checkpoints
    )
    return rbm, recorder.take(rbm)


def history_draws(measure: MeasureSettings) -> int:
    """Return the draws for an entry of a history; it has many, and each needs less than a level."""
    return max(100, measure.draws // 10)


class Recorder:
    """A callback of training that measures the RBM after each `every` epochs.

    Attributes:
        notes: the measures by epoch, which the checkpoint of the training contains.
    """

    def __init__(
        self, measure: Callable[[RBM], MetricValues], every: int, callback: Callback
    ) -> None:
        """Measure with `measure` after each `every` epochs; call `callback` after each epoch."""
        self._measure, self._every, self._callback = measure, every, callback
        self._seen = 0
        self.notes: Notes = {}

    def __call__(self, state: TrainingProgress) -> None:
        """Measure after an epoch, if it is one of those to record."""
        self._callback(state)
        self._seen = state.epoch
        if self._seen % self._every == 0:
            self.note(self._seen, state.rbm)

    def note(self, epoch: int, rbm: RBM) -> None:
        """Measure and add an entry for an epoch, unless it has one."""
        if epoch not in self.notes:
            self.notes[epoch] = self._measure(rbm)

    def take(self, rbm: RBM) -> xr.Dataset:
        """Return the history over `epoch`, ending with the trained RBM, and begin a new one."""
        self.note(self._seen, rbm)
        epochs, entries = list(self.notes), list(self.notes.values())
        self._seen, self.notes = 0, {}
        history = {
            f"history_{name}": ("epoch", np.array(values))
            for name, values in zip(MetricValues._fields, zip(*entries, strict=True), strict=True)
        }
        return xr.Dataset(history, {"epoch": epochs})


def measured_level(level: Level, reference: Reference, draws: int, seed: int) -> xr.Dataset:
    """Return the RBM of a level with all its measures and observables, as written to disk.

    These are the measures of `evaluate`, each with its `_error` and `_floor`; up to 20 sites also
    the values by sums over all states, as `_exact`.
    """
    rbm = level.rbm
    seed = derive_seed(seed, Stream.LEVEL_METRICS, level.step)
    report = evaluate(rbm, reference, draws=draws, seed=seed)
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
    return label(rbm.to_dataset().assign(values).merge(_further(report)))


def _further(report: Report) -> xr.Dataset:
    """Return observable_NAME of each further observable, _error, _exact, and _loss with its own."""
    values: dict[str, object] = {}
    coordinates: dict[str, tuple[float, ...]] = {}
    for name, found in report.custom.items():
        variable = f"observable_{name}"
        along: tuple[str, ...] = ()
        if np.ndim(found.value):
            dimension = f"{name}_{found.dimension}"
            along, coordinates[dimension] = (dimension,), found.coordinates
        values[variable] = (along, found.value)
        values[f"{variable}_error"] = (along, found.error)
        if found.exact is not None:
            values[f"{variable}_exact"] = (along, found.exact)
        loss = found.loss
        values[f"{variable}_loss"] = loss.value
        values[f"{variable}_loss_error"] = loss.error
        values[f"{variable}_loss_floor"] = loss.floor
    return xr.Dataset(values, {name: list(of) for name, of in coordinates.items()})


def final_measures(rbm: RBM, reference: Reference, draws: int, seed: int) -> xr.Dataset:
    """Return an RBM with its measures, as written to disk: the same names at all sizes.

    Up to 20 sites they are sums over all states and their `_error` is 0, above they are those of
    `evaluate`.
    """
    if reference.log_q is None:
        report = evaluate(rbm, reference, draws=draws, seed=seed, progress=False)
        observables = report.observables
        measures: dict[str, tuple[float, float]] = {
            "kl": (report.kl.value, report.kl.error),
            "infidelity": (1.0 - report.fidelity.value, report.fidelity.error),
            **{
                name: (getattr(report, name).value, getattr(report, name).error)
                for name in ("energy_bias", "abs_magnetization_bias", "correlation_mse")
            },
        }
    else:
        log_p = rbm.log_prob_all() - rbm.log_partition()
        observables = exact_observables(np.exp(log_p), rbm.visible, reference.model)
        exact = exact_metrics(rbm, reference)._asdict()
        names = ("kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")
        measures = {name: (exact[name], 0.0) for name in names}
    values: dict[str, object] = {
        "weights_kept": rbm.number_of_weights,
        "parameters": rbm.number_of_parameters,
        "components": rbm.components,
    }
    for name, (value, error) in measures.items():
        values |= {name: value, f"{name}_error": error}
    for name, dimensions in {"energy": (), **OBSERVED}.items():
        estimate = getattr(observables, name)
        values |= {
            name: (dimensions, estimate.value),
            f"{name}_error": (dimensions, estimate.error),
        }
    return label(rbm.to_dataset().assign(values))
