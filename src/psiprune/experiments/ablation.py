"""The paper's ablations (Section III B): break the clusters of a mask; forbid those that form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from psiprune.experiments.ensemble import Member, ensemble_files, labelled, members_of, over_members
from psiprune.experiments.masked import Job, mask_of, new_rbm, prune_dense, train_jobs
from psiprune.experiments.problem import prepare
from psiprune.experiments.pruning_path import level_names
from psiprune.experiments.settings import AblationSettings
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.rbm.clusters import find_clusters, strongest_windows
from psiprune.rbm.masks import Mask, break_clusters, exclude_clusters, exclude_matched_control
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.method import Method

#: The starting points of the training of RBMs with broken masks.
STARTS = ("initial", "dense")
#: The RBMs of the second ablation.
MODELS = ("dense", "forbidden", "control")
_MEASURES = ("kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")


def run_ablation(
    settings: AblationSettings, folder: str | os.PathLike[str], *, progress: bool = True
) -> xr.Dataset:
    """Run both ablations; what the folder holds already is only read.

    For each field and seed a dense RBM is trained, and pruned by magnitude with fine-tuning.

    *Broken*: the pruned mask goes step by step to a random one with the same numbers of weights
    (`break_clusters`). On each mask one RBM is trained from the seed's initial weights ("initial";
    at share 0 this is the paper's sp/ss), and one from the remaining weights of the dense RBM, for
    as many epochs as pruning fine-tunes ("dense").

    *Forbidden*: the clusters of the dense RBM are found (`find_clusters`), and an RBM is trained
    from the same initial weights without those positions ("forbidden"). In "control" each unit
    lacks as many positions, but none of its cluster. The question is where clusters form now.

    The folder holds config.toml, provenance.json, for each field the ground state and the shots,
    for each RBM a file with its history, and ablation.nc.

    Returns:
        A dataset over field, seed and

        - start, share: broken_kl, ..., broken_components, broken_adjacent (pairs of weights of a
          unit on neighbouring sites), broken_roomy (units whose mask holds `width` adjacent sites)
          and broken_share (of a unit's |W| in its strongest window, mean over units);
        - model: forbidden_kl, ..., forbidden_weights_kept; with hidden: first_site, share_of_unit,
          p_value and found as `find_clusters` gives them, shift = first_site less that of the dense
          RBM, overlap = sites shared with it, taken = sites of the dense RBM's window that the
          window of one *other* unit covers, at most; with hidden and visible: weights and mask.

    Raises:
        InputError: the folder belongs to another run, or a file in it is damaged.
        OSError: the folder cannot be written; what was finished stays.
    """
    settings = settings.for_size()
    with open_run(folder, settings) as run:
        members = members_of(settings, prepare(run, settings))
        paths = prune_dense(settings, members, progress)
        jobs = [
            [*_broken(settings, member, path), *_forbidden(settings, member, path)]
            for member, path in zip(members, paths, strict=True)
        ]
        trained = train_jobs(settings, jobs, progress)
        pieces = [_member(settings, *both) for both in zip(paths, trained, strict=True)]
        dataset = over_members(settings, pieces).assign_coords(
            start=list(STARTS), share=list(settings.shares), model=list(MODELS)
        )
        dataset = labelled(settings, dataset, width=settings.width, threshold=settings.threshold)
        write_dataset(run / "ablation.nc", dataset, "ablation")
    return dataset


def _broken(settings: AblationSettings, member: Member, path: list[xr.Dataset]) -> list[Job]:
    """Return the RBMs to train for the first ablation, by start and share."""
    dense, pruned = rbm_from_dataset(path[0], member.folder), mask_of(path[-1])
    masks = [break_clusters(pruned, share, member.seed) for share in settings.shares]
    names = [f"{share:g}" for share in settings.shares]
    initial = [
        Job(f"broken-initial-{name}", member, new_rbm(settings, member, mask), settings.train)
        for name, mask in zip(names, masks, strict=True)
    ]
    tuned = [
        Job(f"broken-dense-{name}", member, dense.with_mask(mask), _long(settings))
        for name, mask in zip(names, masks, strict=True)
    ]
    return [*initial, *tuned]


def _long(settings: AblationSettings) -> Method:
    """Return fine-tuning in one go, for as many epochs as all pruning steps had."""
    epochs = settings.levels * settings.fine_tune.epochs
    return settings.fine_tune.model_copy(update={"epochs": epochs})


def _forbidden(settings: AblationSettings, member: Member, path: list[xr.Dataset]) -> list[Job]:
    """Return the RBMs to train for the second ablation."""
    inside = _clusters(settings, path[0])["inside"].values
    masks = {
        "forbidden": exclude_clusters(inside),
        "control": exclude_matched_control(inside, member.seed),
    }
    return [
        Job(name, member, new_rbm(settings, member, masks[name]), settings.train)
        for name in MODELS[1:]
    ]


def _clusters(settings: AblationSettings, piece: xr.Dataset) -> xr.Dataset:
    rbm = rbm_from_dataset(piece, "rbm")
    return find_clusters(rbm, width=settings.width, threshold=settings.threshold)


def _member(
    settings: AblationSettings, path: list[xr.Dataset], pieces: list[xr.Dataset]
) -> xr.Dataset:
    """Join both ablations of one seed in one phase."""
    shares = len(settings.shares)
    entries = [_broken_entry(settings, piece) for piece in pieces[: len(STARTS) * shares]]
    broken = [
        xr.concat(entries[k : k + shares], dim="share") for k in range(0, len(entries), shares)
    ]
    models = [path[0], *pieces[len(entries) :]]
    clusters = [_clusters(settings, piece) for piece in models]
    forbidden = [
        _forbidden_entry(settings, piece, found, clusters[0])
        for piece, found in zip(models, clusters, strict=True)
    ]
    return xr.merge([xr.concat(broken, dim="start"), xr.concat(forbidden, dim="model")])


def _broken_entry(settings: AblationSettings, piece: xr.Dataset) -> xr.Dataset:
    mask = mask_of(piece)
    share = strongest_windows(piece["weights"].values, settings.width)[2]
    names = (*_MEASURES, "components")
    values: dict[str, object] = {f"broken_{name}": piece[name].values for name in names}
    values["broken_adjacent"] = np.count_nonzero(mask[:, 1:] & mask[:, :-1])
    values["broken_roomy"] = np.count_nonzero(_has_window(mask, settings.width))
    values["broken_share"] = share.mean()
    return xr.Dataset(values)


def _has_window(mask: Mask, width: int) -> Mask:
    """Return whether each unit has weights on `width` adjacent sites, [hidden]."""
    windows = np.lib.stride_tricks.sliding_window_view(mask, width, axis=1)
    return np.any(windows.all(axis=-1), axis=1)


def _forbidden_entry(
    settings: AblationSettings, piece: xr.Dataset, clusters: xr.Dataset, dense: xr.Dataset
) -> xr.Dataset:
    first, before = clusters["first_site"].values, dense["first_site"].values
    # Sites that the window of unit j now shares with the dense window of unit k, [j, k].
    shared = np.maximum(0, settings.width - np.abs(first[:, None] - before[None, :]))
    others = np.where(np.eye(len(first), dtype=bool), 0, shared)
    names = (*_MEASURES, "weights_kept")
    values: dict[str, object] = {f"forbidden_{name}": piece[name].values for name in names}
    return xr.Dataset(
        {
            **values,
            "first_site": ("hidden", first),
            "share_of_unit": ("hidden", clusters["share"].values),
            "p_value": ("hidden", clusters["p_value"].values),
            "found": ("hidden", clusters["found"].values),
            "shift": ("hidden", first - before),
            "overlap": ("hidden", np.diag(shared)),
            "taken": ("hidden", others.max(axis=0)),
            "weights": (("hidden", "visible"), piece["weights"].values),
            "mask": (("hidden", "visible"), piece["mask"].values),
        }
    )


def expected_files(settings: AblationSettings) -> Iterator[Path]:
    """List the files of a finished run, relative to its folder."""
    broken = [f"broken-{start}-{share:g}.nc" for start in STARTS for share in settings.shares]
    names = [*level_names(settings.levels), *broken, *(f"{model}.nc" for model in MODELS[1:])]
    return ensemble_files(settings, lambda _: names, "ablation.nc")
