"""Error against number of weights: every method of psiprune, beside MPS of as many parameters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.threads import single_blas_thread
from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    members_of,
    over_members,
    seeds_of,
    train_all,
)
from psiprune.experiments.problem import Problem, prepare
from psiprune.experiments.recording import label
from psiprune.experiments.settings import FrontierSettings
from psiprune.io.checkpoint import checkpointing
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.run import open_run
from psiprune.metrics.against_state import (
    CONFIDENCE,
    Reference,
    exact_measures,
    fidelity,
    kl_divergence,
    relative_error,
)
from psiprune.metrics.observables import reference_observables
from psiprune.pruning.iterative import Level, fine_tuned, prune_to_count
from psiprune.pruning.rewire import rewire_steps
from psiprune.pruning.schedule import weights_kept
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.masks import NARROWEST, cluster_mask, random_mask
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.states.mps import mps_from_vector
from psiprune.training.methods import FineTuneSettings
from psiprune.training.train import Callback, initial, train

#: Pruned from one dense RBM: by which criterion, and whether fine-tuned.
PRUNED = {
    "magnitude": (PruneSettings(criterion="magnitude"), True),
    "magnitude-by-unit": (PruneSettings(criterion="magnitude-by-unit"), True),
    "damage": (PruneSettings(criterion="damage"), True),
    "surgeon": (PruneSettings(criterion="surgeon"), True),
    "random": (PruneSettings(criterion="random"), True),
    "magnitude-alone": (PruneSettings(criterion="magnitude"), False),
    "magnitude-compensated-alone": (PruneSettings(criterion="magnitude", compensate=True), False),
    "damage-alone": (PruneSettings(criterion="damage"), False),
    "surgeon-alone": (PruneSettings(criterion="surgeon"), False),
}
PAPER, CLUSTER, RANDOM = "magnitude-cd", "cluster", "random"
#: Makes an RBM of a path, or finds the one of that name which was made before.
Keep = Callable[[str, Callable[[], RBM]], RBM]


class Task(NamedTuple):
    """The RBMs of one variant and seed, from the most weights to the fewest."""

    member: Member
    variant: str
    rbms: Callable[[Callback, Keep], Iterator[RBM]]


def run_frontier(settings: FrontierSettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Make RBMs of all sizes by every method, or what of it is not done yet, and measure them.

    For each field and seed, all on the same shots:

    - magnitude-cd: the paper's: training and fine-tuning by contrastive divergence;
    - magnitude, magnitude-by-unit, damage, surgeon, random: one dense RBM of maximum likelihood,
      pruned level by level by that criterion with exact fine-tuning after each;
    - magnitude-alone, damage-alone, surgeon-alone: the same without any training;
      magnitude-compensated-alone: with half of each removed weight added to the biases;
    - cluster: `cluster_mask` of each count, trained from the start;
    - cluster-rewired, random-rewired: `cluster_mask` or `random_mask` of some counts, trained, then
      moved by `rewire_steps`;
    - surgeon-6, ...: "surgeon" from a dense RBM of so many hidden units.

    Counts are weights_kept(N N_h, 0.1, level). RBMs of another width lose 20 % a step, and so meet
    every second of these. The last two kinds have `costly_seeds` seeds. An MPS of each bond
    dimension is the exact state cut by successive SVDs. The folder holds config.toml,
    provenance.json, for each field state and shots, for each seed and method a file with its RBMs,
    and frontier.nc. While a method is at work its RBMs stand one by one in a folder of its name.

    Returns:
        A dataset over field, seed, variant and count with kl, infidelity, abs_magnetization_bias,
        ..., all by sums over all states; abs_magnetization_roe is the bias with the confidence
        interval of so many independent draws as a measurement has. mps_kl, ... are over field and
        bond. NaN where a variant has no RBM of that count.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    with open_run(folder, settings) as run:
        problems = [prepare(run, settings, field) for field in settings.fields]
        members = members_of(settings, problems)

        def train_dense(member: Member, tick: Callback) -> RBM:
            file = member.folder / "dense.nc"
            if not file.exists():
                with checkpointing(file):
                    _new(settings, member, settings.hidden_units, tick).save(file)
            return rbm_from_dataset(read_dataset(file, "rbm"), file)

        dense = train_all(train_dense, members, len(members) * settings.train.epochs)
        tasks = [task for k, m in enumerate(members) for task in _tasks(settings, m, dense[k])]
        few = members[: settings.costly_seeds * len(problems)]
        tasks += [task for member in few for task in _costly_tasks(settings, member)]
        done = train_all(_measured, tasks, _epochs(settings, tasks))
        pieces = []
        for member in members:
            own = [k for k, task in enumerate(tasks) if task.member is member]
            names = xr.Variable("variant", [tasks[k].variant for k in own])
            pieces.append(xr.concat([done[k] for k in own], dim=names, join="outer"))
        variants = list(dict.fromkeys(task.variant for task in tasks))
        dataset = over_members(settings, pieces).reindex(variant=variants)
        dataset = _complete(settings, problems, dataset)
        write_dataset(run / "frontier.nc", dataset, "frontier")
    return dataset


def _complete(
    settings: FrontierSettings, problems: Sequence[Problem], dataset: xr.Dataset
) -> xr.Dataset:
    """The measures of all RBMs with those of the MPS, the intervals and the floors beside them."""
    dataset = dataset.assign_coords(field=list(settings.fields), seed=seeds_of(settings))
    dataset = dataset.sortby("count", ascending=False).merge(_mps(settings, problems))
    error = _sampling_error(settings, problems)
    for name in ("abs_magnetization", "mps_abs_magnetization"):
        dataset[f"{name}_roe"] = dataset[f"{name}_bias"] + CONFIDENCE * error
    # What a fit of the right model to so many shots misses on average.
    by_shots = error * np.sqrt(settings.measure.draws / settings.shots)
    dataset["abs_magnetization_bias_floor"] = np.sqrt(2 / np.pi) * by_shots
    parameters = dataset["count"] + settings.sites + settings.hidden_units
    dataset["kl_floor"] = parameters / (2 * settings.shots)
    return label(dataset).assign_attrs(
        sites=settings.sites,
        hidden=settings.hidden_units,
        coupling=settings.coupling,
        limit=settings.limit,
    )


def counts_from(settings: FrontierSettings, hidden: int) -> list[int]:
    """The counts of an RBM with so many hidden units, from all its weights on."""
    total = settings.sites * settings.hidden_units
    grid = [weights_kept(total, 0.1, level) for level in range(settings.levels + 1)]
    if hidden != settings.hidden_units:
        grid = grid[1::2]
    counts = [settings.sites * hidden]
    while round(0.8 * counts[-1]) > grid[0]:
        counts.append(round(0.8 * counts[-1]))
    return counts + [count for count in dict.fromkeys(grid) if count < counts[-1]]


def _tasks(settings: FrontierSettings, member: Member, dense: RBM) -> list[Task]:
    """What is done for each seed."""
    counts = counts_from(settings, settings.hidden_units)
    tasks = [Task(member, PAPER, partial(_paper, settings, member))]
    for variant, (how, tune) in PRUNED.items():
        tuning = settings.fine_tune if tune else None
        tasks.append(Task(member, variant, partial(_path, dense, counts, how, tuning, member)))
    clusters = _clustered(settings)
    tasks.append(Task(member, CLUSTER, partial(_masked, settings, member, CLUSTER, clusters)))
    return tasks


def _costly_tasks(settings: FrontierSettings, member: Member) -> list[Task]:
    """What is done for the first seeds only."""
    moved = rewired_counts(settings)
    kinds = (CLUSTER, RANDOM) if moved else ()
    return [
        Task(member, f"{kind}-rewired", partial(_rewired, settings, member, kind, moved))
        for kind in kinds
    ] + [
        Task(member, f"surgeon-{width}", partial(_other_width, settings, member, width))
        for width in settings.other_widths
    ]


def rewired_counts(settings: FrontierSettings) -> list[int]:
    """The counts of the RBMs that are rewired."""
    counts = counts_from(settings, settings.hidden_units)
    chosen = {counts[min(level, len(counts) - 1)] for level in settings.rewired} - {counts[0]}
    return [count for count in _clustered(settings) if count in chosen]


def _clustered(settings: FrontierSettings) -> list[int]:
    """The counts of which there are connected clusters of three sites or more."""
    hidden = settings.hidden_units
    least = max(NARROWEST * hidden, hidden + settings.sites - 1)
    return [count for count in counts_from(settings, hidden) if count >= least]


def _new(
    settings: FrontierSettings,
    member: Member,
    hidden: int,
    tick: Callback,
    mask: NDArray[np.bool_] | None = None,
) -> RBM:
    """An RBM of maximum likelihood, trained from the seed's initial weights."""
    shots, training = member.problem.shots, settings.train
    start = initial(shots, hidden, member.seed, training, mask)
    return train(shots, start=start, settings=training, seed=member.seed, watch=tick)


def _path(
    rbm: RBM,
    counts: Sequence[int],
    how: PruneSettings,
    tuning: FineTuneSettings | None,
    member: Member,
    tick: Callback,
    keep: Keep,
) -> Iterator[RBM]:
    """The RBM, and after it one of each further count."""
    yield rbm
    for step, count in enumerate(counts[1:], 1):

        def make(rbm: RBM = rbm, step: int = step, count: int = count) -> RBM:
            pruned = prune_to_count(rbm, count, how, member.seed, step)
            return fine_tuned(pruned, member.problem.shots, tuning, member.seed, step, tick)

        rbm = keep(f"{count}", make)
        yield rbm


def _paper(settings: FrontierSettings, member: Member, tick: Callback, keep: Keep) -> Iterator[RBM]:
    """By magnitude, all training by contrastive divergence."""
    shots, training = member.problem.shots, settings.paper_train
    start = initial(shots, settings.hidden_units, member.seed, training)
    dense = keep(
        "dense",
        lambda: train(shots, start=start, settings=training, seed=member.seed, watch=tick),
    )
    counts = counts_from(settings, settings.hidden_units)
    yield from _path(dense, counts, PruneSettings(), settings.paper_fine_tune, member, tick, keep)


def _other_width(
    settings: FrontierSettings, member: Member, hidden: int, tick: Callback, keep: Keep
) -> Iterator[RBM]:
    """By surgeon, from a dense RBM of another number of hidden units."""
    dense = keep("dense", lambda: _new(settings, member, hidden, tick))
    how, tuning = PruneSettings(criterion="surgeon"), settings.fine_tune
    yield from _path(dense, counts_from(settings, hidden), how, tuning, member, tick, keep)


def _masked(
    settings: FrontierSettings,
    member: Member,
    kind: str,
    counts: Sequence[int],
    tick: Callback,
    keep: Keep,
) -> Iterator[RBM]:
    """RBMs trained from the start with a mask of clusters or of chance."""
    hidden, sites = settings.hidden_units, settings.sites
    for count in counts:
        if kind == CLUSTER:
            mask = cluster_mask(hidden, sites, count)
        else:
            mask = random_mask(hidden, sites, count, member.seed)
        yield keep(f"{count}", partial(_new, settings, member, hidden, tick, mask))


def _rewired(
    settings: FrontierSettings,
    member: Member,
    kind: str,
    counts: Sequence[int],
    tick: Callback,
    keep: Keep,
) -> Iterator[RBM]:
    """The same, and then rewired."""
    shots, how, tuning = member.problem.shots, settings.rewire, settings.fine_tune
    for rbm in _masked(settings, member, kind, counts, tick, keep):
        level = Level(0, rbm)
        while level.step < how.rounds:

            def make(level: Level = level) -> RBM:
                return next(rewire_steps(level, shots, how, tuning, member.seed, tick)).rbm

            name = f"{rbm.number_of_weights}-round-{level.step + 1:02d}"
            level = Level(level.step + 1, keep(name, make))
        yield level.rbm


def _measured(task: Task, tick: Callback) -> xr.Dataset:
    """The measures of a task over `count`, read from its file or made and written with its RBMs.

    Until that is written each RBM stands in a folder beside it, so a kill costs one training.
    """
    file = task.member.folder / f"{task.variant}.nc"
    parts = file.with_suffix("")
    if not file.exists():
        reference = task.member.problem.reference
        parts.mkdir(exist_ok=True)
        levels = [_described(rbm, reference) for rbm in task.rbms(tick, _kept_in(parts))]
        counts = xr.Variable("count", [int(level.attrs["count"]) for level in levels])
        path = xr.concat(levels, dim=counts, combine_attrs="drop")
        write_dataset(file, label(path), "frontier-path")
    if parts.exists():
        shutil.rmtree(parts)
    path = read_dataset(file, "frontier-path").drop_attrs()
    return path[[name for name, values in path.items() if values.dims == ("count",)]]


def _kept_in(folder: Path) -> Keep:
    def keep(name: str, make: Callable[[], RBM]) -> RBM:
        file = folder / f"{name}.nc"
        if not file.exists():
            with checkpointing(file):
                make().save(file)
        return rbm_from_dataset(read_dataset(file, "rbm"), file)

    return keep


def _described(rbm: RBM, reference: Reference) -> xr.Dataset:
    values = exact_measures(rbm, reference)._asdict()
    sizes = {"parameters": rbm.number_of_parameters, "components": rbm.components}
    kept = rbm.to_dataset().drop_attrs().assign(sizes | values)
    return kept.assign_attrs(count=rbm.number_of_weights)


@single_blas_thread()
def _mps(settings: FrontierSettings, problems: Sequence[Problem]) -> xr.Dataset:
    """The exact states cut to each bond dimension, over field and bond."""
    rows: dict[str, list[list[float]]] = {
        f"mps_{name}": [] for name in ("parameters", "kl", "infidelity", "abs_magnetization_bias")
    }
    for problem in problems:
        reference = problem.reference
        log_q = reference.log_q
        assert log_q is not None  # by the largest number of sites
        found = []
        for bond in settings.bonds:
            state = mps_from_vector(reference.state.to_vector(), max_bond=bond)
            with np.errstate(divide="ignore"):
                log_p = 2.0 * np.log(np.abs(state.to_vector()))
            own = reference_observables(state).abs_magnetization
            bias = relative_error(reference.observables.abs_magnetization, own)[1]
            overlap = fidelity(log_q, log_p)
            found.append((state.free_parameters, kl_divergence(log_q, log_p), 1 - overlap, bias))
        for name, values in zip(rows, zip(*found, strict=True), strict=True):
            rows[name].append(list(values))
    variables = {name: (("field", "bond"), np.array(values)) for name, values in rows.items()}
    coordinates = {"field": list(settings.fields), "bond": list(settings.bonds)}
    return xr.Dataset(variables, coordinates)


def _sampling_error(settings: FrontierSettings, problems: Sequence[Problem]) -> xr.DataArray:
    """Relative standard error of <|m|> from independent draws of the exact state, over field."""
    errors = []
    for problem in problems:
        m = problem.reference.observables.abs_magnetization
        errors.append(float(m.deviation) / np.sqrt(settings.measure.draws) / float(m.value))
    return xr.DataArray(errors, {"field": list(settings.fields)}, "field")


def _epochs(settings: FrontierSettings, tasks: Sequence[Task]) -> int:
    """For the bar: at most so many, as exact training ends when it has converged."""
    levels, tuned, new = settings.levels, settings.fine_tune.epochs, settings.train.epochs
    total = 0
    for task in tasks:
        if task.variant == PAPER:
            total += settings.paper_train.epochs + levels * settings.paper_fine_tune.epochs
        elif task.variant == CLUSTER:
            total += levels * new
        elif task.variant.endswith("-rewired"):
            total += len(settings.rewired) * (new + settings.rewire.rounds * tuned)
        elif not task.variant.endswith("-alone"):
            total += levels * tuned
    return total


def expected_files(settings: FrontierSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    rewired = [f"{kind}-rewired" for kind in (CLUSTER, RANDOM)] if rewired_counts(settings) else []
    costly = [*rewired, *(f"surgeon-{width}" for width in settings.other_widths)]

    def names(k: int) -> list[str]:
        variants = ["dense", PAPER, *PRUNED, CLUSTER]
        return [
            f"{variant}.nc" for variant in variants + (costly if k < settings.costly_seeds else [])
        ]

    return ensemble_files(settings, names, "frontier.nc")
