"""How much a reconstruction depends on the readout error rates that it was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES, FISHER_PARAMETERS
from psiprune.core.random import Stream, derive_seed
from psiprune.data.readout_error import ASSUMED_UNCERTAINTY, ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.response import Response, linear_response
from psiprune.metrics.observables import mean_bond, spins
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import distribution
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import fit

#: Sets of rates, drawn within their uncertainty: of as many fits, or for the linear response.
SETS, _RESPONSE_SETS = 4, 16


def rates_sensitivity(rbm: RBM, shots: Shots, seed: int) -> xr.Dataset:
    """Return how the state changes when the rates change by their uncertainty.

    The change is the infidelity 1 - F of p(v), the mean over sets of rates
    (`ReadoutError.resampled`), and the root mean square change of the mean <Z_i Z_{i+1}>. Up to 20
    sites by fits (`refitted`), above by linear response (`linear_response`), which needs a Fisher
    matrix: of RBMs with more than 20,000 parameters both are NaN, and the sentence says so.

    Args:
        rbm: the RBM.
        shots: its training set, with readout errors.
        seed: of the rates.

    Returns:
        Variables infidelity, error (standard error of the mean), neighbours, sentence.
    """
    readout = shots.readout
    assert readout is not None

    def sets(number: int) -> list[ReadoutError]:
        seeds = (derive_seed(seed, Stream.RATES_SENSITIVITY, k) for k in range(number))
        return [readout.resampled(each) for each in seeds]

    if rbm.visible <= EXACT_SITES:
        found = refitted(rbm, shots, sets(SETS), seed)
    elif rbm.number_of_parameters <= FISHER_PARAMETERS:
        found = linear_response(rbm, shots, sets(_RESPONSE_SETS), seed, neighbours)
    else:
        found = Response(*np.full((2, SETS), np.nan))
    infidelity = float(np.maximum(np.mean(found.infidelity), 0.0))
    shift = float(np.sqrt(np.mean(np.square(found.means))))
    error = np.std(found.infidelity, ddof=1) / np.sqrt(len(found.infidelity))
    return xr.Dataset(
        {
            "infidelity": infidelity,
            "error": float(error),
            "neighbours": shift,
            "sentence": _sentence(readout, infidelity, shift),
        }
    )


def neighbours(bits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean of Z_i Z_{i+1} of bits [draw, site], [draw, 1]."""
    return mean_bond(spins(bits))[:, None]


def refitted(rbm: RBM, shots: Shots, sets: Sequence[ReadoutError], seed: int) -> Response:
    """Return what other rates change by fitting the RBM again, from where it is, to the records.

    The only mean is that of Z_i Z_{i+1} over the bonds.
    """

    def fitted(errors: ReadoutError | None) -> NDArray[np.float64]:
        records = Shots(shots.bits, source=shots.source, readout=errors)
        return distribution(fit(rbm, records, ExactNaturalGradient.for_fine_tuning(), seed))

    prob = fitted(shots.readout)  # not `rbm` itself, which may not be at the maximum
    bonds = _bonds(rbm.visible)
    infidelities, shifts = [], []
    for errors in sets:
        changed = fitted(errors)
        distance = 0.5 * float(((np.sqrt(prob) - np.sqrt(changed)) ** 2).sum())
        infidelities.append(distance * (2 - distance))
        shifts.append(float(bonds @ (changed - prob)))
    return Response(np.array(infidelities), np.array(shifts)[:, None])


def _sentence(readout: ReadoutError, infidelity: float, shift: float) -> str:
    zero, one = readout.rates.mean(axis=0)
    origin = f"calibrated ({readout.source}); their statistical error"
    if not readout.is_measured:
        origin = f"assumed ({readout.source}), not measured; rates off by {ASSUMED_UNCERTAINTY:.0%}"
    modelled = (
        f"readout: modelled with p(1|0) = {zero:.3g}, p(0|1) = {one:.3g} on average, {origin} "
    )
    if np.isnan(infidelity):
        return (
            f"{modelled}would change F and <ZZ> by amounts that are not computed above "
            f"{FISHER_PARAMETERS:,} parameters"
        )
    change = f"about {infidelity:.1g}" if infidelity >= 0.0005 else "less than 0.0005"
    return f"{modelled}would change F by {change} and <ZZ> of neighbours by {shift:.1g}"


def _bonds(sites: int) -> NDArray[np.float64]:
    """Return the mean of Z_i Z_{i+1} of every state, [2^N]; 0 for one site."""
    states = np.arange(1 << sites)
    total = np.zeros(len(states))
    for i in range(sites - 1):
        total += 1 - 2 * (((states >> i) ^ (states >> (i + 1))) & 1)
    return total / max(1, sites - 1)
