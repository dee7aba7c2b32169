"""Training and pruning with their measures: a history by epoch, a level with what it cost."""

from __future__ import annotations

import numpy as np
import xarray as xr

from psiprune.config import TrainSettings
from psiprune.errors import (
    EXACT_SITES,
    Measures,
    Reference,
    evaluate,
    exact_measures,
    measures,
)
from psiprune.pruning import Level
from psiprune.rbm import RBM
from psiprune.shots import Shots
from psiprune.training import Progress, Watch, train


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

    epochs, entries = [0], [measure(start)]
    seen = 0

    def watch(state: Progress) -> None:
        nonlocal seen
        tick(state)
        seen = state.epoch
        if seen % every == 0:
            epochs.append(seen)
            entries.append(measure(state.rbm))

    rbm = train(shots, start=start, settings=settings, seed=seed, watch=watch)
    if epochs[-1] != seen:
        epochs.append(seen)
        entries.append(measure(rbm))
    history = {
        f"history_{name}": ("epoch", np.array(values))
        for name, values in zip(entries[0]._fields, zip(*entries, strict=True), strict=True)
    }
    return rbm, xr.Dataset(history, {"epoch": epochs})


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
    if rbm.visible <= EXACT_SITES:
        exact = exact_measures(rbm, reference)
        values |= {f"{name}_exact": value for name, value in exact._asdict().items()}
    for name, measure in report:
        values[name] = measure.value
        values[f"{name}_error"] = measure.error
        values[f"{name}_floor"] = measure.floor
    for name in ("magnetization", "abs_magnetization", "correlation"):
        estimate = getattr(report.observables, name)
        dimensions = ("distance",)[: estimate.value.ndim]
        values[name] = (dimensions, estimate.value)
        values[f"{name}_error"] = (dimensions, estimate.error)
    return label(rbm.to_dataset().assign(values))


def label(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with the units of its variables: nat, those of J and h, or 1."""
    for name, variable in dataset.variables.items():
        if "units" in variable.attrs:
            continue
        if str(name).removeprefix("history_").split("_")[0] == "kl":
            unit = "nat"
        elif name in ("field", "energy_reference"):
            unit = "energy"
        else:
            unit = {"distance": "sites"}.get(str(name), "1")
        variable.attrs["units"] = unit
    return dataset
