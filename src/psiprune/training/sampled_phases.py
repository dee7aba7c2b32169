"""Train a `PhaseRBM` too large for sums over all states, on shots in bases that rotate few sites.

The likelihood of the shots is a sum over few states each (`rbm.phase_terms`). Only the gradient of
log Z and the quantum Fisher information are averages over Gibbs chains of the amplitude network. So
the gradient of the phases has no noise. In bases that tell little about them it is small against
that metric, by the factor lambda of `metrics.phase_information`; momentum makes up for it.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError, InputError, TrainingWarning
from psiprune.core.limits import PHASE_SITES
from psiprune.core.progress import count, expect, progress_bar
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import Shots
from psiprune.inference.phase_draws import fidelity_by_draws, quick_log_partition
from psiprune.io.checkpoint import Checkpoint, Checkpoints
from psiprune.rbm.likelihood import data_moments, flatten, unique_configurations
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import from_parameters, to_parameters
from psiprune.rbm.phase_terms import Terms, terms_likelihood, terms_of
from psiprune.training.method import decayed
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.natural_metric import Metric, new_metric, restored_metric
from psiprune.training.phase_starts import PhaseUnits, check_for_phases, new_phase_rbm

_LOG = logging.getLogger(__name__)
Float64 = NDArray[np.float64]
_NETWORKS = ("amplitude", "phase")
#: Chains, and Gibbs steps of them before each step of the training.
CHAINS, GIBBS_STEPS = 10_000, 30
#: Learning rates of the amplitudes in the first and the last step, as in `NaturalGradient`; the
#: gradient averages with weights (1 - 4 rate)^age.
_RATE, _LAST_RATE = 0.3, 0.015
#: Weight of the earlier gradients of the phases, whose rate is 1.
_MOMENTUM = 0.8
#: Largest change of the state in a step, sqrt(step.S.step), by each network. With 0.3 phases end in
#: local optima: of a quench of 10 sites F is 0.6, in place of 0.98.
_TRUST = 0.1
#: lambda of S + lambda 1 in the first and the last step.
_DAMPING, _LAST_DAMPING = 1e-2, 1e-4
#: Terms of a step. More are divided into parts, of which each step uses the next.
PART_TERMS = 1 << 21


@dataclass(frozen=True, eq=False)
class SampledPhaseState:
    """The state of a training after a step.

    Attributes:
        data: the shots in parts, each with every k-th shot of each basis.
        seed: random seed of the training.
        epoch: steps done.
        epochs: steps of the whole training.
        rbm: the current state.
        weight_decay: L2 penalty on the weights, in nats per shot.
        chains: configurations of the persistent chains of the amplitudes, uint8 [chain, site].
        gradient: average of those of the amplitudes and sum of those of the phases, [parameter];
            None before the first step.
        metrics: of the amplitudes and of the phases; None before the first step.
    """

    data: Sequence[Sequence[Terms]]
    seed: int
    epoch: int
    epochs: int
    rbm: PhaseRBM
    weight_decay: float
    chains: NDArray[np.uint8]
    gradient: Float64 | None = None
    metrics: tuple[Metric, Metric] | None = None

    #: Stochastic steps never converge exactly.
    done: ClassVar[bool] = False

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores, without the large matrices."""
        arrays: dict[str, NDArray[Any]] = {
            "parameters": to_parameters(self.rbm),
            "chains": self.chains,
        }
        if self.gradient is not None:
            arrays["gradient"] = self.gradient
        for name, metric in zip(_NETWORKS, self.metrics or (), strict=False):
            arrays |= {f"{name}_{key}": values for key, values in metric.to_arrays().items()}
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> SampledPhaseState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        rbm = from_parameters(self.rbm, arrays["parameters"])
        found = []
        for name in _NETWORKS:
            own = {
                key.removeprefix(f"{name}_"): values
                for key, values in arrays.items()
                if key.startswith(f"{name}_")
            }
            if own:
                found.append(restored_metric(getattr(rbm, name), own, None, 0))
        metrics = (found[0], found[1]) if found else None
        return replace(
            self,
            epoch=epoch,
            rbm=rbm,
            chains=arrays["chains"],
            gradient=arrays.get("gradient"),
            metrics=metrics,
        )


@dataclass(frozen=True, eq=False)
class SampledFit:
    """The end of a training.

    Attributes:
        rbm: the state.
        epoch: steps done.
        log_likelihood: of all shots, in nats per shot.
        error: standard error of it, that of log Z.
        shots: number of shots.
    """

    rbm: PhaseRBM
    epoch: int
    log_likelihood: float
    error: float
    shots: int


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
        InputError: as in `check_for_phases` and `parts_of_terms`, or a number is out of range.

    Warns:
        TrainingWarning: equally likely fits are different states, or no other fit has found this.
    """
    seed = check_seed(seed)
    starts, epochs = check_count("starts", starts, 1), check_count("epochs", epochs, 0)
    check_number("weight_decay", weight_decay, "a number of at least 0", lambda x: x >= 0)
    check_for_phases(shots, start)
    if shots.readout is not None:
        raise InputError(
            f"{shots.source}: has readout errors ({shots.readout.source}), and the probability of "
            f"a record in several bases is a sum over all 2^N outcomes, up to {PHASE_SITES} sites, "
            f"found {shots.sites}; replace(shots, readout=None) ignores the errors"
        )
    data = parts_of_terms(shots)
    units.of(shots.sites)
    starts = starts if start is None else 1
    fits = []
    with progress_bar(starts * epochs, "training", progress=progress):
        for number in range(starts):
            own, begin = derive_seed(seed, Stream.PHASE_CHAIN_START, number), start
            if begin is None:
                begin = new_phase_rbm(shots, units, own, checkpoints, spread=number % 2 == 1)
            fits.append(
                fit_sampled(begin, shots, data, epochs, weight_decay, own, callback, checkpoints)
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
        "converged": 0,
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


def parts_of_terms(shots: Shots) -> list[list[Terms]]:
    """Return shots as sums over states, in parts that each have shots of all bases.

    Raises:
        InputError: a basis rotates more than 8 sites, or all sums have too many terms.
    """
    by_basis = shots.by_basis()
    whole = terms_of(by_basis)
    parts = -(-sum(len(piece.state) for piece in whole) // PART_TERMS)
    if parts == 1:
        return [whole]
    return [
        terms_of({basis: bits[k::parts] for basis, bits in by_basis.items() if len(bits) > k})
        for k in range(parts)
    ]


@single_blas_thread()
def fit_sampled(
    start: PhaseRBM,
    shots: Shots,
    data: Sequence[Sequence[Terms]],
    epochs: int,
    weight_decay: float,
    seed: int,
    callback: Callable[[SampledPhaseState], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> SampledFit:
    """Train one state from another, for so many steps, and return the training's end.

    Args:
        start: the state before.
        shots: the training set.
        data: the same from `parts_of_terms`.
        epochs: number of steps.
        weight_decay: L2 penalty on the weights, in nats per shot.
        seed: random seed of the chains.
        callback: called with the state after each step.
        checkpoints: where the training saves its state.
    """

    def training() -> dict[str, object]:
        names = "".join(shots.bases).encode()
        digest = hashlib.sha256(shots.bits.tobytes() + shots.basis_of.tobytes() + names)
        return {
            "psiprune": version("psiprune"),
            "method": "natural gradient in bases that rotate few sites",
            "epochs": epochs,
            "weight_decay": weight_decay,
            "seed": seed,
            "shots": digest.hexdigest(),
            "start": hashlib.sha256(to_parameters(start).tobytes()).hexdigest(),
        }

    # Any shots do: chains forget them within the first steps.
    rows = generator_for(seed, Stream.PHASE_CHAINS).integers(0, len(shots), CHAINS)
    first = SampledPhaseState(data, seed, 0, epochs, start, weight_decay, shots.bits[rows])
    with Checkpoint(checkpoints, training) as checkpoint:
        state = checkpoint.resume(first, {})
        expect("epochs", -state.epoch)
        while state.epoch < epochs:
            state = step(state)
            count("epochs")
            if callback is not None:
                callback(state)
            checkpoint.offer(state, {})
    expect("epochs", state.epoch - epochs)
    value, error = log_likelihood(state.rbm, [piece for part in data for piece in part], seed)
    _LOG.info("%r: %d steps, %.6f +- %.1g nats per shot", start, state.epoch, value, error)
    return SampledFit(state.rbm, state.epoch, value, error, len(shots))


def step(state: SampledPhaseState) -> SampledPhaseState:
    """Return the state after one step.

    Raises:
        DivergenceError: the step is not finite.
    """
    rbm, epoch = state.rbm, state.epoch
    walk = NaturalGradient(chains=len(state.chains), steps=GIBBS_STEPS)
    visited = walk.visits(
        rbm.amplitude, state.chains, derive_seed(state.seed, Stream.PHASE_STEP, epoch)
    )
    x, slope = to_parameters(rbm), terms_likelihood(rbm, state.data[epoch % len(state.data)])[1]
    model = unique_configurations(np.concatenate(visited))
    parts = np.split(slope, [rbm.amplitude.number_of_parameters])
    parts[0] = parts[0] - flatten(rbm.amplitude.mask, data_moments(rbm.amplitude, model)[1])
    rate = decayed(_RATE, _LAST_RATE / _RATE, epoch, state.epochs)
    networks = rbm.amplitude, rbm.phase
    for part, network, values in zip(
        parts, networks, np.split(x, [rbm.amplitude.number_of_parameters]), strict=True
    ):
        weights = network.number_of_weights
        part[:weights] -= state.weight_decay * values[:weights]
    if state.gradient is not None:
        before = np.split(state.gradient, [rbm.amplitude.number_of_parameters])
        parts[0] += max(0.0, 1.0 - 4.0 * rate) * (before[0] - parts[0])
        parts[1] += _MOMENTUM * before[1]
    metrics = state.metrics
    if metrics is None or metrics[0].stale:
        elapsed = epoch / max(1, state.epochs - 1)
        damping = _DAMPING * (_LAST_DAMPING / _DAMPING) ** elapsed
        made = [new_metric(network, visited[-1], damping, None, 0) for network in networks]
        metrics = made[0], made[1]
    steps, lengths, solved = [], [], []
    for part, metric, speed in zip(parts, metrics, (rate, 1.0), strict=True):
        direction, known = metric.solve(part)
        length = speed * float(np.sqrt(part @ direction))
        if not np.isfinite(length):
            raise DivergenceError(
                f"training diverged in epoch {epoch + 1} (the step is not finite): start from "
                "another seed, or use fewer hidden units"
            )
        shortened = min(1.0, _TRUST / length) if length > 0 else 1.0
        steps.append(speed * shortened * direction)
        lengths.append(shortened * length)
        solved.append(known)
    moved = max(lengths)
    return replace(
        state,
        epoch=epoch + 1,
        rbm=from_parameters(rbm, x + np.concatenate(steps)),
        chains=visited[-1],
        gradient=np.concatenate(parts),
        metrics=(solved[0].after(moved), solved[1].after(moved)),
    )


def log_likelihood(rbm: PhaseRBM, data: Sequence[Terms], seed: int) -> tuple[float, float]:
    """Return the log-likelihood in nats per shot and its standard error, that of log Z.

    log Z is exact where that takes seconds, else annealed.
    """
    log_z = quick_log_partition(rbm.amplitude, derive_seed(seed, Stream.PHASE_LOG_Z))
    return terms_likelihood(rbm, data)[0] - log_z.value, log_z.error
