"""What a run of `reconstruct` on shots in several bases will take on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import thread_time

from psiprune.data.shots import Shots
from psiprune.pruning.phases import FINE_TUNING
from psiprune.pruning.search import expected_trials
from psiprune.reconstruction.bases.settings import BasesSettings
from psiprune.training.limits import Advice, Needs, Spelling, advise, check_needs
from psiprune.training.natural_phase import PhaseState, step
from psiprune.training.phase_starts import PhaseUnits, frequencies_for, new_phase_rbm

#: Steps until fits converge, and replicas, which start nearby: high typical numbers.
_FIT_STEPS, _REPLICA_STEPS = 100, 30
#: Fits of a pruning step: states pruned in several ways, and weight decays.
_FITS_OF_A_STEP = 8
#: Complex arrays [parameter, 2^N] at a time.
_ARRAYS = 4

Begin = Callable[[BasesSettings, Shots], None]


def needs_of(settings: BasesSettings, training: Shots) -> Needs:
    """Return what a run needs, from the time that a training step of each size takes.

    Raises:
        InputError: the shots cannot be trained on, see `frequencies_for`.
    """
    data = frequencies_for(training)
    seconds, memory = 0.0, 0.0
    for size in settings.sizes(training.sites):
        state = PhaseState(data, 0, new_phase_rbm(training, PhaseUnits(*size), 0))
        begun = thread_time()
        step(state)
        one = thread_time() - begun
        seconds += settings.starts * min(settings.epochs, _FIT_STEPS) * one
        memory = _ARRAYS * 16.0 * state.rbm.number_of_parameters * 2**training.sites
        weights = state.rbm.number_of_weights
    # The largest size comes last.
    further = (settings.seeds - 1) * min(settings.epochs, _REPLICA_STEPS)
    further += len(expected_trials(settings.prune, weights)) * _FITS_OF_A_STEP * FINE_TUNING
    return Needs(seconds + further * one, memory)


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
        f"{training.sites} sites, hidden units {units}, {settings.starts} starts each; estimated "
        f"{needs} on this machine"
    )

    def advice() -> Advice | None:
        def smaller(hidden: int) -> Needs:
            return needs_of(settings.model_copy(update={"hidden": (hidden,)}), training)

        return advise(smaller, sizes[-1][0], limit)

    if limit < math.inf and not needs.fit(limit):
        check_needs("reconstruct", needs, limit, advice(), spell)
