"""Save the RBMs of some epochs of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from psiprune.rbm.model import RBM
from psiprune.training.train import Callback, TrainingProgress


def train_saving_epochs(
    files: Mapping[int, Path], start: RBM, fit: Callable[[Callback], RBM], callback: Callback
) -> RBM:
    """Return fit(callback), which trains `start`, and save the RBM of some epochs to files.

    Epoch 0 is `start` itself; an epoch after training converged is its last RBM.
    """
    if 0 in files:
        start.save(files[0])

    def save(state: TrainingProgress) -> None:
        if state.epoch in files:
            state.rbm.save(files[state.epoch])
        callback(state)

    rbm = fit(save)
    for epoch, file in files.items():
        if epoch > int(rbm.provenance.get("epochs_done", 0)):
            rbm.save(file)
    return rbm
