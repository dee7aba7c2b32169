"""The paper's central experiment (its Fig. 2): train, prune step by step, measure the damage."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

from psiprune.config import StudySettings
from psiprune.experiments.ensemble import (
    Member,
    members_of,
    over_members,
    seeds_of,
    train_all,
)
from psiprune.experiments.measured import OBSERVED, label, measured_level, train_with_history
from psiprune.experiments.path import run_path
from psiprune.experiments.problem import Problem, prepare
from psiprune.files import read_dataset, write_dataset
from psiprune.inputs import InputError
from psiprune.observables import data_observables
from psiprune.pruning import Level
from psiprune.rbm import RBM
from psiprune.runs import open_run
from psiprune.training import Watch, initial


def run_study(settings: StudySettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Run the study, or what of it is not done yet, and return its dataset.

    The folder holds config.toml, provenance.json, for each field the ground state and the shots,
    for each RBM the history of its training and every level (RBM and measures), and study.nc.

    Returns:
        A dataset over field, seed, level, distance, ones and epoch. Sampled measures stand with
        `_error` and `_floor` beside them; names in `_exact` are sums over all states.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    with open_run(folder, settings) as run:
        settings = settings.for_size()
        problems = [prepare(run, settings, field) for field in settings.fields]
        members = members_of(settings, problems)
        epochs = settings.train.epochs + settings.prune.levels * settings.fine_tune.epochs
        pieces = train_all(partial(_run_member, settings), members, len(members) * epochs)
        dataset = assemble(settings, problems, seeds_of(settings), pieces)
        write_dataset(run / "study.nc", dataset, "study")
    return dataset


def _run_member(settings: StudySettings, member: Member, tick: Watch) -> xr.Dataset:
    """Train, prune and measure one RBM; its history over `epoch` and its measures over `level`."""
    file = member.folder / "history.nc"

    def dense() -> RBM:
        rbm, history = train_dense(settings, member, tick)
        write_dataset(file, history, "history")
        return rbm

    levels = prune_dense(settings, member, dense, tick)
    if not file.exists():
        raise InputError(
            f"{file}: is missing; delete {member.folder} as well, to train this RBM again"
        )
    return one_member(levels, read_dataset(file, "history"))


def train_dense(settings: StudySettings, member: Member, tick: Watch) -> tuple[RBM, xr.Dataset]:
    """The dense RBM of a seed, and its history over `epoch`."""
    shots = member.problem.shots
    return train_with_history(
        initial(shots, settings.hidden_units, member.seed, settings.train),
        shots,
        settings.train,
        member.seed,
        member.problem.reference,
        settings.history_every,
        max(100, settings.measure.draws // 10),  # a history needs less than a level
        tick,
    )


def prune_dense(
    settings: StudySettings, member: Member, dense: Callable[[], RBM], tick: Watch
) -> list[xr.Dataset]:
    """All levels of an RBM's path with their measures, kept in the member's folder."""
    problem, seed, folder = member

    def describe(level: Level) -> xr.Dataset:
        return measured_level(level, problem.reference, settings.measure.draws, seed)

    return run_path(
        folder, dense, problem.shots, settings.prune, settings.fine_tune, seed, describe, tick
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
