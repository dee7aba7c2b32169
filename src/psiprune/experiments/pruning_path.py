"""A pruning path on disk, one file a level, which a rerun resumes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import xarray as xr

from psiprune.data.shots import Shots
from psiprune.experiments.cache import cached
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset
from psiprune.pruning.iterative import Level, next_level
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.method import Method
from psiprune.training.train import Callback

_LOG = logging.getLogger(__name__)


def run_path(
    folder: Path,
    dense: Callable[[Checkpoints], RBM],
    shots: Shots,
    prune: PruneSettings,
    fine_tune: Method | None,
    seed: int,
    describe: Callable[[Level], xr.Dataset],
    callback: Callback,
    rewind: Callable[[], RBM] | None = None,
) -> list[xr.Dataset]:
    """Return all levels of a path; those missing in the folder are computed and written.

    Args:
        folder: of level-00.nc, level-01.nc, ...; it must exist.
        dense: makes the RBM of level 0; not called if that level is on disk.
        shots: the training set.
        prune: criterion and schedule.
        fine_tune: training after each step, or None.
        seed: of random pruning, of samples and of fine-tuning.
        describe: what to write of a level; it must contain `RBM.to_dataset`.
        callback: called after each epoch.
        rewind: returns the RBM where the training of each level begins, if not at what pruning
            left; called after `dense`.

    Raises:
        InputError: a level on disk is damaged.
    """

    early: list[RBM | None] = []  # read once, after `dense` has written it

    def step(last: Level, total: int, checkpoints: Checkpoints) -> Level:
        if not early:
            early.append(None if rewind is None else rewind())
        return next_level(
            last, total, shots, prune, fine_tune, seed, callback, early[0], checkpoints
        )

    return path_levels(folder, prune.levels, dense, step, describe)


def path_levels(
    folder: Path,
    number: int,
    begin: Callable[[Checkpoints], RBM],
    step: Callable[[Level, int, Checkpoints], Level],
    describe: Callable[[Level], xr.Dataset],
) -> list[xr.Dataset]:
    """Return the levels 0 .. number; those missing in the folder are computed and written.

    begin(checkpoints) makes the RBM of level 0; step(last, total, checkpoints) the level after
    `last`, where `total` is the number of weights of level 0. For the others see `run_path`.
    """
    files = [level_file(folder, step) for step in range(number + 1)]
    first = cached(files[0], lambda checkpoints: describe(Level(0, begin(checkpoints))))
    # Levels are written in order; those behind a gap are computed again, with the same numbers.
    done = [first, *(read_dataset(file, "rbm") for file in takewhile(Path.exists, files[1:]))]
    if len(done) > 1:
        _LOG.info("%s: resumed after level %d of %d", folder, len(done) - 1, number)
    last = Level(len(done) - 1, rbm_from_dataset(done[-1], files[len(done) - 1]))
    total = rbm_from_dataset(first, files[0]).number_of_weights

    def make(checkpoints: Checkpoints) -> xr.Dataset:
        nonlocal last
        last = step(last, total, checkpoints)
        return describe(last)

    for file in files[len(done) :]:
        file.unlink(missing_ok=True)
        done.append(cached(file, make))
    return done


def early_file(folder: Path, epoch: int) -> Path:
    """Return the file of the RBM after an epoch of the dense training."""
    return folder / f"epoch-{epoch:04d}.nc"


def level_file(folder: Path, step: int) -> Path:
    """Return the file of a level."""
    return folder / f"level-{step:02d}.nc"


def level_names(last: int) -> list[str]:
    """List the names of the files of levels 0 to `last`."""
    return [level_file(Path(), step).name for step in range(last + 1)]
