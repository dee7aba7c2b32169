"""Base of CD and PCD: stochastic gradient steps with a negative phase of k Gibbs steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from psiprune.core.exceptions import DivergenceError
from psiprune.core.random import Stream, stream_key
from psiprune.training.method import WEIGHT_DECAY, Method, decayed

if TYPE_CHECKING:
    from psiprune.data.shots import Shots
    from psiprune.kernels import layout
    from psiprune.rbm.model import RBM
    from psiprune.rbm.posterior import TrueBits


@dataclass(frozen=True, eq=False)
class ContrastiveState:
    """The state after an epoch.

    Attributes:
        mask: bool [hidden, visible].
        data: the shots as words, uint32 [word, shot]; with readout errors the current true bits.
        graph: neighbours of each unit under the mask.
        seed: random seed of the training.
        epoch: epochs done.
        params: parameters in float32; weights [edge] in row order of the mask.
        velocity: velocity of the momentum method, shaped like `params`.
        chains: persistent chains [tile, visible, lane]; CD has no tile.
        true: chains of the true bits, where the shots carry readout errors.
    """

    mask: NDArray[np.bool_]
    data: NDArray[np.uint32]
    graph: layout.Graph
    seed: int
    epoch: int
    params: layout.Parameters
    velocity: layout.Parameters
    chains: NDArray[np.float32]
    true: TrueBits | None = None

    #: Stochastic steps never converge exactly.
    done: ClassVar[bool] = False

    @property
    def rbm(self) -> RBM:
        """The RBM at this epoch. Weights outside the mask are exactly 0."""
        from psiprune.rbm.model import RBM

        weights = np.zeros(self.mask.shape)
        weights[self.mask] = self.params.weights
        visible_bias, hidden_bias = (
            bias.astype(np.float64) for bias in (self.params.visible_bias, self.params.hidden_bias)
        )
        return RBM(weights, visible_bias, hidden_bias, self.mask)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that a checkpoint stores."""
        return {
            "parameters": np.concatenate(self.params),
            "velocity": np.concatenate(self.velocity),
            "chains": self.chains,
            **({} if self.true is None else self.true.to_arrays()),
        }

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> ContrastiveState:
        """Return the state stored in these arrays; `self` is the state before the first epoch."""
        from psiprune.kernels import layout

        cuts = np.cumsum([len(values) for values in self.params])[:-1]
        params, velocity = (
            layout.Parameters(*np.split(arrays[name], cuts)) for name in ("parameters", "velocity")
        )
        return replace(
            self,
            epoch=epoch,
            params=params,
            velocity=velocity,
            chains=arrays["chains"],
            true=None if self.true is None else self.true.restore(arrays),
        )


class ContrastiveInfo(NamedTuple):
    """Diagnostics of an epoch: its learning rate."""

    learning_rate: float


class ContrastiveDivergence(Method):
    """Fields and step of CD and PCD.

    An update follows the gradient <v_i h_j>_data - <v_i h_j>_model (likewise for the biases). The
    second average is over the final states of Gibbs chains of k steps (Hinton, Neural Comput. 14,
    1771 (2002)). The learning rate decays exponentially with the epoch. With readout errors the
    first average is over true bits given the records, drawn again before each epoch.
    """

    epochs: int = Field(default=500, ge=0, description="passes over all shots")
    batch_size: int = Field(default=100, ge=1, description="shots, and Gibbs chains, per update")
    steps: int = Field(default=10, ge=1, description="Gibbs steps per update, k")
    learning_rate: float = Field(
        default=0.1, gt=0, le=1000, description="learning rate in the first epoch"
    )
    learning_rate_decay: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="ratio of the learning rate in the last epoch to that in the first",
    )
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of the previous update added to the next"
    )
    weight_decay: float = Field(default=0.0, ge=0, description=WEIGHT_DECAY)

    FINE_TUNING: ClassVar[Mapping[str, float]] = {
        "epochs": 30,
        "learning_rate": 0.02,
        "learning_rate_decay": 0.1,
    }
    FOLD_STEPS: ClassVar[int] = 10  # a log Z by annealing takes as long as some epochs

    @property
    def chain_steps(self) -> int:
        """Gibbs steps of the negative phase."""
        return self.steps

    def gibbs_steps(self, shots: int) -> float:
        """Return epochs * shots * steps."""
        return float(self.epochs) * shots * self.steps

    def init(self, rbm: RBM, shots: Shots, seed: int) -> ContrastiveState:
        """Return the state before the first epoch; see `Method.init`."""
        from psiprune.kernels import layout
        from psiprune.rbm.posterior import start_true_bits

        params = rbm.compiled.params
        lanes = layout.lanes_of(layout.tile_shape(self.batch_size))
        return ContrastiveState(
            mask=rbm.mask,
            data=layout.pack(shots.bits),
            graph=layout.graph_of(rbm.mask),
            seed=seed,
            epoch=0,
            params=params,
            velocity=layout.Parameters(*(np.zeros_like(values) for values in params)),
            chains=self.start_chains(rbm.visible, lanes, seed),
            true=None if shots.readout is None else start_true_bits(shots),
        )

    def start_chains(self, visible: int, lanes: int, seed: int) -> NDArray[np.float32]:
        """Return the initial persistent chains [tile, visible, lane]; CD has none."""
        return np.empty((0, visible, lanes), np.float32)

    def step(self, state: ContrastiveState) -> tuple[ContrastiveState, ContrastiveInfo]:
        """Return the state after one epoch, and its learning rate; see `Method.step`.

        Raises:
            DivergenceError: a parameter is no longer finite.
        """
        from psiprune.kernels import cd, layout
        from psiprune.rbm.posterior import TRUE_STEPS

        params, velocity = (
            layout.Parameters(*(values.copy() for values in group))
            for group in (state.params, state.velocity)
        )
        chains = state.chains.copy()
        true, data = state.true, state.data
        if true is not None:
            true = true.advanced(state.rbm.compiled, TRUE_STEPS, state.seed)
            data = layout.pack(true.bits)
        order = np.arange(data.shape[1], dtype=np.int32)
        cd.shuffle(order, stream_key(state.seed, Stream.SHUFFLE, state.epoch))
        rate = decayed(self.learning_rate, self.learning_rate_decay, state.epoch, self.epochs)
        cd.train_epoch(
            data,
            order,
            self.batch_size,
            self.steps,
            chains,
            state.graph,
            params,
            velocity,
            np.float32(rate),
            np.float32(self.momentum),
            np.float32(self.weight_decay),
            stream_key(state.seed, Stream.NEGATIVE_PHASE, state.epoch),
            layout.tile_shape(self.batch_size),
        )
        after = replace(
            state,
            epoch=state.epoch + 1,
            data=data,
            params=params,
            velocity=velocity,
            chains=chains,
            true=true,
        )
        if not all(np.isfinite(values).all() for values in params):
            raise DivergenceError(
                f"training diverged in epoch {after.epoch} (a parameter is not finite): "
                f"learning_rate = {self.learning_rate} is too large; reduce it"
            )
        return after, ContrastiveInfo(rate)
