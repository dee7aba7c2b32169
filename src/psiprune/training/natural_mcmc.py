"""Natural gradient where the model's averages need chains: for RBMs beyond exact likelihoods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.special import expit

from psiprune.core.exceptions import DivergenceError, InputError
from psiprune.core.limits import FISHER_PARAMETERS
from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import map_threads
from psiprune.data.shots import Shots
from psiprune.inference.fisher import damped_factor, sample_fisher
from psiprune.rbm import gibbs
from psiprune.rbm.likelihood import Moments, flatten, from_vector, to_vector, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.methods import TrainSettings

Float64 = NDArray[np.float64]
# A step may change the distribution by this much, sqrt(step.F.step), while far from the optimum.
_TRUST = 0.3
# F is found anew when the distribution has changed by so much since, or after so many steps.
_STALE, _OLD = 1.0, 50
# lambda of F + lambda 1, in the first and the last step.
_DAMPING, _LAST_DAMPING = 1e-2, 1e-4
_PIECE = 8192  # configurations a task; fixed, so that sums are the same on any number of cores


@dataclass(frozen=True, eq=False)
class FisherFactor:
    """The Fisher matrix that shapes the steps, and what it was made of, which is far smaller.

    Attributes:
        factor: Cholesky factor of F + lambda 1, lower triangle [parameter, parameter].
        parameters: of the RBM that F is of, [parameter].
        chains: the configurations that F is an average over, uint8 [chain, site].
        damping: lambda.
        moved: how far the distribution has gone since, the sum of sqrt(step.F.step).
        age: steps since.
    """

    factor: Float64
    parameters: Float64
    chains: NDArray[np.uint8]
    damping: float
    moved: float = 0.0
    age: int = 0


@dataclass(frozen=True, eq=False)
class ChainState:
    """One step of natural-gradient training with chains; all that the next step needs.

    Attributes:
        epoch: steps done; each sees all shots.
        rbm: the RBM now.
        chains: visible configurations of the persistent chains, uint8 [chain, site].
        metric: None before the first step.
    """

    epoch: int
    rbm: RBM
    chains: NDArray[np.uint8]
    metric: FisherFactor | None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps: of the metric what it was made of, not the large matrix."""
        arrays: dict[str, NDArray[Any]] = {
            "parameters": to_vector(self.rbm),
            "chains": self.chains,
        }
        if self.metric is None:
            return arrays
        kept: dict[str, NDArray[Any]] = {
            "parameters": self.metric.parameters,
            "chains": self.metric.chains,
            "damping": np.array(self.metric.damping),
            "moved": np.array(self.metric.moved),
            "age": np.array(self.metric.age),
        }
        return {**arrays, **{f"metric_{name}": array for name, array in kept.items()}}

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> ChainState:
        """From the start of a training, the state that gave these arrays."""
        rbm = from_vector(self.rbm, arrays["parameters"])
        metric = None
        if "metric_age" in arrays:
            then = from_vector(self.rbm, arrays["metric_parameters"])
            metric = replace(
                _metric(then, arrays["metric_chains"], float(arrays["metric_damping"])),
                moved=float(arrays["metric_moved"]),
                age=int(arrays["metric_age"]),
            )
        return ChainState(epoch, rbm, arrays["chains"], metric)


def start_chain_training(rbm: RBM, shots: Shots, settings: TrainSettings, seed: int) -> ChainState:
    """The state before the first step; `settings.batch_size` chains start at shots.

    Raises:
        InputError: more than 20,000 parameters.
    """
    if rbm.number_of_parameters > FISHER_PARAMETERS:
        raise InputError(
            f"method: 'natural' holds a Fisher matrix of at most {FISHER_PARAMETERS:,} parameters, "
            f"found {rbm.number_of_parameters:,}; train with method 'pcd', or with a mask"
        )
    generator = generator_for(seed, Stream.NATURAL_START)
    chosen = generator.integers(0, len(shots), settings.batch_size)
    return ChainState(0, rbm, shots.bits[chosen], None)


def chain_steps(
    start: ChainState, shots: Shots, settings: TrainSettings, seed: int
) -> Iterator[ChainState]:
    """The states after each step theta += rate (F + lambda 1)^-1 g.

    g = <s>_data - <s>_model with s = d log p~ / d theta, the first over all shots, the second over
    persistent chains that take `settings.cd_steps` Gibbs steps, with global flips, before each.
    F = Cov_model(s) over the same chains (Amari, Neural Comput. 10, 251 (1998)), kept until the
    distribution has moved. A step is shortened where sqrt(step.F.step) would exceed 0.3. Chains put
    noise of about rate/2 * parameters / (2 chains) on the KL, which the falling rate takes away.

    Args:
        start: the state to go on from, of this run or of an earlier one.
        shots: the training set.
        settings: epochs (steps), batch_size (chains), cd_steps, learning_rate and its decay.
        seed: of the chains.

    Raises:
        Diverged: a step is not finite.
    """
    data = _pieces(shots.bits)
    state = start
    while state.epoch < settings.epochs:
        state = _one_step(state, data, settings, seed)
        yield state


def _one_step(
    state: ChainState, data: Sequence[NDArray[np.float32]], settings: TrainSettings, seed: int
) -> ChainState:
    rbm, elapsed = state.rbm, state.epoch / max(1, settings.epochs - 1)
    own = derive_seed(seed, Stream.NATURAL_STEP, state.epoch)
    begin = gibbs.start_chains(rbm.compiled, state.chains, own)
    bits = gibbs.step_with_flips(begin, settings.cd_steps).bits
    scores = zip(mean_scores(rbm, data), mean_scores(rbm, _pieces(bits)), strict=True)
    gradient = flatten(rbm.mask, Moments(*(seen - modelled for seen, modelled in scores)))
    x = to_vector(rbm)
    gradient[: rbm.number_of_weights] -= settings.weight_decay * x[: rbm.number_of_weights]
    metric = state.metric
    if metric is None or metric.moved > _STALE or metric.age >= _OLD:
        damping = _DAMPING * (_LAST_DAMPING / _DAMPING) ** elapsed
        metric = _metric(rbm, bits, damping)
    direction = scipy.linalg.cho_solve((metric.factor, True), gradient, check_finite=False)
    if not np.isfinite(direction).all():
        raise DivergenceError(
            f"training diverged in epoch {state.epoch + 1} (a step is not finite); start from "
            "smaller weights, or train with method 'pcd'"
        )
    rate = settings.learning_rate * settings.learning_rate_decay**elapsed
    length = rate * float(np.sqrt(gradient @ direction))
    shorten = min(1.0, _TRUST / length) if length > 0 else 1.0
    return ChainState(
        state.epoch + 1,
        from_vector(rbm, x + rate * shorten * direction),
        bits,
        replace(metric, moved=metric.moved + shorten * length, age=metric.age + 1),
    )


def mean_scores(rbm: RBM, pieces: Sequence[NDArray[np.float32]]) -> Moments:
    """Averages of s_j v_i [hidden, visible], v_i and s_j, with s_j = p(h_j = 1 | v).

    `pieces` of configurations are float32 [site, configuration]. Products are in float32, sums over
    pieces in float64.
    """
    weights, bias = rbm.weights.astype(np.float32), rbm.hidden_bias.astype(np.float32)

    def one(bits: NDArray[np.float32]) -> Moments:
        given = expit(weights @ bits + bias[:, None])
        sums = given @ bits.T, bits.sum(axis=1), given.sum(axis=1)
        return Moments(*(total.astype(np.float64) for total in sums))

    parts = map_threads(one, pieces)
    count = sum(bits.shape[1] for bits in pieces)
    return Moments(*(np.sum(totals, axis=0) / count for totals in zip(*parts, strict=True)))


def _metric(rbm: RBM, bits: NDArray[np.uint8], damping: float) -> FisherFactor:
    # The transpose of the symmetric matrix has the memory order of LAPACK, which spares a copy.
    factor, damping = damped_factor(sample_fisher(rbm, unique_configurations(bits)).T, damping)
    return FisherFactor(factor, to_vector(rbm), bits, damping)


def _pieces(bits: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    return [
        np.ascontiguousarray(bits[first : first + _PIECE].T, dtype=np.float32)
        for first in range(0, len(bits), _PIECE)
    ]
