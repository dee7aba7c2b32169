"""Whether the records of a pure state are noisier than their readout errors say, or less noisy.

In several bases a pure state cannot imitate misread bits. So the records themselves show their
flips: let the records r_b = C |A_b|^2 of basis b be flipped once more, at site i from 0 to 1 with
probability a_i and from 1 to 0 with b_i. With x all 2 N of these, theta the parameters of the
state, at their maximum, and f_b the frequencies of n shots,

    s = sum_b,y f_b d log r_b / dx,   I = I_xx - I_xt I_tt^-1 I_tx,

where I are blocks of the Fisher information of a shot, s has the mean I x and the variance I / n
(Rao's score test). Rates uncertain by the covariance V of x add I V I.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_summary import summarize_readout
from psiprune.inference.phase_fisher import outcome_slopes, state_changes
from psiprune.metrics.phase_information import PhaseInformation
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_likelihood import BasisFrequencies, recorded_probabilities

Float64 = NDArray[np.float64]
#: Standard deviation of each rate beside its stated one: no rate is known better.
_FLOOR = 0.002
#: Draws of the rates within their uncertainty.
_RATES = 100
#: Information below this part of the largest is rounding.
_RANK = 1e-9
_LEAST = 1e-30


@one_line
class ExcessFlips(NamedTuple):
    """Flips of the records beyond their readout errors.

    Attributes:
        value: mean of a_i and of b_i over the sites, negative for fewer flips, [2].
        error: their standard errors by the noise of the shots, [2].
        p_value: of all 2 N being 0, within the uncertainty of the rates and 0.002 for each.
    """

    value: Float64
    error: Float64
    p_value: float


@single_blas_thread()
def excess_flips(
    rbm: PhaseRBM, data: BasisFrequencies, information: PhaseInformation, seed: int
) -> ExcessFlips:
    """Test the readout errors of a training set by the state fitted to it.

    Args:
        rbm: the state.
        data: the training set.
        information: `phase_information` of the state for these shots.
        seed: of the draws of rates.
    """
    shots = float(data.shots.sum())
    known = information.fractions > _RANK
    fractions = information.fractions[known]
    changes = information.directions[known] @ state_changes(rbm)
    flips = 2 * rbm.visible
    score, within = np.zeros(flips), np.zeros((flips, flips))
    slope, across = np.zeros(len(fractions)), np.zeros((flips, len(fractions)))
    for number, (basis, size) in enumerate(zip(data.bases, data.shots, strict=True)):
        prob = np.maximum(recorded_probabilities(rbm, basis, data.readout), _LEAST)
        flipped = _flipped(prob) / np.sqrt(prob)
        turned = outcome_slopes(rbm, changes, basis, data.readout)
        rows = data.basis == number
        found = np.zeros(len(prob))
        found[data.outcome[rows]] = data.weight[rows]
        found /= np.sqrt(prob)
        score += flipped @ found
        slope += turned @ found
        within += size / shots * (flipped @ flipped.T)
        across += size / shots * (flipped @ turned.T)
    response = across / fractions  # change of the state for each flip, [flip, direction]
    score -= response @ slope
    left = within - response @ across.T
    variance = rates_covariance(data.readout, rbm.visible, seed)
    value, error = _common(score, left, shots)
    p_value = _p_value(score, left, left / shots + left @ (variance + _floor(flips)) @ left)
    return ExcessFlips(value, error, p_value)


def _floor(flips: int) -> Float64:
    return np.eye(flips) * _FLOOR**2


def _flipped(prob: Float64) -> Float64:
    """Return d r / dx of records r [2^N]: of flips from 0 to 1 at each site, then from 1 to 0."""
    sites = len(prob).bit_length() - 1
    found = np.empty((2, sites, len(prob)))
    for site in range(sites):
        pairs = prob.reshape(-1, 2, 1 << site)
        for value in (0, 1):
            change = found[value, site].reshape(pairs.shape)
            change[:, value] = -pairs[:, value]
            change[:, 1 - value] = pairs[:, value]
    return found.reshape(2 * sites, -1)


def _common(score: Float64, information: Float64, shots: float) -> tuple[Float64, Float64]:
    """Return the estimates of flips that all sites share, of 0 and of 1, and their errors."""
    alike = np.repeat(np.eye(2), len(score) // 2, axis=0)  # [flip, 2]
    covariance = np.linalg.pinv(alike.T @ information @ alike)
    return covariance @ (alike.T @ score), np.sqrt(covariance.diagonal() / shots)


def _p_value(score: Float64, information: Float64, variance: Float64) -> float:
    """Return the tail probability of chi-squared of the scores, where they carry information."""
    from scipy.special import chdtrc

    size, root = np.linalg.eigh(information)
    kept = root[:, size > _RANK * size[-1]]
    reduced = kept.T @ score
    chi_squared = reduced @ np.linalg.solve(kept.T @ variance @ kept, reduced)
    return float(chdtrc(kept.shape[1], chi_squared))


def rates_covariance(readout: ReadoutError | None, sites: int, seed: int) -> Float64:
    """Return the covariance of further flips that other rates amount to, [2 site, 2 site].

    Flips of 0 at each site come first, then those of 1: M_i F_i = M_i' with M_i the confusion
    matrix of site i and M_i' another one within the uncertainty of the rates.
    """
    if readout is None or summarize_readout(readout).negligible.all():
        return np.zeros((2 * sites, 2 * sites))
    given = np.linalg.inv(_matrices(readout))
    drawn = np.empty((_RATES, 2 * sites))
    for k in range(_RATES):
        other = readout.resampled(derive_seed(seed, Stream.PHASE_RATES, k))
        further = given @ _matrices(other)
        drawn[k] = np.concatenate([further[:, 0, 1], further[:, 1, 0]])
    return drawn.T @ drawn / _RATES


def _matrices(readout: ReadoutError) -> Float64:
    """Return the confusion matrix of each site, [site, true bit, recorded bit]."""
    zero, one = readout.rates.T
    return np.moveaxis(np.array([[1 - zero, zero], [one, 1 - one]]), 2, 0)
