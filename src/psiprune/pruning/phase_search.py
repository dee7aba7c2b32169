"""Find the smallest state with phases that is accepted: prune level by level, then bisect."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from psiprune.pruning.schedule import count_at
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.phase import PhaseRBM


class PhaseTrial(NamedTuple):
    """A state of the search; `name` is level-01, trial-0085, ..."""

    name: str
    rbm: PhaseRBM
    accepted: bool


def find_smallest_phases(
    rbm: PhaseRBM,
    settings: PruneSettings,
    prune: Callable[[str, PhaseRBM, int], PhaseRBM],
    accept: Callable[[PhaseRBM], bool],
) -> tuple[PhaseRBM, int | None, list[PhaseTrial]]:
    """Prune until a state is not accepted, then bisect the number of weights, as `find_smallest`.

    Args:
        rbm: the initial state, which counts as accepted.
        settings: the schedule.
        prune: (name, state, weights) -> the state pruned to so many weights and fine-tuned.
        accept: whether a state describes the shots well enough.

    Returns:
        The state of fewest weights that is accepted, the largest smaller number that is not (None
        if there is none), and all trials in order, the initial state first.
    """
    total, good = rbm.number_of_weights, rbm
    trials, refused = [PhaseTrial("level-00", rbm, True)], None

    def attempt(name: str, count: int) -> bool:
        nonlocal good, refused
        made = prune(name, good, count)
        trials.append(PhaseTrial(name, made, accept(made)))
        if trials[-1].accepted:
            good = made
        else:
            refused = count
        return trials[-1].accepted

    for step in range(1, settings.levels + 1):
        count = count_at(settings, total, step)
        # Rounding may leave the number as it is.
        if count < good.number_of_weights and not attempt(f"level-{step:02d}", count):
            break
        if good.number_of_weights <= 1:
            break
    if refused is None and good.number_of_weights == 1 and settings.density is None:
        attempt("trial-0000", 0)
    while refused is not None and good.number_of_weights - refused > 1:
        count = (good.number_of_weights + refused) // 2
        attempt(f"trial-{count:04d}", count)
    return good, refused, trials
