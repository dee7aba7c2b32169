"""Error against number of weights: every pruning method, and MPS of as many parameters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.threads import single_blas_thread
from psiprune.experiments.cache import cached
from psiprune.experiments.ensemble import (
    Member,
    label,
    labelled,
    members_of,
    over_members,
    run_parallel,
)
from psiprune.experiments.problem import Problem, prepare
from psiprune.experiments.settings import FrontierSettings
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
from psiprune.training.methods import FineTuneSettings, TrainSettings
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


class Task(NamedTuple):
    """The RBMs of one variant and seed, from the most weights to the fewest.

    `epochs` is how many their training takes at most: exact training ends when it has converged.
    """

    member: Member
    variant: str
    epochs: int
    rbms: Callable[[Trainer], Iterator[RBM]]


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
    - cluster: `cluster_mask` of each count, trained from the start;
    - cluster-rewired, random-rewired: `cluster_mask` or `random_mask` of some counts, trained, then
      moved by `rewire_steps`;
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
    with open_run(folder, settings) as run:
        problems = prepare(run, settings)
        members = members_of(settings, problems)

        def train_dense(member: Member, callback: Callback) -> RBM:
            trainer = Trainer(settings, member, member.folder, callback)
            return trainer.cached("dense", lambda: trainer.new(settings.hidden_units))

        epochs = len(members) * settings.train.epochs
        dense = run_parallel(train_dense, members, epochs, progress=progress)
        tasks = [task for k, m in enumerate(members) for task in _tasks(settings, m, dense[k])]
        few = members[: settings.costly_seeds * len(problems)]
        tasks += [task for member in few for task in _costly_tasks(settings, member)]
        paths = run_parallel(
            partial(_measured, settings),
            tasks,
            sum(task.epochs for task in tasks),
            progress=progress,
        )
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
    dataset = dataset.sortby("count", ascending=False).merge(_mps(settings, problems))
    error = _sampling_error(settings, problems)
    for name in ("abs_magnetization", "mps_abs_magnetization"):
        dataset[f"{name}_roe"] = dataset[f"{name}_bias"] + CONFIDENCE * error
    # The mean error of fits of the right model to so many shots.
    by_shots = error * np.sqrt(settings.measure.draws / settings.shots)
    dataset["abs_magnetization_bias_floor"] = np.sqrt(2 / np.pi) * by_shots
    parameters = dataset["count"] + settings.sites + settings.hidden_units
    dataset["kl_floor"] = parameters / (2 * settings.shots)
    return labelled(settings, dataset, limit=settings.limit)


def counts_from(settings: FrontierSettings, hidden: int) -> list[int]:
    """Return the counts of an RBM with `hidden` hidden units, beginning with all its weights."""
    total = settings.sites * settings.hidden_units
    grid = [weights_kept(total, 0.1, level) for level in range(settings.levels + 1)]
    if hidden != settings.hidden_units:
        grid = grid[1::2]
    counts = [settings.sites * hidden]
    while round(0.8 * counts[-1]) > grid[0]:
        counts.append(round(0.8 * counts[-1]))
    return counts + [count for count in dict.fromkeys(grid) if count < counts[-1]]


def _tasks(settings: FrontierSettings, member: Member, dense: RBM) -> list[Task]:
    """Return the tasks of each seed."""
    levels, training, tuning = settings.levels, settings.paper_train, settings.paper_fine_tune
    epochs = training.epochs + levels * tuning.epochs
    tasks = [Task(member, PAPER, epochs, Trainer.paper)]
    counts = counts_from(settings, settings.hidden_units)
    for variant, (how, tuned) in PRUNED.items():
        exact = settings.fine_tune if tuned else None
        epochs = 0 if exact is None else levels * exact.epochs
        pruned = partial(Trainer.pruned, rbm=dense, counts=counts, how=how, tuning=exact)
        tasks.append(Task(member, variant, epochs, pruned))
    masked = partial(Trainer.masked, kind=CLUSTER, counts=_clustered(settings))
    return [*tasks, Task(member, CLUSTER, levels * settings.train.epochs, masked)]


def _costly_tasks(settings: FrontierSettings, member: Member) -> list[Task]:
    """Return the tasks of the first seeds only."""
    moved, tuned = rewired_counts(settings), settings.fine_tune.epochs
    rewired = len(settings.rewired) * (settings.train.epochs + settings.rewire.rounds * tuned)
    return [
        Task(member, f"{kind}-rewired", rewired, partial(Trainer.rewired, kind=kind, counts=moved))
        for kind in (CLUSTER, RANDOM)
        if moved
    ] + [
        Task(
            member,
            f"surgeon-{width}",
            settings.levels * tuned,
            partial(Trainer.other_width, hidden=width),
        )
        for width in settings.other_widths
    ]


def rewired_counts(settings: FrontierSettings) -> list[int]:
    """Return the counts of the RBMs that are rewired."""
    counts = counts_from(settings, settings.hidden_units)
    chosen = {counts[min(level, len(counts) - 1)] for level in settings.rewired} - {counts[0]}
    return [count for count in _clustered(settings) if count in chosen]


def _clustered(settings: FrontierSettings) -> list[int]:
    """Return the counts for which connected clusters of three sites or more exist."""
    hidden = settings.hidden_units
    least = max(NARROWEST * hidden, hidden + settings.sites - 1)
    return [count for count in counts_from(settings, hidden) if count >= least]


@dataclass(frozen=True)
class Trainer:
    """Trains the RBMs of one variant and seed.

    Attributes:
        settings: of the run.
        member: the seed, in its phase.
        folder: of the RBMs, one file each.
        callback: called after each epoch.
    """

    settings: FrontierSettings
    member: Member
    folder: Path
    callback: Callback

    def cached(self, name: str, make: Callable[[], RBM]) -> RBM:
        """Read an RBM from NAME.nc; make and write it first if that is missing."""
        file = self.folder / f"{name}.nc"
        return rbm_from_dataset(cached(file, lambda: make().to_dataset()), file)

    def new(
        self,
        hidden: int,
        mask: NDArray[np.bool_] | None = None,
        training: TrainSettings | None = None,
    ) -> RBM:
        """Train an RBM from the seed's initial weights, by exact training if not given."""
        shots, seed = self.member.problem.shots, self.member.seed
        training = self.settings.train if training is None else training
        start = initial(shots, hidden, seed, training, mask)
        return train(shots, start=start, settings=training, seed=seed, watch=self.callback)

    def pruned(
        self, rbm: RBM, counts: Sequence[int], how: PruneSettings, tuning: FineTuneSettings | None
    ) -> Iterator[RBM]:
        """Yield the RBM, and after it one of each further count."""
        shots, seed = self.member.problem.shots, self.member.seed
        yield rbm
        for step, count in enumerate(counts[1:], 1):

            def make(rbm: RBM = rbm, step: int = step, count: int = count) -> RBM:
                pruned = prune_to_count(rbm, count, how, seed, step)
                return fine_tuned(pruned, shots, tuning, seed, step, self.callback)

            rbm = self.cached(f"{count}", make)
            yield rbm

    def paper(self) -> Iterator[RBM]:
        """Prune by magnitude, with all training by contrastive divergence."""
        hidden, training = self.settings.hidden_units, self.settings.paper_train
        dense = self.cached("dense", lambda: self.new(hidden, training=training))
        counts = counts_from(self.settings, hidden)
        return self.pruned(dense, counts, PruneSettings(), self.settings.paper_fine_tune)

    def other_width(self, hidden: int) -> Iterator[RBM]:
        """Prune by surgeon from a dense RBM of another number of hidden units."""
        dense = self.cached("dense", lambda: self.new(hidden))
        how, counts = PruneSettings(criterion="surgeon"), counts_from(self.settings, hidden)
        return self.pruned(dense, counts, how, self.settings.fine_tune)

    def masked(self, kind: str, counts: Sequence[int]) -> Iterator[RBM]:
        """Train RBMs from the start with a mask of clusters or a random one."""
        hidden, sites = self.settings.hidden_units, self.settings.sites
        for count in counts:
            if kind == CLUSTER:
                mask = cluster_mask(hidden, sites, count)
            else:
                mask = random_mask(hidden, sites, count, self.member.seed)
            yield self.cached(f"{count}", partial(self.new, hidden, mask))

    def rewired(self, kind: str, counts: Sequence[int]) -> Iterator[RBM]:
        """Train the same RBMs, and rewire each."""
        shots, seed = self.member.problem.shots, self.member.seed
        how, tuning = self.settings.rewire, self.settings.fine_tune
        for rbm in self.masked(kind, counts):
            level = Level(0, rbm)
            while level.step < how.rounds:

                def make(level: Level = level) -> RBM:
                    return next(rewire_steps(level, shots, how, tuning, seed, self.callback)).rbm

                name = f"{rbm.number_of_weights}-round-{level.step + 1:02d}"
                level = Level(level.step + 1, self.cached(name, make))
            yield level.rbm


def _measured(settings: FrontierSettings, task: Task, callback: Callback) -> xr.Dataset:
    """Return the measures of a task over `count`, from a file that also holds its RBMs.

    Until that is written each RBM has a file in a folder of the task, so a kill costs one training.
    """
    file = task.member.folder / f"{task.variant}.nc"
    parts = file.with_suffix("")
    if not file.exists():
        reference = task.member.problem.reference
        parts.mkdir(exist_ok=True)
        trainer = Trainer(settings, task.member, parts, callback)
        levels = [_described(rbm, reference) for rbm in task.rbms(trainer)]
        counts = xr.Variable("count", [int(level.attrs["count"]) for level in levels])
        path = xr.concat(levels, dim=counts, combine_attrs="drop")
        write_dataset(file, label(path), "frontier-path")
    if parts.exists():
        shutil.rmtree(parts)
    path = read_dataset(file, "frontier-path").drop_attrs()
    return path[[name for name, values in path.items() if values.dims == ("count",)]]


def _described(rbm: RBM, reference: Reference) -> xr.Dataset:
    values = exact_measures(rbm, reference)._asdict()
    sizes = {"parameters": rbm.number_of_parameters, "components": rbm.components}
    dataset = rbm.to_dataset().drop_attrs().assign(sizes | values)
    return dataset.assign_attrs(count=rbm.number_of_weights)


@single_blas_thread()
def _mps(settings: FrontierSettings, problems: Sequence[Problem]) -> xr.Dataset:
    """Return the measures of the exact states truncated to each bond dimension."""
    names = ("parameters", "kl", "infidelity", "abs_magnetization_bias")
    rows = []
    for problem in problems:
        reference = problem.reference
        assert reference.log_q is not None  # by the largest number of sites
        for bond in settings.bonds:
            state = mps_from_vector(reference.state.to_vector(), max_bond=bond)
            with np.errstate(divide="ignore"):
                log_p = 2.0 * np.log(np.abs(state.to_vector()))
            m = reference_observables(state).abs_magnetization
            rows.append(
                (
                    state.free_parameters,
                    kl_divergence(reference.log_q, log_p),
                    1 - fidelity(reference.log_q, log_p),
                    relative_error(reference.observables.abs_magnetization, m)[1],
                )
            )
    shape = (len(problems), len(settings.bonds))
    return xr.Dataset(
        {
            f"mps_{name}": (("field", "bond"), np.reshape(values, shape))
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        },
        {"field": list(settings.fields), "bond": list(settings.bonds)},
    )


def _sampling_error(settings: FrontierSettings, problems: Sequence[Problem]) -> xr.DataArray:
    """Return the relative standard error of <|m|> from independent draws of each exact state."""
    moments = [problem.reference.observables.abs_magnetization for problem in problems]
    draws = np.sqrt(settings.measure.draws)
    errors = [float(m.deviation) / draws / float(m.value) for m in moments]
    return xr.DataArray(errors, {"field": list(settings.fields)}, "field")
