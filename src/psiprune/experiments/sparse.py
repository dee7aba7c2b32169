"""Sparse from the start (the paper's Fig. 5): which masks can be trained, and how well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.experiments.ensemble import (
    Member,
    ensemble_files,
    members_of,
    over_members,
    seeds_of,
    train_all,
)
from psiprune.experiments.problem import prepare
from psiprune.experiments.pruning_path import level_names
from psiprune.experiments.recording import dense_and_pruned, label, mask_of, new_rbm, trained
from psiprune.experiments.settings import SparseSettings
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.masks import cluster_mask, random_mask
from psiprune.training.train import Callback

#: Those trained from the start with a mask, by the names of the paper's Fig. 5; "random" is ours.
MASKED = ("sp/ss", "sp/os", "sc", "random")
#: All variants, in the order of the dataset.
VARIANTS = ("dense", "pruned", *MASKED)


class Job(NamedTuple):
    """One RBM to be trained with a mask."""

    variant: str
    member: Member
    mask: NDArray[np.bool_]


def run_sparse(settings: SparseSettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Train RBMs that are sparse from the start, or what of it is not done yet.

    For each field and seed, all on the same shots and for the same number of epochs:

    - dense: no weight removed;
    - pruned: the dense RBM pruned by magnitude in `levels` steps with fine-tuning after each. Its
      history is that of the dense RBM, and after its end that of the fine-tuning, epoch by epoch;
    - sp/ss: the mask of "pruned" of the same seed, on the seed's own initial weights;
    - sp/os: the mask of "pruned" of the next seed (of the first for the last), likewise;
    - sc: `cluster_mask`, likewise;
    - random: `random_mask` of the seed, likewise.

    The masks all have weights_kept(N N_h, ...) weights: 96 of 162 by default. The folder holds
    config.toml, provenance.json, for each field the ground state and the shots, for each RBM a file
    with its history, and sparse.nc.

    Returns:
        A dataset over field, seed and variant with weights_kept, components, kl, infidelity, ...,
        and with mask, and history_kl, ... over epoch (NaN where a variant is not trained any more).

    Raises:
        InputError: no cluster mask has so many weights, the folder belongs to another run, or a
            file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    sites, hidden = settings.sites, settings.hidden_units
    count = weights_kept(sites * hidden, settings.prune.fraction, settings.prune.levels)
    try:
        constructed = cluster_mask(hidden, sites, count)
    except InputError as error:
        raise InputError(f"density: leaves {count} weights; {error}") from None
    with open_run(folder, settings) as run:
        settings = settings.for_size()
        members = members_of(settings, [prepare(run, settings, h) for h in settings.fields])
        epochs = settings.train.epochs + settings.levels * settings.fine_tune.epochs

        def prune_one(member: Member, tick: Callback) -> list[xr.Dataset]:
            return dense_and_pruned(settings, member, tick)

        paths = train_all(prune_one, members, len(members) * epochs)

        jobs = []
        fields = len(settings.fields)
        for k, member in enumerate(members):
            other = paths[(k + fields) % len(members)][-1]  # the same field, the next seed
            masks = {
                "sp/ss": mask_of(paths[k][-1]),
                "sp/os": mask_of(other),
                "sc": constructed,
                "random": random_mask(hidden, sites, count, member.seed),
            }
            jobs += [Job(variant, member, masks[variant]) for variant in MASKED]

        def train_one(job: Job, tick: Callback) -> xr.Dataset:
            start = new_rbm(settings, job.member, job.mask)
            file = job.member.folder / f"{job.variant.replace('/', '-')}.nc"
            return trained(file, start, settings.train, settings, job.member, tick)

        sparse = train_all(train_one, jobs, len(jobs) * settings.train.epochs)
        pieces = [
            _member(settings, path, sparse[k * len(MASKED) : (k + 1) * len(MASKED)])
            for k, path in enumerate(paths)
        ]
        dataset = over_members(settings, pieces).assign_coords(
            field=list(settings.fields), seed=seeds_of(settings), variant=list(VARIANTS)
        )
        dataset = label(dataset).assign_attrs(
            sites=sites,
            hidden=hidden,
            coupling=settings.coupling,
            train_epochs=settings.train.epochs,
        )
        write_dataset(run / "sparse.nc", dataset, "sparse")
    return dataset


def _member(
    settings: SparseSettings, path: list[xr.Dataset], sparse: list[xr.Dataset]
) -> xr.Dataset:
    """All variants of one seed in one phase, along `variant`."""
    every, trained_for = settings.history_every, settings.train.epochs
    dense = _on_grid(path[0], [0, *_grid(trained_for, every)])
    tuned_for = settings.fine_tune.epochs
    tuning = [
        _on_grid(level, _grid(tuned_for, every)).assign_coords(
            epoch=[trained_for + step * tuned_for + k for k in _grid(tuned_for, every)]
        )
        for step, level in enumerate(path[1:])
    ]
    histories = [name for name in dense if str(name).startswith("history_")]
    both = xr.concat([piece[histories] for piece in (dense, *tuning)], dim="epoch")
    pruned = path[-1].drop_dims("epoch").merge(both)
    others = [_on_grid(piece, [0, *_grid(trained_for, every)]) for piece in sparse]
    kept = ("weights", "visible_bias", "hidden_bias")
    return xr.concat(
        [piece.drop_vars(kept) for piece in (dense, pruned, *others)], dim="variant", join="outer"
    )


def _grid(epochs: int, every: int) -> list[int]:
    """The epochs at which all seeds have an entry: each `every`, and the last."""
    return sorted({*range(every, epochs + 1, every), *([epochs] if epochs else [])})


def _on_grid(piece: xr.Dataset, grid: list[int]) -> xr.Dataset:
    """The history at these epochs; one that converged before its last epoch stays as it was."""
    return piece.reindex(epoch=grid, method="ffill")


def expected_files(settings: SparseSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    masked = [f"{variant.replace('/', '-')}.nc" for variant in MASKED]
    names = [*level_names(settings.levels), *masked]
    return ensemble_files(settings, lambda _: names, "sparse.nc")
