"""Rewire a sparse RBM at a fixed number of weights: drop the least important, grow new ones.

Dynamic sparsity after RigL (Evci, Gale, Menick, Castro & Elsen, ICML 2020), with two differences:
weights may be dropped by optimal brain surgery, and a round that does not increase the likelihood
is undone where the likelihood is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.progress import expect, with_progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_seed
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites, without_readout_error
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
from psiprune.training.methods import METHODS, MethodLike
from psiprune.training.train import Callback

Float64 = NDArray[np.float64]
_PIECE = 1 << 14  # configurations at a time


def weights_moved(count: int, missing: int, share: float, step: int, rounds: int) -> int:
    """Return how many of `count` weights to move in round `step` (from 0) of `rounds`; at least 1.

    round(count * share / 2 * (1 + cos(pi * step / rounds))), the cosine schedule of RigL's Section
    3; at most the number of missing weights, and at most count - 1.
    """
    fraction = 0.5 * share * (1.0 + np.cos(np.pi * step / rounds))
    return max(1, min(round(count * fraction), missing, count - 1))


def edge_gradient(
    rbm: RBM, data: WeightedConfigurations, *, draws: int = DRAWS, seed: int = 0
) -> Float64:
    """Return <v_i h_j>_data - <v_i h_j>_model for all pairs, in the mask or not [hidden, visible].

    This is the derivative of the mean log-likelihood, in nats per shot, with respect to W_ji;
    missing weights are taken as 0. Exact where a layer has at most 18 units, else an average over
    `draws` samples of the RBM.
    """
    if is_exact(rbm):
        return log_likelihood(rbm, data)[1].visible_hidden
    return _mean_products(rbm, data) - _mean_products(rbm, model_configurations(rbm, draws, seed))


def is_exact(rbm: RBM) -> bool:
    """Return whether likelihood and gradient are exact sums over all states of a layer."""
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
    """Return the RBM with `moved` weights dropped and as many grown at value 0, not trained.

    Weights are dropped by the criterion ("surgeon" adjusts all others). Then those of largest
    |edge_gradient| among the weights missing from `rbm` are grown, so a weight just dropped does
    not return; ties go to the lower index.
    """
    step_seed = derive_seed(seed, Stream.REWIRING, step)
    pruning = PruneSettings(criterion=settings.criterion, draws=settings.draws)
    dropped = prune_to_count(rbm, rbm.number_of_weights - moved, pruning, step_seed, step)
    gradient = edge_gradient(
        dropped, data, draws=settings.draws, seed=derive_seed(step_seed, Stream.MISSING_WEIGHTS)
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

    A round depends only on its initial RBM, the seed and its number, so rewiring can be resumed at
    any level.
    """
    data = unique_configurations(shots)
    step, rbm = level.step, level.rbm
    missing = rbm.mask.size - rbm.number_of_weights
    moved = weights_moved(rbm.number_of_weights, missing, settings.share, step, settings.rounds)
    new = rewired(rbm, data, moved, settings, seed, step)
    new = fine_tuned(new, shots, fine_tune, seed, step + 1, callback, checkpoints=checkpoints)
    if is_exact(rbm) and log_likelihood(new, data)[0] <= log_likelihood(rbm, data)[0]:
        new = rbm
    return Level(step + 1, new)


@with_progress_bar("rewiring")
def rewire(
    rbm: RBM,
    shots: ShotsLike,
    *,
    rounds: int = 20,
    share: float = 0.3,
    criterion: Literal["magnitude", "magnitude-by-unit", "random", "damage", "surgeon"] = "surgeon",
    fine_tune: MethodLike = "auto",
    seed: int = 0,
    progress: bool = True,
) -> list[Level]:
    """Move the weights of a sparse RBM to where they are needed, at a fixed number of weights.

    Each round drops a fraction of the weights, grows as many missing ones at 0 where the likelihood
    increases most steeply, and fine-tunes; the fraction decays as a cosine. Where a layer has at
    most 18 units, a round that does not increase the likelihood of the shots is undone, and the
    next one moves fewer weights; for larger RBMs the likelihood is unknown and every round is
    accepted. A hidden unit without weights gets none again: its gradients are 0.

    Args:
        rbm: a trained RBM from which some weights are missing.
        shots: the training set: Shots, bits [shot, site] or counts {"0101": 12}.
        rounds: number of rounds.
        share: fraction of the weights to move in the first round.
        criterion: which weights to drop, see `prune`.
        fine_tune: training method after each round, or its name, see `prune`.
        seed: random seed of fine-tuning, of samples and of random dropping.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        Levels, one more than rounds; the first is `rbm` itself. An undone round repeats the
        previous RBM.

    Raises:
        InputError: an argument is invalid, the RBM is dense or has a single weight, or the shots
            carry readout errors.
        DivergenceError: fine-tuning diverged: a parameter is no longer finite.

    Source: Evci et al., "Rigging the Lottery", ICML 2020, arXiv:1911.11134.
    """
    data = check_sites(as_shots(shots), rbm.visible, "the RBM")
    without_readout_error(data, "rewiring")
    settings = RewireSettings(rounds=rounds, share=share, criterion=criterion)
    if fine_tune is None:
        raise InputError(
            f"fine_tune: must be a training method ({', '.join(METHODS)}), found None; new weights "
            "start at 0, so without training a round would only remove weights"
        )
    tuning = tuning_of(rbm, fine_tune)
    assert tuning is not None
    check_rewirable(rbm)
    levels, seed = [Level(0, rbm)], check_seed(seed)
    expect("epochs", settings.rounds * tuning.epochs)
    for _ in range(settings.rounds):
        levels.append(rewire_step(levels[-1], data, settings, tuning, seed))
    return levels


def check_rewirable(rbm: RBM) -> None:
    """Raise InputError unless it is an RBM of bits as recorded with weights to drop and grow."""
    if "readout" in rbm.provenance:
        raise InputError(
            "rbm: was trained through readout errors, which rewiring does not take into account: "
            "it would fit the misread bits; prune it with --readout instead, or rewire an RBM of "
            "shots without readout errors"
        )
    if rbm.mask.all():
        raise InputError(
            f"rbm: has all {rbm.number_of_weights} weights, so none can be grown; prune it first"
        )
    if rbm.number_of_weights < 2:
        raise InputError(
            f"rbm: must have at least 2 weights, found {rbm.number_of_weights}; give an RBM "
            "that is pruned less"
        )


def _mean_products(rbm: RBM, data: WeightedConfigurations) -> Float64:
    """Return <h_j v_i> over configurations, in pieces, as all of them may not fit in memory."""
    total = np.zeros(rbm.mask.shape)
    for first in range(0, len(data.weight), _PIECE):
        part = slice(first, first + _PIECE)
        total += data_moments(rbm, WeightedConfigurations(data.bits[:, part], data.weight[part]))[
            1
        ].visible_hidden
    return total
