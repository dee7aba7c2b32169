"""The methods of the frontier: which RBMs each of them trains, prunes or rewires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.experiments.cache import cached, cached_training
from psiprune.experiments.ensemble import Member
from psiprune.experiments.settings import FrontierSettings
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.iterative import Level, fine_tuned, prune_to_count
from psiprune.pruning.rewire import rewire_step
from psiprune.pruning.schedule import weights_kept
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.masks import NARROWEST, cluster_mask, random_mask
from psiprune.rbm.model import RBM
from psiprune.rbm.scale_free import scale_free_mask
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.method import Method
from psiprune.training.train import Callback, new_rbm, train

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
PAPER, CLUSTER, RANDOM, SCALE_FREE = "magnitude-cd", "cluster", "random", "scale-free"


class Task(NamedTuple):
    """The RBMs of one variant and seed, from the most weights to the fewest.

    `epochs` is how many their training takes at most: exact training ends when it has converged.
    """

    member: Member
    variant: str
    epochs: int
    rbms: Callable[[Trainer], Iterator[RBM]]

    def __str__(self) -> str:
        """Return member and variant, as warnings name the RBMs."""
        return f"{self.member}, {self.variant}"


def tasks_of(settings: FrontierSettings, member: Member, dense: RBM) -> list[Task]:
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
    for kind, sizes in ((CLUSTER, _clustered(settings)), (SCALE_FREE, _connected(settings))):
        masked = partial(Trainer.masked, kind=kind, counts=sizes)
        tasks.append(Task(member, kind, levels * settings.train.epochs, masked))
    return tasks


def costly_tasks_of(settings: FrontierSettings, member: Member) -> list[Task]:
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


def rewired_counts(settings: FrontierSettings) -> list[int]:
    """Return the counts of the RBMs that are rewired."""
    counts = counts_from(settings, settings.hidden_units)
    chosen = {counts[min(level, len(counts) - 1)] for level in settings.rewired} - {counts[0]}
    return [count for count in _clustered(settings) if count in chosen]


def _clustered(settings: FrontierSettings) -> list[int]:
    """Return the counts for which connected clusters of three sites or more exist."""
    least = NARROWEST * settings.hidden_units
    return [count for count in _connected(settings) if count >= least]


def _connected(settings: FrontierSettings) -> list[int]:
    """Return the counts that connect all units."""
    hidden = settings.hidden_units
    least = hidden + settings.sites - 1
    return [count for count in counts_from(settings, hidden) if count >= least]


@dataclass(frozen=True)
class Trainer:
    """Trains the RBMs of one variant and seed.

    Attributes:
        settings: of the run.
        member: the seed, in its phase.
        folder: of the RBMs, one file each.
        callback: called after each epoch.
        warned: training warnings of its RBMs so far.
    """

    settings: FrontierSettings
    member: Member
    folder: Path
    callback: Callback
    warned: list[str] = field(default_factory=list)

    def cached(self, name: str, make: Callable[[Checkpoints], RBM]) -> RBM:
        """Read an RBM from NAME.nc; make and write it first if that is missing."""
        file = self.folder / f"{name}.nc"
        return rbm_from_dataset(
            cached(file, lambda checkpoints: make(checkpoints).to_dataset()), file
        )

    def trained(self, name: str, make: Callable[[Checkpoints], RBM]) -> RBM:
        """Do the same for an RBM from `train`, and note what that warned of."""
        file = self.folder / f"{name}.nc"
        dataset = cached_training(file, lambda checkpoints: make(checkpoints).to_dataset())
        if "training_warnings" in dataset.attrs:
            self.warned.append(str(dataset.attrs["training_warnings"]))
        return rbm_from_dataset(dataset, file)

    def new(
        self,
        checkpoints: Checkpoints,
        hidden: int,
        mask: NDArray[np.bool_] | None = None,
        training: Method | None = None,
    ) -> RBM:
        """Train an RBM from the seed's initial weights, by exact training if not given."""
        shots, seed = self.member.problem.shots, self.member.seed
        training = self.settings.train if training is None else training
        start = new_rbm(shots, hidden, seed, self.settings.initial, mask)
        return train(
            shots,
            start=start,
            method=training,
            seed=seed,
            callback=self.callback,
            checkpoints=checkpoints,
        )

    def dense(self, hidden: int, training: Method | None = None) -> RBM:
        """Return the RBM with all weights, from dense.nc."""
        return self.trained("dense", partial(self.new, hidden=hidden, training=training))

    def pruned(
        self, rbm: RBM, counts: Sequence[int], how: PruneSettings, tuning: Method | None
    ) -> Iterator[RBM]:
        """Yield the RBM, and after it one of each further count."""
        shots, seed = self.member.problem.shots, self.member.seed
        yield rbm
        for step, count in enumerate(counts[1:], 1):

            def make(
                checkpoints: Checkpoints, rbm: RBM = rbm, step: int = step, count: int = count
            ) -> RBM:
                pruned = prune_to_count(rbm, count, how, seed, step)
                return fine_tuned(
                    pruned, shots, tuning, seed, step, self.callback, checkpoints=checkpoints
                )

            rbm = self.cached(f"{count}", make)
            yield rbm

    def paper(self) -> Iterator[RBM]:
        """Prune by magnitude, with all training by contrastive divergence."""
        hidden, tuning = self.settings.hidden_units, self.settings.paper_fine_tune
        dense = self.dense(hidden, self.settings.paper_train)
        return self.pruned(dense, counts_from(self.settings, hidden), PruneSettings(), tuning)

    def other_width(self, hidden: int) -> Iterator[RBM]:
        """Prune by surgeon from a dense RBM of another number of hidden units."""
        how, counts = PruneSettings(criterion="surgeon"), counts_from(self.settings, hidden)
        return self.pruned(self.dense(hidden), counts, how, self.settings.fine_tune)

    def masked(self, kind: str, counts: Sequence[int]) -> Iterator[RBM]:
        """Train RBMs from the start with a mask of clusters, a scale-free or a random one."""
        hidden, sites = self.settings.hidden_units, self.settings.sites
        for count in counts:
            if kind == CLUSTER:
                mask = cluster_mask(hidden, sites, count)
            elif kind == SCALE_FREE:
                mask = scale_free_mask(sites, hidden, weights=count)
            else:
                mask = random_mask(hidden, sites, count, self.member.seed)
            yield self.trained(f"{count}", partial(self.new, hidden=hidden, mask=mask))

    def rewired(self, kind: str, counts: Sequence[int]) -> Iterator[RBM]:
        """Train the same RBMs, and rewire each."""
        shots, seed = self.member.problem.shots, self.member.seed
        how, tuning = self.settings.rewire, self.settings.fine_tune
        for rbm in self.masked(kind, counts):
            level = Level(0, rbm)
            while level.step < how.rounds:

                def make(checkpoints: Checkpoints, level: Level = level) -> RBM:
                    return rewire_step(
                        level, shots, how, tuning, seed, self.callback, checkpoints
                    ).rbm

                name = f"{rbm.number_of_weights}-round-{level.step + 1:02d}"
                level = Level(level.step + 1, self.cached(name, make))
            yield level.rbm
