"""Train a `PhaseRBM` on shots in several bases: natural gradient of the exact likelihood."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.core.progress import count, expect, progress_bar
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.shots import Shots, without_readout_error
from psiprune.inference.phase_fisher import quantum_fisher
from psiprune.io.checkpoint import Checkpoint, Checkpoints
from psiprune.rbm.init import check_hidden, initial_rbm, local_rbm
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import (
    BasisFrequencies,
    basis_frequencies,
    from_parameters,
    log_likelihood,
    to_parameters,
)
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import fit

_LOG = logging.getLogger(__name__)
Float64 = NDArray[np.float64]
#: Steps in which the amplitude network is first fitted to the shots in Z alone.
_AMPLITUDE_STEPS = 10
#: Phases begin nearly flat: of 0.1, 0.3, 1 and 2 this reaches the largest median fidelity.
_PHASE_SCALE = 0.3
#: Training ends when a step gains less than this in log-likelihood, in nats per shot.
_CONVERGED = 1e-8
_FIRST_DAMPING, _LEAST_DAMPING, _LARGEST_DAMPING = 1e-2, 1e-7, 1e6
#: Fits that differ by less than this in the log-likelihood of all shots describe them equally well:
#: a likelihood ratio of 7.
_EQUAL_NATS = 2.0
#: Fidelity of two fits from which they count as the same state.
SAME_STATE = 0.9


@dataclass(frozen=True, eq=False)
class PhaseState:
    """The state of a training after a step.

    Attributes:
        data: the training set.
        epoch: steps done.
        rbm: the current state.
        weight_decay: L2 penalty on the weights, not on the biases, in nats per shot.
        log_likelihood: minus this penalty, in nats per shot; NaN before the first step.
        slope: its gradient [parameter]; None before the first step and after a restore.
        damping: lambda of the next step.
        done: whether training has converged.
    """

    data: BasisFrequencies
    epoch: int
    rbm: PhaseRBM
    weight_decay: float = 0.0
    log_likelihood: float = float("nan")
    slope: Float64 | None = None
    damping: float = _FIRST_DAMPING
    done: bool = False

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        return {
            "parameters": to_parameters(self.rbm),
            "log_likelihood": np.array(self.log_likelihood),
            "damping": np.array(self.damping),
            "done": np.array(int(self.done)),
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> PhaseState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        return replace(
            self,
            epoch=epoch,
            rbm=from_parameters(self.rbm, arrays["parameters"]),
            log_likelihood=float(arrays["log_likelihood"]),
            damping=float(arrays["damping"]),
            done=bool(arrays["done"]),
        )


Callback = Callable[[PhaseState], None]


def train_phases(
    shots: Shots,
    *,
    hidden: int | None = None,
    phase_hidden: int | None = None,
    start: PhaseRBM | None = None,
    starts: int = 4,
    epochs: int = 300,
    weight_decay: float = 0.0,
    seed: int = 0,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> PhaseRBM:
    """Train a `PhaseRBM` on shots in several bases by maximum likelihood, up to 16 sites.

    Natural gradient with sums over all states: each step solves (S + lambda 1) step = gradient with
    S the quantum Fisher information, which has a block for each network. A step that lowers the
    likelihood is tried again with 4 lambda; after each other one lambda is divided by 3.

    Args:
        shots: shots with a basis each, among them shots in Z on every site for the amplitudes;
            without those, amplitudes too begin from random weights.
        hidden: hidden units of the amplitude network; by default as many as sites.
        phase_hidden: hidden units of the phase network; by default twice `hidden`.
        start: continue training this state, instead of new ones.
        starts: independent fits from random weights, of which the likeliest is returned; every
            second one begins with phases all over the circle.
        epochs: the most steps of each.
        weight_decay: L2 penalty on the weights, not on the biases, in nats per shot.
        seed: random seed of the initial weights.
        callback: called with the state after each step.
        checkpoints: where the training saves its state; see `psiprune.io.checkpoint.Checkpoints`.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        The likeliest state. Its provenance holds the seed, the number of shots and bases, the
        steps done, `log_likelihood` in nats per shot, whether it `converged` (0 or 1), the number
        of `starts` and of those that are `equally_likely`, within 2 nats on all shots, and their
        fidelity `agreement`, see `agreement_of`.

    Raises:
        InputError: the shots are in one basis alone, which does not determine phases, have readout
            errors or more than 16 sites, or a number is out of range.

    Warns:
        TrainingWarning: equally likely fits are different states, of a fidelity below 0.9: the
            bases do not determine the phases. Or no other fit has found the likeliest state.

    Examples:
        >>> import psiprune as pp
        >>> bits, bases = [[0], [1], [0], [0], [0], [1]], ["Z", "Z", "Y", "Y", "X", "X"]
        >>> pp.train_phases(pp.Shots(bits, basis=bases), starts=1).probabilities("Y").round(2)
        array([1., 0.])
    """
    fits = independent_fits(
        shots,
        hidden=hidden,
        phase_hidden=phase_hidden,
        start=start,
        starts=starts,
        epochs=epochs,
        weight_decay=weight_decay,
        seed=seed,
        callback=callback,
        checkpoints=checkpoints,
        progress=progress,
    )
    best = fits[0]
    equal = equally_likely(fits)
    agreement = agreement_of(fits)
    provenance: dict[str, str | int | float] = {
        "training_shots": len(shots),
        "bases": len(shots.bases),
        "seed": seed,
        "epochs": epochs,
        "weight_decay": weight_decay,
        "epochs_done": best.epoch,
        "converged": int(best.done),
        "log_likelihood": log_likelihood(best.rbm, best.data)[0],
        "starts": len(fits),
        "equally_likely": len(equal),
        "agreement": agreement,
    }
    if agreement < SAME_STATE:
        if len(equal) > 1:
            problem = (
                f"{len(equal)} of {len(fits)} fits describe the shots equally well, but are "
                f"different states (least fidelity {agreement:.3f}): these bases do not determine "
                "the phases; psiprune.identifiability names bases that would"
            )
        else:
            problem = (
                f"no other of {len(fits)} fits found this state (largest fidelity "
                f"{agreement:.3f}), so a likelier one may exist; try another seed or more starts"
            )
        warnings.warn(problem, TrainingWarning, stacklevel=2)
        provenance["training_warnings"] = problem
    return replace(best.rbm, provenance=provenance)


def independent_fits(
    shots: Shots,
    *,
    hidden: int | None = None,
    phase_hidden: int | None = None,
    start: PhaseRBM | None = None,
    starts: int = 4,
    epochs: int = 300,
    weight_decay: float = 0.0,
    seed: int = 0,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    progress: bool = True,
) -> list[PhaseState]:
    """Return all fits of `train_phases`, whose arguments it takes, the likeliest first."""
    seed = check_seed(seed)
    starts, epochs = check_count("starts", starts, 1), check_count("epochs", epochs, 0)
    check_number("weight_decay", weight_decay, "a number of at least 0", lambda x: x >= 0)
    data = frequencies_for(shots, start)
    units = check_hidden(shots.sites, shots.sites if hidden is None else hidden)
    phase_units = check_hidden(shots.sites, 2 * units if phase_hidden is None else phase_hidden)
    if start is not None:
        _check_units(start, hidden, phase_hidden)
        starts = 1
    fits: list[PhaseState] = []
    with progress_bar(starts * epochs, "training", progress=progress):
        for number in range(starts):
            begin = start
            if begin is None:
                own = derive_seed(seed, Stream.PHASE_START, number)
                spread = number % 2 == 1
                begin = new_phase_rbm(shots, units, phase_units, own, checkpoints, spread=spread)
            fits.append(fit_phases(begin, data, epochs, weight_decay, callback, checkpoints))
    return sorted(fits, key=lambda state: -state.log_likelihood)


def equally_likely(fits: Sequence[PhaseState]) -> list[PhaseState]:
    """Return those of some fits, the likeliest first, within 2 nats of it on all shots."""
    best = fits[0]
    shots = best.data.shots.sum()
    return [fit for fit in fits if (best.log_likelihood - fit.log_likelihood) * shots < _EQUAL_NATS]


def agreement_of(fits: Sequence[PhaseState]) -> float:
    """Return the least fidelity of the likeliest fit with those that are equally likely.

    If it is alone, the largest with another one, which may have ended a little lower; NaN for a
    single fit.
    """
    best, *others = fits
    fidelities = [best.rbm.fidelity(fit.rbm) for fit in others]
    equal = len(equally_likely(fits)) - 1
    return min(fidelities[:equal]) if equal else max(fidelities, default=float("nan"))


def frequencies_for(shots: Shots, rbm: PhaseRBM | None = None) -> BasisFrequencies:
    """Return the frequencies of shots in several bases, checked for a training.

    Raises:
        InputError: the shots have readout errors, one basis alone, more than 16 sites, or other
            sites than the state.
    """
    without_readout_error(shots, "the likelihood of shots in several bases")
    if rbm is not None and shots.sites != rbm.visible:
        raise InputError(
            f"{shots.source}: has {shots.sites} sites, but the state has {rbm.visible}; give the "
            "state of these shots"
        )
    if len(shots.bases) == 1:
        raise InputError(
            f"{shots.source}: all shots are in the basis {shots.bases[0]}, and one basis does not "
            "determine phases; measure in others too, or use train for a positive state in Z"
        )
    return basis_frequencies(shots.by_basis())


def new_phase_rbm(
    shots: Shots,
    hidden: int,
    phase_hidden: int,
    seed: int,
    checkpoints: Checkpoints | None = None,
    *,
    spread: bool = False,
) -> PhaseRBM:
    """Return a state to train: amplitudes from the shots in Z, phases nearly flat, or spread.

    The amplitude network is fitted to the shots in Z by 10 steps of exact natural gradient, or is
    random if there are none. Phase weights are from N(0, 0.3^2) / sqrt(N). Biases are 0, or
    with `spread` uniform on the whole circle: fits that begin nearly flat end alike also where
    the bases do not determine the phases.
    """
    sites = shots.sites
    if "Z" * sites in shots.bases:
        in_z = shots.in_basis("Z")
        few = ExactNaturalGradient(epochs=_AMPLITUDE_STEPS)
        amplitude = fit(local_rbm(in_z, hidden, seed), in_z, few, seed, None, checkpoints)
    else:
        amplitude = initial_rbm(sites, hidden, seed)
    generator = generator_for(seed, Stream.PHASE_WEIGHTS)
    weights = generator.standard_normal((phase_hidden, sites)) * (_PHASE_SCALE / np.sqrt(sites))
    turns = generator.uniform(-2 * np.pi, 2 * np.pi, sites) if spread else np.zeros(sites)
    return PhaseRBM(amplitude, RBM(weights, turns, np.zeros(phase_hidden)))


@single_blas_thread()
def fit_phases(
    start: PhaseRBM,
    data: BasisFrequencies,
    epochs: int,
    weight_decay: float = 0.0,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
) -> PhaseState:
    """Train one state from another, for at most so many steps, and return the training's end."""

    def training() -> dict[str, object]:
        arrays = data.basis, data.outcome, data.weight
        shots = b"".join([*(array.tobytes() for array in arrays), "".join(data.bases).encode()])
        return {
            "psiprune": version("psiprune"),
            "method": "natural gradient in several bases",
            "epochs": epochs,
            "weight_decay": weight_decay,
            "shots": hashlib.sha256(shots).hexdigest(),
            "start": hashlib.sha256(to_parameters(start).tobytes()).hexdigest(),
        }

    first = PhaseState(data, 0, start, weight_decay)
    with Checkpoint(checkpoints, training) as checkpoint:
        state = checkpoint.resume(first, {})
        expect("epochs", -state.epoch)
        while state.epoch < epochs and not state.done:
            state = step(state)
            count("epochs")
            if callback is not None:
                callback(state)
            checkpoint.offer(state, {})
    expect("epochs", state.epoch - epochs)
    if state.epoch == 0:
        state = replace(state, log_likelihood=_objective(start, data, weight_decay)[0])
    _LOG.info("%r: %d steps, %.6f nats per shot", start, state.epoch, state.log_likelihood)
    return state


def step(state: PhaseState) -> PhaseState:
    """Return the state after one step, which does not lower the likelihood."""
    rbm, data, decay, damping = state.rbm, state.data, state.weight_decay, state.damping
    value, slope = state.log_likelihood, state.slope
    if slope is None:
        value, slope = _objective(rbm, data, decay)
    x, blocks = to_parameters(rbm), quantum_fisher(rbm)
    for block, network in zip(blocks, (rbm.amplitude, rbm.phase), strict=True):
        weights = np.arange(network.number_of_weights)
        block[weights, weights] += decay
    slopes = np.split(slope, [len(blocks[0])])
    while True:
        change = np.concatenate(
            [_solve(block, damping, part) for block, part in zip(blocks, slopes, strict=True)]
        )
        candidate = from_parameters(rbm, x + change)
        new_value, new_slope = _objective(candidate, data, decay)
        if new_value > value or damping > _LARGEST_DAMPING:
            break
        damping *= 4.0
    done = not new_value > value + _CONVERGED
    if new_value > value:
        rbm, value, slope = candidate, new_value, new_slope
        damping = max(damping / 3.0, _LEAST_DAMPING)
    return PhaseState(data, state.epoch + 1, rbm, decay, value, slope, damping, done)


def _objective(rbm: PhaseRBM, data: BasisFrequencies, decay: float) -> tuple[float, Float64]:
    """Return the log-likelihood minus the L2 penalty, and its gradient [parameter]."""
    value, slope = log_likelihood(rbm, data)
    if decay == 0:
        return value, slope
    pulls = []
    for network in (rbm.amplitude, rbm.phase):
        weights = network.weights[network.mask]
        value -= 0.5 * decay * float(weights @ weights)
        pulls.append(np.pad(weights, (0, network.visible + network.hidden)))
    return value, slope - decay * np.concatenate(pulls)


def _solve(metric: Float64, damping: float, slope: Float64) -> Float64:
    """Return (S + lambda 1)^-1 slope."""
    damped = metric.copy()
    damped[np.diag_indices_from(damped)] += damping
    return np.asarray(np.linalg.solve(damped, slope))


def _check_units(start: PhaseRBM, hidden: int | None, phase_hidden: int | None) -> None:
    """Raise InputError if the units given are not those of the state to start from."""
    names, given_units = ("hidden", "phase_hidden"), (hidden, phase_hidden)
    sizes = start.amplitude.hidden, start.phase.hidden
    for name, given, has in zip(names, given_units, sizes, strict=True):
        if given not in (None, has):
            raise InputError(
                f"{name}: must be omitted or {has}, as in the state to start from, found {given}"
            )
