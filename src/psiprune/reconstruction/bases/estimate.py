"""What a run of `reconstruct` on shots in several bases will take on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import thread_time
from typing import Any

from psiprune.core.limits import PHASE_SITES
from psiprune.core.memory import free_memory
from psiprune.core.text import counted
from psiprune.data.shots import Shots
from psiprune.pruning.phases import DECAYS, FINE_TUNING
from psiprune.pruning.search import expected_trials
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.training.limits import Advice, Needs, Spelling, advise, check_needs
from psiprune.training.natural_phase import PhaseState, step
from psiprune.training.phase_starts import PhaseUnits, frequencies_for, new_phase_rbm
from psiprune.training.sampled_estimate import sampled_step_needs

#: Steps until fits converge, and replicas, which start nearby: high typical numbers.
_FIT_STEPS, _REPLICA_STEPS = 100, 30
#: Fits of a pruning step: a third of those of six states, and two to the end.
_FITS_OF_A_STEP = 4
#: Complex arrays [parameter, 2^N], and real ones [parameter, parameter], at a time.
_ARRAYS, _MATRICES = 4, 3
#: Steps that are timed, the shortest of which counts; a single one if it takes longer, in seconds.
_TIMED, _LONG = 4, 0.5
#: Operations a second of a solver.
_RATE = 1e10

Begin = Callable[[BasesSettings, Shots], None]


def needs_of(settings: BasesSettings, training: Shots) -> Needs:
    """Return what a run needs, from the time that a training step of each size takes.

    Raises:
        InputError: the shots cannot be trained on, see `frequencies_for`.
    """
    seconds, memory = 0.0, 0.0
    for size in settings.sizes(training.sites):
        units = PhaseUnits(*size)
        one, memory = step_needs(training, units)
        seconds += settings.starts * min(settings.epochs, _FIT_STEPS) * one
    # The largest size comes last.
    weights = sum(size) * training.sites
    further = (settings.seeds - 1) * min(settings.epochs, _REPLICA_STEPS)
    trials = len(DECAYS) * len(expected_trials(settings.prune, weights))
    further += trials * _FITS_OF_A_STEP * FINE_TUNING
    return Needs(seconds + further * one, memory)


def step_needs(training: Shots, units: PhaseUnits) -> Needs:
    """Return what a training step takes, measured if it is short.

    Raises:
        InputError: the shots or the units cannot be trained, see `frequencies_for`.
    """
    if training.sites > PHASE_SITES:
        return sampled_step_needs(training, units)
    data, sites = frequencies_for(training), training.sites
    hidden, phase_hidden, mask, phase_mask = units.of(sites)
    networks = (hidden, mask), (phase_hidden, phase_mask)
    parameters = [
        float(sites + size + (size * sites if of is None else of.sum())) for size, of in networks
    ]
    memory = _ARRAYS * 16.0 * sum(parameters) * 2**sites
    memory += _MATRICES * 8.0 * sum(number**2 for number in parameters)
    # Large steps are not tried: solving for them takes P^3 operations.
    work = sum(number**3 for number in parameters) / _RATE
    if work > 1 or memory > free_memory():
        return Needs(work, memory)
    state = PhaseState(data, 0, new_phase_rbm(training, units, 0))
    seconds = math.inf
    for _ in range(_TIMED):
        begun = thread_time()
        state = step(state)
        seconds = min(seconds, thread_time() - begun)
        if seconds > _LONG:
            break  # the first step also loads what all need, which matters only in short ones
    return Needs(seconds, memory)


def check_training(
    training: Shots,
    units: PhaseUnits,
    starts: int,
    epochs: int,
    *,
    limit: float,
    announce: Callable[[str], None],
    spell: Spelling,
) -> None:
    """Announce what a training will take, and refuse it above a limit.

    Raises:
        InputError: as in `begin_bases`.
    """

    def needs_for(units: PhaseUnits) -> Needs:
        one, memory = step_needs(training, units)
        return Needs(starts * min(epochs, _FIT_STEPS) * one, memory)

    needs, (hidden, phase_hidden, *masks) = needs_for(units), units.of(training.sites)
    announce(
        f"natural gradient in {len(training.bases)} bases; "
        f"{counted(len(training), 'shot', ',')} x {counted(training.sites, 'site')}, "
        f"hidden units {hidden} + {phase_hidden}, starts: {starts}; "
        f"estimated {needs} on this machine"
    )
    if limit == math.inf or needs.fit(limit):
        return
    name, below = "hidden", hidden
    if units.phase_hidden is not None and phase_hidden > hidden:
        name, below = "phase_hidden", phase_hidden
        spell = spell._replace(hidden=spell.hidden.replace("hidden", "phase-hidden"))

    def smaller(number: int) -> Needs:
        changed: dict[str, Any] = {name: number}
        return needs_for(units._replace(**changed))

    advice = advise(smaller, below, limit) if masks == [None, None] else None
    check_needs("train", needs, limit, advice, spell)


def begin_bases(
    settings: BasesSettings,
    training: Shots,
    *,
    limit: float,
    announce: Callable[[str], None],
    spell: Spelling,
) -> None:
    """Announce what a run will take, and refuse it above a limit.

    Args:
        settings: of the run.
        training: the training set.
        limit: seconds; if infinite, the memory is not compared either.
        announce: receives a line first.
        spell: how messages write arguments.

    Raises:
        InputError: the run takes longer than the limit or more than the free memory.
    """
    needs, sizes = needs_of(settings, training), settings.sizes(training.sites)
    units = ", ".join(f"{hidden} + {phase_hidden}" for hidden, phase_hidden in sizes)
    announce(
        f"natural gradient in {len(training.bases)} bases; {len(training):,} training shots x "
        f"{counted(training.sites, 'site')}, hidden units {units}, "
        f"{settings.starts} starts each; estimated {needs} on this machine"
    )

    def advice() -> Advice | None:
        def smaller(hidden: int) -> Needs:
            return needs_of(settings.model_copy(update={"hidden": (hidden,)}), training)

        return advise(smaller, sizes[-1][0], limit)

    if limit < math.inf and not needs.fit(limit):
        check_needs("reconstruct", needs, limit, advice(), spell)
