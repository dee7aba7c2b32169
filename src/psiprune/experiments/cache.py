"""Results of trainings on disk: computed once, and read by the next start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import xarray as xr

from psiprune.experiments.named_warnings import repeat_warnings
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset

_LOG = logging.getLogger(__name__)


def cached(file: Path, make: Callable[[Checkpoints], xr.Dataset]) -> xr.Dataset:
    """Read the RBM and its measures from a file; if it is missing, make and write them first.

    `make` gets the checkpoints of its trainings, beside the file until that is written.

    Raises:
        InputError: the file is damaged.
    """
    if file.exists():
        _LOG.info("%s: read", file)
    else:
        with Checkpoints(file) as checkpoints:
            write_dataset(file, make(checkpoints), "rbm")
        _LOG.info("%s: written", file)
    return read_dataset(file, "rbm")


def cached_training(file: Path, make: Callable[[Checkpoints], xr.Dataset]) -> xr.Dataset:
    """Do as `cached` for an RBM from `train`, whose warnings are repeated if it is only read.

    Raises:
        InputError: the file is damaged.
    """
    known = file.exists()
    dataset = cached(file, make)
    if known:
        repeat_warnings(dataset.attrs)
    return dataset
