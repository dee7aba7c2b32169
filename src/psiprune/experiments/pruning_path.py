"""A pruning path on disk, one file a level, which a rerun resumes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.experiments.cache import cached
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset
from psiprune.pruning.held_out import held_out_rbms
from psiprune.pruning.iterative import Level, Pruner
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.method import Method
from psiprune.training.train import Callback

_LOG = logging.getLogger(__name__)
_HELD_OUT = "held_out_"


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
    folds: int = 0,
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
        folds: parts of the shots for a cross-validation of fine-tuning, see
            `psiprune.pruning.held_out`; 0 for none.

    Raises:
        InputError: a level on disk is damaged.
    """
    early: list[RBM | None] = []  # read once, after `dense` has written it

    def begin(checkpoints: Checkpoints) -> Level:
        rbm = dense(checkpoints)
        return Level(0, rbm, held_out=held_out_rbms(rbm, shots, folds, seed, checkpoints))

    def step(last: Level, total: int, checkpoints: Checkpoints) -> Level:
        if len(last.held_out) != folds:
            raise InputError(
                f"{level_file(folder, last.step)}: must hold {folds} RBMs made without parts of "
                f"the shots, found {len(last.held_out)}; delete it to make it again"
            )
        if not early:
            early.append(None if rewind is None else rewind())
        pruner = Pruner(shots, prune, fine_tune, seed, callback, early[0])
        return pruner.next_level(last, total, checkpoints)

    return path_levels(folder, prune.levels, begin, step, describe)


def path_levels(
    folder: Path,
    number: int,
    begin: Callable[[Checkpoints], Level],
    step: Callable[[Level, int, Checkpoints], Level],
    describe: Callable[[Level], xr.Dataset],
) -> list[xr.Dataset]:
    """Return the levels 0 .. number; those missing in the folder are computed and written.

    begin(checkpoints) makes level 0; step(last, total, checkpoints) the level after
    `last`, where `total` is the number of weights of level 0. For the others see `run_path`.
    """
    files = [level_file(folder, step) for step in range(number + 1)]

    def described(level: Level) -> xr.Dataset:
        return with_held_out(describe(level), level.held_out)

    first = cached(files[0], lambda checkpoints: described(begin(checkpoints)))
    # Levels are written in order; those behind a gap are computed again, with the same numbers.
    done = [first, *(read_dataset(file, "rbm") for file in takewhile(Path.exists, files[1:]))]
    if len(done) > 1:
        _LOG.info("%s: resumed after level %d of %d", folder, len(done) - 1, number)
    newest = files[len(done) - 1]
    held_out = held_out_from(done[-1], newest)
    last = Level(len(done) - 1, rbm_from_dataset(done[-1], newest), held_out=held_out)
    total = rbm_from_dataset(first, files[0]).number_of_weights

    def make(checkpoints: Checkpoints) -> xr.Dataset:
        nonlocal last
        last = step(last, total, checkpoints)
        return described(last)

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


def with_held_out(dataset: xr.Dataset, rbms: tuple[RBM, ...]) -> xr.Dataset:
    """Return the dataset of an RBM with the same RBM made without each part of the shots."""
    if not rbms:
        return dataset
    parts = [rbm.to_dataset() for rbm in rbms]
    return dataset.assign(
        {
            f"{_HELD_OUT}{name}": (
                ("part", *variable.dims),
                np.stack([part[name].values for part in parts]),
                variable.attrs,
            )
            for name, variable in parts[0].data_vars.items()
        }
    )


def held_out_from(dataset: xr.Dataset, name: object) -> tuple[RBM, ...]:
    """Return the RBMs that `with_held_out` added; none if it added none.

    Raises:
        InputError: a variable is missing or invalid; the message starts with `name`.
    """
    names = [str(key) for key in dataset if str(key).startswith(_HELD_OUT)]
    if not names:
        return ()
    parts = dataset[names].rename({key: key.removeprefix(_HELD_OUT) for key in names})
    parts = parts.drop_attrs()
    number = parts.sizes.get("part", 0)
    return tuple(rbm_from_dataset(parts.isel(part=k), name) for k in range(number))
