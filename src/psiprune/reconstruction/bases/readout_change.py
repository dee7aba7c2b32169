"""How far a state with phases moves if the bits were misread otherwise than assumed."""

from __future__ import annotations

import numpy as np

from psiprune.core.random import Stream, derive_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_summary import summarize_readout
from psiprune.metrics.readout import SMALL_FLIP
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import BasisFrequencies, recorded_probabilities
from psiprune.reconstruction.rates import change_of_fidelity, modelled_rates
from psiprune.training.natural_phase import fit_phases

#: Sets of rates, up to so many sites and above, and the most steps of each fit.
_SETS, _FEW_SETS, _CHEAP_SITES = 8, 1, 8
_STEPS = 60


def change_by_readout(rbm: PhaseRBM, data: BasisFrequencies, seed: int) -> float:
    """Return 1 - F of a state with that of other readout errors, by fits to its exact records.

    Bases have the shares of the training set. Without readout errors, or with
    negligible ones, the state is fitted to its records after flips of 1 % of all bits; else to its
    records with rates that are off by their uncertainty (`ReadoutError.resampled`): the mean over 8
    sets of rates, above 8 sites one. No linear response: where outcomes have a probability near 0,
    as those of product states, it is many times too large.
    """
    readout = data.readout
    if readout is None or summarize_readout(readout).negligible.all():
        flips = ReadoutError.from_rates(SMALL_FLIP, SMALL_FLIP, sites=rbm.visible)
        return max(0.0, 1 - rbm.fidelity(refitted(rbm, data, flips, readout)))
    number = _SETS if rbm.visible <= _CHEAP_SITES else _FEW_SETS
    seeds = (derive_seed(seed, Stream.PHASE_READOUT_CHANGE, k) for k in range(number))
    others = (refitted(rbm, data, None, readout.resampled(each)) for each in seeds)
    return float(np.mean([max(0.0, 1 - rbm.fidelity(other)) for other in others]))


def refitted(
    rbm: PhaseRBM,
    data: BasisFrequencies,
    flips: ReadoutError | None,
    assumed: ReadoutError | None,
) -> PhaseRBM:
    """Return a state fitted to its own records, after further flips, with the errors assumed."""
    states, weights = 2**rbm.visible, []
    for basis, number in zip(data.bases, data.shots, strict=True):
        prob = recorded_probabilities(rbm, basis, data.readout)
        weights.append((prob if flips is None else flips.apply(prob)) * number)
    number = len(data.bases)
    records = data._replace(
        basis=np.repeat(np.arange(number), states),
        outcome=np.tile(np.arange(states), number),
        weight=np.concatenate(weights) / data.shots.sum(),
        readout=assumed,
    )
    return fit_phases(rbm, records, _STEPS).rbm


def readout_sentence(readout: ReadoutError | None, infidelity: float) -> str:
    """Say how the bits were taken to be read, and what other readout errors would change."""
    change = change_of_fidelity(infidelity)
    if readout is None:
        return f"read without errors; {SMALL_FLIP:.0%} flips per qubit would change F by {change}"
    return f"{modelled_rates(readout)} would change F by {change}"
