"""Cross-validation of the number of training steps: stop before noise of the shots is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.progress import count, expect
from psiprune.core.random import Stream, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count
from psiprune.data.shots import Shots
from psiprune.inference.log_partition import LogPartition
from psiprune.inference.recorded import shots_log_prob
from psiprune.io.checkpoint import Checkpoint, Notes
from psiprune.rbm.model import RBM
from psiprune.training.method import Method, State

#: Steps without a gain after which the cross-validation ends.
_PATIENCE = 5


def check_folds(folds: int, shots: Shots, method: Method) -> None:
    """Raise InputError unless `folds` is 0, or from 2 to the number of shots with method 'exact'.

    The steps of the other methods shrink with a learning rate that falls over all epochs.
    """
    if folds == 0:
        return
    check_count("folds", folds, 2, len(shots))
    if not method.CONVERGES:
        raise InputError(
            "folds: needs method 'exact', whose steps do not depend on the number of epochs, "
            f"found '{method.method}'; omit folds, or give fewer hidden units"
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
    at least 1 unless `method.epochs` is 0. The search ends when L has not increased for 5 steps, at
    `method.epochs`, or when all trainings have converged.

    Args:
        shots: the training set.
        method: the method, and the maximum number of steps.
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
        return max(likelihoods, key=lambda epoch: likelihoods[epoch][0], default=1)

    first = _Trainings(0, tuple(method.init(start(some), some, seed) for some in training))
    now = checkpoint.resume(first, likelihoods)
    expect("epochs", folds * (method.epochs - now.epoch))
    while now.epoch < min(method.epochs, best() + _PATIENCE) and not now.done:
        states = tuple(each if each.done else method.step(each)[0] for each in now.states)
        now = _Trainings(now.epoch + 1, states)
        pairs = zip(states, held_out, strict=True)
        mean = float(np.mean([mean_log_likelihood(each.rbm, rest) for each, rest in pairs]))
        likelihoods[now.epoch] = (mean,)
        count("epochs", folds)
        checkpoint.offer(now, likelihoods)
    expect("epochs", folds * (now.epoch - method.epochs))
    return min(best(), method.epochs)


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
    """Return the mean log-likelihood of shots, in nats per shot, by sums over all states."""
    log_z = LogPartition(rbm.log_partition(), 0.0, "sum")
    return float(shots_log_prob(rbm, shots, log_z, 0).values.mean())
