"""Fit an RBM to shots: contrastive divergence here, and the choice of the other methods."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune import kernels
from psiprune.checkpoints import Checkpoint, Notes
from psiprune.config import TrainSettings
from psiprune.initial import local_rbm
from psiprune.inputs import Diverged, InputError, check_count, check_seed
from psiprune.likelihood import collapse
from psiprune.natural import NaturalState, natural_steps, start_natural
from psiprune.natural_chains import ChainState, chain_steps, start_chain_training
from psiprune.parallel import one_blas_thread
from psiprune.rbm import RBM, initial_rbm
from psiprune.shots import Shots, as_shots, check_sites

_LOG = logging.getLogger(__name__)


class Progress(Protocol):
    """What a watcher of training sees after each epoch."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def rbm(self) -> RBM:
        """The RBM now."""


Watch = Callable[[Progress], None]


@runtime_checkable
class Noting(Protocol):
    """A watcher with `notes`; a checkpoint keeps them, and a training taken up has them again."""

    notes: Notes


_STREAM = 1  # tells this module's random numbers from those of sampling
_SHUFFLE, _GIBBS, _CHAINS = 0, 1, 2


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
    at: kernels.Parameters
    velocity: kernels.Parameters
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

    def taken_up(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> TrainingState:
        """From the start of a training, the state that gave these arrays."""
        ends = np.cumsum([len(values) for values in self.at])[:-1]
        at, velocity = (
            kernels.Parameters(*np.split(arrays[name], ends)) for name in ("parameters", "velocity")
        )
        return TrainingState(self.mask, epoch, at, velocity, arrays["chains"])


#: The states of all methods.
State = TrainingState | NaturalState | ChainState


def start_training(rbm: RBM, settings: TrainSettings, seed: int) -> TrainingState:
    """The state before the first epoch; persistent chains start at random."""
    at = rbm.machine.at
    velocity = kernels.Parameters(*(np.zeros_like(values) for values in at))
    lanes = kernels.lanes_of(kernels.tile_shape(settings.batch_size))
    tiles = -(-settings.batch_size // lanes) if settings.method == "pcd" else 0
    generator = np.random.default_rng([seed, _STREAM, _CHAINS])
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
    data, graph = kernels.pack(shots.bits), kernels.graph_of(start.mask)
    state = start
    while state.epoch < settings.epochs:
        state = _one_epoch(state, data, graph, settings, seed)
        if not all(np.isfinite(values).all() for values in state.at):
            raise Diverged(
                f"training diverged in epoch {state.epoch} (a parameter is not finite); "
                f"learning_rate = {settings.learning_rate} is too large, take a smaller one"
            )
        yield state


def _one_epoch(
    state: TrainingState,
    data: NDArray[np.uint32],
    graph: kernels.Graph,
    settings: TrainSettings,
    seed: int,
) -> TrainingState:
    at, velocity = (
        kernels.Parameters(*(values.copy() for values in group))
        for group in (state.at, state.velocity)
    )
    chains = state.chains.copy()
    order = np.arange(data.shape[1], dtype=np.int32)
    kernels.shuffle(order, kernels.stream_key(seed, _STREAM, _SHUFFLE, state.epoch))
    elapsed = state.epoch / max(1, settings.epochs - 1)
    kernels.train_epoch(
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
        kernels.stream_key(seed, _STREAM, _GIBBS, state.epoch),
        kernels.tile_shape(settings.batch_size),
    )
    return TrainingState(state.mask, state.epoch + 1, at, velocity, chains)


def _begin(start: RBM, shots: Shots, settings: TrainSettings, seed: int) -> State:
    """The state of the method chosen before its first epoch."""
    if settings.method == "exact":
        return start_natural(start)
    if settings.method == "natural":
        return start_chain_training(start, shots, settings, seed)
    return start_training(start, settings, seed)


def _states(state: State, shots: Shots, settings: TrainSettings, seed: int) -> Iterator[State]:
    """The states after a state."""
    if isinstance(state, NaturalState):
        return natural_steps(state, collapse(shots.bits), settings, seed)
    if isinstance(state, ChainState):
        return chain_steps(state, shots, settings, seed)
    return train_epochs(state, shots, settings, seed)


def identity(start: RBM, shots: Shots, settings: TrainSettings, seed: int) -> dict[str, object]:
    """All that the numbers of a training follow from."""
    return {
        "psiprune": version("psiprune"),
        **settings.model_dump(mode="json"),
        "seed": seed,
        "shots": hashlib.sha256(shots.bits.tobytes()).hexdigest(),
        "start": _digest(start),
    }


def _digest(rbm: RBM) -> str:
    arrays = rbm.weights, rbm.visible_bias, rbm.hidden_bias, rbm.mask
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def initial(
    shots: Shots,
    hidden: int,
    seed: int,
    settings: TrainSettings,
    mask: NDArray[np.bool_] | None = None,
) -> RBM:
    """The RBM that `train` begins with."""
    if settings.for_size(shots.sites, hidden).initial == "local":
        return local_rbm(shots, hidden, seed, mask)
    return initial_rbm(shots.sites, hidden, seed, mask)


@one_blas_thread()
def train(
    shots: Shots | ArrayLike,
    *,
    hidden: int | None = None,
    seed: int = 0,
    mask: NDArray[np.bool_] | None = None,
    start: RBM | None = None,
    settings: TrainSettings | None = None,
    watch: Watch | None = None,
    **changes: Any,
) -> RBM:
    """Fit an RBM to shots by CD-k, PCD, or natural gradient of the likelihood.

    Args:
        shots: Shots, or bits [shot, site] as a plain array.
        hidden: number of hidden units, N_h; half the number of sites if not given.
        seed: of the initial weights, of the order of shots and of all chains.
        mask: weights that exist, bool [hidden, site]; all if not given.
        start: train this RBM on, instead of a new one.
        settings: all settings at once, see TrainSettings.
        watch: called with the state after each epoch (for progress, or a history), and with that
            of an earlier run which is taken up.
        **changes: single settings: epochs, batch_size, cd_steps, learning_rate, ...

    Returns:
        The RBM after the last epoch; its provenance holds seed, settings, number of shots, epochs
        done and, for method "exact", whether it `converged` (0 or 1). If it was not trained from
        initial weights, `start` is the SHA-256 of the RBM it began with.

    Raises:
        InputError: an argument breaks its rule.
        Diverged: a parameter is no longer finite.

    Example:
        >>> import numpy as np, psiprune as pp
        >>> bits = np.random.default_rng(0).integers(0, 2, (1000, 4), dtype=np.uint8)
        >>> pp.train(bits, hidden=2, epochs=5, seed=1).number_of_weights
        8
    """
    data, seed = as_shots(shots), check_seed(seed)
    chosen = settings if settings is not None else TrainSettings()
    if changes:
        chosen = type(chosen)(**{**chosen.model_dump(exclude_unset=True), **changes})
    if start is None:
        units = check_count("hidden", max(1, data.sites // 2) if hidden is None else hidden, 1)
        chosen = chosen.for_size(data.sites, units)
        start = initial(data, units, seed, chosen, mask)
    elif hidden not in (None, start.hidden):
        raise InputError(f"hidden: the RBM to start from has {start.hidden} units, found {hidden}")
    elif mask is not None:
        start = start.with_mask(mask)
    check_sites(data, start.visible, "the RBM")
    chosen = chosen.for_size(start.visible, start.hidden)
    what = f"{start.visible} x {start.hidden} RBM of {start.number_of_weights} weights, seed {seed}"
    _LOG.info(
        "%s: training by %s, %d epochs over %d shots", what, chosen.method, chosen.epochs, len(data)
    )
    notes: Notes = watch.notes if isinstance(watch, Noting) else {}
    first = _begin(start, data, chosen, seed)
    with Checkpoint(partial(identity, start, data, chosen, seed)) as checkpoint:
        state = begun = checkpoint.resume(first, notes)
        if begun is not first:
            _LOG.info("%s: taken up after epoch %d", what, begun.epoch)
            if watch is not None:
                watch(begun)
        for state in _states(begun, data, chosen, seed):
            if watch is not None:
                watch(state)
            checkpoint.offer(state, notes)
    provenance = {"training_shots": len(data), "seed": seed, **chosen.model_dump()}
    if set(start.provenance) != {"initial"}:  # what is not new cannot be made again from the rest
        provenance["start"] = _digest(start)
    if state.epoch > 0:
        provenance["epochs_done"] = state.epoch
        if isinstance(state, NaturalState):
            provenance["converged"] = int(state.done)
    _LOG.info("%s: trained, %d epochs", what, state.epoch)
    return replace(start if state.epoch == 0 else state.rbm, provenance=provenance)
