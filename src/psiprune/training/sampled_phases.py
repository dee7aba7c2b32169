"""Train a `PhaseRBM` too large for sums over all states: independent fits, of which one counts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from psiprune.core.exceptions import TrainingWarning
from psiprune.core.progress import progress_bar
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import Shots
from psiprune.inference.phase_draws import fidelity_by_draws
from psiprune.io.checkpoint import Checkpoints
from psiprune.rbm.phase import PhaseRBM
from psiprune.training.natural_phase_mcmc import SampledFit, fit_sampled
from psiprune.training.phase_data import rotated_shots
from psiprune.training.phase_starts import PhaseUnits, new_phase_rbm


def train_sampled(
    shots: Shots,
    units: PhaseUnits,
    *,
    same_state: float,
    starts: int,
    epochs: int,
    seed: int,
    weight_decay: float = 0.0,
    start: PhaseRBM | None = None,
    callback: Callable[[Any], None] | None = None,
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> PhaseRBM:
    """Return the likeliest of some fits; see `train_phases`, which has the same arguments.

    `same_state` is the fidelity of two fits from which they count as the same state.

    Raises:
        InputError: as in `rotated_shots`, or a number is out of range.

    Warns:
        TrainingWarning: equally likely fits are different states, or no other fit has found this.
    """
    seed = check_seed(seed)
    starts, epochs = check_count("starts", starts, 1), check_count("epochs", epochs, 0)
    check_number("weight_decay", weight_decay, "a number of at least 0", lambda x: x >= 0)
    terms = rotated_shots(shots, start).terms
    units.of(shots.sites)
    starts = starts if start is None else 1
    fits = []
    with progress_bar(starts * epochs, "training", progress=progress):
        for number in range(starts):
            own, begin = derive_seed(seed, Stream.PHASE_CHAIN_START, number), start
            if begin is None:
                begin = new_phase_rbm(shots, units, own, checkpoints, spread=number % 2 == 1)
            fits.append(
                fit_sampled(begin, shots, terms, epochs, weight_decay, own, callback, checkpoints)
            )
    fits.sort(key=lambda found: -found.log_likelihood)
    best, equal = fits[0], len(equal_fits(fits))
    agreement = sampled_agreement(fits, seed)
    provenance: dict[str, str | int | float] = {
        "training_shots": len(shots),
        "bases": len(shots.bases),
        "seed": seed,
        "epochs": epochs,
        "weight_decay": weight_decay,
        "epochs_done": best.epoch,
        "converged": int(best.done),
        "log_likelihood": best.log_likelihood,
        "log_likelihood_error": best.error,
        "starts": len(fits),
        "equally_likely": equal,
        "agreement": agreement,
    }
    if agreement < same_state:
        problem = (
            f"{equal} of {len(fits)} fits describe the shots equally well, but are different "
            f"states (least fidelity {agreement:.3f}): these bases do not determine the phases, or "
            "training ended too early; try more epochs, or other bases"
            if equal > 1
            else f"no other of {len(fits)} fits found this state (largest fidelity "
            f"{agreement:.3f}), so a likelier one may exist; try another seed or more starts"
        )
        warnings.warn(problem, TrainingWarning, stacklevel=3)
        provenance["training_warnings"] = problem
    return replace(best.rbm, provenance=provenance)


def equal_fits(fits: Sequence[SampledFit]) -> list[SampledFit]:
    """Return those of some fits, the likeliest first, that are as likely within their noise.

    The true state is half as many nats below the likeliest fit as there are parameters, on average
    over shots (Wilks), and so is what the noise of the chains costs. To this come three standard
    errors of both values.
    """
    best = fits[0]
    noise = best.rbm.number_of_parameters / 2
    return [
        fit
        for fit in fits
        if (best.log_likelihood - fit.log_likelihood) * best.shots
        <= noise + 3 * best.shots * float(np.hypot(best.error, fit.error))
    ]


def sampled_agreement(fits: Sequence[SampledFit], seed: int) -> float:
    """Return `psiprune.training.phases.agreement_of`, with fidelities by draws of the states."""
    best, *others = fits
    fidelities = [
        fidelity_by_draws(best.rbm, other.rbm, seed=derive_seed(seed, Stream.PHASE_AGREEMENT, k))[0]
        for k, other in enumerate(others)
    ]
    equal = len(equal_fits(fits)) - 1
    return min(fidelities[:equal]) if equal else max(fidelities, default=float("nan"))
