"""The paper's central experiment (its Fig. 2): train, prune step by step, measure the damage."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from tqdm import tqdm

from psiprune.config import StudySettings
from psiprune.dmrg import ground_state
from psiprune.errors import Reference, reference_of
from psiprune.experiments.measured import label, measured_level, train_with_history
from psiprune.experiments.path import run_path
from psiprune.files import read_dataset, write_dataset
from psiprune.inputs import InputError
from psiprune.mps import load_mps, sample
from psiprune.observables import data_observables
from psiprune.parallel import in_threads
from psiprune.pruning import Level
from psiprune.rbm import RBM, initial_rbm
from psiprune.runs import open_run
from psiprune.shots import Shots, check_sites, read_shots
from psiprune.tfim import TFIM
from psiprune.training import Progress, Watch


class Problem(NamedTuple):
    """One phase: the exact state, what is known of it, and the training set."""

    field: float
    reference: Reference
    shots: Shots


def run_study(settings: StudySettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Run the study, or what of it is not done yet, and return its dataset.

    The folder holds config.toml, provenance.json, for each field the ground state and the shots,
    for each RBM the history of its training and every level (RBM and measures), and study.nc.

    Returns:
        A dataset over field, seed, level, distance and epoch. Sampled measures stand with
        `_error` and `_floor` beside them; names in `_exact` are sums over all states.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    with open_run(folder, settings) as run:
        problems = [_prepare(run, settings, field) for field in settings.fields]
        members = [
            (problem, settings.seed + k) for k in range(settings.seeds) for problem in problems
        ]
        stop = threading.Event()
        epochs = settings.train.epochs + settings.prune.levels * settings.fine_tune.epochs
        with tqdm(
            total=len(members) * epochs, desc="training", unit=" epochs", disable=None
        ) as bar:

            def tick(_: Progress) -> None:
                bar.update()
                if stop.is_set():
                    raise KeyboardInterrupt

            def run_member(member: tuple[Problem, int]) -> xr.Dataset:
                return _run_member(run, settings, *member, tick)

            pieces = in_threads(run_member, members, stop)
        dataset = _assemble(settings, problems, pieces)
        write_dataset(run / "study.nc", dataset, "study")
    return dataset


def _prepare(run: Path, settings: StudySettings, field: float) -> Problem:
    """Ground state and training set of a field, made by DMRG or read from an earlier start."""
    folder = run / f"h={field:g}"
    folder.mkdir(exist_ok=True)
    model = TFIM(sites=settings.sites, field=field, coupling=settings.coupling)
    if not (folder / "state.nc").exists():
        ground_state(model).save(folder / "state.nc")
    state = load_mps(folder / "state.nc")
    if state.model != model:
        raise InputError(f"{folder / 'state.nc'}: not the state of this run; delete it")
    if not (folder / "shots.nc").exists():
        sample(state, settings.shots, seed=settings.seed).save(folder / "shots.nc")
    shots = check_sites(read_shots(folder / "shots.nc"), state.sites, "the state")
    return Problem(field, reference_of(state), shots)


def _run_member(
    run: Path, settings: StudySettings, problem: Problem, seed: int, tick: Watch
) -> xr.Dataset:
    """Train, prune and measure one RBM; its history over `epoch` and its measures over `level`."""
    folder = run / f"h={problem.field:g}" / f"seed-{seed}"
    folder.mkdir(exist_ok=True)

    def dense() -> RBM:
        rbm, history = train_with_history(
            initial_rbm(settings.sites, settings.hidden_units, seed),
            problem.shots,
            settings.train,
            seed,
            problem.reference,
            settings.history_every,
            max(100, settings.measure.draws // 10),  # a history needs less than a level
            tick,
        )
        write_dataset(folder / "history.nc", history, "history")
        return rbm

    def describe(level: Level) -> xr.Dataset:
        return measured_level(level, problem.reference, settings.measure.draws, seed)

    levels = run_path(
        folder, dense, problem.shots, settings.prune, settings.fine_tune, seed, describe, tick
    )
    measures = [level.drop_dims(["hidden", "visible"]) for level in levels]
    file = folder / "history.nc"
    if not file.exists():
        raise InputError(f"{file}: is missing; delete {folder} as well, to train this RBM again")
    history = read_dataset(file, "history")
    return xr.merge([xr.concat(measures, dim="level", join="outer"), history]).drop_attrs()


def _assemble(
    settings: StudySettings, problems: list[Problem], pieces: list[xr.Dataset]
) -> xr.Dataset:
    """All RBMs of all fields, with the reference and the training set's own values beside them."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    rows = [
        xr.concat(pieces[k * len(problems) : (k + 1) * len(problems)], dim="field", join="outer")
        for k in range(len(seeds))
    ]
    dataset = xr.concat(rows, dim="seed", join="outer").transpose("field", "seed", "level", ...)
    truth = [problem.reference.observables for problem in problems]
    data = [data_observables(problem.shots.bits) for problem in problems]
    beside: dict[str, object] = {}
    for name in ("energy", "abs_magnetization", "correlation"):
        values = np.array([getattr(observables, name).value for observables in truth])
        beside[f"{name}_reference"] = (("field", "distance")[: values.ndim], values)
    for name in ("magnetization", "abs_magnetization", "correlation"):
        values = np.array([observables[name].value for observables in data])
        beside[f"{name}_data"] = (("field", "distance")[: values.ndim], values)
    dataset = dataset.assign(beside).assign_coords(
        field=list(settings.fields),
        seed=list(seeds),
        level=range(settings.prune.levels + 1),
        distance=range(dataset.sizes["distance"]),
    )
    return label(dataset).assign_attrs(
        sites=settings.sites, hidden=settings.hidden_units, coupling=settings.coupling
    )
