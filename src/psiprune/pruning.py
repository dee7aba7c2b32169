"""Prune an RBM step by step: which weights go, how many, and training on after each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.config import FineTuneSettings, PruneSettings
from psiprune.inputs import InputError, check_seed
from psiprune.rbm import RBM
from psiprune.shots import Shots, as_shots, check_sites
from psiprune.training import Watch, train

_STREAM = 3


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


def weights_kept(total: int, fraction: float, step: int) -> int:
    """round(total * (1 - fraction)^step), at least 1 (the paper's Table I: 162 -> 96 at step 5)."""
    return max(1, round(total * (1.0 - fraction) ** step))


def magnitude(rbm: RBM) -> NDArray[np.float64]:
    """Saliency |W_ji|, [hidden, visible] (the paper's criterion)."""
    return np.abs(rbm.weights)


def uniform(rbm: RBM, seed: int) -> NDArray[np.float64]:
    """Random saliency [hidden, visible]: the control that every criterion must beat."""
    return np.random.default_rng([seed, _STREAM]).random(rbm.weights.shape)


def keep_most_salient(
    mask: NDArray[np.bool_], saliency: NDArray[np.float64], count: int
) -> NDArray[np.bool_]:
    """The mask of the `count` weights of greatest saliency among those of `mask`.

    Ties go to the lower index (row by row), so the count is exact.
    """
    existing = np.flatnonzero(mask)
    order = np.argsort(-saliency.ravel()[existing], kind="stable")
    kept = np.zeros(mask.size, bool)
    kept[existing[order[:count]]] = True
    return kept.reshape(mask.shape)


def remove_weights(level: Level, total: int, settings: PruneSettings, seed: int) -> Level:
    """The next level before fine-tuning: fewer weights, everything else as it was."""
    step = level.step + 1
    rbm = level.rbm
    # The random saliency is one draw for all steps: the mask of a level lies within the last one.
    saliency = magnitude(rbm) if settings.criterion == "magnitude" else uniform(rbm, seed)
    count = min(rbm.number_of_weights, weights_kept(total, settings.fraction, step))
    return Level(step, rbm.with_mask(keep_most_salient(rbm.mask, saliency, count)))


def prune_steps(
    level: Level,
    total: int,
    shots: Shots,
    settings: PruneSettings,
    fine_tune: FineTuneSettings | None,
    seed: int,
    watch: Watch | None = None,
) -> Iterator[Level]:
    """The levels after `level`, each pruned from the one before and fine-tuned.

    `total` is the number of weights of level 0, on which the counts of all levels rest. The random
    numbers of a level depend on the seed and its step alone: a path can be taken up at any level.
    """
    while level.step < settings.levels:
        level = remove_weights(level, total, settings, seed)
        if fine_tune is not None:
            own = int(np.random.SeedSequence([seed, _STREAM, level.step]).generate_state(1)[0])
            tuned = train(shots, start=level.rbm, settings=fine_tune, seed=own, watch=watch)
            level = Level(level.step, tuned)
        yield level


def prune(
    rbm: RBM,
    shots: Shots | ArrayLike,
    *,
    criterion: Literal["magnitude", "random"] = "magnitude",
    fraction: float = 0.1,
    levels: int = 20,
    fine_tune: Literal["cd", "pcd", "exact"] | None = "cd",
    seed: int = 0,
    **changes: Any,
) -> list[Level]:
    """Prune step by step, as the paper does (its Fig. 1 and Table I): remove, train on, repeat.

    Args:
        rbm: a trained RBM; weights its mask already lacks count as pruned before.
        shots: the training set, Shots or bits [shot, site].
        criterion: "magnitude" removes the weights of least |W|, "random" any.
        fraction: share of the remaining weights removed a step; step n keeps
            round(total * (1 - fraction)^n). Biases stay.
        levels: number of pruning steps.
        fine_tune: method of training after each step, or None for no training.
        seed: of fine-tuning and of random pruning.
        **changes: settings of fine-tuning: epochs (a level), learning_rate, cd_steps, ...

    Returns:
        levels + 1 Levels; the first is `rbm` itself.

    Raises:
        InputError: an argument breaks its rule.
        Diverged: fine-tuning left the finite numbers.
    """
    data = as_shots(shots)
    check_sites(data, rbm.visible, "the RBM")
    settings = PruneSettings(criterion=criterion, fraction=fraction, levels=levels)
    if fine_tune is None and changes:
        raise InputError(f"{next(iter(changes))}: has no use with fine_tune = None")
    tuning = None if fine_tune is None else FineTuneSettings(method=fine_tune, **changes)
    first = Level(0, rbm)
    steps = prune_steps(first, rbm.number_of_weights, data, settings, tuning, check_seed(seed))
    return [first, *steps]
