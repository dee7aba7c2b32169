"""Prune an RBM step by step: which weights go, how many, and training on after each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.pruning import criteria
from psiprune.pruning.criteria import absorb_into_biases, top_k_mask
from psiprune.pruning.optimal_brain_surgeon import prune_obs
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.training.methods import FineTuneSettings, TrainSettings
from psiprune.training.train import Callback, train


@dataclass(frozen=True, eq=False)
class Level:
    """One step of a pruning path; level 0 is the RBM it began with.

    Attributes:
        step: number of pruning steps behind it.
        rbm: the RBM after pruning and fine-tuning.
    """

    step: int
    rbm: RBM

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
    settings: FineTuneSettings | None,
    seed: int,
    step: int,
    watch: Callback | None = None,
    rewind: RBM | None = None,
) -> RBM:
    """The RBM trained on after a step; with `rewind` from the weights and biases of that RBM."""
    if rewind is not None:
        rbm = rewind.with_mask(rbm.mask)
    if settings is None:
        return rbm
    return train(
        shots,
        start=rbm,
        settings=settings,
        seed=derive_seed(seed, Stream.FINE_TUNING, step),
        watch=watch,
    )


def next_level(
    level: Level,
    total: int,
    shots: Shots,
    settings: PruneSettings,
    fine_tune: FineTuneSettings | None,
    seed: int,
    watch: Callback | None = None,
    rewind: RBM | None = None,
) -> Level:
    """The level after `level`; arguments as in `prune_steps`."""
    step = level.step + 1
    count = count_at(settings, total, step)
    pruned = prune_to_count(level.rbm, count, settings, seed, step)
    return Level(step, fine_tuned(pruned, shots, fine_tune, seed, step, watch, rewind))


def prune_steps(
    level: Level,
    total: int,
    shots: Shots,
    settings: PruneSettings,
    fine_tune: FineTuneSettings | None,
    seed: int,
    watch: Callback | None = None,
    rewind: RBM | None = None,
) -> Iterator[Level]:
    """The levels after `level`, each pruned from the one before and fine-tuned.

    `total` is the number of weights of level 0, on which the counts of all levels rest. The random
    numbers of a level depend on the seed and its step alone: a path can be taken up at any level.
    """
    while level.step < settings.levels:
        level = next_level(level, total, shots, settings, fine_tune, seed, watch, rewind)
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
    fine_tune: Literal["cd", "pcd", "natural", "exact"] | None = "cd",
    rewind: RBM | None = None,
    seed: int = 0,
    **changes: Any,
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
        compensate: add half of a removed weight to the biases of its units; see `compensated`.
        fine_tune: method of training after each step, or None for no training.
        rewind: an RBM with the same units, untrained or of an early epoch. After each step the
            surviving weights and the biases are set to its values and trained from there (lottery
            tickets; Frankle & Carbin, ICLR 2019), by default for as long as a new RBM.
        seed: of fine-tuning, of random pruning and of samples.
        **changes: settings of fine-tuning: epochs (a level), learning_rate, cd_steps, ...

    Returns:
        Levels, one more than steps; the first is `rbm` itself.

    Raises:
        InputError: an argument breaks its rule.
        Diverged: fine-tuning left the finite numbers.
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
    if fine_tune is None and changes:
        raise InputError(f"{next(iter(changes))}: has no use with fine_tune = None")
    tuning = None
    if fine_tune is not None:
        given = {"method": fine_tune, **changes}
        tuning = FineTuneSettings(**given) if rewind is None else retrain_settings(rbm, given)
    check_rewind(rewind, rbm, tuning)
    first = Level(0, rbm)
    own = check_seed(seed)
    settings = truncate(settings, rbm.number_of_weights)
    rest = prune_steps(first, rbm.number_of_weights, data, settings, tuning, own, rewind=rewind)
    return [first, *rest]


def retrain_settings(rbm: RBM, given: Mapping[str, Any]) -> FineTuneSettings:
    """Settings of the training after a rewind: as given, and else those of a new RBM."""
    training = TrainSettings(**given).for_size(rbm.visible, rbm.hidden)
    return FineTuneSettings(**training.model_dump())


def check_rewind(rewind: RBM | None, rbm: RBM, fine_tune: FineTuneSettings | None) -> None:
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
