"""Error against number of weights: every pruning method, and MPS of as many parameters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    label,
    labelled,
    members_of,
    over_members,
    run_parallel,
)
from psiprune.experiments.frontier_methods import (
    PAPER,
    PRUNED,
    FrontierTrainer,
    Task,
    costly_tasks_of,
    rewired_counts,
    tasks_of,
)
from psiprune.experiments.mask_kinds import CLUSTER, RANDOM, SCALE_FREE
from psiprune.experiments.named_warnings import repeat_warnings
from psiprune.experiments.problem import Problem, prepare
from psiprune.experiments.settings import FrontierSettings
from psiprune.experiments.truncated import truncated_states
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.measure import CONFIDENCE
from psiprune.metrics.reference import Reference
from psiprune.rbm.model import RBM
from psiprune.training.train import Callback


def run_frontier(
    settings: FrontierSettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Compute RBMs of all sizes by every method; what the folder holds already is only read.

    For each field and seed, all on the same shots:

    - magnitude-cd: the paper's: training and fine-tuning by contrastive divergence;
    - magnitude, magnitude-by-unit, damage, surgeon, random: one dense RBM of maximum likelihood,
      pruned level by level by that criterion with exact fine-tuning after each;
    - magnitude-alone, damage-alone, surgeon-alone: the same without any training;
      magnitude-compensated-alone: with half of each removed weight added to the biases;
    - cluster, scale-free: `cluster_mask` or `scale_free_mask` of each count, trained from the
      start;
    - cluster-rewired, random-rewired: `cluster_mask` or `random_mask` of some counts, trained, then
      moved by `rewire`;
    - surgeon-6, ...: "surgeon" from a dense RBM of so many hidden units.

    Counts are weights_kept(N N_h, 0.1, level). RBMs of another width lose 20 % a step, and so meet
    every second of these. The last two kinds have `costly_seeds` seeds. An MPS of each bond
    dimension is the exact state truncated by successive SVDs. The folder holds config.toml,
    provenance.json, for each field state and shots, for each seed and method a file with its RBMs,
    and frontier.nc. Until a method is finished its RBMs are in a folder of its name, one by one.

    Returns:
        A dataset over field, seed, variant and count with kl, infidelity, abs_magnetization_bias,
        ..., all by sums over all states; abs_magnetization_roe is the bias with the confidence
        interval of so many independent draws as a measurement has. mps_kl, ... are over field and
        bond. NaN where a variant has no RBM of that count.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; finished files stay.
    """
    settings = settings.for_size()
    with open_run(folder, settings) as run:
        problems = prepare(run, settings)
        members = members_of(settings, problems)

        def train_dense(member: Member, callback: Callback) -> RBM:
            trainer = FrontierTrainer(settings, member, member.folder, callback)
            return trainer.dense(settings.hidden_units)

        epochs = len(members) * settings.train.epochs
        dense = run_parallel(train_dense, members, epochs, progress=progress)
        tasks = [task for k, m in enumerate(members) for task in tasks_of(settings, m, dense[k])]
        few = members[: settings.costly_seeds * len(problems)]
        tasks += [task for member in few for task in costly_tasks_of(settings, member)]
        epochs = sum(task.epochs for task in tasks)
        paths = run_parallel(partial(_measured, settings), tasks, epochs, progress=progress)
        pieces = []
        for member in members:
            chosen = [k for k, task in enumerate(tasks) if task.member is member]
            names = xr.Variable("variant", [tasks[k].variant for k in chosen])
            pieces.append(xr.concat([paths[k] for k in chosen], dim=names, join="outer"))
        variants = list(dict.fromkeys(task.variant for task in tasks))
        dataset = over_members(settings, pieces).reindex(variant=variants)
        dataset = _complete(settings, problems, dataset)
        write_dataset(run / "frontier.nc", dataset, "frontier")
    return dataset


def _complete(
    settings: FrontierSettings, problems: Sequence[Problem], dataset: xr.Dataset
) -> xr.Dataset:
    """Add the measures of the MPS, the confidence intervals and the floors."""
    dataset = dataset.sortby("count", ascending=False).merge(
        truncated_states(problems, settings.bonds)
    )
    error = _sampling_error(settings, problems)
    for name in ("abs_magnetization", "mps_abs_magnetization"):
        dataset[f"{name}_roe"] = dataset[f"{name}_bias"] + CONFIDENCE * error
    # The mean error of fits of the right model to so many shots.
    by_shots = error * np.sqrt(settings.measure.draws / settings.shots)
    dataset["abs_magnetization_bias_floor"] = np.sqrt(2 / np.pi) * by_shots
    parameters = dataset["count"] + settings.sites + settings.hidden_units
    dataset["kl_floor"] = parameters / (2 * settings.shots)
    return labelled(settings, dataset, limit=settings.limit)


def _measured(settings: FrontierSettings, task: Task, callback: Callback) -> xr.Dataset:
    """Return the measures of a task over `count`, from a file that also holds its RBMs.

    Until that is written each RBM has a file in a folder of the task, so a kill costs one training.
    """
    file = task.member.folder / f"{task.variant}.nc"
    parts = file.with_suffix("")
    known = file.exists()
    if not known:
        reference = task.member.problem.reference
        parts.mkdir(exist_ok=True)
        trainer = FrontierTrainer(settings, task.member, parts, callback)
        levels = [_described(rbm, reference) for rbm in task.rbms(trainer)]
        counts = xr.Variable("count", [int(level.attrs["count"]) for level in levels])
        path = xr.concat(levels, dim=counts, combine_attrs="drop")
        if trainer.warned:
            path = path.assign_attrs(training_warnings="\n".join(trainer.warned))
        write_dataset(file, label(path), "frontier-path")
    if parts.exists():
        shutil.rmtree(parts)
    path = read_dataset(file, "frontier-path")
    if known:
        repeat_warnings(path.attrs)
    path = path.drop_attrs()
    return path[[name for name, values in path.items() if values.dims == ("count",)]]


def _described(rbm: RBM, reference: Reference) -> xr.Dataset:
    values = exact_metrics(rbm, reference)._asdict()
    sizes = {"parameters": rbm.number_of_parameters, "components": rbm.components}
    dataset = rbm.to_dataset().drop_attrs().assign(sizes | values)
    return dataset.assign_attrs(count=rbm.number_of_weights)


def _sampling_error(settings: FrontierSettings, problems: Sequence[Problem]) -> xr.DataArray:
    """Return the relative standard error of <|m|> from independent draws of each exact state.

    NaN where <|m|> is 0.
    """
    moments = [problem.reference.observables.abs_magnetization for problem in problems]
    draws = np.sqrt(settings.measure.draws)
    errors = [float(m.deviation) / draws / (float(m.value) or np.nan) for m in moments]
    return xr.DataArray(errors, {"field": list(settings.fields)}, "field")


def expected_files(settings: FrontierSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    rewired = [f"{kind}-rewired" for kind in (CLUSTER, RANDOM)] if rewired_counts(settings) else []
    costly = [*rewired, *(f"surgeon-{width}" for width in settings.other_widths)]

    def names(k: int) -> list[str]:
        variants = ["dense", PAPER, *PRUNED, CLUSTER, SCALE_FREE]
        return [
            f"{variant}.nc" for variant in variants + (costly if k < settings.costly_seeds else [])
        ]

    return ensemble_files(settings, names, "frontier.nc")
