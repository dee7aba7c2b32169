"""Sparse from the start (the paper's Fig. 5): how well RBMs with different masks train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from psiprune.core.exceptions import InputError
from psiprune.experiments.ensemble import ensemble_files, labelled, members_of, over_members
from psiprune.experiments.masked import Job, mask_of, new_rbm, prune_dense, train_jobs
from psiprune.experiments.problem import prepare
from psiprune.experiments.pruning_path import level_names
from psiprune.experiments.settings import SparseSettings
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.masks import cluster_mask, random_mask
from psiprune.rbm.scale_free import scale_free_mask

#: Trained from the start with a mask; names of the paper's Fig. 5, but the last two are ours.
MASKED = ("sp/ss", "sp/os", "sc", "random", "scale-free")
#: All variants, in the order of the dataset.
VARIANTS = ("dense", "pruned", *MASKED)


def run_sparse(
    settings: SparseSettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Train RBMs that are sparse from the start; what the folder holds already is only read.

    For each field and seed, all on the same shots and for the same number of epochs:

    - dense: no weight removed;
    - pruned: the dense RBM pruned by magnitude in `levels` steps with fine-tuning after each. Its
      history is that of the dense RBM, followed by that of the fine-tuning, epoch by epoch;
    - sp/ss: the mask of "pruned" of the same seed, on the seed's own initial weights;
    - sp/os: the mask of "pruned" of the next seed (of the first for the last), likewise;
    - sc: `cluster_mask`, likewise;
    - random: `random_mask` of the seed, likewise;
    - scale-free: `scale_free_mask`, likewise.

    The masks all have weights_kept(N N_h, ...) weights: 96 of 162 by default. The folder holds
    config.toml, provenance.json, for each field the ground state and the shots, for each RBM a file
    with its history, and sparse.nc.

    Returns:
        A dataset over field, seed and variant with weights_kept, components, kl, infidelity, ...,
        and with mask, and history_kl, ... over epoch (NaN after the training of a variant).

    Raises:
        InputError: no cluster mask has so many weights, the folder belongs to another run, or a
            file in it is damaged.
        OSError: the folder cannot be written; finished files stay.
    """
    sites, hidden = settings.sites, settings.hidden_units
    count = weights_kept(sites * hidden, settings.prune.fraction, settings.prune.levels)
    try:
        constructed = cluster_mask(hidden, sites, count)
    except InputError as error:
        raise InputError(f"density: leaves {count} weights; {error}") from None
    settings = settings.for_size()
    with open_run(folder, settings) as run:
        members = members_of(settings, prepare(run, settings))
        paths = prune_dense(settings, members, progress)
        jobs = []
        fields = len(settings.fields)
        for k, member in enumerate(members):
            other = paths[(k + fields) % len(members)]  # the same field, the next seed
            masks = {
                "sp/ss": mask_of(paths[k][-1]),
                "sp/os": mask_of(other[-1]),
                "sc": constructed,
                "random": random_mask(hidden, sites, count, member.seed),
                "scale-free": scale_free_mask(sites, hidden, weights=count),
            }
            starts = {_stem(name): new_rbm(settings, member, masks[name]) for name in MASKED}
            jobs.append([Job(name, member, rbm, settings.train) for name, rbm in starts.items()])
        trained = train_jobs(settings, jobs, progress)
        pieces = [_member(settings, *both) for both in zip(paths, trained, strict=True)]
        dataset = over_members(settings, pieces).assign_coords(variant=list(VARIANTS))
        dataset = labelled(settings, dataset, train_epochs=settings.train.epochs)
        write_dataset(run / "sparse.nc", dataset, "sparse")
    return dataset


def _stem(variant: str) -> str:
    return variant.replace("/", "-")


def _member(
    settings: SparseSettings, path: list[xr.Dataset], sparse: list[xr.Dataset]
) -> xr.Dataset:
    """Join all variants of one seed in one phase along `variant`."""
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
    variants = [
        piece.drop_vars(["weights", "visible_bias", "hidden_bias"])
        for piece in (dense, pruned, *others)
    ]
    return xr.concat(variants, dim="variant", join="outer")


def _grid(epochs: int, every: int) -> list[int]:
    """Return the epochs at which all seeds have an entry: each `every`, and the last."""
    return sorted({*range(every, epochs + 1, every), *([epochs] if epochs else [])})


def _on_grid(piece: xr.Dataset, grid: list[int]) -> xr.Dataset:
    """Return the history at these epochs; after convergence its last entry is repeated."""
    return piece.reindex(epoch=grid, method="ffill")


def expected_files(settings: SparseSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    masked = [f"{_stem(variant)}.nc" for variant in MASKED]
    names = [*level_names(settings.levels), *masked]
    return ensemble_files(settings, lambda _: names, "sparse.nc")
