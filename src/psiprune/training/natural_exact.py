"""Maximum likelihood by natural gradient: exact likelihood, damped Fisher steps, tens of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for
from psiprune.inference.fisher import fisher_matrix
from psiprune.rbm.likelihood import (
    WeightedConfigurations,
    flatten,
    from_vector,
    log_likelihood,
    to_vector,
)
from psiprune.rbm.model import RBM
from psiprune.training.methods import TrainSettings

#: Configurations that estimate the Fisher matrix of a step; it only shapes the step.
_FISHER_SAMPLE = 8192
#: The run ends when a step promises less than this in log-likelihood (nat a shot), far below
#: the statistical uncertainty, parameters / (2 shots), of any fit.
_CONVERGED = 1e-9
_FIRST_DAMPING, _LARGEST_DAMPING = 1e-3, 1e6


@dataclass(frozen=True, eq=False)
class NaturalState:
    """One step of maximum-likelihood training; all that the next step needs.

    Attributes:
        epoch: steps done.
        rbm: the RBM now.
        log_likelihood: mean log-likelihood a shot, less the L2 penalty, in nat.
        damping: lambda of the last accepted step.
        done: no step can improve it further.
    """

    epoch: int
    rbm: RBM
    log_likelihood: float
    damping: float
    done: bool

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        return {
            "parameters": to_vector(self.rbm),
            "log_likelihood": np.array(self.log_likelihood),
            "damping": np.array(self.damping),
            "done": np.array(int(self.done)),
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> NaturalState:
        """From the start of a training, the state that gave these arrays."""
        rbm = from_vector(self.rbm, arrays["parameters"])
        value, damping = float(arrays["log_likelihood"]), float(arrays["damping"])
        return NaturalState(epoch, rbm, value, damping, bool(arrays["done"]))


def start_natural(rbm: RBM) -> NaturalState:
    """The state before the first step; its likelihood is not looked at."""
    return NaturalState(0, rbm, float("nan"), _FIRST_DAMPING, False)


def natural_steps(
    start: NaturalState, data: WeightedConfigurations, settings: TrainSettings, seed: int
) -> Iterator[NaturalState]:
    """The states after each step (F + lambda 1)^-1 g up the exact log-likelihood of the data.

    The data are shots, or any configurations with weights that sum to 1: a distribution itself. F
    is the Fisher matrix over the data (Amari 1998); lambda adapts as in Levenberg and Marquardt: a
    step that does not raise the likelihood is not taken but damped more. Ends when converged or
    after settings.epochs steps. `start` may be the state of an earlier run.
    """
    if start.done:
        return
    rbm = start.rbm
    x, damping = to_vector(rbm), start.damping
    penalised = np.zeros(len(x))
    penalised[: rbm.number_of_weights] = settings.weight_decay

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = log_likelihood(from_vector(rbm, x), data)
        slope = flatten(rbm.mask, gradient) - penalised * x
        return value - 0.5 * float(penalised @ x**2), slope

    value, slope = objective(x)
    for epoch in range(start.epoch + 1, settings.epochs + 1):
        fisher = fisher_matrix(from_vector(rbm, x), _some_of(data, seed, epoch))
        fisher[np.diag_indices_from(fisher)] += penalised
        while True:
            damped = fisher + damping * np.eye(len(x))
            step = scipy.linalg.solve(damped, slope, assume_a="pos")
            promised = float(slope @ step - 0.5 * step @ fisher @ step)
            new_value, new_slope = objective(x + step)
            # At the optimum, rounding decides whether a step is up or down: stop on the promise.
            if promised < _CONVERGED or new_value > value or damping > _LARGEST_DAMPING:
                break
            damping *= 4.0
        done = promised < _CONVERGED or damping > _LARGEST_DAMPING
        if new_value > value:
            kept_promise = (new_value - value) / promised
            x, value, slope = x + step, new_value, new_slope
            if kept_promise > 0.75:
                damping = max(damping / 3.0, 1e-9)
            elif kept_promise < 0.25:
                damping *= 2.0
        yield NaturalState(epoch, from_vector(rbm, x), value, damping, done)
        if done:
            return


def _some_of(data: WeightedConfigurations, seed: int, epoch: int) -> WeightedConfigurations:
    """A sample of the data for one Fisher matrix; all of it where there is not much."""
    if len(data.weight) <= _FISHER_SAMPLE:
        return data
    generator = generator_for(seed, Stream.FISHER_SUBSET, epoch)
    cumulative = np.cumsum(data.weight)
    drawn = np.searchsorted(cumulative, generator.random(_FISHER_SAMPLE) * cumulative[-1])
    return WeightedConfigurations(
        data.bits[:, drawn], np.full(_FISHER_SAMPLE, 1.0 / _FISHER_SAMPLE)
    )
