"""Prune both networks of a `PhaseRBM` with one budget of weights, fine-tuned after each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import describe, progress_bar
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots
from psiprune.inference.fisher import damped_inverse
from psiprune.inference.phase_fisher import classical_fisher
from psiprune.pruning.criteria import DAMPING
from psiprune.pruning.optimal_brain_surgeon import surgery
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import (
    BasisFrequencies,
    from_parameters,
    log_likelihood,
    to_parameters,
)
from psiprune.training.phases import fit_phases, frequencies_for

Float64 = NDArray[np.float64]
PhaseCriterion = Literal["magnitude", "damage", "surgeon"]
#: Factors on the damping of F that surgery tries; F of few bases has directions of no information.
_STRONGER = (1.0, 10.0, 100.0)


@dataclass(frozen=True, eq=False)
class PhaseLevel:
    """The result of one step of pruning a `PhaseRBM`; level 0 is the initial state.

    Attributes:
        step: number of pruning steps so far.
        rbm: the state after pruning and fine-tuning.
        log_likelihood: of the training shots, in nats per shot.
    """

    step: int
    rbm: PhaseRBM
    log_likelihood: float

    def __repr__(self) -> str:
        """Return the step, the weights of both networks and the log-likelihood."""
        amplitude, phase = self.rbm.amplitude.number_of_weights, self.rbm.phase.number_of_weights
        weights = f"{amplitude} + {phase} weights"
        return f"PhaseLevel({self.step}, {weights}, {self.log_likelihood:.6g} nats per shot)"

    @property
    def fraction_pruned(self) -> float:
        """Fraction of all weights of both networks that are pruned."""
        return 1.0 - self.rbm.density


def prune_phases(
    rbm: PhaseRBM,
    shots: Shots,
    *,
    criterion: PhaseCriterion = "surgeon",
    fraction: float = 0.1,
    density: float | None = None,
    levels: int | None = None,
    fine_tune: int = 30,
    progress: bool = True,
) -> list[PhaseLevel]:
    """Prune a state with phases iteratively: weights of both networks compete for one budget.

    Each step removes a fraction of the weights that are left, whichever network has them, and
    fine-tunes the rest by the exact likelihood of the shots in all bases.

    Args:
        rbm: a trained state; weights absent from its masks count as pruned already.
        shots: the training set, in several bases.
        criterion: "magnitude", smallest |W|; "damage", smallest W^2 F_kk with F the Fisher
            information of shots in these bases; "surgeon", the smallest cost by F with all other
            parameters adjusted.
        fraction: fraction of the remaining weights to remove per step.
        density: stop at exactly round(density * total) weights.
        levels: maximum number of steps; by default 20, or as many as the density needs.
        fine_tune: the most steps of natural gradient after each pruning step; 0 for none.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        Levels, one more than steps; the first is `rbm` itself.

    Raises:
        InputError: an argument is invalid, or the shots are not those of a `train_phases`.
    """
    if criterion not in ("magnitude", "damage", "surgeon"):
        raise InputError(f"criterion: must be magnitude, damage or surgeon, found {criterion!r}")
    optional = {} if levels is None else {"levels": levels}
    settings = PruneSettings(criterion=criterion, fraction=fraction, density=density, **optional)
    fine_tune = check_count("fine_tune", fine_tune, 0)
    data = frequencies_for(shots, rbm)
    total = rbm.number_of_weights
    steps = truncate(settings, total).levels
    path = [PhaseLevel(0, rbm, log_likelihood(rbm, data)[0])]
    with progress_bar(steps * fine_tune, "pruning", progress=progress):
        for number in range(1, steps + 1):
            count = count_at(settings, total, number)
            describe(f"{count} weights")
            pruned = prune_phases_to_count(path[-1].rbm, count, data, criterion)
            tuned = fit_phases(pruned, data, fine_tune)
            provenance = {
                **rbm.provenance,
                "criterion": criterion,
                "pruning_steps": number,
                "log_likelihood": tuned.log_likelihood,
            }
            made = replace(tuned.rbm, provenance=provenance)
            path.append(PhaseLevel(number, made, tuned.log_likelihood))
    return path


@single_blas_thread()
def prune_phases_to_count(
    rbm: PhaseRBM, count: int, data: BasisFrequencies, criterion: PhaseCriterion
) -> PhaseRBM:
    """Return the state pruned to `count` weights, not fine-tuned.

    Surgery is tried with 1, 10 and 100 times the damping of 10^-3 of the mean diagonal of F, and
    the likeliest state is taken, or that of damage or of magnitude if it is likelier.
    """
    excess = rbm.number_of_weights - count
    if excess <= 0:
        return rbm
    if criterion == "magnitude":
        return _without(rbm, np.abs(to_parameters(rbm)), excess)
    fisher = classical_fisher(rbm, data.bases, data.shots / data.shots.sum())
    damage = _without(rbm, to_parameters(rbm) ** 2 * fisher.diagonal(), excess)
    if criterion == "damage":
        return damage
    candidates = [*_surgeries(rbm, fisher, excess), damage]
    candidates.append(_without(rbm, np.abs(to_parameters(rbm)), excess))
    return max(candidates, key=lambda candidate: log_likelihood(candidate, data)[0])


def _surgeries(rbm: PhaseRBM, fisher: Float64, excess: int) -> Iterator[PhaseRBM]:
    """Yield the state without so many weights, the rest adjusted, for each damping."""
    theta, weights = to_parameters(rbm), _weights(rbm)
    for factor in _STRONGER:
        adjusted, removed, _ = surgery(
            theta, damped_inverse(fisher, DAMPING * factor), weights, excess
        )
        yield _masked(from_parameters(rbm, adjusted), removed)


def _without(rbm: PhaseRBM, saliency: Float64, excess: int) -> PhaseRBM:
    """Return the state without the weights of least saliency [parameter]; ties go to the last."""
    weights = _weights(rbm)
    order = weights[::-1][np.argsort(saliency[weights[::-1]], kind="stable")]
    removed = np.zeros(len(saliency), bool)
    removed[order[:excess]] = True
    return _masked(rbm, removed)


def _weights(rbm: PhaseRBM) -> NDArray[np.int64]:
    """Return the places of the weights among the parameters."""
    first = rbm.amplitude.number_of_parameters
    phase = first + np.arange(rbm.phase.number_of_weights)
    return np.concatenate([np.arange(rbm.amplitude.number_of_weights), phase])


def _masked(rbm: PhaseRBM, removed: NDArray[np.bool_]) -> PhaseRBM:
    """Return the state without some of its parameters, all of them weights."""
    parts = np.split(removed, [rbm.amplitude.number_of_parameters])
    masks = []
    for network, part in zip((rbm.amplitude, rbm.phase), parts, strict=True):
        mask = network.mask.copy()
        mask[mask] = ~part[: network.number_of_weights]
        masks.append(mask)
    return rbm.with_masks(masks[0], masks[1])
