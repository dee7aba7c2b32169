"""Search for the smallest RBM within a limit, for one path and over the seeds of a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.core.threads import map_threads
from psiprune.data.shots import Shots
from psiprune.experiments.cache import cached, cached_training
from psiprune.experiments.ensemble import Member, run_parallel
from psiprune.experiments.path_settings import UntilSettings
from psiprune.experiments.pruning_path import (
    early_file,
    held_out_from,
    level_file,
    with_held_out,
)
from psiprune.experiments.settings import StudySettings
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import write_dataset
from psiprune.metrics.measure import Measure
from psiprune.metrics.selectors import Metric, state_metric
from psiprune.pruning.iterative import Level
from psiprune.pruning.search import Smallest, Trial, dense_limit, find_smallest
from psiprune.pruning.settings import SEARCH_LEVELS, PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm, rbm_from_dataset
from psiprune.training.method import Method
from psiprune.training.train import Callback


def run_until(
    folder: Path,
    dense: RBM,
    shots: Shots,
    metric: Metric,
    until: UntilSettings,
    prune: PruneSettings,
    fine_tune: Method | None,
    seed: int,
    callback: Callback,
    rewind: RBM | None = None,
    path: Sequence[Level] = (),
    folds: int = 0,
) -> tuple[Smallest, Measure]:
    """Run `find_smallest`, with every RBM of the search and its measure in a file.

    Args:
        folder: of level-00.nc, ..., trial-0085.nc, ..., other-1.nc, ... and smallest.nc.
        dense, shots, fine_tune, seed, callback, rewind, path, folds: as there.
        metric: the measure.
        until: its name, and the limit or how to find it.
        prune: criterion and schedule.

    Returns:
        The result of the search, and the measure of the smallest RBM with its error.

    Raises:
        InputError: the RBM itself exceeds the limit, there is no limit and no way to find one, or
            a file is damaged.
    """

    def measure(rbm: RBM) -> float:
        return metric(rbm).value

    def load_or_make(name: str, make: Callable[[Checkpoints | None], Trial]) -> Trial:
        def described(checkpoints: Checkpoints) -> xr.Dataset:
            trial = make(checkpoints)
            dataset = trial.rbm.to_dataset().assign({until.measure: trial.value})
            return with_held_out(dataset, trial.held_out)

        file = folder / f"{name}.nc"
        # Only the others of an ensemble are trained by `train`.
        read = cached_training if name.startswith("other-") else cached
        found = read(file, described)
        if until.measure not in found:
            raise InputError(f"{file}: holds no {until.measure}; delete it to compute it again")
        value, held_out = float(found[until.measure]), held_out_from(found, file)
        return Trial(name, rbm_from_dataset(found, file), value, held_out)

    limit = until.limit
    if limit is None:
        limit = dense_limit(
            dense,
            shots,
            measure=measure,
            others=until.others,
            callback=callback,
            load_or_make=load_or_make,
        )
    found = find_smallest(
        dense,
        shots,
        measure=measure,
        limit=limit,
        settings=prune,
        fine_tune=fine_tune,
        bisect=until.bisect,
        rewind=rewind,
        folds=folds,
        path=path,
        seed=seed,
        callback=callback,
        load_or_make=load_or_make,
    )
    best = metric(found.rbm)
    dataset = found.rbm.to_dataset().assign(
        {
            until.measure: best.value,
            f"{until.measure}_error": best.error,
            f"{until.measure}_floor": best.floor,
            f"{until.measure}_limit": limit,
        }
    )
    write_dataset(folder / "smallest.nc", dataset, "rbm")
    return found, best


def with_smallest(
    dataset: xr.Dataset,
    settings: StudySettings,
    until: UntilSettings,
    members: Sequence[Member],
    progress: bool,
) -> xr.Dataset:
    """Return the study with the smallest RBM within the limit of every field and seed.

    A search continues past the levels of the study, see `_search_settings`. If it ends within the
    limit nevertheless, `smallest_censored` is 1: an RBM of fewer weights may be within it, too.
    """
    how = _search_settings(settings.prune)
    metrics = [
        state_metric(until.measure, member.problem.reference, draws=until.draws, seed=member.seed)
        for member in members
    ]

    def measure_dense(k: int) -> float:
        return metrics[k](load_rbm(level_file(members[k].folder, 0))).value

    dense = map_threads(measure_dense, range(len(members)))
    fields = len(settings.fields)
    # Members are ordered by seed, then by field.
    worst = np.array(dense).reshape(-1, fields).max(axis=0)
    limits = worst if until.limit is None else np.full(fields, until.limit)

    def search(k: int, callback: Callback) -> tuple[float, float, float, float]:
        limit, member = float(limits[k % fields]), members[k]
        if not dense[k] <= limit:
            return np.nan, np.nan, np.nan, 0.0
        folder = member.folder / "smallest"
        folder.mkdir(exist_ok=True)
        path = [
            Level(step, load_rbm(level_file(member.folder, step)))
            for step in range(settings.prune.levels + 1)
        ]
        epoch = settings.rewind_epoch
        early = None if epoch is None else load_rbm(early_file(member.folder, epoch))
        found, best = run_until(
            folder,
            path[0].rbm,
            member.problem.shots,
            metrics[k],
            until.model_copy(update={"limit": limit}),
            how,
            settings.tuning,
            member.seed,
            callback,
            early,
            path,
        )
        weights = found.rbm.number_of_weights
        return float(weights), best.value, best.error, float(found.fewer is None and weights > 1)

    places = range(len(members))
    found = run_parallel(
        search, places, None, "pruning", name=lambda k: str(members[k]), progress=progress
    )
    # [seed * field, 4] -> [4, field, seed]
    weights, value, error, censored = np.array(found).reshape(-1, fields, 4).transpose(2, 1, 0)
    unit = {"units": "nat" if until.measure == "kl" else "1"}
    over = ("field", "seed")
    dataset = dataset.assign(
        smallest_weights=(over, weights, {"units": "1"}),
        smallest_value=(over, value, unit),
        smallest_value_error=(over, error, unit),
        smallest_censored=(over, censored.astype(np.uint8), {"units": "1"}),
        smallest_limit=("field", limits, unit),
    )
    return dataset.assign_attrs(smallest_measure=until.measure)


def _search_settings(prune: PruneSettings) -> PruneSettings:
    """Return how a search prunes: to its end as `prune --until`, unless levels or density are set.

    Levels count as set if they are not the default, as a run's config.toml lists all of them.
    """
    default = PruneSettings.model_fields["levels"].default
    if prune.density is not None or prune.levels != default:
        return prune
    return prune.model_copy(update={"levels": SEARCH_LEVELS})
