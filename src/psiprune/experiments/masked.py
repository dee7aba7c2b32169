"""What sparse and ablation share: dense RBMs pruned by magnitude, and RBMs trained with a mask."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.threads import single_blas_thread
from psiprune.experiments.cache import cached_training
from psiprune.experiments.ensemble import Member, label, run_parallel
from psiprune.experiments.named_warnings import repeat_warnings
from psiprune.experiments.pruning_path import level_file, run_path
from psiprune.experiments.recording import Recorder, history_draws, train_with_history
from psiprune.experiments.settings import SparseSettings
from psiprune.io.checkpoint import Checkpoints
from psiprune.metrics.against_state import metric_values
from psiprune.pruning.iterative import Level
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.train import Callback, train
from psiprune.training.train import new_rbm as initial_of


class Job(NamedTuple):
    """An RBM to train from `start`; it goes to NAME.nc in the folder of its member."""

    name: str
    member: Member
    start: RBM
    training: Method

    def __str__(self) -> str:
        """Return member and name, as warnings name the RBM."""
        return f"{self.member}, {self.name}"


@single_blas_thread()
def new_rbm(settings: SparseSettings, member: Member, mask: NDArray[np.bool_] | None = None) -> RBM:
    """Return the untrained RBM of a seed, whose initial weights do not depend on the mask."""
    size = settings.hidden_units
    return initial_of(member.problem.shots, size, member.seed, settings.initial, mask)


def mask_of(piece: xr.Dataset) -> NDArray[np.bool_]:
    """Return the mask of an RBM in a dataset, bool [hidden, visible]."""
    return piece["mask"].values.astype(bool)


def prune_dense(
    settings: SparseSettings, members: Sequence[Member], progress: bool
) -> list[list[xr.Dataset]]:
    """Train a dense RBM for each member, then prune it by magnitude with fine-tuning.

    Returns:
        For each member a dataset as `train_jobs` returns, for each level. The history of a level
        above 0 is that of its fine-tuning, with epochs counted from 1.
    """

    def prune(member: Member, callback: Callback) -> list[xr.Dataset]:
        (_, _, reference, shots), seed, folder = member
        draws = history_draws(settings.measure)
        recorder = Recorder(
            lambda rbm: metric_values(rbm, reference, draws=draws, seed=seed),
            settings.history_every,
            callback,
        )

        def dense(checkpoints: Checkpoints) -> RBM:
            start = new_rbm(settings, member)
            recorder.note(0, start)
            return train(
                shots,
                start=start,
                method=settings.train,
                seed=seed,
                callback=recorder,
                checkpoints=checkpoints,
            )

        def describe(level: Level) -> xr.Dataset:
            return _described(settings, member, level.rbm, recorder.take(level.rbm))

        how, tuning = settings.prune, settings.fine_tune
        known = level_file(folder, 0).exists()
        levels = run_path(folder, dense, shots, how, tuning, seed, describe, recorder)
        if known:
            repeat_warnings(levels[0].attrs)
        return [level.drop_attrs() for level in levels]

    epochs = settings.train.epochs + settings.levels * settings.fine_tune.epochs
    return run_parallel(prune, members, len(members) * epochs, progress=progress)


def train_jobs(
    settings: SparseSettings, jobs: Sequence[Sequence[Job]], progress: bool
) -> list[list[xr.Dataset]]:
    """Train the RBMs of all jobs of all members, or read those whose files exist.

    Returns:
        For each member and job the RBM as `RBM.to_dataset` gives it, its measures, and history_kl,
        ... over `epoch`. The measures are sums over all states up to 20 sites and sampled above.

    Raises:
        InputError: a file is damaged.
    """

    def train_one(job: Job, callback: Callback) -> xr.Dataset:
        name, member, start, training = job

        def make(checkpoints: Checkpoints) -> xr.Dataset:
            rbm, history = train_with_history(
                start,
                member.problem.shots,
                training,
                member.seed,
                member.problem.reference,
                settings.history_every,
                history_draws(settings.measure),
                callback,
                checkpoints,
            )
            return _described(settings, member, rbm, history)

        return cached_training(member.folder / f"{name}.nc", make).drop_attrs()

    every = [job for of_member in jobs for job in of_member]
    epochs = sum(job.training.epochs for job in every)
    trained = iter(run_parallel(train_one, every, epochs, progress=progress))
    return [list(islice(trained, len(of_member))) for of_member in jobs]


def _described(
    settings: SparseSettings, member: Member, rbm: RBM, history: xr.Dataset
) -> xr.Dataset:
    values = metric_values(
        rbm, member.problem.reference, draws=settings.measure.draws, seed=member.seed
    )
    counts = {"weights_kept": rbm.number_of_weights, "components": rbm.components}
    return label(rbm.to_dataset().merge(history).assign({**counts, **values._asdict()}))
