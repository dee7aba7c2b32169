"""Prune an RBM step by step: which weights go, how many, and training on after each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoints
from psiprune.metrics.against_state import Reference, Report, evaluate, reference_of
from psiprune.pruning import criteria
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS
from psiprune.training.method import Method
from psiprune.training.methods import MethodBySize, MethodLike, as_method
from psiprune.training.train import Callback, fit


@dataclass(frozen=True, eq=False)
class Level:
    """One step of a pruning path; level 0 is the RBM it began with.

    Attributes:
        step: number of pruning steps behind it.
        rbm: the RBM after pruning and fine-tuning.
        metrics: what `evaluate` measured against the reference of `prune`; None without one.
    """

    step: int
    rbm: RBM
    metrics: Report | None = None

    def __repr__(self) -> str:
        """Return one line: step, number of weights and, if measured, the KL divergence."""
        kl = "" if self.metrics is None else f", KL {self.metrics.kl.value:.3g}"
        return f"Level({self.step}, {self.rbm.number_of_weights} weights{kl})"

    @property
    def fraction_pruned(self) -> float:
        """Share of all N_h * N weights that are gone."""
        return 1.0 - self.rbm.density


def prune_to_count(rbm: RBM, count: int, settings: PruneSettings, seed: int, step: int) -> RBM:
    """The RBM with `count` of its weights, by the criterion of the settings, not fine-tuned.

    The random saliency is one draw for all steps, so that the mask of a level lies within the last
    one. Samples of the RBM are drawn anew for each step.

    Raises:
        InputError: more than 20,000 parameters with criterion "surgeon".
    """
    count = min(rbm.number_of_weights, count)
    own = derive_seed(seed, Stream.PRUNING_STEP, step)
    if settings.criterion == "surgeon":
        return prune_obs(rbm, count, draws=settings.draws, seed=own)
    if settings.criterion == "magnitude":
        worth = criteria.magnitude(rbm)
    elif settings.criterion == "magnitude-by-unit":
        worth = criteria.magnitude_by_unit(rbm)
    elif settings.criterion == "damage":
        worth = criteria.damage(rbm, draws=settings.draws, seed=own)
    else:
        worth = criteria.random_saliency(rbm, seed)
    mask = top_k_mask(rbm.mask, worth, count)
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
    """Return the RBM fine-tuned after a step; with `rewind` from that RBM's parameters."""
    if rewind is not None:
        rbm = rewind.with_mask(rbm.mask)
    if method is None:
        return rbm
    seed = derive_seed(seed, Stream.FINE_TUNING, step)
    return fit(rbm, shots, method, seed, callback, checkpoints)


def next_level(
    level: Level,
    total: int,
    shots: Shots,
    settings: PruneSettings,
    fine_tune: Method | None,
    seed: int,
    callback: Callback | None = None,
    rewind: RBM | None = None,
    checkpoints: Checkpoints | None = None,
) -> Level:
    """Return the level after `level`; arguments as in `prune_steps`."""
    step = level.step + 1
    count = count_at(settings, total, step)
    pruned = prune_to_count(level.rbm, count, settings, seed, step)
    tuned = fine_tuned(pruned, shots, fine_tune, seed, step, callback, rewind, checkpoints)
    return Level(step, tuned)


def prune_steps(
    level: Level,
    total: int,
    shots: Shots,
    settings: PruneSettings,
    fine_tune: Method | None,
    seed: int,
    callback: Callback | None = None,
    rewind: RBM | None = None,
) -> Iterator[Level]:
    """The levels after `level`, each pruned from the one before and fine-tuned.

    `total` is the number of weights of level 0, on which the counts of all levels rest. The random
    numbers of a level depend on the seed and its step alone: a path can be resumed at any level.
    """
    while level.step < settings.levels:
        level = next_level(level, total, shots, settings, fine_tune, seed, callback, rewind)
        yield level


def prune(
    rbm: RBM,
    shots: Shots | ArrayLike,
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
    reference: MPS | Reference | None = None,
    draws: int = 100_000,
    seed: int = 0,
) -> list[Level]:
    """Prune step by step, as the paper does (its Fig. 1 and Table I): remove, train on, repeat.

    Args:
        rbm: a trained RBM; weights its mask already lacks count as pruned before.
        shots: the training set, Shots or bits [shot, site].
        criterion: which weights are removed: "magnitude", least |W| over all weights;
            "magnitude-by-unit", the same fraction of each hidden unit; "random"; "damage" and
            "surgeon", least cost in KL. "surgeon" also adjusts all remaining parameters.
        fraction: share of the remaining weights removed a step; step n keeps
            round(total * (1 - fraction)^n). Biases stay.
        first_fraction: share removed in the first step, if another than later.
        density: stop at exactly round(density * total) weights, the last step cut short.
        levels: number of pruning steps, at most; 20 if not given, or as many as the density takes.
            A path ends before where one weight is left.
        compensate: add half of a removed weight to the biases of its units; see
            `psiprune.pruning.criteria.absorb_into_biases`.
        fine_tune: method of training after each step, such as `CD(epochs=30)`; or a name, "cd",
            "pcd", "natural" or "exact", which stands for the method with its defaults for
            fine-tuning (`CD.for_fine_tuning()`); "auto" is the best one for the size; None for no
            training.
        rewind: an RBM with the same units, untrained or of an early epoch. After each step the
            surviving weights and the biases are set to its values and trained from there (lottery
            tickets; Frankle & Carbin, ICLR 2019), by default for as long as a new RBM.
        reference: state against which every level is measured, as by `evaluate`.
        draws: RBM samples behind each sampled metric.
        seed: of fine-tuning, of random pruning and of samples.

    Returns:
        Levels, one more than steps; the first is `rbm` itself. With a reference `level.metrics`
        holds KL, fidelity, energy, magnetization and correlations, which `plot_path` draws.

    Raises:
        InputError: an argument breaks its rule.
        DivergenceError: fine-tuning left the finite numbers.
    """
    data = as_shots(shots)
    check_sites(data, rbm.visible, "the RBM")
    steps = {} if levels is None else {"levels": levels}
    settings = PruneSettings(
        criterion=criterion,
        fraction=fraction,
        first_fraction=first_fraction,
        density=density,
        compensate=compensate,
        **steps,
    )
    if reference is not None and not isinstance(reference, MPS | Reference):
        raise InputError(
            f"reference: must be a state, such as `ground_state` returns, found {reference!r:.60}"
        )
    tuning = tuning_of(rbm, fine_tune, rewind)
    check_rewind(rewind, rbm, tuning)
    first = Level(0, rbm)
    own = check_seed(seed)
    settings = truncate(settings, rbm.number_of_weights)
    rest = prune_steps(first, rbm.number_of_weights, data, settings, tuning, own, rewind=rewind)
    path = [first, *rest]
    if reference is None:
        return path
    against = reference if isinstance(reference, Reference) else reference_of(reference)
    return [
        replace(level, metrics=evaluate(level.rbm, against, draws=draws, seed=own))
        for level in path
    ]


def tuning_of(rbm: RBM, fine_tune: MethodLike | None, rewind: RBM | None = None) -> Method | None:
    """Return the method of fine-tuning for an RBM; after a rewind with the defaults of training."""
    if fine_tune is None:
        return None
    method = as_method(fine_tune, fine_tuning=rewind is None)
    if rewind is not None and isinstance(method, MethodBySize):
        method = MethodBySize(epochs=method.epochs)
    return method.for_size(rbm.visible, rbm.hidden)


def check_rewind(rewind: RBM | None, rbm: RBM, fine_tune: Method | None) -> None:
    """Raise InputError unless an RBM can be rewound to `rewind` and trained from there."""
    if rewind is None:
        return
    if rewind.mask.shape != rbm.mask.shape:
        found, wanted = rewind.mask.shape, rbm.mask.shape
        raise InputError(
            f"rewind: must have shape [hidden, visible] = {list(wanted)} as the RBM, found "
            f"{list(found)}"
        )
    missing = int((rbm.mask & ~rewind.mask).sum())
    if missing:
        raise InputError(f"rewind: lacks {missing} weights that the RBM has; give a denser one")
    if fine_tune is None:
        raise InputError("rewind: needs fine-tuning, which trains from there; found none")
