"""Prune an RBM step by step, with fine-tuning after each step."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Literal

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.core.progress import count, describe, progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import notebook_table
from psiprune.core.validation import check_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoints
from psiprune.metrics.against_state import evaluate
from psiprune.metrics.reference import Reference, reference_of
from psiprune.metrics.state_report import Report
from psiprune.pruning import criteria
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.held_out import fine_tuned_held_out, folds_for, held_out_rbms
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.mps import MPS
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize, MethodLike, as_method
from psiprune.training.symmetry import Symmetry, symmetry_of, tied, with_symmetry_of
from psiprune.training.train import Callback, fit


@notebook_table("step", "rbm", "fraction_pruned", "metrics")
@dataclass(frozen=True, eq=False)
class Level:
    """The result of one step of a pruning path; level 0 is the initial RBM.

    Attributes:
        step: number of pruning steps so far.
        rbm: the RBM after pruning and fine-tuning.
        metrics: the result of `evaluate` against the reference given to `prune`; None without one.
        held_out: with `folds`, the same RBM made without each part of the shots.
    """

    step: int
    rbm: RBM
    metrics: Report | None = None
    held_out: tuple[RBM, ...] = ()

    def __repr__(self) -> str:
        """Return the step, the number of weights and, if measured, the KL divergence."""
        kl = "" if self.metrics is None else f", KL {self.metrics.kl.value:.3g}"
        return f"Level({self.step}, {self.rbm.number_of_weights} weights{kl})"

    @property
    def fraction_pruned(self) -> float:
        """Fraction of all N_h * N weights that are pruned."""
        return 1.0 - self.rbm.density


def prune_to_count(
    rbm: RBM,
    count: int,
    settings: PruneSettings,
    seed: int,
    step: int,
    readout: ReadoutError | None = None,
    symmetry: Symmetry | None = None,
) -> RBM:
    """Return the RBM pruned to `count` weights by the criterion of the settings, not fine-tuned.

    With criterion "random" all steps use one draw, so that the masks of a path are nested. Samples
    of the RBM are drawn anew for each step. With readout errors "damage" and "surgeon" measure the
    cost in the distribution of the records. With a symmetry to which fine-tuning ties the
    parameters they are tied here, and a weight goes with its images, which may leave fewer weights.

    Raises:
        InputError: more than 20,000 parameters with criterion "surgeon", or the mask has not the
            symmetry.
    """
    step_seed = derive_seed(seed, Stream.PRUNING_STEP, step)
    rbm = tied(rbm, symmetry)
    if settings.criterion == "surgeon":
        return prune_obs(
            rbm, count, draws=settings.draws, seed=step_seed, readout=readout, symmetry=symmetry
        )
    if settings.criterion == "magnitude":
        saliency = criteria.magnitude(rbm)
    elif settings.criterion == "magnitude-by-unit":
        saliency = criteria.magnitude_by_unit(rbm)
    elif settings.criterion == "damage":
        saliency = criteria.damage(rbm, draws=settings.draws, seed=step_seed, readout=readout)
    else:
        saliency = criteria.random_saliency(rbm, seed)
    mask = top_k_mask(rbm.mask, saliency, count, symmetry)
    return absorb_into_biases(rbm, mask) if settings.compensate else rbm.with_mask(mask)


def fine_tuned(
    rbm: RBM,
    shots: Shots,
    method: Method | None,
    seed: int,
    step: int,
    callback: Callback | None = None,
    rewind: RBM | None = None,
    checkpoints: Checkpoints | None = None,
) -> RBM:
    """Return the RBM fine-tuned after a step; with `rewind`, trained from its parameters."""
    if rewind is not None:
        rbm = rewind.with_mask(rbm.mask)
    if method is None:
        return rbm
    return fit(rbm, shots, method, _tuning_seed(seed, step), callback, checkpoints)


def _tuning_seed(seed: int, step: int) -> int:
    return derive_seed(seed, Stream.FINE_TUNING, step)


@dataclass(frozen=True, eq=False)
class Pruner:
    """How each level of a pruning path is made from the level before.

    The random numbers of a level depend only on the seed and its step, so a path can be resumed at
    any level.

    Attributes:
        shots: the training set.
        settings: criterion and schedule.
        fine_tune: training method after each step; None for no training.
        seed: random seed of fine-tuning, of random pruning and of samples.
        callback: called after each epoch of fine-tuning.
        rewind: see `prune`.
    """

    shots: Shots
    settings: PruneSettings
    fine_tune: Method | None
    seed: int
    callback: Callback | None = None
    rewind: RBM | None = None

    def next_level(self, level: Level, total: int, checkpoints: Checkpoints | None = None) -> Level:
        """Return the level after `level`; `total` is the number of weights of level 0."""
        step = level.step + 1
        weights = count_at(self.settings, total, step)
        describe(f"{weights} weights")
        return self.pruned_level(level, weights, step, checkpoints)

    def pruned_level(
        self, level: Level, weights: int, step: int, checkpoints: Checkpoints | None = None
    ) -> Level:
        """Return level `step`: `level` pruned to so many weights and fine-tuned.

        With RBMs without each part of the shots, these are pruned to as many weights by themselves,
        and fine-tuning ends where the parts left out are likeliest.
        """
        shots, method, seed = self.shots, self.fine_tune, self.seed
        symmetry = None if method is None else symmetry_of(method, shots.positions)

        def pruned(rbm: RBM) -> RBM:
            return prune_to_count(rbm, weights, self.settings, seed, step, shots.readout, symmetry)

        rbm = pruned(level.rbm)
        if not level.held_out or method is None:
            tuned = fine_tuned(
                rbm, shots, method, seed, step, self.callback, self.rewind, checkpoints
            )
            return Level(step, tuned)
        tuned, held_out = fine_tuned_held_out(
            rbm,
            [pruned(each) for each in level.held_out],
            shots,
            method,
            _tuning_seed(seed, step),
            seed,
            self.callback,
            checkpoints,
        )
        return Level(step, tuned, held_out=held_out)


def prune(
    rbm: RBM,
    shots: ShotsLike,
    *,
    criterion: Literal[
        "magnitude", "magnitude-by-unit", "random", "damage", "surgeon"
    ] = "magnitude",
    fraction: float = 0.1,
    first_fraction: float | None = None,
    density: float | None = None,
    levels: int | None = None,
    compensate: bool = False,
    fine_tune: MethodLike | None = "auto",
    rewind: RBM | None = None,
    folds: int | None = None,
    reference: MPS | Reference | None = None,
    draws: int = 100_000,
    seed: int = 0,
    progress: bool = True,
) -> list[Level]:
    """Prune an RBM iteratively, as the paper does (its Fig. 1 and Table I).

    Each step removes a fraction of the weights and fine-tunes the rest.

    Args:
        rbm: a trained RBM; weights absent from its mask count as pruned already.
        shots: the training set: Shots, bits [shot, site] or counts {"0101": 12}.
        criterion: which weights to remove: "magnitude", smallest |W| over all weights;
            "magnitude-by-unit", the same fraction of each hidden unit; "random"; "damage" and
            "surgeon", smallest increase of the KL divergence. "surgeon" also adjusts all remaining
            parameters.
        fraction: fraction of the remaining weights to remove per step; step n leaves
            round(total * (1 - fraction)^n) weights. Biases are not removed.
        first_fraction: fraction to remove in the first step; by default `fraction`.
        density: stop at exactly round(density * total) weights; the last step removes fewer
            weights.
        levels: maximum number of pruning steps; by default 20, or as many as the density needs. A
            path ends earlier once a single weight is left.
        compensate: add half of each removed weight to the biases of its units; see
            `psiprune.pruning.criteria.absorb_into_biases`.
        fine_tune: training method after each step, such as `CD(epochs=30)`, or one of the names
            "cd", "pcd", "natural" and "exact" for the method with its defaults for fine-tuning
            (`CD.for_fine_tuning()`); "auto" is the best one for the size; None for no training.
        rewind: an RBM with the same units, untrained or of an early epoch. After each step the
            surviving weights and the biases are reset to its values and trained from there (lottery
            tickets; Frankle & Carbin, ICLR 2019), by default for as long as a new RBM.
        folds: end fine-tuning after each step where held-out shots are likeliest, in a
            cross-validation over so many parts of the shots; see `psiprune.pruning.held_out`. 0
            takes all steps of `fine_tune`. By default as in the training of the RBM: `folds` of
            `train`, else 0; 0 with a warning where that cannot be cross-validated.
        reference: state with which to `evaluate` every level.
        draws: RBM samples per sampled metric.
        seed: random seed of fine-tuning, of random pruning and of samples.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        Levels, one more than steps; the first is `rbm` itself. With a reference, `level.metrics`
        holds KL, fidelity, energy, magnetization, correlations and entropies; `plot_path` draws
        them.

    Raises:
        InputError: an argument is invalid.
        DivergenceError: fine-tuning diverged: a parameter is no longer finite.
    """
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    optional = {} if levels is None else {"levels": levels}
    settings = PruneSettings(
        criterion=criterion,
        fraction=fraction,
        first_fraction=first_fraction,
        density=density,
        compensate=compensate,
        **optional,
    )
    if reference is not None and not isinstance(reference, MPS | Reference):
        raise InputError(
            f"reference: must be a state, such as `ground_state` returns, found {reference!r:.60}"
        )
    check_readout(rbm, data)
    tuning = tuning_of(rbm, fine_tune, rewind, readout=data.readout is not None)
    check_rewind(rewind, rbm, tuning)
    parts = folds_for(rbm, folds, data, tuning, rewind)
    seed, total = check_seed(seed), rbm.number_of_weights
    steps = truncate(settings, total).levels
    pruner = Pruner(data, settings, tuning, seed, rewind=rewind)
    with progress_bar(steps * (tuning.epochs if tuning else 0), "pruning", progress=progress):
        path = [Level(0, rbm, held_out=held_out_rbms(rbm, data, parts, seed))]
        for _ in range(steps):
            path.append(pruner.next_level(path[-1], total))
    if reference is None:
        return path
    against = reference if isinstance(reference, Reference) else reference_of(reference)
    measured = []
    with progress_bar(len(path), "evaluating", "levels", progress):
        for level in path:
            metrics = evaluate(level.rbm, against, draws=draws, seed=seed)
            measured.append(replace(level, metrics=metrics))
            count("levels")
    return measured


def tuning_of(
    rbm: RBM, fine_tune: MethodLike | None, rewind: RBM | None = None, *, readout: bool = False
) -> Method | None:
    """Return the method of fine-tuning for an RBM; with a rewind, with the defaults of training."""
    if fine_tune is None:
        return None
    method = as_method(fine_tune, fine_tuning=rewind is None)
    if rewind is not None and isinstance(method, MethodBySize):
        method = MethodBySize(epochs=method.epochs, weight_decay=method.weight_decay)
    weights = rbm.number_of_weights
    sized = method.for_size(rbm.visible, rbm.hidden, readout=readout, weights=weights)
    return with_symmetry_of(sized, rbm)


def check_readout(rbm: RBM | PhaseRBM, shots: Shots) -> None:
    """Warn if an RBM would be fine-tuned through other readout errors than those of its training.

    Warns:
        TrainingWarning: the RBM was trained through readout errors, and the shots carry none, or
            others.
    """
    through = rbm.provenance.get("readout_sha256")
    if through is not None and shots.readout is not None and through != shots.readout.digest:
        warnings.warn(
            f"the RBM was trained through other readout errors ({rbm.provenance.get('readout')}) "
            f"than those of the shots ({shots.readout}): fine-tuning moves its state; give those "
            "of its training, or train it again through these",
            TrainingWarning,
            stacklevel=3,
        )
    if "readout" in rbm.provenance and shots.readout is None:
        warnings.warn(
            f"the RBM was trained through readout errors, but {shots.source} carries none: its "
            "bits are taken as true ones; give the errors with --readout or "
            "dataclasses.replace(shots, readout=error)",
            TrainingWarning,
            stacklevel=3,
        )


def check_rewind(rewind: RBM | None, rbm: RBM, fine_tune: Method | None) -> None:
    """Raise InputError unless an RBM can be rewound to `rewind` and trained from there."""
    if rewind is None:
        return
    if rewind.mask.shape != rbm.mask.shape:
        raise InputError(
            f"rewind: must have the shape [hidden, visible] = {list(rbm.mask.shape)} of the RBM, "
            f"found {list(rewind.mask.shape)}"
        )
    missing = int((rbm.mask & ~rewind.mask).sum())
    if missing:
        raise InputError(
            f"rewind: lacks {missing} of the weights that the RBM has; give an RBM that has all of "
            "them"
        )
    if fine_tune is None:
        raise InputError("rewind: requires fine-tuning, found none; enable it or omit rewind")
