"""The paper's central experiment (its Fig. 2): train, prune step by step, measure the damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    members_of,
    over_members,
    seeds_of,
    train_all,
)
from psiprune.experiments.problem import Problem, prepare
from psiprune.experiments.pruning_path import early_file, level_names, run_path
from psiprune.experiments.recording import (
    OBSERVED,
    label,
    measured_level,
    train_keeping,
    train_with_history,
)
from psiprune.experiments.search import with_smallest
from psiprune.experiments.settings import StudySettings
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.observables import data_observables
from psiprune.metrics.selectors import check_state_metric
from psiprune.pruning.iterative import Level
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.training.train import Callback, initial


def run_study(settings: StudySettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Run the study, or what of it is not done yet, and return its dataset.

    The folder holds config.toml, provenance.json, for each field the ground state and the shots,
    for each RBM the history of its training and every level (RBM and measures), and study.nc.
    With `rewind_epoch` the RBM of that epoch stands beside the levels, with `until` the search for
    the smallest RBM of each path in a folder of its own, "smallest".

    Returns:
        A dataset over field, seed, level, distance, ones and epoch. Sampled measures stand with
        `_error` and `_floor` beside them; names in `_exact` are sums over all states. With `until`
        also smallest_weights and smallest_value with its error over field and seed, NaN where the
        dense RBM itself is beyond the limit, smallest_censored, 1 where the path ended within the
        limit, and smallest_limit over field.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    if settings.until is not None:
        check_state_metric(settings.until.measure)
    with open_run(folder, settings) as run:
        settings = settings.for_size()
        problems = [prepare(run, settings, field) for field in settings.fields]
        members = members_of(settings, problems)
        epochs = settings.train.epochs + settings.prune.levels * settings.tuning.epochs
        pieces = train_all(partial(_run_member, settings), members, len(members) * epochs)
        dataset = assemble(settings, problems, seeds_of(settings), pieces)
        if settings.until is not None:
            dataset = with_smallest(dataset, settings, settings.until, members)
        write_dataset(run / "study.nc", dataset, "study")
    return dataset


def _run_member(settings: StudySettings, member: Member, tick: Callback) -> xr.Dataset:
    """Train, prune and measure one RBM; its history over `epoch` and its measures over `level`."""
    file, epoch = member.folder / "history.nc", settings.rewind_epoch
    early = {} if epoch is None else {epoch: early_file(member.folder, epoch)}

    def dense() -> RBM:
        rbm, history = train_dense(settings, member, tick, early)
        write_dataset(file, history, "history")
        return rbm

    rewind = None if epoch is None else lambda: load_rbm(early[epoch])
    levels = prune_dense(settings, member, dense, tick, rewind)
    if not file.exists():
        raise InputError(
            f"{file}: is missing; delete {member.folder} as well, to train this RBM again"
        )
    return one_member(levels, read_dataset(file, "history"))


def train_dense(
    settings: StudySettings,
    member: Member,
    tick: Callback,
    early: Mapping[int, Path] = MappingProxyType({}),
) -> tuple[RBM, xr.Dataset]:
    """The dense RBM of a seed, and its history over `epoch`; RBMs of early epochs go to files."""
    shots = member.problem.shots
    start = initial(shots, settings.hidden_units, member.seed, settings.train)
    histories = []

    def fit(watch: Callback) -> RBM:
        rbm, history = train_with_history(
            start,
            shots,
            settings.train,
            member.seed,
            member.problem.reference,
            settings.history_every,
            max(100, settings.measure.draws // 10),  # a history needs less than a level
            watch,
        )
        histories.append(history)
        return rbm

    return train_keeping(early, start, fit, tick), histories[0]


def prune_dense(
    settings: StudySettings,
    member: Member,
    dense: Callable[[], RBM],
    tick: Callback,
    rewind: Callable[[], RBM] | None = None,
) -> list[xr.Dataset]:
    """All levels of an RBM's path with their measures, kept in the member's folder."""
    problem, seed, folder = member

    def describe(level: Level) -> xr.Dataset:
        return measured_level(level, problem.reference, settings.measure.draws, seed)

    return run_path(
        folder,
        dense,
        problem.shots,
        settings.prune,
        settings.tuning,
        seed,
        describe,
        tick,
        rewind,
    )


def one_member(levels: list[xr.Dataset], history: xr.Dataset) -> xr.Dataset:
    """What `assemble` takes of one RBM: its measures over `level`, its history over `epoch`."""
    measures = [level.drop_dims(["hidden", "visible"]) for level in levels]
    return xr.merge([xr.concat(measures, dim="level", join="outer"), history]).drop_attrs()


def assemble(
    settings: StudySettings, problems: list[Problem], seeds: list[int], pieces: list[xr.Dataset]
) -> xr.Dataset:
    """All RBMs of all fields, with the reference and the training set's own values beside them.

    Args:
        settings: of the study, its methods chosen by size.
        problems: one a field.
        seeds: of the RBMs.
        pieces: `one_member` of each, in the order of `members_of`.
    """
    dataset = over_members(settings, pieces).transpose("field", "seed", "level", ...)
    truth = [problem.reference.observables for problem in problems]
    data = [data_observables(problem.shots.bits) for problem in problems]
    beside: dict[str, object] = {}
    for name, dimensions in {"energy": (), **OBSERVED}.items():
        values = np.array([getattr(observables, name).value for observables in truth])
        beside[f"{name}_reference"] = (("field", *dimensions), values)
    for name, dimensions in OBSERVED.items():
        values = np.array([observables[name].value for observables in data])
        beside[f"{name}_data"] = (("field", *dimensions), values)
    dataset = dataset.assign(beside).assign_coords(
        field=list(settings.fields),
        seed=seeds,
        level=range(settings.prune.levels + 1),
        distance=range(dataset.sizes["distance"]),
        ones=range(settings.sites + 1),
    )
    return label(dataset).assign_attrs(
        sites=settings.sites, hidden=settings.hidden_units, coupling=settings.coupling
    )


def expected_files(settings: StudySettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    names = ["history.nc", *level_names(settings.prune.levels)]
    return ensemble_files(settings, lambda _: names, "study.nc")
