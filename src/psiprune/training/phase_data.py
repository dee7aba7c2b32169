"""Shots in several bases, and what training and pruning do with them: by sums, or by chains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import FISHER_PARAMETERS, PHASE_SITES
from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import one_line
from psiprune.data.shots import Shots
from psiprune.inference.fisher import sample_bits
from psiprune.inference.phase_fisher import classical_fisher, quantum_fisher
from psiprune.inference.phase_scores import draws_fisher, terms_fisher
from psiprune.rbm import phase_likelihood
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import BasisFrequencies
from psiprune.rbm.phase_terms import Terms, terms_of
from psiprune.training import natural_phase_mcmc
from psiprune.training.natural_phase import fit_phases
from psiprune.training.natural_phase_mcmc import chosen_terms, fit_sampled
from psiprune.training.phase_starts import check_for_phases, frequencies_for

Float64 = NDArray[np.float64]
#: Numbers of a table of scores, and the most shots in it. Memory: 256 MiB.
_SCORES, _MOST_SHOTS = 1 << 26, 20_000
_DRAWS = 20_000


@one_line
class RotatedShots(NamedTuple):
    """Shots in bases that rotate few sites.

    Attributes:
        shots: the shots.
        terms: the same as sums over states.
        seed: of chains and draws.
    """

    shots: Shots
    terms: list[Terms]
    seed: int


PhaseData = BasisFrequencies | RotatedShots


class Tuned(NamedTuple):
    """The end of a training.

    Attributes:
        rbm: the state.
        log_likelihood: minus the L2 penalty, in nats per shot.
        weight_decay: L2 penalty on the weights, in nats per shot.
    """

    rbm: PhaseRBM
    log_likelihood: float
    weight_decay: float


def phase_data(shots: Shots, rbm: PhaseRBM | None = None, seed: int = 0) -> PhaseData:
    """Return shots in several bases as frequencies up to 16 sites, above as sums of few terms.

    Raises:
        InputError: as in `frequencies_for` and, above 16 sites, `rotated_shots`.
    """
    if shots.sites <= PHASE_SITES:
        return frequencies_for(shots, rbm)
    return rotated_shots(shots, rbm, seed)


def rotated_shots(shots: Shots, rbm: PhaseRBM | None = None, seed: int = 0) -> RotatedShots:
    """Return shots in bases that rotate few sites, checked for a training.

    Raises:
        InputError: as in `check_for_phases` and `terms_of`, or the shots have readout errors.
    """
    check_for_phases(shots, rbm)
    if shots.readout is not None and shots.readout.rates.any():
        raise InputError(
            f"{shots.source}: has readout errors ({shots.readout.source}), and the probability of "
            f"a record in several bases is a sum over all 2^N outcomes, up to {PHASE_SITES} sites, "
            f"found {shots.sites}; --readout 0,0 or replace(shots, readout=None) ignores them"
        )
    return RotatedShots(shots, terms_of(shots.by_basis()), seed)


def number_of_shots(data: PhaseData) -> int:
    """Return the number of shots."""
    return int(data.shots.sum()) if isinstance(data, BasisFrequencies) else len(data.shots)


def log_likelihood(rbm: PhaseRBM, data: PhaseData) -> float:
    """Return the log-likelihood in nats per shot."""
    if isinstance(data, BasisFrequencies):
        return phase_likelihood.log_likelihood(rbm, data)[0]
    return natural_phase_mcmc.log_likelihood(rbm, data.terms, data.seed)[0]


def tuned(rbm: PhaseRBM, data: PhaseData, epochs: int, weight_decay: float) -> Tuned:
    """Return the state trained on from `rbm` for at most so many steps."""
    if isinstance(data, BasisFrequencies):
        end = fit_phases(rbm, data, epochs, weight_decay)
        return Tuned(end.rbm, end.log_likelihood, weight_decay)
    found = fit_sampled(rbm, data.shots, data.terms, epochs, weight_decay, data.seed)
    weights = [network.weights[network.mask] for network in (found.rbm.amplitude, found.rbm.phase)]
    penalty = 0.5 * weight_decay * sum(float(each @ each) for each in weights)
    return Tuned(found.rbm, found.log_likelihood - penalty, weight_decay)


def shots_fisher(rbm: PhaseRBM, data: PhaseData) -> Float64:
    """Return the Fisher information of a shot, [parameter, parameter]; of chosen shots by chains.

    Raises:
        InputError: above 16 sites, more than 20,000 parameters.
    """
    if isinstance(data, BasisFrequencies):
        return classical_fisher(rbm, data.bases, data.shots / data.shots.sum(), data.readout)
    parameters = rbm.number_of_parameters
    if parameters > FISHER_PARAMETERS:
        raise InputError(
            f"rbm: a Fisher matrix is limited to {FISHER_PARAMETERS:,} parameters, found "
            f"{parameters:,}; prune by 'magnitude' first"
        )
    most = min(_MOST_SHOTS, _SCORES // parameters)
    return terms_fisher(rbm, chosen_terms(data.shots, data.terms, most, data.seed))


def state_fisher(rbm: PhaseRBM, data: PhaseData) -> Float64:
    """Return the quantum Fisher information, [parameter, parameter]; above 16 sites over draws."""
    if isinstance(data, BasisFrequencies):
        blocks = quantum_fisher(rbm)
    else:
        draws = sample_bits(rbm.amplitude, _DRAWS, derive_seed(data.seed, Stream.PHASE_FISHER, 1))
        blocks = draws_fisher(rbm, draws)
    return np.asarray(scipy.linalg.block_diag(*blocks))
