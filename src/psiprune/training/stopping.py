"""Cross-validation of the number of training steps: stop before noise of the shots is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.progress import count, expect
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import (
    LogPartition,
    annealed_log_partition,
    exact_log_partition,
)
from psiprune.inference.recorded import shots_log_prob
from psiprune.io.checkpoint import Checkpoint, Notes
from psiprune.rbm.likelihood import from_vector, to_vector
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, State

#: Likelihoods without a gain after which the cross-validation ends.
_PATIENCE = 5
#: Seconds for an exact log Z above 18 units; chains and temperatures of annealing.
_EXACT_SECONDS, _CHAINS, _TEMPERATURES = 1.0, 1000, 2000


def check_folds(folds: int, shots: Shots) -> None:
    """Raise InputError unless `folds` is 0, or 2 to the number of shots."""
    if folds != 0 and check_count("folds", folds, 2) > len(shots):
        raise InputError(
            f"folds: must be at most the number of shots, {len(shots):,}, found {folds}; give 0, "
            "or more shots"
        )


class Parts(NamedTuple):
    """Shots divided at random into parts of equal size.

    Attributes:
        training: for each part the shots of all others.
        held_out: the shots of each part.
    """

    training: tuple[Shots, ...]
    held_out: tuple[Shots, ...]


def divide(shots: Shots, folds: int, seed: int) -> Parts:
    """Return the shots in so many parts, at least 2."""
    part = generator_for(seed, Stream.FOLDS).permutation(len(shots)) % folds

    def some(chosen: NDArray[np.bool_]) -> Shots:
        return shots.take(chosen)

    return Parts(
        tuple(some(part != k) for k in range(folds)), tuple(some(part == k) for k in range(folds))
    )


class Stop(NamedTuple):
    """The result of a cross-validation.

    Attributes:
        epochs: steps after which the likelihood of held-out shots is largest.
        rbms: the RBMs after these steps, each trained without one part.
    """

    epochs: int
    rbms: tuple[RBM, ...]


@single_blas_thread()
def cross_validated(
    parts: Parts,
    starts: Sequence[RBM],
    method: Method,
    seed: int,
    checkpoint: Checkpoint,
    *,
    compare_starts: bool = False,
) -> Stop:
    """Return after how many steps the likelihood of held-out shots is largest.

    For each part an RBM is trained on all others, and L(t) is the log-likelihood after t steps of
    the part left out (of the records, if the shots carry readout errors), averaged over the parts.
    The result is argmax L, the first where several are equal; 0 if `method.epochs` is 0. The search
    ends when L has not increased for 5 steps, at `method.epochs`, or when all trainings have
    converged.

    Args:
        parts: the training set in parts.
        starts: for each part, the RBM where the training without it begins.
        method: the method, the maximum number of steps, and how many steps lie between two values
            of L, `FOLD_STEPS`; the search then ends after 5 values without an increase.
        seed: random seed of the trainings.
        checkpoint: where the trainings save their states, to resume from there.
        compare_starts: count L(0) as well, for starts that are trained RBMs.
    """
    likelihoods: Notes = {}

    def compare(now: _Trainings) -> _Trainings:
        """Note L of the current RBMs, and return the trainings with the best RBMs so far."""
        pairs = zip(now.states, parts.held_out, strict=True)
        values = [mean_log_likelihood(each.rbm, rest) for each, rest in pairs]
        likelihoods[now.epoch] = (float(np.mean(values)),)
        is_best = best() == now.epoch
        return replace(now, best=tuple(each.rbm for each in now.states)) if is_best else now

    def best() -> int:
        return max(likelihoods, key=lambda epoch: likelihoods[epoch][0], default=0)

    pairs = zip(starts, parts.training, strict=True)
    states = tuple(method.init(start, some, seed) for start, some in pairs)
    begun = _Trainings(0, states, tuple(starts))
    now = checkpoint.resume(begun, likelihoods)
    folds = len(states)
    expect("epochs", folds * (method.epochs - now.epoch))
    if compare_starts and not likelihoods and method.epochs > 0:
        now = compare(now)
    while now.epoch < min(method.epochs, best() + _PATIENCE * method.FOLD_STEPS) and not now.done:
        states = tuple(each if each.done else method.step(each)[0] for each in now.states)
        now = replace(now, epoch=now.epoch + 1, states=states)
        if now.epoch % method.FOLD_STEPS == 0 or now.epoch == method.epochs:
            now = compare(now)
        count("epochs", folds)
        checkpoint.offer(now, likelihoods)
    expect("epochs", folds * (now.epoch - method.epochs))
    return Stop(best(), now.best)


@dataclass(frozen=True)
class _Trainings:
    """The trainings without each part, after so many steps, or fewer where one has converged."""

    epoch: int
    states: tuple[State, ...]
    best: tuple[RBM, ...]

    @property
    def done(self) -> bool:
        """Whether all have converged."""
        return all(each.done for each in self.states)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        arrays = {"epochs": np.array([each.epoch for each in self.states])}
        for part, (state, rbm) in enumerate(zip(self.states, self.best, strict=True)):
            arrays[f"best{part}"] = to_vector(rbm)
            arrays |= {f"part{part}_{name}": array for name, array in state.to_arrays().items()}
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> _Trainings:
        """Return the trainings stored in these arrays."""
        states, best = [], []
        trainings = zip(self.states, self.best, arrays["epochs"], strict=True)
        for part, (state, rbm, done) in enumerate(trainings):
            prefix = f"part{part}_"
            mine = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            states.append(state.restore(int(done), mine))
            best.append(from_vector(rbm, arrays[f"best{part}"]))
        return _Trainings(epoch, tuple(states), tuple(best))


def mean_log_likelihood(rbm: RBM, shots: Shots) -> float:
    """Return the mean log-likelihood of shots, in nats per shot.

    log Z is a sum over all states where a layer has at most 18 units. Above it is exact where that
    takes up to a second on one core, else annealed, with the same random numbers for all RBMs.
    """
    if min(rbm.visible, rbm.hidden) <= EXACT_GRADIENT_UNITS:
        log_z = LogPartition(rbm.log_partition(), 0.0, "sum")
    else:
        exact = exact_log_partition(rbm, _EXACT_SECONDS)
        log_z = exact or annealed_log_partition(rbm, shots.bits, _CHAINS, _TEMPERATURES, 0)
    return float(shots_log_prob(rbm, shots, log_z, 0).values.mean())
