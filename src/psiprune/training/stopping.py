"""Cross-validation of the number of training steps: stop before noise of the shots is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, State

#: Likelihoods without a gain after which the cross-validation ends.
_PATIENCE = 5
#: Seconds for an exact log Z above 18 units; chains and temperatures of annealing.
_EXACT_SECONDS, _CHAINS, _TEMPERATURES = 1.0, 1000, 2000


def check_folds(folds: int, shots: Shots, method: Method) -> None:
    """Raise InputError unless `folds` is 0, or 2 to the number of shots by a natural gradient."""
    if folds == 0:
        return
    check_count("folds", folds, 2, len(shots))
    if not method.FOLD_STEPS:
        raise InputError(
            f"folds: needs method 'exact' or 'natural', found '{method.method}'; omit folds, or "
            "give one of these methods"
        )


@single_blas_thread()
def cross_validated_epochs(
    shots: Shots,
    method: Method,
    start: Callable[[Shots], RBM],
    seed: int,
    folds: int,
    checkpoint: Checkpoint,
) -> int:
    """Return after how many steps the likelihood of held-out shots is largest.

    The shots are divided at random into `folds` parts of equal size. For each part an RBM is
    trained on all others, and L(t) is the log-likelihood after t steps of the part left out (of the
    records, if the shots carry readout errors), averaged over the parts. The result is argmax L,
    the first where several are equal; 0 if `method.epochs` is 0. The search ends when L has not
    increased for 5 steps, at `method.epochs`, or when all trainings have converged.

    Args:
        shots: the training set.
        method: the method, the maximum number of steps, and how many steps lie between two values
            of L, `FOLD_STEPS`; the search then ends after 5 values without an increase.
        start: the RBM before the first step of a training on given shots.
        seed: random seed of the division and of the trainings.
        folds: number of parts, at least 2.
        checkpoint: where the trainings save their states, to resume from there.
    """
    part = generator_for(seed, Stream.FOLDS).permutation(len(shots)) % folds
    training, held_out = (
        [Shots(shots.bits[chosen], readout=shots.readout) for chosen in choices]
        for choices in ([part != k for k in range(folds)], [part == k for k in range(folds)])
    )
    likelihoods: Notes = {}

    def best() -> int:
        return max(likelihoods, key=lambda epoch: likelihoods[epoch][0], default=0)

    first = _Trainings(0, tuple(method.init(start(some), some, seed) for some in training))
    now = checkpoint.resume(first, likelihoods)
    expect("epochs", folds * (method.epochs - now.epoch))
    while now.epoch < min(method.epochs, best() + _PATIENCE * method.FOLD_STEPS) and not now.done:
        states = tuple(each if each.done else method.step(each)[0] for each in now.states)
        now = _Trainings(now.epoch + 1, states)
        if now.epoch % method.FOLD_STEPS == 0 or now.epoch == method.epochs:
            pairs = zip(states, held_out, strict=True)
            values = [mean_log_likelihood(each.rbm, rest) for each, rest in pairs]
            likelihoods[now.epoch] = (float(np.mean(values)),)
        count("epochs", folds)
        checkpoint.offer(now, likelihoods)
    expect("epochs", folds * (now.epoch - method.epochs))
    return best()


@dataclass(frozen=True)
class _Trainings:
    """The trainings without each part, after so many steps, or fewer where one has converged."""

    epoch: int
    states: tuple[State, ...]

    @property
    def done(self) -> bool:
        """Whether all have converged."""
        return all(each.done for each in self.states)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        arrays = {"epochs": np.array([each.epoch for each in self.states])}
        for part, state in enumerate(self.states):
            arrays |= {f"part{part}_{name}": array for name, array in state.to_arrays().items()}
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> _Trainings:
        """Return the trainings stored in these arrays."""
        states = []
        for part, (state, done) in enumerate(zip(self.states, arrays["epochs"], strict=True)):
            prefix = f"part{part}_"
            mine = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            states.append(state.restore(int(done), mine))
        return _Trainings(epoch, tuple(states))


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
