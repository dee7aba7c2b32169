"""The methods of the frontier: which RBMs each of them trains, prunes or rewires."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from psiprune.experiments.ensemble import Member
from psiprune.experiments.mask_kinds import (
    CLUSTER,
    RANDOM,
    SCALE_FREE,
    constructed_mask,
    least_weights,
)
from psiprune.experiments.settings import FrontierSettings
from psiprune.experiments.trainer import Trainer
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.iterative import Level
from psiprune.pruning.rewire import rewire_step
from psiprune.pruning.schedule import weights_kept
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM

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
PAPER = "magnitude-cd"


class Task(NamedTuple):
    """The RBMs of one variant and seed, from the most weights to the fewest.

    `epochs` is how many their training takes at most: exact training ends when it has converged.
    """

    member: Member
    variant: str
    epochs: int
    rbms: Callable[[FrontierTrainer], Iterator[RBM]]

    def __str__(self) -> str:
        """Return member and variant, as warnings name the RBMs."""
        return f"{self.member}, {self.variant}"


def tasks_of(settings: FrontierSettings, member: Member, dense: RBM) -> list[Task]:
    """Return the tasks of each seed."""
    levels, training, tuning = settings.levels, settings.paper_train, settings.paper_fine_tune
    epochs = training.epochs + levels * tuning.epochs
    tasks = [Task(member, PAPER, epochs, FrontierTrainer.paper)]
    counts = counts_from(settings, settings.hidden_units)
    for variant, (how, tuned) in PRUNED.items():
        exact = settings.fine_tune if tuned else None
        epochs = 0 if exact is None else levels * exact.epochs
        pruned = partial(FrontierTrainer.pruned, rbm=dense, counts=counts, how=how, tuning=exact)
        tasks.append(Task(member, variant, epochs, pruned))
    for kind in (CLUSTER, SCALE_FREE):
        sizes = _counts_of(settings, kind)
        masked = partial(FrontierTrainer.masked, kind=kind, counts=sizes)
        tasks.append(Task(member, kind, levels * settings.train.epochs, masked))
    return tasks


def costly_tasks_of(settings: FrontierSettings, member: Member) -> list[Task]:
    """Return the tasks of the first seeds only."""
    moved, tuned = rewired_counts(settings), settings.fine_tune.epochs
    rewired = len(settings.rewired) * (settings.train.epochs + settings.rewire.rounds * tuned)
    return [
        Task(
            member,
            f"{kind}-rewired",
            rewired,
            partial(FrontierTrainer.rewired, kind=kind, counts=moved),
        )
        for kind in (CLUSTER, RANDOM)
        if moved
    ] + [
        Task(
            member,
            f"surgeon-{width}",
            settings.levels * tuned,
            partial(FrontierTrainer.other_width, hidden=width),
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
    return [count for count in _counts_of(settings, CLUSTER) if count in chosen]


def _counts_of(settings: FrontierSettings, kind: str) -> list[int]:
    """Return the counts for which connected masks of a kind exist."""
    hidden = settings.hidden_units
    least = least_weights(kind, hidden, settings.sites)
    return [count for count in counts_from(settings, hidden) if count >= least]


class FrontierTrainer(Trainer[FrontierSettings]):
    """Trains the RBMs of one variant of the frontier and seed."""

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
            mask = constructed_mask(kind, hidden, sites, count, self.member.seed)
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
