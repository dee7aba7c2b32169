"""Rewire a sparse RBM at a fixed number of weights: drop what matters least, grow what is missing.

Dynamic sparsity after RigL (Evci, Gale, Menick, Castro & Elsen, ICML 2020), with two differences:
weights may be dropped by optimal brain surgery, and a round that makes the likelihood worse is
undone where the likelihood is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.inference.fisher import model_configurations
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.criteria import DRAWS, top_k_mask
from psiprune.pruning.iterative import Level, fine_tuned, prune_to_count, tuning_of
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    data_moments,
    log_likelihood,
    unique_configurations,
)
from psiprune.rbm.model import RBM
from psiprune.training.method import Method
from psiprune.training.methods import MethodLike
from psiprune.training.train import Callback

Float64 = NDArray[np.float64]
_PIECE = 1 << 14  # configurations at a time


def weights_moved(count: int, missing: int, share: float, step: int, rounds: int) -> int:
    """How many of `count` weights move in round `step` (from 0) of `rounds`; at least 1.

    round(count * share / 2 * (1 + cos(pi * step / rounds))), the cosine of RigL's Section 3, and
    never more than there are missing weights to grow, nor all.
    """
    falling = 0.5 * share * (1.0 + np.cos(np.pi * step / rounds))
    return max(1, min(round(count * falling), missing, count - 1))


def edge_gradient(
    rbm: RBM, data: WeightedConfigurations, *, draws: int = DRAWS, seed: int = 0
) -> Float64:
    """<v_i h_j>_data - <v_i h_j>_model for all pairs, in the mask or not: [hidden, visible].

    The derivative of the mean log-likelihood, in nat a shot, with respect to W_ji, a missing one
    taken at 0. Exact where a layer has at most 18 units, above over `draws` samples of the RBM.
    """
    if is_exact(rbm):
        return log_likelihood(rbm, data)[1].visible_hidden
    return _mean_products(rbm, data) - _mean_products(rbm, model_configurations(rbm, draws, seed))


def is_exact(rbm: RBM) -> bool:
    """Whether likelihood and gradient are sums over all states of a layer."""
    return min(rbm.visible, rbm.hidden) <= EXACT_GRADIENT_UNITS


@single_blas_thread()
def rewired(
    rbm: RBM,
    data: WeightedConfigurations,
    moved: int,
    settings: RewireSettings,
    seed: int,
    step: int,
) -> RBM:
    """The RBM with `moved` weights dropped and as many grown at value 0, not trained.

    Dropped by the criterion ("surgeon" corrects all others). Then those of greatest
    |edge_gradient| are grown among the weights that were missing before, so none that was just
    dropped; ties go to the lower index.
    """
    own = derive_seed(seed, Stream.REWIRING, step)
    how = PruneSettings(criterion=settings.criterion, draws=settings.draws)
    dropped = prune_to_count(rbm, rbm.number_of_weights - moved, how, own, step)
    gradient = edge_gradient(
        dropped, data, draws=settings.draws, seed=derive_seed(own, Stream.MISSING_WEIGHTS)
    )
    grown = top_k_mask(~rbm.mask, np.abs(gradient), moved)
    return replace(dropped, mask=dropped.mask | grown)


def rewire_step(
    level: Level,
    shots: Shots,
    settings: RewireSettings,
    fine_tune: Method,
    seed: int,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
) -> Level:
    """Return the level after `level`, one round later; see `rewire`.

    A round depends on the RBM it begins with, the seed and its number only, so it can be resumed
    at any level.
    """
    data = unique_configurations(shots.bits)
    step, rbm = level.step, level.rbm
    missing = rbm.mask.size - rbm.number_of_weights
    moved = weights_moved(rbm.number_of_weights, missing, settings.share, step, settings.rounds)
    new = rewired(rbm, data, moved, settings, seed, step)
    new = fine_tuned(new, shots, fine_tune, seed, step + 1, callback, checkpoints=checkpoints)
    if is_exact(rbm) and log_likelihood(new, data)[0] <= log_likelihood(rbm, data)[0]:
        new = rbm
    return Level(step + 1, new)


def rewire(
    rbm: RBM,
    shots: Shots | ArrayLike,
    *,
    rounds: int = 20,
    share: float = 0.3,
    criterion: Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"] = "surgeon",
    fine_tune: MethodLike = "auto",
    seed: int = 0,
) -> list[Level]:
    """Move the weights of a sparse RBM to where they are needed, at a fixed number of weights.

    Each round drops a share of the weights, grows as many missing ones at 0 where the likelihood
    rises most steeply, and trains on; the share falls by a cosine. Where a layer has at most 18
    units a round that does not raise the likelihood of the shots is undone, and the next one moves
    fewer weights; above, no likelihood is at hand and every round counts. A hidden unit that has
    lost all weights stays so: its gradients are 0.

    Args:
        rbm: a trained RBM that lacks some of its weights.
        shots: the training set, Shots or bits [shot, site].
        rounds: how often.
        share: of the weights that move in the first round.
        criterion: which weights are dropped, as in `prune`.
        fine_tune: method of training after each round, or its name, as in `prune`.
        seed: of training, of samples and of random dropping.

    Returns:
        Levels, one more than rounds; the first is `rbm` itself, an undone round repeats the RBM
        before it.

    Raises:
        InputError: an argument breaks its rule, the RBM lacks no weight, or it has only one.
        DivergenceError: fine-tuning left the finite numbers.

    Source: Evci et al., "Rigging the Lottery", ICML 2020, arXiv:1911.11134.
    """
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    settings = RewireSettings(rounds=rounds, share=share, criterion=criterion)
    if fine_tune is None:
        raise InputError(
            "fine_tune: must be a method of training (cd, pcd, natural or exact), found None; "
            "weights grow at 0, so without training a round would only remove some"
        )
    tuning = tuning_of(rbm, fine_tune)
    assert tuning is not None
    check_rewirable(rbm)
    levels, seed = [Level(0, rbm)], check_seed(seed)
    for _ in range(settings.rounds):
        levels.append(rewire_step(levels[-1], data, settings, tuning, seed))
    return levels


def check_rewirable(rbm: RBM) -> None:
    """Raise InputError unless weights can be dropped and others grown."""
    if rbm.mask.all():
        raise InputError("rbm: lacks no weight, so none can be grown; prune it first")
    if rbm.number_of_weights < 2:
        raise InputError(
            f"rbm: needs two weights or more to be rewired, found {rbm.number_of_weights}"
        )


def _mean_products(rbm: RBM, data: WeightedConfigurations) -> Float64:
    """<h_j v_i> over configurations, in pieces: those of all shots may not fit at once."""
    total = np.zeros(rbm.mask.shape)
    for first in range(0, len(data.weight), _PIECE):
        part = slice(first, first + _PIECE)
        total += data_moments(rbm, WeightedConfigurations(data.bits[:, part], data.weight[part]))[
            1
        ].visible_hidden
    return total
