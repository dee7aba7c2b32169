"""Fine-tuning that ends where held-out shots are likeliest: a cross-validation along the path.

Training that a cross-validation ended early has not fitted the noise of the shots; fine-tuning for
a fixed number of steps after each pruning step would. Beside the RBM of a path go others, one for
each part of the shots, which are trained, pruned and fine-tuned without that part. So each part
judges RBMs that never saw it, at every level.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from psiprune.core.exceptions import InputError, TrainingWarning
from psiprune.core.progress import expect
from psiprune.core.validation import as_count
from psiprune.data.shots import Shots
from psiprune.io.checkpoint import Checkpoint, Checkpoints
from psiprune.rbm.likelihood import to_vector
from psiprune.rbm.model import RBM
from psiprune.training.method import Initial, Method
from psiprune.training.methods import METHODS, as_method
from psiprune.training.stopping import check_folds, cross_validated, divide
from psiprune.training.train import Callback, fingerprint, fit, new_rbm

_RULE = "folds: must be 0"
_AIM = "it cannot be trained again without parts of the shots"


def folds_for(
    rbm: RBM, folds: int | None, shots: Shots, fine_tune: Method | None, rewind: RBM | None
) -> int:
    """Return the number of parts of the shots for fine-tuning, 0 for none.

    None stands for that of the training of the RBM, if it is fine-tuned.

    Warns:
        TrainingWarning: the number is not given, and that of the training cannot be taken.

    Raises:
        InputError: there are fewer shots than parts, the RBM is not fine-tuned or rewound, or it
            cannot be trained again, as its provenance does not say how.
    """
    if folds is None:
        return 0 if fine_tune is None else _folds_of_training(rbm, shots, rewind)
    check_folds(folds, shots)
    if folds and fine_tune is None:
        raise InputError(
            f"folds: requires fine-tuning, found {folds} and none; enable it or omit folds"
        )
    if folds and rewind is not None:
        raise InputError(
            f"folds: cannot be combined with rewind, found {folds}; omit rewind, or give 0 to "
            "train for all steps"
        )
    if folds:
        how_trained(rbm, _RULE, _AIM)
    return folds


def _folds_of_training(rbm: RBM, shots: Shots, rewind: RBM | None) -> int:
    """Return the number of parts in the training of an RBM; 0, with a warning, if of no use."""
    if "folds" not in rbm.provenance:
        return 0
    folds = as_count(rbm.provenance["folds"], 2)
    if folds is None:
        why = "its number of parts is not recorded"
    elif folds > len(shots):
        why = f"there are fewer shots ({len(shots)}) than its {folds} parts"
    elif rewind is not None:
        why = "the RBM is rewound"
    elif unknown := _unknown(rbm):
        why = f"the RBM {unknown}"
    else:
        return folds
    warnings.warn(
        "the training of the RBM ended by cross-validation, but fine-tuning takes all steps, which "
        f"may fit the noise of the shots, because {why}",
        TrainingWarning,
        stacklevel=4,
    )
    return 0


def held_out_rbms(
    rbm: RBM, shots: Shots, folds: int, seed: int, checkpoints: Checkpoints | None = None
) -> tuple[RBM, ...]:
    """Return RBMs trained as `rbm` was, each without one of `folds` parts of the shots.

    They take as many steps as `rbm` has taken. `seed` divides the shots.

    Raises:
        InputError: the provenance of `rbm` does not say how it was trained.
    """
    if folds == 0:
        return ()
    own_seed, method, initial = how_trained(rbm, _RULE, _AIM)
    steps = int(rbm.provenance.get("epochs_done", 0))
    expect("epochs", folds * steps)
    begin = initial or method.INITIAL[0]
    return tuple(
        fit(
            new_rbm(some, rbm.hidden, own_seed, begin),
            some,
            method,
            own_seed,
            checkpoints=checkpoints,
            steps=steps,
        )
        for some in divide(shots, folds, seed).training
    )


def fine_tuned_held_out(
    rbm: RBM,
    held_out: Sequence[RBM],
    shots: Shots,
    method: Method,
    seed: int,
    division: int,
    callback: Callback | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[RBM, tuple[RBM, ...]]:
    """Return a pruned RBM, and those without each part, after the steps best for held-out shots.

    Args:
        rbm: the pruned RBM.
        held_out: the pruned RBMs without each part.
        shots: the training set.
        method: the method, and the maximum number of steps.
        seed: of all fine-tuning.
        division: seed that divided the shots.
        callback: called after each epoch of fine-tuning `rbm`.
        checkpoints: see `fit`.
    """
    folds = len(held_out)

    def search() -> dict[str, object]:
        name = f"{method.method}, cross-validated over {folds} parts along a path"
        vectors = b"".join(to_vector(each).tobytes() for each in held_out)
        return {
            **fingerprint(rbm, shots, method, seed),
            "method": name,
            "held_out": hashlib.sha256(vectors).hexdigest(),
        }

    with Checkpoint(checkpoints, search) as checkpoint:
        parts = divide(shots, folds, division)
        best = cross_validated(parts, held_out, method, seed, checkpoint, compare_starts=True)
    expect("epochs", best.epochs - method.epochs)
    tuned = fit(rbm, shots, method, seed, callback, checkpoints, best.epochs)
    return replace(tuned, provenance={**tuned.provenance, "folds": folds}), best.rbms


def how_trained(
    rbm: RBM,
    rule: str = "limit: must be given",
    aim: str = "no ensemble of such RBMs can be trained",
) -> tuple[int, Method, Initial | None]:
    """Return seed, method and initial weights of a dense RBM's training, from its provenance.

    Raises:
        InputError: the RBM is pruned, continued the training of another one, or its provenance
            does not name the method with every field; the message states the rule and what is not
            possible.
    """
    recorded = rbm.provenance
    if why := _unknown(rbm):
        raise InputError(f"{rule}, because the RBM {why}, so {aim}")
    kind = METHODS[str(recorded["method"])]
    method = as_method({name: recorded[name] for name in kind.model_fields if name in recorded})
    method = method.for_size(rbm.visible, rbm.hidden)
    return int(recorded["seed"]), method, cast("Initial | None", recorded.get("initial"))


def _unknown(rbm: RBM) -> str:
    """Return why the training of an RBM cannot be repeated; empty if it can."""
    recorded = rbm.provenance
    kind = METHODS.get(str(recorded.get("method")))
    counts = (recorded.get("seed"), recorded.get("epochs_done", 0))
    if not rbm.mask.all():
        return "is pruned"
    if "start" in recorded:
        return "continued the training of another one"
    if kind is None or any(as_count(each, 0) is None for each in counts):
        return "has no complete record of its training"
    fields = kind.model_fields.items()  # those that are None by default are recorded if given
    if not {name for name, field in fields if field.default is not None} <= {*recorded}:
        return "has no complete record of its training"
    return ""
