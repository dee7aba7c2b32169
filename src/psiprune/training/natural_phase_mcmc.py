"""Natural gradient on shots in bases that rotate few sites, step by step.

The likelihood of the shots is a sum over few states each (`rbm.phase_terms`). log Z is a sum where
a layer of the amplitude network has at most 20 units, else its change along a step is found by
reweighting Gibbs chains (`inference.normalisation`). So a step that lowers the likelihood is found
out and repeated with more damping, as in sums over all states. `training.phase_metric` has the
matrix of a step, over the same chains and over some of the shots.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError
from psiprune.core.progress import count, expect
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots
from psiprune.inference.normalisation import (
    Normalisation,
    Reweighted,
    Summed,
    is_summed,
    normalisation_of,
)
from psiprune.inference.phase_draws import quick_log_partition
from psiprune.io.checkpoint import Checkpoint, Checkpoints
from psiprune.rbm import gibbs
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import from_parameters, to_parameters
from psiprune.rbm.phase_terms import Terms, terms_likelihood, terms_of
from psiprune.training.phase_metric import PhaseMetric

_LOG = logging.getLogger(__name__)
Float64 = NDArray[np.float64]
#: Chains for each shot, where log Z is not a sum: their noise adds at most a quarter to that of the
#: shots. The fewest and the most; the fewest are enough for the quantum Fisher information alone.
CHAINS_PER_SHOT, FEWEST_CHAINS, MOST_CHAINS = 4, 10_000, 400_000
#: Gibbs steps of the chains after each step of the training.
GIBBS_STEPS = 30
#: Chains, and shots, that the matrix of a step is over.
_METRIC_SAMPLE = 8192
#: Least share of the chains that count at the end of a step.
_EFFECTIVE = 0.5
_FIRST_DAMPING, _LEAST_DAMPING, _LARGEST_DAMPING = 1.0, 1e-6, 1e6
#: Training ends when so many steps gain less than this part of the nats, over all shots, by which
#: the likeliest state exceeds the true one on average: half the number of parameters (Wilks).
WINDOW, NEGLIGIBLE = 20, 0.02


class Point(NamedTuple):
    """What is known of the likelihood at a state.

    Attributes:
        terms: log-likelihood + log Z, minus the L2 penalty, in nats per shot.
        slope: its gradient, [parameter].
        norm: log Z.
    """

    terms: float
    slope: Float64
    norm: Normalisation

    @property
    def value(self) -> float:
        """The log-likelihood minus the L2 penalty, up to log Z of the chains."""
        return self.terms - self.norm.log_z

    @property
    def gradient(self) -> Float64:
        """Its gradient, [parameter]."""
        return self.slope - np.pad(self.norm.slope, (0, len(self.slope) - len(self.norm.slope)))


@dataclass(frozen=True, eq=False)
class SampledPhaseState:
    """The state of a training after a step.

    Attributes:
        data: the shots as sums over states.
        few: some of them, for the metric.
        shots: their number.
        seed: random seed of the training.
        epoch: steps done.
        rbm: the current state.
        weight_decay: L2 penalty on the weights, in nats per shot.
        chains: configurations of the persistent chains of the amplitudes, uint8 [chain, site].
        damping: lambda of the next step.
        gains: of the last steps, in nats per shot.
        done: whether training has ended.
        stalled: whether it has without converging: no damping made a step that raises the
            likelihood, although the gradient promises a gain above the noise of the chains.
        recent: parameters after the last steps where log Z is over chains, [step, parameter].
        norm: gives log Z of states near this one; None before the first step and after a restore.
        point: what is known of the likelihood; None where `norm` is.
    """

    data: Sequence[Terms]
    few: Sequence[Terms]
    shots: int
    seed: int
    epoch: int
    rbm: PhaseRBM
    weight_decay: float
    chains: NDArray[np.uint8]
    damping: float = _FIRST_DAMPING
    gains: tuple[float, ...] = ()
    done: bool = False
    stalled: bool = False
    recent: tuple[Float64, ...] = ()
    norm: Summed | Reweighted | None = None
    point: Point | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        return {
            "parameters": to_parameters(self.rbm),
            "chains": self.chains,
            "damping": np.array(self.damping),
            "gains": np.array(self.gains, np.float64),
            "done": np.array(int(self.done)),
            "stalled": np.array(int(self.stalled)),
            "recent": np.array(self.recent, np.float64),
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> SampledPhaseState:
        """Return the state stored in these arrays; `self` is the state before the first step."""
        return replace(
            self,
            epoch=epoch,
            rbm=from_parameters(self.rbm, arrays["parameters"]),
            chains=arrays["chains"],
            damping=float(arrays["damping"]),
            gains=tuple(arrays["gains"].tolist()),
            done=bool(arrays["done"]),
            stalled=bool(arrays["stalled"]),
            recent=tuple(arrays["recent"]),
        )

    @property
    def settled(self) -> PhaseRBM:
        """The current state, or the mean of the last ones, in which the noise of chains is less."""
        if not (self.done and self.recent):
            return self.rbm
        return from_parameters(self.rbm, np.mean(self.recent, axis=0))


@dataclass(frozen=True, eq=False)
class SampledFit:
    """The end of a training.

    Attributes:
        rbm: the state.
        epoch: steps done.
        done: whether training has converged.
        log_likelihood: of all shots, in nats per shot.
        error: standard error of it, that of log Z.
        shots: number of shots.
    """

    rbm: PhaseRBM
    epoch: int
    done: bool
    log_likelihood: float
    error: float
    shots: int


@single_blas_thread()
def fit_sampled(
    start: PhaseRBM,
    shots: Shots,
    data: Sequence[Terms],
    epochs: int,
    weight_decay: float,
    seed: int,
    callback: Callable[[SampledPhaseState], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> SampledFit:
    """Train one state from another, for at most so many steps, and return the training's end.

    Args:
        start: the state before.
        shots: the training set.
        data: the same from `terms_of`.
        epochs: the most steps.
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

    with Checkpoint(checkpoints, training) as checkpoint:
        state = checkpoint.resume(begin(start, shots, data, weight_decay, seed), {})
        expect("epochs", -state.epoch)
        while state.epoch < epochs and not state.done:
            state = step(state)
            count("epochs")
            if callback is not None:
                callback(state)
            checkpoint.offer(state, {})
    expect("epochs", state.epoch - epochs)
    rbm = state.settled
    value, error = log_likelihood(rbm, data, seed)
    _LOG.info("%r: %d steps, %.6f +- %.1g nats per shot", start, state.epoch, value, error)
    converged = state.done and not state.stalled
    return SampledFit(rbm, state.epoch, converged, value, error, len(shots))


def begin(
    rbm: PhaseRBM, shots: Shots, data: Sequence[Terms], weight_decay: float, seed: int
) -> SampledPhaseState:
    """Return the state before the first step; see `fit_sampled`."""
    size = FEWEST_CHAINS
    if not is_summed(rbm.amplitude):
        size = min(max(size, CHAINS_PER_SHOT * len(shots)), MOST_CHAINS)
    # Any shots do: chains forget them within some steps.
    rows = generator_for(seed, Stream.PHASE_CHAINS).integers(0, len(shots), size)
    chains = _advanced(rbm, shots.bits[rows], derive_seed(seed, Stream.PHASE_STEP, 0))
    few = chosen_terms(shots, data, _METRIC_SAMPLE, seed)
    return SampledPhaseState(data, few, len(shots), seed, 0, rbm, weight_decay, chains)


def chosen_terms(shots: Shots, data: Sequence[Terms], most: int, seed: int) -> Sequence[Terms]:
    """Return so many of the shots as sums over states, chosen at random, or all: `data`."""
    if len(shots) <= most:
        return data
    chosen = np.zeros(len(shots), bool)
    chosen[generator_for(seed, Stream.PHASE_SCORES).permutation(len(shots))[:most]] = True
    return terms_of(shots.take(chosen).by_basis())


def step(state: SampledPhaseState) -> SampledPhaseState:
    """Return the state after one step, which does not lower the likelihood over its chains.

    Raises:
        DivergenceError: the step is not finite.
    """
    rbm, data, decay, damping = state.rbm, state.data, state.weight_decay, state.damping
    norm, point = state.norm, state.point
    if norm is None or point is None:
        norm = normalisation_of(rbm.amplitude, state.chains)
        point = point_of(rbm, data, decay, norm)
    metric = PhaseMetric(rbm, state.chains[:_METRIC_SAMPLE], state.few)
    x, gradient = to_parameters(rbm), point.gradient
    if not np.isfinite(gradient).all():
        raise DivergenceError(
            f"training diverged in epoch {state.epoch + 1} (the gradient is not finite): start "
            "from another seed, or use fewer hidden units"
        )
    first = damping
    key = derive_seed(state.seed, Stream.PHASE_STEP, state.epoch + 1)
    noise = len(point.norm.slope) / len(state.chains)
    least = NEGLIGIBLE * len(x) / 2 / state.shots
    promised = float("nan")
    while True:
        change = metric.solve(gradient, damping)
        promised = promised if damping > first else 0.5 * float(gradient @ change)
        candidate = from_parameters(rbm, x + change)
        tried = point_of(candidate, data, decay, norm)
        gain = tried.value - point.value
        accepted = gain > 0 and tried.norm.effective >= _EFFECTIVE
        if accepted:
            if isinstance(norm, Summed):
                chains = _advanced(candidate, state.chains, key)
                break
            chains = _advanced(candidate, norm.moved_to(candidate.amplitude, key), key)
            # Seen from the new state: the old chains exaggerate the gain, and a state that they did
            # not visit may have become likely.
            fresh = Reweighted(candidate.amplitude, chains)
            before = fresh.of(rbm.amplitude)
            gain = tried.terms - point.terms + before.log_z
            accepted = gain > -noise and before.effective >= _EFFECTIVE
        if accepted or damping > _LARGEST_DAMPING:
            break
        damping *= 4.0
    after = replace(state, epoch=state.epoch + 1, damping=damping, norm=norm, point=point)
    if not accepted:
        return replace(after, done=True, stalled=promised > least + noise)
    if isinstance(norm, Reweighted):
        norm, tried = fresh, tried._replace(norm=fresh.of(candidate.amplitude))
        after = replace(after, recent=(*state.recent, to_parameters(candidate))[-WINDOW:])
    gains = (*state.gains, gain)[-WINDOW:]
    return replace(
        after,
        rbm=candidate,
        chains=chains,
        damping=max(damping / 3.0, _LEAST_DAMPING) if damping == first else damping,
        gains=gains,
        done=len(gains) == WINDOW and sum(gains) < least,
        norm=norm,
        point=tried,
    )


def point_of(
    rbm: PhaseRBM, data: Sequence[Terms], decay: float, norm: Summed | Reweighted
) -> Point:
    """Return what is known of the likelihood of shots at a state; see `SampledPhaseState`."""
    value, slope = terms_likelihood(rbm, data)
    pulls = []
    for network in (rbm.amplitude, rbm.phase):
        weights = network.weights[network.mask]
        value -= 0.5 * decay * float(weights @ weights)
        pulls.append(np.pad(weights, (0, network.visible + network.hidden)))
    return Point(value, slope - decay * np.concatenate(pulls), norm.of(rbm.amplitude))


def _advanced(rbm: PhaseRBM, chains: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    return gibbs.visited(rbm.amplitude.compiled, chains, seed, [GIBBS_STEPS])[0]


def log_likelihood(rbm: PhaseRBM, data: Sequence[Terms], seed: int) -> tuple[float, float]:
    """Return the log-likelihood in nats per shot and its standard error, that of log Z.

    log Z is exact where that takes seconds, else annealed.
    """
    log_z = quick_log_partition(rbm.amplitude, derive_seed(seed, Stream.PHASE_LOG_Z))
    return terms_likelihood(rbm, data)[0] - log_z.value, log_z.error
