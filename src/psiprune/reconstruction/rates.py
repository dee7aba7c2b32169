"""How much a reconstruction depends on the readout error rates that it was given."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.data.readout_error import ASSUMED_UNCERTAINTY, ReadoutError
from psiprune.data.shots import Shots
from psiprune.rbm.model import RBM
from psiprune.rbm.observed import distribution
from psiprune.training.exact_natural_gradient import ExactNaturalGradient
from psiprune.training.train import fit

#: Sets of rates, drawn within their uncertainty.
_SETS = 4


def rates_sensitivity(rbm: RBM, shots: Shots, seed: int) -> xr.Dataset:
    """Return how the state changes when the rates change by their uncertainty, up to 20 sites.

    The RBM is fitted again, from where it is, to the same records with these rates and with others
    (`ReadoutError.resampled`). The change is the infidelity 1 - F of both p(v), the mean over four
    sets of rates, and the root mean square change of the mean <Z_i Z_{i+1}>.

    Args:
        rbm: the RBM.
        shots: its training set, with readout errors.
        seed: of the rates.

    Returns:
        Variables infidelity, error (standard error of the mean), neighbours, sentence, warning.
    """
    readout = shots.readout
    assert readout is not None
    bonds = _bonds(rbm.visible)

    def fitted(errors: ReadoutError) -> NDArray[np.float64]:
        records = Shots(shots.bits, source=shots.source, readout=errors)
        return distribution(fit(rbm, records, ExactNaturalGradient.for_fine_tuning(), seed))

    prob = fitted(readout)  # not `rbm` itself, which may not be at the maximum
    infidelities, shifts = [], []
    for k in range(_SETS):
        changed = fitted(readout.resampled(derive_seed(seed, Stream.RATES_SENSITIVITY, k)))
        distance = 0.5 * float(((np.sqrt(prob) - np.sqrt(changed)) ** 2).sum())
        infidelities.append(distance * (2 - distance))
        shifts.append(float(bonds @ (changed - prob)))
    infidelity, shift = float(np.mean(infidelities)), float(np.sqrt(np.mean(np.square(shifts))))
    return xr.Dataset(
        {
            "infidelity": infidelity,
            "error": float(np.std(infidelities, ddof=1) / np.sqrt(_SETS)),
            "neighbours": shift,
            "sentence": _sentence(readout, infidelity, shift),
            "warning": "",
        }
    )


def _sentence(readout: ReadoutError, infidelity: float, shift: float) -> str:
    zero, one = readout.rates.mean(axis=0)
    origin = f"calibrated ({readout.source}); their statistical error"
    if not readout.is_measured:
        origin = f"assumed ({readout.source}), not measured; rates off by {ASSUMED_UNCERTAINTY:.0%}"
    change = f"about {infidelity:.1g}" if infidelity >= 0.0005 else "less than 0.0005"
    return (
        f"readout: modelled with p(1|0) = {zero:.3g}, p(0|1) = {one:.3g} on average, {origin} "
        f"would change F by {change} and <ZZ> of neighbours by {shift:.1g}"
    )


def _bonds(sites: int) -> np.ndarray:
    """Return the mean of Z_i Z_{i+1} of every state, [2^N]; 0 for one site."""
    states = np.arange(1 << sites)
    z = 1.0 - 2.0 * ((states[:, None] >> np.arange(sites)) & 1)
    return np.asarray((z[:, :-1] * z[:, 1:]).sum(axis=1) / max(1, sites - 1))
