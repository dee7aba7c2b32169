"""Contrastive divergence, CD-k and PCD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import DivergenceError
from psiprune.core.random import Stream, generator_for, stream_key
from psiprune.data.shots import Shots
from psiprune.kernels import cd, layout
from psiprune.rbm.model import RBM
from psiprune.training.methods import TrainSettings


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that the next epoch needs besides the shots, the settings and the seed.

    Attributes:
        mask: bool [hidden, visible].
        epoch: epochs done.
        at: parameters in float32, weights [edge] by rows of the mask.
        velocity: of momentum, shaped like `at`.
        chains: persistent chains [tile, visible, lane]; no tile unless method = "pcd".
    """

    mask: NDArray[np.bool_]
    epoch: int
    at: layout.Parameters
    velocity: layout.Parameters
    chains: NDArray[np.float32]

    @property
    def rbm(self) -> RBM:
        """The RBM at this epoch. A weight outside the mask is exactly 0."""
        weights = np.zeros(self.mask.shape)
        weights[self.mask] = self.at.weights
        visible_bias, hidden_bias = (
            bias.astype(np.float64) for bias in (self.at.visible_bias, self.at.hidden_bias)
        )
        return RBM(weights, visible_bias, hidden_bias, self.mask)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps."""
        return {
            "parameters": np.concatenate(self.at),
            "velocity": np.concatenate(self.velocity),
            "chains": self.chains,
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> TrainingState:
        """From the start of a training, the state that gave these arrays."""
        ends = np.cumsum([len(values) for values in self.at])[:-1]
        at, velocity = (
            layout.Parameters(*np.split(arrays[name], ends)) for name in ("parameters", "velocity")
        )
        return TrainingState(self.mask, epoch, at, velocity, arrays["chains"])


def start_training(rbm: RBM, settings: TrainSettings, seed: int) -> TrainingState:
    """The state before the first epoch; persistent chains start at random."""
    at = rbm.compiled.params
    velocity = layout.Parameters(*(np.zeros_like(values) for values in at))
    lanes = layout.lanes_of(layout.tile_shape(settings.batch_size))
    tiles = -(-settings.batch_size // lanes) if settings.method == "pcd" else 0
    generator = generator_for(seed, Stream.PERSISTENT_CHAINS)
    chains = generator.integers(0, 2, (tiles, rbm.visible, lanes)).astype(np.float32)
    return TrainingState(rbm.mask, 0, at, velocity, chains)


def train_epochs(
    start: TrainingState, shots: Shots, settings: TrainSettings, seed: int
) -> Iterator[TrainingState]:
    """The states after each epoch still to do; `start` may be the state of an earlier run.

    The step is up the gradient of the log-likelihood, <v_i h_j>_data - <v_i h_j>_model and so on,
    with the second average over the ends of Gibbs chains of k steps (Hinton 2002). The learning
    rate falls exponentially from epoch to epoch. Random numbers depend on the seed and the epoch
    alone, so a run taken up again ends with the same bits as an unbroken one.

    Raises:
        Diverged: a parameter is no longer finite.
    """
    data, graph = layout.pack(shots.bits), layout.graph_of(start.mask)
    state = start
    while state.epoch < settings.epochs:
        state = _one_epoch(state, data, graph, settings, seed)
        if not all(np.isfinite(values).all() for values in state.at):
            raise DivergenceError(
                f"training diverged in epoch {state.epoch} (a parameter is not finite); "
                f"learning_rate = {settings.learning_rate} is too large, take a smaller one"
            )
        yield state


def _one_epoch(
    state: TrainingState,
    data: NDArray[np.uint32],
    graph: layout.Graph,
    settings: TrainSettings,
    seed: int,
) -> TrainingState:
    at, velocity = (
        layout.Parameters(*(values.copy() for values in group))
        for group in (state.at, state.velocity)
    )
    chains = state.chains.copy()
    order = np.arange(data.shape[1], dtype=np.int32)
    cd.shuffle(order, stream_key(seed, Stream.SHUFFLE, state.epoch))
    elapsed = state.epoch / max(1, settings.epochs - 1)
    cd.train_epoch(
        data,
        order,
        settings.batch_size,
        settings.cd_steps,
        chains,
        graph,
        at,
        velocity,
        np.float32(settings.learning_rate * settings.learning_rate_decay**elapsed),
        np.float32(settings.momentum),
        np.float32(settings.weight_decay),
        stream_key(seed, Stream.NEGATIVE_PHASE, state.epoch),
        layout.tile_shape(settings.batch_size),
    )
    return TrainingState(state.mask, state.epoch + 1, at, velocity, chains)
