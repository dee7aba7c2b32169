"""Train an RBM on shots: select the method, initialise, iterate, check the result."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.core.limits import EXACT_GRADIENT_UNITS
from psiprune.core.progress import count, expect, progress_bar
from psiprune.core.threads import single_blas_thread
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, ShotsLike, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoint, Checkpoints, Notes
from psiprune.rbm.init import coded_rbm, initial_rbm, local_rbm
from psiprune.rbm.mask_for_shots import mask_of_long_chain
from psiprune.rbm.masks import Mask
from psiprune.rbm.model import RBM
from psiprune.training.diagnostics import misses_structure, training_problems
from psiprune.training.found_symmetry import with_found_symmetry
from psiprune.training.method import Initial, Method
from psiprune.training.methods import MethodBySize, MethodLike, as_method
from psiprune.training.natural_gradient import NaturalGradient
from psiprune.training.stopping import (
    check_folds,
    cross_validated,
    divide,
    mean_log_likelihood,
)

_LOG = logging.getLogger(__name__)


class TrainingProgress(Protocol):
    """What a callback receives after each epoch."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def rbm(self) -> RBM:
        """The current RBM."""


Callback = Callable[[TrainingProgress], None]


@runtime_checkable
class StatefulCallback(Protocol):
    """A callback with `notes`, which checkpoints store and a resumed training restores."""

    notes: Notes


def train(
    shots: ShotsLike,
    *,
    hidden: int | None = None,
    method: MethodLike = "auto",
    seed: int = 0,
    mask: NDArray[np.bool_] | None = None,
    start: RBM | None = None,
    initial: Initial | Sequence[Initial] | None = None,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    folds: int = 0,
    progress: bool = True,
) -> RBM:
    """Train an RBM on shots by maximum likelihood, or by an approximation of it.

    Shots with readout errors (`Shots.readout`) are records y of true bits v, and the RBM is that of
    the true bits: training maximises the likelihood of the records under
    p(y) = sum_v C(y | v) p(v).

    Args:
        shots: Shots, bits [shot, site] as a plain array, or counts {"0101": 12}.
        hidden: number of hidden units, N_h. By default half the number of sites, and up to 18
            sites as many as sites where several initial weights are tried and all results clearly
            miss structure of the shots. If neither this nor a mask is given, long chains take the
            hidden units and weights of `mask_for_shots`, see `default_mask`.
        method: `CD`, `PCD`, `NaturalGradient` or `ExactNaturalGradient` with its settings, or one
            of the names "cd", "pcd", "natural" and "exact" for the method with its defaults. "auto"
            is the best one for the size: exact where a layer has at most 18 units (and with readout
            errors at most 20 sites), else natural up to 20,000 parameters, else pcd.
        seed: random seed of the initial weights, the order of the shots and all chains.
        mask: weights that exist, bool [hidden, site]; by default all, see hidden.
        start: continue training this RBM instead of a new one.
        initial: initial weights of a new RBM: "random"; "local", each hidden unit couples to one
            site and the sites correlated with it in the data; "coded", a sign code for each site.
            By default those of the method. If several are given, the next one is tried when the
            result clearly misses structure of the shots, and the result of largest likelihood is
            returned.
        callback: called with the state after each epoch (for progress or a history), and once with
            the restored state of a resumed training.
        checkpoints: where the training saves its state from time to time, to resume from there; see
            `psiprune.io.checkpoint.Checkpoints`.
        folds: end after the number of steps at which held-out shots are likeliest in a
            cross-validation over so many parts of the shots (5, say); 0 takes all steps. Worthwhile
            where the shots determine the RBM poorly: few of them, or large readout errors. `prune`
            then ends fine-tuning in the same way. A `start` that was trained on these shots has
            seen all parts, and then fewer steps seem best.
        progress: show a progress bar with the time left, in terminals and notebooks.

    Returns:
        The RBM after the last epoch. Its provenance holds the method with every field as given,
        seed, number of shots, epochs done, `folds` if given and, for "exact", whether it
        `converged` (0 or 1). If it was not trained from initial weights, `start` is the SHA-256 of
        the RBM that training began with. `readout` names the readout errors, if the shots have any.
        `training_warnings` holds what was warned of, one line each, if anything.

    Raises:
        InputError: an argument is invalid.
        DivergenceError: a parameter is no longer finite.

    Warns:
        TrainingWarning: the RBM describes the training shots worse than a product model or a
            symmetric pair of product models, misses structure that the shots evidently have, or the
            chains of the training have stopped mixing.

    Examples:
        >>> import numpy as np, psiprune as pp
        >>> bits = np.random.default_rng(0).integers(0, 2, (1000, 4), dtype=np.uint8)
        >>> pp.train(bits, hidden=2, seed=1).number_of_weights
        8
    """
    data, seed = as_shots(shots), check_seed(seed)
    readout = data.readout is not None
    if start is None and hidden is None and mask is None:
        mask = default_mask(data, method, initial)
        if mask is not None:
            _LOG.info("%d hidden units with %d scale-free weights", len(mask), mask.sum())
    if start is None:
        units = check_count("hidden", max(1, data.sites // 2) if hidden is None else hidden, 1)
        weights = None if mask is None else int(np.count_nonzero(mask))
        chosen = as_method(method).for_size(data.sites, units, readout=readout, weights=weights)
        starts = chosen.INITIAL if initial is None else initial
        starts = (starts,) if isinstance(starts, str) else tuple(starts)
        if len(starts) > 1 and min(data.sites, units) > EXACT_GRADIENT_UNITS:
            raise InputError(
                "initial: several kinds are compared by exact likelihood, which needs a layer of "
                f"at most {EXACT_GRADIENT_UNITS} units, found {data.sites} visible and {units} "
                "hidden; give one kind"
            )
        attempts = [(units, name) for name in starts]
        free = hidden is None and mask is None and len(starts) > 1
        if free and units < data.sites <= EXACT_GRADIENT_UNITS:
            attempts += [(data.sites, name) for name in starts]
    else:
        if hidden not in (None, start.hidden):
            raise InputError(
                f"hidden: must be omitted or {start.hidden}, as in the RBM to start from, found "
                f"{hidden}"
            )
        if initial is not None:
            raise InputError(
                "initial: cannot be combined with start, which has weights already; omit one of "
                "them"
            )
        start, attempts = start if mask is None else start.with_mask(mask), []
        chosen = as_method(method).for_size(
            start.visible, start.hidden, readout=readout, weights=start.number_of_weights
        )
    check_folds(folds, data)
    if start is None:
        chosen = with_found_symmetry(chosen, data, units, mask)
    else:
        chosen = with_found_symmetry(chosen, data, start.hidden, start.mask)

    def fitted(untrained: Callable[[Shots], RBM]) -> RBM:
        """Return the RBM trained from `untrained(data)`, for as many epochs as `folds` says."""
        if folds == 0:
            return fit(untrained(data), data, chosen, seed, callback, checkpoints)
        begin = untrained(data)

        def search() -> dict[str, object]:
            name = f"{chosen.method}, cross-validated over {folds} parts"
            return {**fingerprint(begin, data, chosen, seed), "method": name}

        parts = divide(data, folds, seed)
        with Checkpoint(checkpoints, search) as checkpoint:
            begins = [untrained(some) for some in parts.training]
            epochs, _ = cross_validated(parts, begins, chosen, seed, checkpoint)
        expect("epochs", epochs - chosen.epochs)
        rbm = fit(begin, data, chosen, seed, callback, checkpoints, epochs)
        return replace(rbm, provenance={**rbm.provenance, "folds": folds})

    rbm: RBM | None = None
    with progress_bar(chosen.epochs, "training", progress=progress):
        if start is not None:
            given = start
            rbm = fitted(lambda _: given)
        for width, name in attempts:
            if rbm is not None:
                _LOG.info(
                    "the RBM misses structure of the shots; trying %d hidden units and %s initial "
                    "weights",
                    width,
                    name,
                )
                expect("epochs", chosen.epochs)
            attempt = fitted(partial(new_rbm, hidden=width, seed=seed, initial=name, mask=mask))
            rbm = attempt if rbm is None else _likelier(rbm, attempt, data)
            if len(attempts) == 1 or not misses_structure(rbm, data):
                break
    assert rbm is not None
    if chosen.epochs == 0:
        return rbm
    with single_blas_thread():
        problems = training_problems(rbm, data, chosen, seed)
    if not problems:
        return rbm
    for problem in problems:
        warnings.warn(problem, TrainingWarning, stacklevel=2)
    return replace(rbm, provenance={**rbm.provenance, "training_warnings": "\n".join(problems)})


def default_mask(
    shots: Shots, method: MethodLike, initial: Initial | Sequence[Initial] | None = None
) -> Mask | None:
    """Return the mask that `train` takes if neither it nor the hidden units are given.

    That is `mask_for_shots` for shots of a chain of 21 to 200 sites (`mask_of_long_chain`), trained
    by natural gradient from local weights; else None, for all weights.
    """
    if not isinstance(as_method(method), MethodBySize | NaturalGradient):
        return None
    return mask_of_long_chain(shots) if initial in (None, "local") else None


@single_blas_thread()
def fit(
    start: RBM,
    shots: Shots,
    method: Method,
    seed: int,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
    steps: int | None = None,
) -> RBM:
    """Train one RBM from the weights of another, without the checks of `train`.

    With checkpoints, the training saves its state from time to time, and resumes from there. With
    `steps` it ends after so many, whose learning rates are those of a training of all epochs.
    """
    check_sites(shots, start.visible, "the RBM")
    what = f"{start.visible} x {start.hidden} RBM of {start.number_of_weights} weights, seed {seed}"
    _LOG.info("%s: training on %d shots by %s", what, len(shots), method)
    notes: Notes = callback.notes if isinstance(callback, StatefulCallback) else {}
    first, last = method.init(start, shots, seed), method.epochs if steps is None else steps

    def training() -> dict[str, object]:
        return {**fingerprint(start, shots, method, seed), "steps": steps}

    with Checkpoint(checkpoints, training) as checkpoint:
        state = checkpoint.resume(first, notes)
        if state is not first:
            _LOG.info("%s: resumed after epoch %d", what, state.epoch)
            expect("epochs", -state.epoch)
            if callback is not None:
                callback(state)
        while state.epoch < last and not state.done:
            state, _ = method.step(state)
            count("epochs")
            if callback is not None:
                callback(state)
            checkpoint.offer(state, notes)
    expect("epochs", state.epoch - last)  # converged
    provenance: dict[str, str | int | float] = {
        "training_shots": len(shots),
        "seed": seed,
        **method.model_dump(),
    }
    if shots.readout is not None:
        provenance |= {"readout": str(shots.readout), "readout_sha256": shots.readout.digest}
    if set(start.provenance) == {"initial"}:
        provenance["initial"] = start.provenance["initial"]
    else:  # a start that is not new cannot be reproduced from the other fields
        provenance["start"] = _digest(start)
    if state.epoch > 0:
        provenance["epochs_done"] = state.epoch
        if method.CONVERGES:
            provenance["converged"] = int(state.done)
    _LOG.info("%s: trained, %d epochs", what, state.epoch)
    return replace(start if state.epoch == 0 else state.rbm, provenance=provenance)


def new_rbm(
    shots: Shots,
    hidden: int,
    seed: int,
    initial: Initial = "random",
    mask: NDArray[np.bool_] | None = None,
) -> RBM:
    """Return an untrained RBM with initial weights of the given kind.

    Raises:
        InputError: there is no such kind, or the shape of the mask does not fit.
    """
    if initial == "random":
        return initial_rbm(shots.sites, hidden, seed, mask)
    if initial == "local":
        return local_rbm(shots, hidden, seed, mask)
    if initial == "coded":
        return coded_rbm(shots, hidden, seed, mask)
    raise InputError(f"initial: must be random, local or coded, found {initial!r}")


def fingerprint(start: RBM, shots: Shots, method: Method, seed: int) -> dict[str, object]:
    """Return everything that determines the result of a training."""
    return {
        "psiprune": version("psiprune"),
        **method.model_dump(),
        "seed": seed,
        "shots": hashlib.sha256(shots.bits.tobytes()).hexdigest(),
        "start": _digest(start),
        "readout": None if shots.readout is None else shots.readout.digest,
    }


def _likelier(one: RBM, other: RBM, shots: Shots) -> RBM:
    """Return the RBM of larger likelihood on the shots, or `one` if they are equal."""
    better = mean_log_likelihood(other, shots) > mean_log_likelihood(one, shots)
    return other if better else one


def _digest(rbm: RBM) -> str:
    arrays = rbm.weights, rbm.visible_bias, rbm.hidden_bias, rbm.mask
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
