"""The paper's ablations (Section III B): break the clusters of a mask; forbid those that form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

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
from psiprune.experiments.settings import AblationSettings
from psiprune.io.netcdf import write_dataset
from psiprune.io.run import open_run
from psiprune.rbm.clusters import find_clusters, strongest_windows
from psiprune.rbm.masks import Mask, break_clusters, exclude_clusters, exclude_matched_control
from psiprune.rbm.model import RBM
from psiprune.rbm.serialization import rbm_from_dataset
from psiprune.training.methods import FineTuneSettings, TrainSettings
from psiprune.training.train import Callback

#: From where RBMs with broken masks are trained.
STARTS = ("initial", "dense")
#: The RBMs of the second ablation.
MODELS = ("dense", "forbidden", "control")
_MEASURES = ("kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse")


class Job(NamedTuple):
    """One RBM to be trained: the name of its file, and what is trained how."""

    name: str
    member: Member
    start: RBM
    training: TrainSettings


def run_ablation(settings: AblationSettings, folder: str | os.PathLike[str]) -> xr.Dataset:
    """Run both ablations, or what of them is not done yet.

    For each field and seed a dense RBM is trained, and pruned by magnitude with fine-tuning.

    *Broken*: the pruned mask goes step by step to a random one with the same numbers of weights
    (`break_clusters`). On each mask one RBM is trained from the seed's initial weights ("initial";
    at share 0 this is the paper's sp/ss), and one from the dense RBM with what is left of its
    weights, for as long as pruning fine-tunes ("dense").

    *Forbidden*: the clusters of the dense RBM are found (`find_clusters`), and an RBM is trained
    from the same initial weights without those positions ("forbidden"). In "control" each unit
    lacks as many positions, but none of its cluster. Where are the clusters now?

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
    with open_run(folder, settings) as run:
        settings = settings.for_size()
        members = members_of(settings, [prepare(run, settings, h) for h in settings.fields])
        epochs = settings.train.epochs + settings.levels * settings.fine_tune.epochs

        def prune_one(member: Member, tick: Callback) -> list[xr.Dataset]:
            return dense_and_pruned(settings, member, tick)

        paths = train_all(prune_one, members, len(members) * epochs)

        jobs = [
            job
            for member, path in zip(members, paths, strict=True)
            for job in (*_broken(settings, member, path), *_forbidden(settings, member, path))
        ]

        def train_one(job: Job, tick: Callback) -> xr.Dataset:
            file = job.member.folder / f"{job.name}.nc"
            return trained(file, job.start, job.training, settings, job.member, tick)

        pieces = train_all(train_one, jobs, sum(job.training.epochs for job in jobs))
        each = len(jobs) // len(members)
        rows = [
            _member(settings, path, pieces[k * each : (k + 1) * each])
            for k, path in enumerate(paths)
        ]
        dataset = over_members(settings, rows).assign_coords(
            field=list(settings.fields),
            seed=seeds_of(settings),
            start=list(STARTS),
            share=list(settings.shares),
            model=list(MODELS),
        )
        dataset = label(dataset).assign_attrs(
            sites=settings.sites,
            hidden=settings.hidden_units,
            coupling=settings.coupling,
            width=settings.width,
            threshold=settings.threshold,
        )
        write_dataset(run / "ablation.nc", dataset, "ablation")
    return dataset


def _broken(settings: AblationSettings, member: Member, path: list[xr.Dataset]) -> list[Job]:
    """The RBMs of the first ablation, by start and share."""
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


def _long(settings: AblationSettings) -> FineTuneSettings:
    """Fine-tuning in one go, for as many epochs as all pruning steps had."""
    epochs = settings.levels * settings.fine_tune.epochs
    return FineTuneSettings(**{**settings.fine_tune.model_dump(), "epochs": epochs})


def _forbidden(settings: AblationSettings, member: Member, path: list[xr.Dataset]) -> list[Job]:
    """The RBMs of the second ablation but the dense one."""
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
    """Both ablations of one seed in one phase."""
    shares = len(settings.shares)
    rows = [
        xr.concat(
            [_broken_entry(settings, piece) for piece in pieces[k * shares : (k + 1) * shares]],
            dim="share",
        )
        for k in range(len(STARTS))
    ]
    models = [path[0], *pieces[len(STARTS) * shares :]]
    windows = [_clusters(settings, piece) for piece in models]
    forbidden = [
        _forbidden_entry(settings, piece, own, windows[0])
        for piece, own in zip(models, windows, strict=True)
    ]
    return xr.merge([xr.concat(rows, dim="start"), xr.concat(forbidden, dim="model")])


def _broken_entry(settings: AblationSettings, piece: xr.Dataset) -> xr.Dataset:
    mask = mask_of(piece)
    share = strongest_windows(piece["weights"].values, settings.width)[2]
    found = {f"broken_{name}": piece[name].values for name in (*_MEASURES, "components")}
    return xr.Dataset(
        {
            **found,
            "broken_adjacent": np.count_nonzero(mask[:, 1:] & mask[:, :-1]),
            "broken_roomy": np.count_nonzero(_has_window(mask, settings.width)),
            "broken_share": share.mean(),
        }
    )


def _has_window(mask: Mask, width: int) -> Mask:
    """Whether a unit has weights on `width` adjacent sites, [hidden]."""
    windows = np.lib.stride_tricks.sliding_window_view(mask, width, axis=1)
    return np.any(windows.all(axis=-1), axis=1)


def _forbidden_entry(
    settings: AblationSettings, piece: xr.Dataset, own: xr.Dataset, dense: xr.Dataset
) -> xr.Dataset:
    here, there = own["first_site"].values, dense["first_site"].values
    # Sites that the window of unit j now shares with the dense window of unit k, [j, k].
    shared = np.maximum(0, settings.width - np.abs(here[:, None] - there[None, :]))
    others = np.where(np.eye(len(here), dtype=bool), 0, shared)
    names = (*_MEASURES, "weights_kept")
    found: dict[str, object] = {f"forbidden_{name}": piece[name].values for name in names}
    return xr.Dataset(
        {
            **found,
            "first_site": ("hidden", here),
            "share_of_unit": ("hidden", own["share"].values),
            "p_value": ("hidden", own["p_value"].values),
            "found": ("hidden", own["found"].values),
            "shift": ("hidden", here - there),
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
