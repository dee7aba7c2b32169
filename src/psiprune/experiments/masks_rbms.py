"""The RBMs of a comparison of masks: which there are, and how each is trained or pruned."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from psiprune.core.threads import single_thread
from psiprune.experiments.cache import cached_training
from psiprune.experiments.ensemble import Member
from psiprune.experiments.mask_kinds import POWER_LAW, SCALE_FREE, constructed_mask
from psiprune.experiments.masks_settings import (
    CONSTRUCTED,
    CORRELATION,
    DENSE,
    PRUNED,
    REWIRED,
    SCALE_FREE_SURGEON,
    MasksSettings,
)
from psiprune.experiments.recording import final_measures
from psiprune.experiments.stopwatch import Stopwatch
from psiprune.experiments.trainer import Trainer
from psiprune.io.checkpoint import Checkpoints
from psiprune.io.netcdf import read_dataset, write_dataset
from psiprune.io.paths import side_file
from psiprune.pruning.before_training import pretraining_mask
from psiprune.pruning.iterative import Level
from psiprune.pruning.rewire import rewire_step
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.rbm.near_masks import correlation_mask
from psiprune.rbm.serialization import load_rbm
from psiprune.training.method import Method
from psiprune.training.train import Callback, new_rbm

#: As in RigL: the weakest weights are dropped.
REWIRING = RewireSettings(criterion="magnitude")


class Family(NamedTuple):
    """The RBMs of a field and seed that have one number of hidden units and one kind of mask."""

    member: Member
    width: int
    variant: str

    def __str__(self) -> str:
        """Return field, seed, width and kind, as warnings name the RBMs."""
        return f"{self.member}, {self.width}-{self.variant}"

    def file(self, count: int) -> Path:
        """Return the file of the RBM with `count` weights and its measures."""
        return self.member.folder / file_name(self.width, self.variant, count)

    def name(self, count: int) -> str:
        """Return the name of that RBM in a run."""
        file = self.file(count)
        return f"h={self.member.problem.field:g}/{file.parent.name}/{file.stem}"


class Cell(NamedTuple):
    """One of these RBMs."""

    family: Family
    weights: int

    def __str__(self) -> str:
        """Return field, seed, kind and number of weights."""
        return f"{self.family}-{self.weights}"


#: What to write of an RBM: a dataset with the RBM and its measures.
Describe = Callable[[Family, RBM], xr.Dataset]


def file_name(width: int, variant: str, count: int) -> str:
    """Return the name of an RBM's file in the folder of its seed."""
    return f"{width}-{variant}-{count}.nc"


def families_of(settings: MasksSettings, member: Member) -> Iterator[Family]:
    """Yield what there is for a field and seed."""
    for width in settings.all_widths:
        for variant in settings.variants:
            if settings.counts(width, variant):
                yield Family(member, width, variant)


def method_of(settings: MasksSettings, family: Family) -> Method:
    """Return the method that trains these RBMs, last if they are pruned."""
    if family.variant in PRUNED:
        return settings.fine_tune
    return settings.dense_train if family.variant == DENSE else settings.train


def epochs_of(settings: MasksSettings, family: Family) -> int:
    """Return the most epochs that one of these RBMs takes to train."""
    rounds = REWIRING.rounds if family.variant == REWIRED else 0
    return method_of(settings, family).epochs + rounds * settings.fine_tune.epochs


def train_cell(
    settings: MasksSettings, watch: Stopwatch, describe: Describe, cell: Cell, callback: Callback
) -> xr.Dataset:
    """Return an RBM trained from the start with its mask, and its measures, from its file."""
    family, count = cell
    file = family.file(count)
    trainer = Trainer(settings, family.member, family.member.folder, callback)
    # A training that another start began took longer than is known here.
    before = math.nan if side_file(file, "1.checkpoint").exists() else 0.0

    def make(checkpoints: Checkpoints) -> xr.Dataset:
        mask = _mask(settings, family, count)
        with watch.timed(family.name(count), before):
            rbm = trainer.new(checkpoints, family.width, mask, method_of(settings, family))
            if family.variant == REWIRED:
                rbm = _rewired(settings, family.member, rbm, callback, checkpoints)
        return describe(family, rbm)

    return cached_training(file, make)


def _rewired(
    settings: MasksSettings,
    member: Member,
    rbm: RBM,
    callback: Callback,
    checkpoints: Checkpoints,
) -> RBM:
    """Return the RBM after all rounds of rewiring."""
    shots, tuning = member.problem.shots, settings.fine_tune
    level = Level(0, rbm)
    for _ in range(REWIRING.rounds):
        level = rewire_step(level, shots, REWIRING, tuning, member.seed, callback, checkpoints)
    return level.rbm


def _mask(settings: MasksSettings, family: Family, count: int) -> Mask | None:
    """Return the mask of a kind; None for all weights."""
    (_, _, _, shots), seed, _ = family.member
    if family.variant == DENSE:
        return None
    if family.variant in (*CONSTRUCTED, REWIRED):
        kind = f"{POWER_LAW}0" if family.variant == REWIRED else family.variant
        sizes = (kind, family.width, settings.sites, count, seed)
        return constructed_mask(*sizes, settings.positions)
    if family.variant == CORRELATION:
        return correlation_mask(shots, family.width, weights=count)
    start = new_rbm(shots, family.width, seed, settings.initial)
    return pretraining_mask(start, shots, weights=count, criterion=family.variant)  # type: ignore[arg-type]


def prune_family(
    settings: MasksSettings,
    watch: Stopwatch,
    describe: Describe,
    family: Family,
    callback: Callback,
) -> dict[Cell, xr.Dataset]:
    """Return an RBM pruned to each number of weights, and their measures, from their files.

    Until all are written each step has a file in a folder, so a kill costs one step.
    """
    member, width, variant = family
    counts = settings.counts(width, variant)[::-1]
    parts = member.folder / f"{width}-{variant}"
    if not all(family.file(count).exists() for count in counts):
        start, total = _unpruned(settings, family)
        seconds = math.nan if parts.exists() else watch.seconds(start.name(total))
        parts.mkdir(exist_ok=True)
        criterion = "surgeon" if variant == SCALE_FREE_SURGEON else variant
        path = Trainer(settings, member, parts, callback).pruned(
            load_rbm(start.file(total)),
            pruning_counts(settings, family),
            PruneSettings(criterion=criterion),  # type: ignore[arg-type]
            settings.fine_tune,
        )
        with single_thread():
            begin = time.thread_time()
            for rbm in path:
                seconds += time.thread_time() - begin
                count = rbm.number_of_weights
                if count in counts and not family.file(count).exists():
                    write_dataset(family.file(count), describe(family, rbm), "rbm")
                    watch.note(family.name(count), seconds)
                begin = time.thread_time()
    if parts.exists():
        shutil.rmtree(parts)
    return {Cell(family, count): read_dataset(family.file(count), "rbm") for count in counts}


def _unpruned(settings: MasksSettings, family: Family) -> Cell:
    """Return the RBM that a pruning path starts from."""
    if family.variant == SCALE_FREE_SURGEON:
        most = settings.counts(family.width, SCALE_FREE)[-1]
        return Cell(family._replace(variant=SCALE_FREE), most)
    return Cell(family._replace(variant=DENSE), settings.sites * family.width)


def pruning_counts(settings: MasksSettings, family: Family) -> list[int]:
    """Return the numbers of weights of a pruning path: the first, steps between, the wanted."""
    path = [_unpruned(settings, family).weights]
    for count in settings.counts(family.width, family.variant)[::-1]:
        while (step := round(path[-1] * (1.0 - settings.prune_fraction))) > count:
            # A fraction below one weight would not end.
            path.append(min(step, path[-1] - 1))
        path.append(count)
    return path


def measured(settings: MasksSettings, family: Family, rbm: RBM) -> xr.Dataset:
    """Return an RBM and its measures, as written to disk."""
    reference, seed = family.member.problem.reference, family.member.seed
    return final_measures(rbm, reference, settings.measure.draws, seed)
