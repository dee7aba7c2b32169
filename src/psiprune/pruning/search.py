"""How small an RBM can be: prune until a measure hurts, then bisect between good and bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from numpy.typing import ArrayLike

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_seed
from psiprune.data.shots import Shots, as_shots, check_sites
from psiprune.io.checkpoint import Checkpoints
from psiprune.pruning.iterative import (
    Level,
    check_rewind,
    fine_tuned,
    next_level,
    prune_to_count,
    tuning_of,
)
from psiprune.pruning.schedule import count_at
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.model import RBM
from psiprune.training.method import Initial, Method
from psiprune.training.methods import METHODS, MethodLike, as_method
from psiprune.training.train import Callback, train

#: More than any path has steps: the random numbers of a bisection are not those of a level.
_BISECTION = 1 << 20


class Trial(NamedTuple):
    """An RBM of the search and its measure; `name` is level-01, ..., trial-0085 or other-1, ..."""

    name: str
    rbm: RBM
    value: float


#: Makes a trial, or reads one of that name that exists. Its training gets the checkpoints, if any.
Keep = Callable[[str, Callable[[Checkpoints | None], Trial]], Trial]


@dataclass(frozen=True, eq=False)
class Smallest:
    """What a search for the smallest RBM found.

    Attributes:
        rbm: the RBM of fewest weights whose measure is within the limit, of those tried.
        value: its measure.
        limit: the largest value that was accepted.
        fewer: the largest number of weights below it that was tried and refused; None if the path
            ended before the measure left the limit.
        trials: all that was tried, in order; the first is the RBM the search began with.
    """

    rbm: RBM
    value: float
    limit: float
    fewer: int | None
    trials: tuple[Trial, ...]


def find_smallest(
    rbm: RBM,
    shots: Shots | ArrayLike,
    *,
    measure: Callable[[RBM], float],
    limit: float,
    settings: PruneSettings | None = None,
    fine_tune: MethodLike | None = "auto",
    bisect: bool = True,
    rewind: RBM | None = None,
    path: Sequence[Level] = (),
    seed: int = 0,
    callback: Callback | None = None,
    keep: Keep | None = None,
) -> Smallest:
    """Prune level by level until measure(rbm) > limit; then bisect the number of weights.

    Bisection lies between the last level within the limit and the first beyond it. Each trial is
    pruned from the smallest RBM within the limit so far, in one step, and fine-tuned. Where the
    measure falls again at fewer weights, that is not found.

    Args:
        rbm: the RBM to begin with.
        shots: the training set, Shots or bits [shot, site].
        measure: any function RBM -> number that grows with damage; NaN counts as beyond the limit.
        limit: the largest value to accept.
        settings: criterion and schedule; by default magnitude, 10 % a step.
        fine_tune: method of training after each step, or its name, see `prune`; None for no
            training.
        bisect: False ends with the last level within the limit.
        rewind: see `prune`.
        path: levels of this path that are there already, from 0 on; they are not made again.
        seed: see `prune`.
        callback: called after each epoch of fine-tuning.
        keep: called for every trial with its name and a function that makes it; what it returns is
            used. For trials on disk, which a resumed search reads.

    Raises:
        InputError: the measure of `rbm` itself is beyond the limit, or an argument breaks its rule.
        DivergenceError: fine-tuning left the finite numbers.
    """
    data, seed = check_sites(as_shots(shots), rbm.visible, "the RBM"), check_seed(seed)
    settings = PruneSettings(levels=1000) if settings is None else settings
    tuning = tuning_of(rbm, fine_tune, rewind)
    check_rewind(rewind, rbm, tuning)
    if math.isnan(limit):
        raise InputError("limit: must be a number, found nan")
    keep = _make if keep is None else keep
    total = rbm.number_of_weights
    trials: list[Trial] = []

    def attempt(name: str, make: Callable[[Checkpoints | None], RBM]) -> Trial:
        def made(checkpoints: Checkpoints | None) -> Trial:
            found = make(checkpoints)
            return Trial(name, found, measure(found))

        trials.append(keep(name, made))
        return trials[-1]

    good = attempt("level-00", lambda _: rbm)
    check_within(good.value, limit)
    level, refused = Level(0, rbm), None
    while level.step < settings.levels and level.rbm.number_of_weights > 1:
        last = level
        if count_at(settings, total, last.step + 1) >= last.rbm.number_of_weights:
            level = Level(last.step + 1, last.rbm)  # by rounding it would remove nothing
            continue

        def step(checkpoints: Checkpoints | None, last: Level = last) -> RBM:
            if last.step + 1 < len(path):
                return path[last.step + 1].rbm
            return next_level(
                last, total, data, settings, tuning, seed, callback, rewind, checkpoints
            ).rbm

        tried = attempt(f"level-{last.step + 1:02d}", step)
        level = Level(last.step + 1, tried.rbm)
        if not tried.value <= limit:
            refused = tried.rbm.number_of_weights
            break
        good = tried
    while bisect and refused is not None and good.rbm.number_of_weights - refused > 1:
        count = (good.rbm.number_of_weights + refused) // 2

        def halve(
            checkpoints: Checkpoints | None, start: RBM = good.rbm, count: int = count
        ) -> RBM:
            own = _BISECTION + count
            pruned = prune_to_count(start, count, settings, seed, own)
            return fine_tuned(pruned, data, tuning, seed, own, callback, rewind, checkpoints)

        tried = attempt(f"trial-{count:04d}", halve)
        if tried.value <= limit:
            good = tried
        else:
            refused = count
    return Smallest(good.rbm, good.value, limit, refused, tuple(trials))


def check_within(value: float, limit: float) -> None:
    """Raise InputError unless the RBM that a search begins with is within the limit; NaN is not."""
    if not value <= limit:
        raise InputError(
            f"limit: is {limit:.6g}, but the RBM itself measures {value:.6g}; give a larger "
            "limit, or train it better"
        )


def dense_limit(
    rbm: RBM,
    shots: Shots | ArrayLike,
    *,
    measure: Callable[[RBM], float],
    others: int = 5,
    callback: Callback | None = None,
    keep: Keep | None = None,
) -> float:
    """The largest measure(r) of the dense ensemble: of `rbm`, and of others that differ by seed.

    The others are trained with the settings in the RBM's provenance, at the next seeds: on the same
    shots, or where training converges to the same RBM for any seed, on shots resampled with
    replacement. A measure within this limit may be due to the training or to the shots alone.

    Args:
        rbm: a trained RBM with all its weights.
        shots: the training set, Shots or bits [shot, site].
        measure: as in `find_smallest`.
        others: how many to train.
        callback: called after each epoch.
        keep: as in `find_smallest`, for other-1, other-2, ...

    Raises:
        InputError: the RBM is pruned, continued the training of another one, or has no complete
            record of its training.
    """
    seed, method, initial = how_trained(rbm)
    data = as_shots(shots)
    keep = _make if keep is None else keep
    values = [measure(rbm)]
    for k in range(1, check_count("others", others, 1) + 1):

        def make(checkpoints: Checkpoints | None, k: int = k) -> Trial:
            other = train(
                data if not method.CONVERGES else _resampled(data, seed + k),
                hidden=rbm.hidden,
                seed=seed + k,
                method=method,
                initial=initial,
                callback=callback,
                checkpoints=checkpoints,
            )
            return Trial(f"other-{k}", other, measure(other))

        values.append(keep(f"other-{k}", make).value)
    return max(values)


def how_trained(rbm: RBM) -> tuple[int, Method, Initial | None]:
    """Return seed, method and initial weights of the training of a dense RBM, by its provenance.

    Raises:
        InputError: the RBM is pruned, continued the training of another one, or its provenance
            does not name the method with every field.
    """
    recorded = rbm.provenance
    seed, kind = recorded.get("seed"), METHODS.get(str(recorded.get("method")))
    if not rbm.mask.all():
        why = "is pruned"
    elif "start" in recorded:
        why = "continued the training of another one"
    elif kind is None or not isinstance(seed, int) or not {*kind.model_fields} <= {*recorded}:
        why = "has no complete record of its training"
    else:
        fields = {name: recorded[name] for name in kind.model_fields if name != "method"}
        method = as_method({"method": recorded["method"], **fields})
        assert isinstance(method, Method)
        return seed, method, cast("Initial | None", recorded.get("initial"))
    raise InputError(f"limit: must be given, because the RBM {why}, so no others can be trained")


def _resampled(shots: Shots, seed: int) -> Shots:
    """Shots drawn from these with replacement."""
    rows = generator_for(seed, Stream.ENSEMBLE_RESAMPLE).integers(0, len(shots), len(shots))
    return Shots(shots.bits[rows], source=f"{shots.source} (resampled)")


def _make(_: str, make: Callable[[Checkpoints | None], Trial]) -> Trial:
    return make(None)
