"""Train, prune and cache the RBMs of one variant and seed, one file each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from psiprune.experiments.cache import cached, cached_training
from psiprune.experiments.ensemble import Member
from psiprune.experiments.settings import EnsembleSettings
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.iterative import fine_tuned, prune_to_count
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.method import Method
from psiprune.training.symmetry import symmetry_of, with_symmetry_of
from psiprune.training.train import Callback, new_rbm, train

Chosen = TypeVar("Chosen", bound=EnsembleSettings)


@dataclass(frozen=True)
class Trainer(Generic[Chosen]):
    """Trains the RBMs of one variant and seed.

    Attributes:
        settings: of the run.
        member: the seed, in its phase.
        folder: of the RBMs, one file each.
        callback: called after each epoch.
        warned: training warnings of its RBMs so far.
    """

    settings: Chosen
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
        """Train an RBM from the seed's initial weights, by default as `settings.train`."""
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
        tuning = None if tuning is None else with_symmetry_of(tuning, rbm)
        symmetry = None if tuning is None else symmetry_of(tuning, shots.positions)
        yield rbm
        for step, count in enumerate(counts[1:], 1):

            def make(
                checkpoints: Checkpoints, rbm: RBM = rbm, step: int = step, count: int = count
            ) -> RBM:
                pruned = prune_to_count(rbm, count, how, seed, step, symmetry=symmetry)
                return fine_tuned(
                    pruned, shots, tuning, seed, step, self.callback, checkpoints=checkpoints
                )

            rbm = self.cached(f"{count}", make)
            yield rbm
