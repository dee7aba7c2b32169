"""Natural gradient of the exact likelihood of shots in several bases, step by step."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.progress import count, expect
from psiprune.core.threads import single_blas_thread
from psiprune.inference.phase_fisher import quantum_fisher
from psiprune.io.checkpoint import Checkpoint, Checkpoints
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import (
    BasisFrequencies,
    from_parameters,
    log_likelihood,
    to_parameters,
)

_LOG = logging.getLogger(__name__)
Float64 = NDArray[np.float64]
#: Training ends when a step gains less than this in log-likelihood, in nats per shot.
_CONVERGED = 1e-8
_FIRST_DAMPING, _LEAST_DAMPING, _LARGEST_DAMPING = 1e-2, 1e-7, 1e6


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
        done: whether training has ended.
        stalled: whether it has without converging: no damping made a step that raises the
            likelihood, although the gradient promises more than a negligible gain.
    """

    data: BasisFrequencies
    epoch: int
    rbm: PhaseRBM
    weight_decay: float = 0.0
    log_likelihood: float = float("nan")
    slope: Float64 | None = None
    damping: float = _FIRST_DAMPING
    done: bool = False
    stalled: bool = False

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        return {
            "parameters": to_parameters(self.rbm),
            "log_likelihood": np.array(self.log_likelihood),
            "damping": np.array(self.damping),
            "done": np.array(int(self.done)),
            "stalled": np.array(int(self.stalled)),
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
            stalled=bool(arrays["stalled"]),
        )


Callback = Callable[[PhaseState], None]


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
            "readout": None if data.readout is None else data.readout.digest,
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
    promised = float("nan")
    while True:
        change = np.concatenate(
            [_solve(block, damping, part) for block, part in zip(blocks, slopes, strict=True)]
        )
        promised = promised if damping > state.damping else 0.5 * float(slope @ change)
        candidate = from_parameters(rbm, x + change)
        new_value, new_slope = _objective(candidate, data, decay)
        if new_value > value or damping > _LARGEST_DAMPING:
            break
        damping *= 4.0
    done = not new_value > value + _CONVERGED
    stalled = not new_value > value and promised > _CONVERGED
    if new_value > value:
        rbm, value, slope = candidate, new_value, new_slope
        damping = max(damping / 3.0, _LEAST_DAMPING)
    return PhaseState(data, state.epoch + 1, rbm, decay, value, slope, damping, done, stalled)


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
