"""Find the smallest RBM within a limit: prune until a measure exceeds it, then bisect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.progress import describe, expect, with_progress_bar
from psiprune.core.random import Stream, generator_for
from psiprune.core.repr import html_table
from psiprune.core.validation import as_count, check_count, check_seed
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.held_out import folds_for, held_out_rbms, how_trained
from psiprune.pruning.iterative import Level, Pruner, check_rewind, tuning_of
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import SEARCH_LEVELS, PruneSettings
from psiprune.rbm.model import RBM
from psiprune.training.methods import MethodLike
from psiprune.training.train import Callback, train

#: Fraction of the weights at which a search is expected to end, for its progress bar.
_EXPECTED_DENSITY = 0.1
#: First step number of a bisection, beyond all levels, so that the random numbers differ.
_BISECTION = 1 << 20


class Trial(NamedTuple):
    """An RBM of the search and its measure; `name` is level-01, trial-0085, other-1, ...

    With `folds`, `held_out` are the same RBM made without each part of the shots.
    """

    name: str
    rbm: RBM
    value: float
    held_out: tuple[RBM, ...] = ()


#: Loads the trial of a name if it exists, else makes it by the function, with checkpoints if any.
LoadOrMake = Callable[[str, Callable[[Checkpoints | None], Trial]], Trial]


@dataclass(frozen=True, eq=False, repr=False)
class Smallest:
    """The result of a search for the smallest RBM.

    Attributes:
        rbm: the RBM of fewest weights whose measure is within the limit, among the trials.
        value: its measure.
        limit: the largest accepted value of the measure.
        fewer: the largest smaller number of weights that was tried and exceeded the limit; None if
            the path ended before the measure exceeded the limit.
        trials: all trials in order; the first is the initial RBM.
    """

    rbm: RBM
    value: float
    limit: float
    fewer: int | None
    trials: tuple[Trial, ...]

    def __repr__(self) -> str:
        """Return weights, measure and limit in one line."""
        fewer = "the path ended" if self.fewer is None else f"{self.fewer} exceed it"
        return (
            f"Smallest({self.rbm.number_of_weights} weights, {self.value:.5g} within "
            f"{self.limit:.5g}, {fewer}, {len(self.trials)} trials)"
        )

    def _repr_html_(self) -> str:
        """Return a row for each trial, for notebooks."""
        rows = [
            (each.name, each.rbm.number_of_weights, each.value, each.value <= self.limit)
            for each in self.trials
        ]
        return html_table(("trial", "weights", "value", f"at most {self.limit:.6g}"), rows)


@with_progress_bar("pruning")
def find_smallest(
    rbm: RBM,
    shots: ShotsLike,
    *,
    measure: Callable[[RBM], float],
    limit: float,
    settings: PruneSettings | None = None,
    fine_tune: MethodLike | None = "auto",
    bisect: bool = True,
    rewind: RBM | None = None,
    folds: int | None = None,
    path: Sequence[Level] = (),
    seed: int = 0,
    callback: Callback | None = None,
    load_or_make: LoadOrMake | None = None,
    progress: bool = True,
) -> Smallest:
    """Prune level by level until measure(rbm) > limit; then bisect the number of weights.

    The bisection is between the last level within the limit and the first level that exceeds it.
    Each trial is pruned in one step from the smallest RBM within the limit so far, and fine-tuned.
    After one weight, the product model of no weights is tried.
    The measure is assumed to grow as weights are removed; a smaller RBM beyond the first excess is
    not found.

    Args:
        rbm: the initial RBM.
        shots: the training set: Shots, bits [shot, site] or counts {"0101": 12}.
        measure: any function RBM -> number that grows with damage; NaN counts as above the limit.
        limit: largest value to accept.
        settings: criterion and schedule; by default magnitude, 10 % per step.
        fine_tune: training method after each step, or its name, see `prune`; None for no training.
        bisect: False stops at the last level within the limit.
        rewind: see `prune`.
        folds: see `prune`.
        path: levels of this path that exist already, from level 0; they are not computed again.
        seed: see `prune`.
        callback: called after each epoch of fine-tuning.
        load_or_make: called for every trial with its name and a function that makes it; returns the
            trial. Use it to store trials on disk, so that a rerun resumes.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: the measure of `rbm` itself exceeds the limit, or an argument is invalid.
        DivergenceError: fine-tuning diverged: a parameter is no longer finite.
    """
    data, seed = check_sites(as_shots(shots), rbm.visible, "the RBM"), check_seed(seed)
    settings = PruneSettings(levels=SEARCH_LEVELS) if settings is None else settings
    tuning = tuning_of(rbm, fine_tune, rewind, readout=data.readout is not None)
    check_rewind(rewind, rbm, tuning)
    parts = folds_for(rbm, folds, data, tuning, rewind)
    if any(len(level.held_out) != parts for level in path):
        raise InputError(f"path: must be of levels made with folds = {parts}; omit path, or folds")
    if math.isnan(limit):
        raise InputError("limit: must be a number, found nan")
    load_or_make = _make if load_or_make is None else load_or_make
    pruner = Pruner(data, settings, tuning, seed, callback, rewind)
    total, epochs = rbm.number_of_weights, 0 if tuning is None else tuning.epochs
    trials: list[Trial] = []
    planned = len(expected_trials(settings, total))
    expect("epochs", planned * epochs)

    def attempt(name: str, make: Callable[[Checkpoints | None], Level]) -> Trial:
        made = not trials  # the first one is not trained

        def make_trial(checkpoints: Checkpoints | None) -> Trial:
            nonlocal made
            made = True
            candidate = make(checkpoints)
            return Trial(name, candidate.rbm, measure(candidate.rbm), candidate.held_out)

        trials.append(load_or_make(name, make_trial))
        if not made:
            expect("epochs", -epochs)
        return trials[-1]

    def dense(checkpoints: Checkpoints | None) -> Level:
        return Level(0, rbm, held_out=held_out_rbms(rbm, data, parts, seed, checkpoints))

    good = attempt("level-00", dense)
    check_within(good.value, limit)
    level, refused = Level(0, rbm, held_out=good.held_out), None
    while level.step < settings.levels and level.rbm.number_of_weights > 1:
        last = level
        if count_at(settings, total, last.step + 1) >= last.rbm.number_of_weights:
            # Rounding leaves the number of weights as it is.
            level = replace(last, step=last.step + 1)
            continue

        def step(checkpoints: Checkpoints | None, last: Level = last) -> Level:
            if last.step + 1 < len(path):
                expect("epochs", -epochs)
                return path[last.step + 1]
            return pruner.next_level(last, total, checkpoints)

        tried = attempt(f"level-{last.step + 1:02d}", step)
        level = Level(last.step + 1, tried.rbm, held_out=tried.held_out)
        if not tried.value <= limit:
            refused = tried.rbm.number_of_weights
            break
        good = tried

    def jump(start: Trial, count: int) -> Trial:
        def prune_and_tune(checkpoints: Checkpoints | None) -> Level:
            describe(f"bisection, {count} weights")
            step = _BISECTION + count
            begin = Level(0, start.rbm, held_out=start.held_out)
            return pruner.pruned_level(begin, count, step, checkpoints)

        return attempt(f"trial-{count:04d}", prune_and_tune)

    gap = good.rbm.number_of_weights - refused if bisect and refused is not None else 1
    left = (gap - 1).bit_length()  # a bisection halves the gap
    expect("epochs", (left - max(0, planned - len(trials) + 1)) * epochs)
    if bisect and good.rbm.number_of_weights == 1 and settings.density is None:
        product = jump(good, 0)  # independent bits; no fraction of the weights leads there
        good, refused = (product, None) if product.value <= limit else (good, 0)
    # Where a symmetry removes several weights at once, an RBM may have fewer than its count.
    below = refused
    while bisect and below is not None and good.rbm.number_of_weights - below > 1:
        count = (good.rbm.number_of_weights + below) // 2
        tried = jump(good, count)
        if tried.value <= limit:
            good = tried
        else:
            below, refused = count, tried.rbm.number_of_weights
    return Smallest(good.rbm, good.value, limit, refused, tuple(trials))


def expected_trials(settings: PruneSettings, weights: int) -> list[int]:
    """Return the numbers of weights that a search is expected to try before it ends.

    It is expected to end at a tenth of the weights. For progress bars and estimates: where it will
    end is not known before.
    """
    most, aim = truncate(settings, weights).levels, max(1, round(_EXPECTED_DENSITY * weights))
    kept = [weights]
    while kept[-1] > aim and len(kept) <= most:
        kept.append(count_at(settings, weights, len(kept)))
    removed = kept[-2] - kept[-1] if len(kept) > 1 else 0
    return kept[1:] + [kept[-1]] * max(0, removed - 1).bit_length()


def check_within(value: float, limit: float) -> None:
    """Raise InputError if the initial RBM of a search exceeds the limit, or its value is NaN."""
    if not value <= limit:
        raise InputError(
            f"limit: must be at least the value of the unpruned RBM, {value:.6g}, found "
            f"{limit:.6g}; increase the limit, or train the RBM longer"
        )


@with_progress_bar("training the ensemble")
def dense_limit(
    rbm: RBM,
    shots: ShotsLike,
    *,
    measure: Callable[[RBM], float],
    others: int = 5,
    callback: Callback | None = None,
    load_or_make: LoadOrMake | None = None,
    progress: bool = True,
) -> float:
    """Return the largest measure(r) of a dense ensemble: `rbm`, and others that differ by seed.

    The others are trained with the settings in the provenance of `rbm`, at the next seeds: on the
    same shots, or where training converges to the same RBM for any seed, on shots resampled with
    replacement. A measure within this limit may be due to the training or to the shots alone.

    Args:
        rbm: a trained RBM with all its weights.
        shots: the training set: Shots, bits [shot, site] or counts {"0101": 12}.
        measure: see `find_smallest`.
        others: number of other RBMs to train.
        callback: called after each epoch.
        load_or_make: see `find_smallest`; the trials are other-1, other-2, ...
        progress: show a progress bar with the time left, in terminals and notebooks.

    Raises:
        InputError: the RBM is pruned, continued the training of another one, its provenance does
            not record how it was trained, or there are fewer shots than folds of its training.
    """
    seed, method, initial = how_trained(rbm)
    data = as_shots(shots)
    folds = as_count(rbm.provenance.get("folds"), 2) or 0
    if folds > len(data):
        raise InputError(
            f"limit: must be given, because the RBM was trained with {folds} folds and there are "
            f"fewer shots, {len(data)}, so no ensemble of such RBMs can be trained"
        )
    load_or_make = _make if load_or_make is None else load_or_make
    values = [measure(rbm)]
    others = check_count("others", others, 1)
    expect("epochs", others * method.epochs)
    for k in range(1, others + 1):

        def make(checkpoints: Checkpoints | None, k: int = k) -> Trial:
            other = train(
                data if not method.CONVERGES else _resampled(data, seed + k),
                hidden=rbm.hidden,
                seed=seed + k,
                method=method,
                initial=initial,
                folds=folds,
                callback=callback,
                checkpoints=checkpoints,
            )
            return Trial(f"other-{k}", other, measure(other))

        values.append(load_or_make(f"other-{k}", make).value)
    return max(values)


def _resampled(shots: Shots, seed: int) -> Shots:
    """Shots drawn from these with replacement."""
    rows = generator_for(seed, Stream.ENSEMBLE_RESAMPLE).integers(0, len(shots), len(shots))
    source = f"{shots.source} (resampled)"
    return replace(shots.take(rows), source=source)


def _make(_: str, make: Callable[[Checkpoints | None], Trial]) -> Trial:
    return make(None)
