"""Prune both networks of a `PhaseRBM` with one budget of weights, fine-tuned after each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import describe, expect, progress_bar
from psiprune.core.repr import notebook_table
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number
from psiprune.data.shots import Shots
from psiprune.inference.fisher import damped_inverse
from psiprune.pruning.criteria import DAMPING
from psiprune.pruning.iterative import check_readout
from psiprune.pruning.optimal_brain_surgeon import surgery
from psiprune.pruning.schedule import count_at, truncate
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import from_parameters, to_parameters
from psiprune.training.phase_data import (
    PhaseData,
    log_likelihood,
    number_of_shots,
    phase_data,
    shots_fisher,
    state_fisher,
    tuned,
)

Float64 = NDArray[np.float64]
PhaseCriterion = Literal["magnitude", "damage", "surgeon"]
#: The most steps of fine-tuning after a pruning step.
FINE_TUNING = 30
#: L2 penalties of fine-tuning to choose from. Without one weights grow where the shots tell little,
#: and later steps cannot remove them; a large one costs where weights must be large.
DECAYS = (1e-6, 1e-5, 1e-4)
#: All ways of a step are fine-tuned for the first part of the steps, the likeliest ones to the end.
_FIRST_PART, _TO_THE_END = 1 / 3, 2
#: Factors on the damping that surgery tries by F of the shots, which has directions of little
#: information, and by the quantum Fisher information.
_STRONGER, _QUANTUM = (1.0, 10.0, 100.0), (1.0, 10.0)
#: Information below this part of its mean is rounding.
_SINGULAR = 1e-9


@notebook_table("step", "rbm", "fraction_pruned", "log_likelihood")
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
    fine_tune: int = FINE_TUNING,
    weight_decay: float | None = None,
    progress: bool = True,
) -> list[PhaseLevel]:
    """Prune a state with phases iteratively: weights of both networks compete for one budget.

    Each step removes a fraction of the weights that are left, whichever network has them, and
    fine-tunes the rest by the likelihood of the shots in all bases. Above 16 sites that takes sums
    over chains (`psiprune.training.natural_phase_mcmc`), F is over at most 20,000 of the shots, and
    the quantum Fisher information over 20,000 draws.

    Args:
        rbm: a trained state; weights absent from its masks count as pruned already.
        shots: the training set, in several bases.
        criterion: "magnitude", smallest |W|; "damage", smallest W^2 F_kk with F the Fisher
            information of shots in these bases; "surgeon", smallest cost with all other parameters
            adjusted, by F and by the quantum Fisher information in turn: each result and those of
            the other criteria are fine-tuned, and the likeliest is kept.
        fraction: fraction of the remaining weights to remove per step.
        density: stop at exactly round(density * total) weights.
        levels: maximum number of steps; by default 20, or as many as the density needs.
        fine_tune: the most steps of natural gradient after each pruning step; 0 for none.
        weight_decay: L2 penalty of fine-tuning on the weights, in nats per shot. None prunes by
            each of `DECAYS` and keeps the path whose end would describe fresh shots best, see
            `of_fresh_shots`.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        Levels, one more than steps; the first is `rbm` itself.

    Raises:
        InputError: an argument is invalid, or the shots are not those of a `train_phases`.

    Warns:
        TrainingWarning: the state was trained through readout errors, and the shots carry none, or
            others.
    """
    check_phase_criterion(criterion)
    optional = {} if levels is None else {"levels": levels}
    given: dict[str, Any] = {"fraction": fraction, "density": density, **optional}
    settings = PruneSettings(criterion=criterion, **given)
    fine_tune = check_count("fine_tune", fine_tune, 0)
    if weight_decay is not None:
        check_number("weight_decay", weight_decay, "a number of at least 0", lambda x: x >= 0)
    data = phase_data(shots, rbm)
    check_readout(rbm, shots)
    steps = truncate(settings, rbm.number_of_weights).levels
    decays = decays_of(weight_decay, fine_tune)
    paths = [[first_phase_level(rbm, data)] for _ in decays]
    with progress_bar(len(decays) * steps * fine_tune, "pruning", progress=progress):
        for path, decay in zip(paths, decays, strict=True):
            for _ in range(steps):
                path.append(next_phase_level(path[-1], path[0], settings, data, fine_tune, decay))
    return best_path(paths, data)


def decays_of(weight_decay: float | None, fine_tune: int) -> tuple[float, ...]:
    """Return the weight decays to try: the one given, or all if there is any fine-tuning."""
    if weight_decay is None:
        return DECAYS if fine_tune else DECAYS[:1]
    return (weight_decay,)


def best_path(paths: Sequence[list[PhaseLevel]], data: PhaseData) -> list[PhaseLevel]:
    """Return the path whose end would describe fresh shots best."""
    if len(paths) == 1:
        return paths[0]
    return max(paths, key=lambda path: of_fresh_shots(path[-1].rbm, data))


def first_phase_level(rbm: PhaseRBM, data: PhaseData) -> PhaseLevel:
    """Return level 0, the state itself."""
    return PhaseLevel(0, rbm, log_likelihood(rbm, data))


def next_phase_level(
    level: PhaseLevel,
    first: PhaseLevel,
    settings: PruneSettings,
    data: PhaseData,
    fine_tune: int,
    weight_decay: float,
) -> PhaseLevel:
    """Return the level after `level` of a path that began with `first`; see `prune_phases`."""
    number = level.step + 1
    count = count_at(settings, first.rbm.number_of_weights, number)
    pruned = pruned_phases(level.rbm, count, data, settings.criterion, fine_tune, weight_decay)
    provenance = {**pruned.provenance, "pruning_steps": number}
    reached = float(provenance["log_likelihood"])
    return PhaseLevel(number, replace(pruned, provenance=provenance), reached)


def pruned_phases(
    rbm: PhaseRBM,
    count: int,
    data: PhaseData,
    criterion: str,
    fine_tune: int = FINE_TUNING,
    weight_decay: float = 0.0,
) -> PhaseRBM:
    """Return the state pruned to `count` weights and fine-tuned.

    Of the states pruned in several ways the two likeliest after a third of the steps are fine-tuned
    to the end. The provenance has `fine_tuning_decay` and `log_likelihood`.
    """
    describe(f"{count} weights")
    candidates = pruned_candidates(rbm, count, data, check_phase_criterion(criterion))
    first = round(_FIRST_PART * fine_tune) if len(candidates) > _TO_THE_END else 0
    last = min(len(candidates), _TO_THE_END)
    expect("epochs", (len(candidates) - last) * first + (last - 1) * fine_tune)
    if first:
        fits = [tuned(candidate, data, first, weight_decay) for candidate in candidates]
        fits.sort(key=lambda state: -state.log_likelihood)
        candidates = [state.rbm for state in fits[:_TO_THE_END]]
    ends = [tuned(each, data, fine_tune - first, weight_decay) for each in candidates]
    ended = max(ends, key=lambda state: state.log_likelihood)
    provenance = {
        **rbm.provenance,
        "criterion": criterion,
        "fine_tuning_decay": weight_decay,
        "log_likelihood": log_likelihood(ended.rbm, data),
    }
    return replace(ended.rbm, provenance=provenance)


@single_blas_thread()
def of_fresh_shots(rbm: PhaseRBM, data: PhaseData) -> float:
    """Return an estimate of the log-likelihood of fresh shots, L - P / n with that of n shots L.

    With F the Fisher information of a shot and D the weight decay of each parameter in the last
    fine-tuning, P = tr F (F + D)^-1 is the number of parameters that the shots determine (Moody
    1992; Akaike 1974 for D = 0).
    """
    shots = number_of_shots(data)
    decay = float(rbm.provenance.get("fine_tuning_decay", 0.0))
    fisher = shots_fisher(rbm, data)
    # Directions of no information are singular without a decay, and determined by no shot.
    damped = fisher + np.eye(len(fisher)) * _SINGULAR * fisher.trace() / len(fisher)
    weights = _weights(rbm)
    damped[weights, weights] += decay
    determined = float(np.trace(np.linalg.solve(damped, fisher)))
    return float(log_likelihood(rbm, data) - determined / shots)


def check_phase_criterion(criterion: str) -> PhaseCriterion:
    """Return the criterion; raise InputError if states with phases cannot be pruned by it."""
    for known in get_args(PhaseCriterion):
        if criterion == known:
            return known
    raise InputError(f"criterion: must be magnitude, damage or surgeon, found {criterion!r}")


@single_blas_thread()
def pruned_candidates(
    rbm: PhaseRBM, count: int, data: PhaseData, criterion: PhaseCriterion
) -> list[PhaseRBM]:
    """Return the state pruned to `count` weights, not fine-tuned, in one or more ways.

    Surgery removes weights by F of the shots with 1, 10 and 100 times the damping of 10^-3 of its
    mean diagonal, and by the quantum Fisher information with 1 and 10 times it; states pruned by
    damage and by magnitude follow. Of equal masks only the first is returned.
    """
    excess = rbm.number_of_weights - count
    if excess <= 0:
        return [rbm]
    magnitude = _without(rbm, np.abs(to_parameters(rbm)), excess)
    if criterion == "magnitude":
        return [magnitude]
    fisher = shots_fisher(rbm, data)
    damage = _without(rbm, to_parameters(rbm) ** 2 * fisher.diagonal(), excess)
    if criterion == "damage":
        return [damage]
    quantum = state_fisher(rbm, data)
    ways = [
        *_surgeries(rbm, fisher, excess, _STRONGER),
        *_surgeries(rbm, quantum, excess, _QUANTUM),
    ]
    unique: dict[bytes, PhaseRBM] = {}
    for candidate in (*ways, damage, magnitude):
        masks = candidate.amplitude.mask, candidate.phase.mask
        unique.setdefault(b"".join(mask.tobytes() for mask in masks), candidate)
    return [*unique.values()]


def _surgeries(
    rbm: PhaseRBM, fisher: Float64, excess: int, dampings: tuple[float, ...]
) -> Iterator[PhaseRBM]:
    """Yield the state without so many weights, the rest adjusted, for each damping."""
    theta, weights = to_parameters(rbm), _weights(rbm)
    for factor in dampings:
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
