"""The error of an RBM's observables from that of the readout error rates it was trained with.

The RBM that fits records best depends on the confusion matrices, and so do the observables of its
true bits: rates that are too small leave flips in the state. No number of records reduces this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import RATES_ERROR_PARAMETERS
from psiprune.core.random import Stream, derive_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.inference.response import Curvature, linear_response
from psiprune.metrics.corrected import STATE_OBSERVABLES
from psiprune.metrics.observables import mean_bond, spins
from psiprune.rbm.model import RBM
from psiprune.rbm.phase import PhaseRBM
from psiprune.states.tfim import midpoint

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


def errors_from_rates(
    rbm: RBM,
    shots: Shots,
    sets: int,
    seed: int,
    curvature: Curvature | None = None,
    sums: Mapping[str, Callable[[Bits], Float64]] = MappingProxyType({}),
) -> dict[str, Float64 | np.float64]:
    """Return the errors of <m>, the mean of <Z_i Z_{i+1}> and C(d) from the error of the rates.

    Further functions bits [draw, site] -> [draw] follow by name.

    Root mean square changes of the observables over `sets` sets of rates, drawn again within their
    uncertainty (`ReadoutError.resampled`), by linear response (`psiprune.inference.response`). They
    are those of an RBM at the maximum of the likelihood; training that ended earlier depends less
    on the rates. Accurate to about 1 / sqrt(2 sets).

    Names and shapes as in `ShotsReport.state`. Empty where the RBM was trained on shots without
    these readout errors, the shots carry none, there are no sets, or the RBM has more than 3,000
    parameters.

    Args:
        rbm: the RBM, trained with the readout errors of `shots`.
        shots: records with readout errors.
        sets: number of sets of rates.
        seed: of the rates and of all draws.
        curvature: `curvature_of_records` of the shots with the same seed, if it is known.
        sums: further functions of the true bits, by name.
    """
    readout = shots.readout
    if (
        sets == 0
        or readout is None
        or not trained_through(rbm, readout)
        or rbm.number_of_parameters > RATES_ERROR_PARAMETERS
    ):
        return {}
    others = [readout.resampled(derive_seed(seed, Stream.RATES_ERROR, k)) for k in range(sets)]

    def functions(bits: Bits) -> Float64:
        return np.column_stack([*(each(bits) for each in sums.values()), _functions(bits)])

    # From there, as p(v | y) gives what a matrix excludes no weight.
    records = replace(shots, readout=readout.allowing_unseen())
    found = linear_response(rbm, records, others, seed, functions, curvature)
    errors = np.sqrt(np.square(found.means).mean(axis=0))
    further, errors = errors[: len(sums)], errors[len(sums) :]
    named = zip(STATE_OBSERVABLES, (errors[0], errors[1], errors[2:]), strict=True)
    return {**dict(named), **dict(zip(sums, further, strict=True))}


def trained_through(rbm: RBM | PhaseRBM, readout: ReadoutError) -> bool:
    """Return whether an RBM was trained on shots with exactly these confusion matrices."""
    return rbm.provenance.get("readout_sha256") == readout.digest


def readout_warning(rbm: RBM | PhaseRBM, shots: Shots) -> str:
    """Return why an RBM may not describe the true bits behind shots; empty if nothing is known.

    It was trained through readout errors and the shots carry none, or it is not known to be trained
    through those that they carry.
    """
    other = rbm.provenance.get("readout")
    if shots.readout is None:
        if other is None:
            return ""
        return (
            f"the RBM was trained through readout errors, but the shots ({shots.source}) carry "
            "none: their bits are taken as true ones; give the errors with --readout or "
            "`Shots.readout`"
        )
    if trained_through(rbm, shots.readout):
        return ""
    through = ""
    if other:
        alike = other == str(shots.readout)
        through = f", but through {'others of the same mean rates' if alike else other}"
    return (
        "the RBM is not known to be trained through these readout errors "
        f"({shots.readout}){through}: its state may deviate for "
        "that reason; train it on shots that carry them"
    )


def _functions(bits: Bits) -> Float64:
    """Return m, the mean of Z_i Z_{i+1}, and functions that change with p(v) as C(d) does.

    To first order C = <Z_i Z_j> - <Z_i><Z_j> changes by the change of the mean of
    (Z_i - <Z_i>)(Z_j - <Z_j>) with both <Z> fixed.
    """
    z = spins(bits)
    right = z[:, midpoint(bits.shape[1]) :]
    right = right - right.mean(axis=0)
    return np.column_stack([z.mean(axis=1), mean_bond(z), right[:, :1] * right])
