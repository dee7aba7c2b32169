"""What a training step on shots in bases that rotate few sites takes on this machine."""

from __future__ import annotations

from time import thread_time

import numpy as np

from psiprune.core.threads import single_blas_thread, single_thread
from psiprune.data.shots import Shots
from psiprune.inference.normalisation import Reweighted
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_terms import count_terms, terms_likelihood
from psiprune.training.limits import Needs
from psiprune.training.natural_phase_mcmc import (
    CHAINS_PER_SHOT,
    begin,
    step,
)
from psiprune.training.phase_data import rotated_shots
from psiprune.training.phase_starts import PhaseUnits

#: Shots of a step that is measured.
_SHOTS = 4000
#: Likelihoods that a step computes: some steps are tried again.
_TRIALS = 1.5
#: Bytes of a term, with those of its state for each site, and arrays of a network's units at a time
#: over the terms of a piece.
_TERM_BYTES, _MATRICES = 24, 3


@single_blas_thread()
def sampled_step_needs(shots: Shots, units: PhaseUnits) -> Needs:
    """Return what a step takes, from one with a part of the shots.

    Raises:
        InputError: the shots or the units cannot be trained, see `rotated_shots`.
    """
    sites, (hidden, phase_hidden, mask, phase_mask) = shots.sites, units.of(shots.sites)
    networks = initial_rbm(sites, hidden, 0, mask), initial_rbm(sites, phase_hidden, 1, phase_mask)
    rbm = PhaseRBM(*networks)
    rows = np.unique(np.linspace(0, len(shots) - 1, _SHOTS).astype(int))
    few = rotated_shots(shots.take(rows))
    with single_thread():
        state = step(begin(rbm, few.shots, few.terms, 0.0, 0))  # loads compiled code
        begun = thread_time()
        after = step(state)
        whole = thread_time() - begun
        begun = thread_time()  # of what grows with the number of shots
        terms_likelihood(after.rbm, few.terms)
        if isinstance(after.norm, Reweighted):
            after.norm.of(after.rbm.amplitude)
        again = thread_time() - begun
    terms = count_terms(shots.by_basis())
    more = terms / count_terms(few.shots.by_basis()) - 1
    memory = terms * float(_TERM_BYTES + sites) + CHAINS_PER_SHOT * len(shots) * 9.0 * sites
    memory += _MATRICES * 8.0 * sum(network.number_of_parameters**2 for network in networks)
    return Needs(whole + more * _TRIALS * again, memory)
