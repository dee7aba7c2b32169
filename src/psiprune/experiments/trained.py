"""RBMs trained and kept with their history, a file each: from a start, or dense and then pruned."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.checkpoints import trainings_kept
from psiprune.config import SparseSettings, TrainSettings
from psiprune.errors import Measures, measures
from psiprune.experiments.ensemble import Member
from psiprune.experiments.measured import Recorder, label, train_with_history
from psiprune.experiments.path import run_path
from psiprune.files import read_dataset, write_dataset
from psiprune.pruning import Level
from psiprune.rbm import RBM
from psiprune.training import Watch, initial, train

_LOG = logging.getLogger(__name__)


def new_rbm(settings: SparseSettings, member: Member, mask: NDArray[np.bool_] | None = None) -> RBM:
    """The untrained RBM of a seed; one seed has one set of initial weights, whatever the mask."""
    return initial(member.problem.shots, settings.hidden_units, member.seed, settings.train, mask)


def trained(
    file: Path,
    start: RBM,
    training: TrainSettings,
    settings: SparseSettings,
    member: Member,
    tick: Watch,
) -> xr.Dataset:
    """An RBM trained from a start, read from its file or made and written.

    Returns:
        The RBM as `RBM.to_dataset` gives it, its measures, and history_kl, ... over `epoch`. The
        measures are sums over all states up to 20 sites and sampled above.

    Raises:
        InputError: the file is damaged.
    """
    if not file.exists():
        with trainings_kept(file):
            rbm, history = train_with_history(
                start,
                member.problem.shots,
                training,
                member.seed,
                member.problem.reference,
                settings.history_every,
                _draws_of_a_history(settings),
                tick,
            )
            write_dataset(file, _described(rbm, history, settings, member), "rbm")
        _LOG.info("%s: written", file)
    else:
        _LOG.info("%s: taken as it is", file)
    return read_dataset(file, "rbm").drop_attrs()


def dense_and_pruned(settings: SparseSettings, member: Member, tick: Watch) -> list[xr.Dataset]:
    """Train a dense RBM, then prune by magnitude and fine-tune: a dataset as `trained` a level.

    The history of a level above 0 is that of its fine-tuning, its epochs counted from 1.
    """
    problem, seed, folder = member
    measure = _measurer(member, _draws_of_a_history(settings))
    recorder = Recorder(measure, settings.history_every, tick)

    def dense() -> RBM:
        start = new_rbm(settings, member)
        recorder.note(0, start)
        return train(problem.shots, start=start, settings=settings.train, seed=seed, watch=recorder)

    def describe(level: Level) -> xr.Dataset:
        return _described(level.rbm, recorder.take(level.rbm), settings, member)

    levels = run_path(
        folder, dense, problem.shots, settings.prune, settings.fine_tune, seed, describe, recorder
    )
    return [level.drop_attrs() for level in levels]


def _draws_of_a_history(settings: SparseSettings) -> int:
    return max(100, settings.measure.draws // 10)  # each of its many entries needs less


def _measurer(member: Member, draws: int) -> Callable[[RBM], Measures]:
    return lambda rbm: measures(rbm, member.problem.reference, draws=draws, seed=member.seed)


def _described(
    rbm: RBM, history: xr.Dataset, settings: SparseSettings, member: Member
) -> xr.Dataset:
    values = _measurer(member, settings.measure.draws)(rbm)._asdict()
    counts = {"weights_kept": rbm.number_of_weights, "components": rbm.components}
    return label(rbm.to_dataset().merge(history).assign({**counts, **values}))


def mask_of(piece: xr.Dataset) -> NDArray[np.bool_]:
    """The mask of a kept RBM, bool [hidden, visible]."""
    return piece["mask"].values.astype(bool)
