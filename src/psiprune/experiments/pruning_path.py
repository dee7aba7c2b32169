"""A pruning path kept on disk, a file a level, which a second start takes up where it stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import xarray as xr

from psiprune.data.shots import Shots
from psiprune.io.checkpoint import checkpointing
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.pruning.iterative import Level, prune_steps
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.methods import FineTuneSettings
from psiprune.training.train import Callback

_LOG = logging.getLogger(__name__)


def run_path(
    folder: Path,
    dense: Callable[[], RBM],
    shots: Shots,
    prune: PruneSettings,
    fine_tune: FineTuneSettings | None,
    seed: int,
    describe: Callable[[Level], xr.Dataset],
    watch: Callback,
    rewind: Callable[[], RBM] | None = None,
) -> list[xr.Dataset]:
    """All levels of a path, those in the folder read and the rest made and written.

    Args:
        folder: level-00.nc, level-01.nc, ... stand here; it must exist.
        dense: makes the RBM of level 0; not called if that level is on disk.
        shots: the training set.
        prune: criterion and schedule.
        fine_tune: training after each step, or None.
        seed: of random pruning, of samples and of fine-tuning.
        describe: what is kept of a level; it must contain `RBM.to_dataset`.
        watch: called after each epoch.
        rewind: gives the RBM where the training of each level begins, if not at what pruning left;
            called after `dense`.

    Raises:
        InputError: a level on disk is damaged.
    """

    def rest(last: Level, total: int) -> Iterator[Level]:
        early = None if rewind is None else rewind()
        return prune_steps(last, total, shots, prune, fine_tune, seed, watch, early)

    return keep_levels(folder, prune.levels, dense, rest, describe)


def keep_levels(
    folder: Path,
    number: int,
    begin: Callable[[], RBM],
    rest: Callable[[Level, int], Iterator[Level]],
    describe: Callable[[Level], xr.Dataset],
) -> list[xr.Dataset]:
    """The levels 0 .. number, those in the folder read and the rest made and written.

    `begin` makes the RBM of level 0; rest(last, total) gives the levels after `last`, where `total`
    is the number of weights of level 0. For the others see `run_path`.
    """
    files = [level_file(folder, step) for step in range(number + 1)]
    if not files[0].exists():
        with checkpointing(files[0]):
            write_dataset(files[0], describe(Level(0, begin())), "rbm")
    # Levels are written in order; what stands behind a gap is made again, with the same numbers.
    done = [read_dataset(file, "rbm") for file in takewhile(Path.exists, files)]
    if len(done) > 1:
        _LOG.info("%s: taken up after level %d of %d", folder, len(done) - 1, number)
    last = Level(len(done) - 1, rbm_from_dataset(done[-1], files[len(done) - 1]))
    total = rbm_from_dataset(done[0], files[0]).number_of_weights
    levels = rest(last, total)
    for file in files[len(done) :]:
        with checkpointing(file):
            level = next(levels)
            done.append(describe(level))
            write_dataset(file, done[-1], "rbm")
        _LOG.info("%s: written, %d weights", file, level.rbm.number_of_weights)
    return done


def early_file(folder: Path, epoch: int) -> Path:
    """Where the RBM of an epoch of the dense training is kept."""
    return folder / f"epoch-{epoch:04d}.nc"


def level_file(folder: Path, step: int) -> Path:
    """Where a level is kept."""
    return folder / f"level-{step:02d}.nc"


def level_names(last: int) -> list[str]:
    """List the names of the files of levels 0 to `last`."""
    return [level_file(Path(), step).name for step in range(last + 1)]
