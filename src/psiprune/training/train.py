"""Fit an RBM to shots with a chosen method."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoint, Notes
from psiprune.rbm.init import initial_rbm, local_rbm
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.model import RBM
from psiprune.training.contrastive_divergence import TrainingState, start_training, train_epochs
from psiprune.training.methods import TrainSettings
from psiprune.training.natural_exact import NaturalState, natural_steps, start_natural
from psiprune.training.natural_mcmc import ChainState, chain_steps, start_chain_training

_LOG = logging.getLogger(__name__)


class TrainingProgress(Protocol):
    """What a watcher of training sees after each epoch."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def rbm(self) -> RBM:
        """The RBM now."""


Callback = Callable[[TrainingProgress], None]


@runtime_checkable
class StatefulCallback(Protocol):
    """A watcher with `notes`; a checkpoint keeps them, and a training taken up has them again."""

    notes: Notes


#: The states of all methods.
State = TrainingState | NaturalState | ChainState


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
        return natural_steps(state, unique_configurations(shots.bits), settings, seed)
    if isinstance(state, ChainState):
        return chain_steps(state, shots, settings, seed)
    return train_epochs(state, shots, settings, seed)


def fingerprint(start: RBM, shots: Shots, settings: TrainSettings, seed: int) -> dict[str, object]:
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


@single_blas_thread()
def train(
    shots: Shots | ArrayLike,
    *,
    hidden: int | None = None,
    seed: int = 0,
    mask: NDArray[np.bool_] | None = None,
    start: RBM | None = None,
    settings: TrainSettings | None = None,
    watch: Callback | None = None,
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
    notes: Notes = watch.notes if isinstance(watch, StatefulCallback) else {}
    first = _begin(start, data, chosen, seed)
    with Checkpoint(partial(fingerprint, start, data, chosen, seed)) as checkpoint:
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
