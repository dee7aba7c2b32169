"""How much a reconstruction depends on the readout error rates that it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.limits import EXACT_SITES, FISHER_PARAMETERS
from psiprune.core.random import Stream, derive_seed
from psiprune.data.dependence import INDEPENDENT
from psiprune.data.readout_error import ReadoutError
from psiprune.data.readout_summary import assumed_at_zero, summarize_readout
from psiprune.data.shots import Shots
from psiprune.inference.response import Response, linear_response
from psiprune.metrics.corrected import invert_records
from psiprune.metrics.observables import mean_bond, spins
from psiprune.metrics.readout import SMALL_FLIP, readout_sensitivity
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import distribution
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import fit

#: Sets of rates, drawn within their uncertainty: for fits up to 12 sites and above, and for the
#: linear response.
_SETS, _FEW_SETS, _RESPONSE_SETS = 16, 4, 16
_CHEAP_SITES = 12


def rates_sensitivity(rbm: RBM, shots: Shots, seed: int) -> xr.Dataset:
    """Return how the state changes when the rates change by their uncertainty.

    The change is the infidelity 1 - F of p(v), the mean over sets of rates
    (`ReadoutError.resampled`), and the root mean square change of the mean <Z_i Z_{i+1}>. Up to 20
    sites by fits (`refitted`), above by linear response (`linear_response`), which needs a Fisher
    matrix: of RBMs with more than 20,000 parameters both are NaN, and the sentence says so. The
    change of <Z_i Z_{i+1}> is at least that of the estimate from the records alone, which an RBM at
    the boundary hides (`psiprune.metrics.boundary`); 1 - F of such an RBM may be too small.

    Assumed rates close to 0 are no measure of what is unknown. If all are, the changes are those
    that `SMALL_FLIP` flips would make (`readout_sensitivity`), where <Z_i Z_{i+1}> shrinks by
    (1 - 2 eps)^2. If only those of some sites are, these have flips of `SMALL_FLIP` in each set.

    Args:
        rbm: the RBM.
        shots: its training set, with readout errors.
        seed: of the rates.

    Returns:
        Variables infidelity, error (standard error of the mean), neighbours, neighbours_error,
        sentence.
    """
    readout = shots.readout
    assert readout is not None
    direct = invert_records(shots.bits, readout, seed, INDEPENDENT).estimates["neighbours"]
    negligible = summarize_readout(readout).negligible
    if negligible.all():
        flips = readout_sensitivity(rbm, SMALL_FLIP, data=shots, seed=seed).infidelity
        shift = abs(float(direct.value)) * (1 - (1 - 2 * SMALL_FLIP) ** 2)
        return _dataset(readout, flips.value, flips.error, shift, 0.0)

    def sets(number: int) -> list[ReadoutError]:
        seeds = (derive_seed(seed, Stream.RATES_SENSITIVITY, k) for k in range(number))
        return [with_small_flips(readout.resampled(each), negligible) for each in seeds]

    if rbm.visible <= EXACT_SITES:
        found = refitted(rbm, shots, sets(number_of_sets(rbm.visible)), seed)
    elif rbm.number_of_parameters <= FISHER_PARAMETERS:
        records = replace(shots, readout=readout.allowing_unseen())
        found = linear_response(rbm, records, sets(_RESPONSE_SETS), seed, neighbours)
    else:
        return _dataset(readout, *np.full(4, np.nan).tolist())
    number = len(found.infidelity)
    infidelity = float(np.maximum(np.mean(found.infidelity), 0.0))
    error = float(np.std(found.infidelity, ddof=1) / np.sqrt(number))
    least = direct.rates_error
    if negligible.any():
        flipped = with_small_flips(readout, negligible)
        other = invert_records(shots.bits, flipped, seed, INDEPENDENT).estimates["neighbours"]
        least = np.hypot(least, other.value - direct.value)
    # Of one site there are no neighbours.
    shift = float(np.fmax(np.sqrt(np.mean(np.square(found.means))), least))
    return _dataset(readout, infidelity, error, shift, shift / np.sqrt(2 * number))


def with_small_flips(readout: ReadoutError, chosen: NDArray[np.bool_]) -> ReadoutError:
    """Return the errors with further flips of `SMALL_FLIP` at the chosen sites, [site]."""
    flip = np.array([[1 - SMALL_FLIP, SMALL_FLIP], [SMALL_FLIP, 1 - SMALL_FLIP]])
    groups = []
    for group in readout.groups:
        flips = np.eye(1)
        for site in group.sites:
            flips = np.kron(flip if chosen[site] else np.eye(2), flips)
        more = chosen[list(group.sites)].any()
        groups.append(replace(group, matrix=group.matrix @ flips) if more else group)
    return replace(readout, groups=tuple(groups))


def number_of_sets(sites: int) -> int:
    """Return the number of sets of rates, and so of fits, for at most 20 sites."""
    return _SETS if sites <= _CHEAP_SITES else _FEW_SETS


def _dataset(
    readout: ReadoutError, infidelity: float, error: float, shift: float, shift_error: float
) -> xr.Dataset:
    return xr.Dataset(
        {
            "infidelity": infidelity,
            "error": error,
            "neighbours": shift,
            "neighbours_error": shift_error,
            "sentence": _sentence(readout, infidelity, error, shift, shift_error),
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


def _sentence(
    readout: ReadoutError, infidelity: float, error: float, shift: float, shift_error: float
) -> str:
    modelled = f"{modelled_rates(readout)} would change F "
    if np.isnan(infidelity):
        return (
            f"{modelled}and <ZZ> by amounts that are not computed above "
            f"{FISHER_PARAMETERS:,} parameters"
        )
    return (
        f"{modelled}by {change_of_fidelity(infidelity, error)} and <ZZ> of neighbours by "
        f"{_with_error(shift, shift_error)}"
    )


def modelled_rates(readout: ReadoutError) -> str:
    """Return the first half of a sentence: rates, and their uncertainty, which ..."""
    (zero, one), summary = readout.rates.mean(axis=0), summarize_readout(readout)
    uncertainty, negligible = summary.uncertainty, summary.negligible
    if negligible.all():
        uncertainty = f"{SMALL_FLIP:.0%} flips per qubit"
    elif negligible.any():
        uncertainty = (
            f"{uncertainty.rstrip(',')}, and {SMALL_FLIP:.0%} flips at "
            f"{assumed_at_zero(negligible)},"
        )
    return (
        f"readout: modelled with p(1|0) = {zero:.3g}, p(0|1) = {one:.3g} on average, "
        f"{summary.origin}; {uncertainty}"
    )


def change_of_fidelity(infidelity: float, error: float = 0.0) -> str:
    """Return 1 - F in words."""
    if infidelity + error < 0.0005:
        return "less than 0.0005"
    return f"about {_with_error(infidelity, error)}"


def _with_error(value: float, error: float) -> str:
    """Return one digit of a value, and of its error if that is not negligible."""
    return f"{value:.1g}" + (f" +- {error:.1g}" if error > 0.1 * value else "")


def _bonds(sites: int) -> NDArray[np.float64]:
    """Return the mean of Z_i Z_{i+1} of every state, [2^N]; 0 for one site."""
    states = np.arange(1 << sites)
    total = np.zeros(len(states))
    for i in range(sites - 1):
        total += 1 - 2 * (((states >> i) ^ (states >> (i + 1))) & 1)
    return total / max(1, sites - 1)
