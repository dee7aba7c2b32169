"""How small each RBM of a study can be: the search that `study --until` adds to the paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from psiprune.config import SEARCH_LEVELS, PruneSettings, StudySettings, UntilSettings
from psiprune.experiments.ensemble import Member, train_all
from psiprune.experiments.path import early_file, level_file
from psiprune.experiments.until import run_until
from psiprune.gauges import state_gauge
from psiprune.parallel import in_threads
from psiprune.pruning import Level
from psiprune.rbm import load_rbm
from psiprune.training import Watch


def with_smallest(
    dataset: xr.Dataset, settings: StudySettings, until: UntilSettings, members: Sequence[Member]
) -> xr.Dataset:
    """The study with the smallest RBM within the limit of every field and seed.

    A search goes on past the levels of the study, see `_search_settings`. Where it ends within the
    limit all the same, `smallest_censored` is 1: an RBM of fewer weights may be within it, too.
    """
    how = _search_settings(settings.prune)
    gauges = [
        state_gauge(until.measure, member.problem.reference, draws=until.draws, seed=member.seed)
        for member in members
    ]

    def measure_dense(k: int) -> float:
        return gauges[k](load_rbm(level_file(members[k].folder, 0))).value

    of_dense = in_threads(measure_dense, range(len(members)))
    fields = len(settings.fields)
    # Members stand field by field within a seed.
    worst = np.array(of_dense).reshape(-1, fields).max(axis=0)
    limits = worst if until.limit is None else np.full(fields, until.limit)

    def search(k: int, tick: Watch) -> tuple[float, float, float, float]:
        limit, member = float(limits[k % fields]), members[k]
        if not of_dense[k] <= limit:
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
            gauges[k],
            until.model_copy(update={"limit": limit}),
            how,
            settings.tuning,
            member.seed,
            tick,
            early,
            path,
        )
        weights = found.rbm.number_of_weights
        return float(weights), best.value, best.error, float(found.fewer is None and weights > 1)

    # A bisection halves what one step removes at most.
    trials = round(settings.prune.fraction * settings.hidden_units * settings.sites).bit_length()
    epochs = len(members) * trials * settings.tuning.epochs
    found = np.array(train_all(search, range(len(members)), epochs)).reshape(-1, fields, 4)
    unit = {"units": "nat" if until.measure == "kl" else "1"}
    over = ("field", "seed")
    weights, value, error, censored = np.moveaxis(found, -1, 0).swapaxes(1, 2)
    dataset = dataset.assign(
        smallest_weights=(over, weights, {"units": "1"}),
        smallest_value=(over, value, unit),
        smallest_value_error=(over, error, unit),
        smallest_censored=(over, censored.astype(np.uint8), {"units": "1"}),
        smallest_limit=("field", limits, unit),
    )
    return dataset.assign_attrs(smallest_measure=until.measure)


def _search_settings(prune: PruneSettings) -> PruneSettings:
    """How a search prunes: to its end as `prune --until`, unless levels or a density are given.

    Levels count as given where they are not the default, as a run's config.toml names them all.
    """
    default = PruneSettings.model_fields["levels"].default
    if prune.density is not None or prune.levels != default:
        return prune
    return prune.model_copy(update={"levels": SEARCH_LEVELS})
