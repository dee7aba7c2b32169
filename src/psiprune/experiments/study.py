"""The paper's central experiment (its Fig. 2): train, prune step by step, measure the damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    labelled,
    members_of,
    over_members,
    run_parallel,
    seeds_of,
)
from psiprune.experiments.named_warnings import repeat_warnings
from psiprune.experiments.problem import Problem, prepare
from psiprune.experiments.pruning_path import early_file, level_file, level_names, run_path
from psiprune.experiments.recording import (
    OBSERVED,
    history_draws,
    measured_level,
    train_with_history,
)
from psiprune.experiments.search import with_smallest
from psiprune.experiments.settings import StudySettings
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.observable_text import read_observables
from psiprune.metrics.observables import data_observables
from psiprune.metrics.selectors import check_state_metric, state_metric
from psiprune.pruning.iterative import Level
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import load_rbm
from psiprune.training.early import train_saving_epochs
from psiprune.training.train import Callback, new_rbm


def run_study(
    settings: StudySettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Run the study and return its dataset; what the folder holds already is only read.

    The folder holds config.toml, provenance.json, for each field the ground state and the shots,
    for each RBM the history of its training and every level (RBM and measures), and study.nc.
    With `rewind_epoch` also the RBM of that epoch, with `until` the search for the smallest RBM of
    each path in a folder "smallest".

    Returns:
        A dataset over field, seed, level, distance, ones and epoch. Sampled measures come with
        `_error` and `_floor`; names in `_exact` are sums over all states. Further observables are
        observable_NAME, with the largest distance from the state as _loss, and the state's value as
        _reference. With `until`
        also smallest_weights and smallest_value with its error over field and seed, NaN where the
        dense RBM itself exceeds the limit, smallest_censored, 1 where the path ended within the
        limit, and smallest_limit over field.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; finished files stay.
    """
    if settings.until is not None:
        names = read_observables(
            settings.observable or (), settings.sites, positions=settings.places
        )
        check_state_metric(settings.until.measure, names)
    settings = settings.for_size()
    with open_run(folder, settings) as run:
        problems = prepare(run, settings, settings.observable or ())
        if (until := settings.until) is not None:  # refuse what a state cannot have before training
            for each in problems:
                state_metric(until.measure, each.reference, draws=until.draws, seed=settings.seed)
        members = members_of(settings, problems)
        epochs = settings.train.epochs + settings.prune.levels * settings.tuning.epochs
        work = partial(_run_member, settings)
        pieces = run_parallel(work, members, len(members) * epochs, progress=progress)
        dataset = assemble(settings, problems, seeds_of(settings), pieces)
        if settings.until is not None:
            dataset = with_smallest(dataset, settings, settings.until, members, progress)
        write_dataset(run / "study.nc", dataset, "study")
    return dataset


def _run_member(settings: StudySettings, member: Member, callback: Callback) -> xr.Dataset:
    """Train, prune and measure one RBM: its history over `epoch`, its measures over `level`."""
    file, epoch = member.folder / "history.nc", settings.rewind_epoch
    early = {} if epoch is None else {epoch: early_file(member.folder, epoch)}

    def dense(checkpoints: Checkpoints) -> RBM:
        rbm, history = train_dense(settings, member, callback, checkpoints, early)
        write_dataset(file, history, "history")
        return rbm

    rewind = None if epoch is None else lambda: load_rbm(early[epoch])
    known = level_file(member.folder, 0).exists()
    levels = prune_dense(settings, member, dense, callback, rewind)
    if known:
        repeat_warnings(levels[0].attrs)
    if not file.exists():
        raise InputError(
            f"{file}: is missing; delete the folder {member.folder} to train this RBM again"
        )
    return one_member(levels, read_dataset(file, "history"))


def train_dense(
    settings: StudySettings,
    member: Member,
    callback: Callback,
    checkpoints: Checkpoints,
    early: Mapping[int, Path] = MappingProxyType({}),
) -> tuple[RBM, xr.Dataset]:
    """Return the dense RBM of a seed and its history; save the RBMs of early epochs to files."""
    shots = member.problem.shots
    start = new_rbm(shots, settings.hidden_units, member.seed, settings.initial)
    histories = []

    def fit(callback: Callback) -> RBM:
        rbm, history = train_with_history(
            start,
            shots,
            settings.train,
            member.seed,
            member.problem.reference,
            settings.history_every,
            history_draws(settings.measure),
            callback,
            checkpoints,
        )
        histories.append(history)
        return rbm

    return train_saving_epochs(early, start, fit, callback), histories[0]


def prune_dense(
    settings: StudySettings,
    member: Member,
    dense: Callable[[Checkpoints], RBM],
    callback: Callback,
    rewind: Callable[[], RBM] | None = None,
) -> list[xr.Dataset]:
    """Return all levels of an RBM's path with their measures, from files in the member's folder."""
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
        callback,
        rewind,
    )


def one_member(levels: list[xr.Dataset], history: xr.Dataset) -> xr.Dataset:
    """Join the measures of one RBM over `level` and its history over `epoch`, for `assemble`."""
    measures = [level.drop_dims(["hidden", "visible"]) for level in levels]
    return xr.merge([xr.concat(measures, dim="level", join="outer"), history]).drop_attrs()


def assemble(
    settings: StudySettings,
    problems: Sequence[Problem],
    seeds: Sequence[int],
    pieces: Sequence[xr.Dataset],
) -> xr.Dataset:
    """Join all RBMs of all fields with the values of the reference and of the training set.

    Args:
        settings: of the study, with its methods chosen by size.
        problems: one for each field.
        seeds: of the RBMs.
        pieces: `one_member` of each, in the order of `members_of`.
    """
    dataset = over_members(settings, pieces, seeds).transpose("field", "seed", "level", ...)
    truth = [problem.reference.observables for problem in problems]
    data = [data_observables(problem.shots.bits) for problem in problems]
    for name, dimensions in {"energy": (), **OBSERVED}.items():
        values = np.array([getattr(observables, name).value for observables in truth])
        dataset[f"{name}_reference"] = (("field", *dimensions), values)
    for name, dimensions in OBSERVED.items():
        values = np.array([observables[name].value for observables in data])
        dataset[f"{name}_data"] = (("field", *dimensions), values)
    for name in problems[0].reference.custom:
        along = dataset[f"observable_{name}"].dims[3:]
        values = np.array([each.reference.custom[name].estimate.value for each in problems])
        dataset[f"observable_{name}_reference"] = (("field", *along), values)
    dataset = dataset.assign_coords(
        level=range(settings.prune.levels + 1),
        distance=range(dataset.sizes["distance"]),
        ones=range(settings.sites + 1),
    )
    return labelled(settings, dataset)


def expected_files(settings: StudySettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    names = ["history.nc", *level_names(settings.prune.levels)]
    return ensemble_files(settings, lambda _: names, "study.nc")
