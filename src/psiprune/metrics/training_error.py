"""The error of an RBM's observables from the noise of the shots that it was trained on.

At the maximum of the likelihood of n independent shots the covariance of the parameters is
F^-1 / n, with F the Fisher matrix of a shot as it is recorded. To first order (delta method) a mean
<O> of the RBM then has the variance

    g.F^-1.g / n,    g = Cov(O, s),    s = d log p~(v) / d theta.

Without readout errors this is the variance over n of the part of O that is linear in s, at most
Var(O) / n, which is that of the mean over the shots. With them it is larger, as a record reveals
less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.limits import RATES_ERROR_PARAMETERS
from psiprune.core.random import Stream, derive_seed
from psiprune.core.validation import as_count
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.fisher import SAMPLES_PER_PARAMETER
from psiprune.inference.response import (
    Curvature,
    curvature_of_draws,
    curvature_of_records,
    response_draws,
    training_variances,
)
from psiprune.metrics.corrected import STATE_OBSERVABLES
from psiprune.metrics.custom import Observable
from psiprune.metrics.entropy_observable import EntropyObservable, is_determined
from psiprune.metrics.observables import mean_bond, observable_values, spins
from psiprune.metrics.observed import values_of_draws
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.metrics.rates_error import trained_through
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
Errors = dict[str, Float64 | np.float64]

_EARLY = (
    "the training of the RBM ended early, by cross-validation, so the errors from the rates and "
    "from the noise of the training shots are upper estimates"
)


class Training(NamedTuple):
    """What the training shots of an RBM determine, and how well.

    Attributes:
        curvature: F^-1 and draws of the RBM; None where it is not computed.
        note: why it cannot be computed, or that training ended before the maximum; else empty.
        shots: number of training shots, n.
    """

    curvature: Curvature | None = None
    note: str = ""
    shots: int = 0


class TrainingErrors(NamedTuple):
    """Errors of observables of the bits as recorded and of the true bits, by name."""

    records: Errors
    state: Errors


def training_of(rbm: RBM, bits: Bits, readout: ReadoutError | None, seed: int) -> Training:
    """Return what the training shots of an RBM determine, from its provenance.

    Args:
        rbm: the RBM, at the maximum of the likelihood of its training shots.
        bits: draws of it, [draw, site].
        readout: the readout errors of the shots at hand; if the RBM was trained through readout
            errors, it must be through these.
        seed: of further draws.
    """
    shots = as_count(rbm.provenance.get("training_shots"))
    parameters = rbm.number_of_parameters
    least = SAMPLES_PER_PARAMETER * parameters
    if shots is None:
        return Training(note="how many shots the RBM was trained on is not recorded")
    if parameters > RATES_ERROR_PARAMETERS:
        limit = f"more than {RATES_ERROR_PARAMETERS:,}"
        return Training(note=f"the RBM has {parameters:,} parameters, {limit}")
    early = "folds" in rbm.provenance and not rbm.provenance.get("converged")
    note = _EARLY if early else ""
    if "readout_sha256" in rbm.provenance:
        if readout is None or not trained_through(rbm, readout):
            why = "the RBM was trained through readout errors that are not those of these shots"
            return Training(note=why)
        return Training(curvature_of_records(rbm, readout, seed), note, shots)
    if len(bits) < least:
        each = f"{SAMPLES_PER_PARAMETER} for each parameter"
        return Training(note=f"it takes {least:,} draws of the RBM, {each}")
    rows = np.linspace(0, len(bits) - 1, min(len(bits), response_draws(parameters)))
    return Training(curvature_of_draws(rbm, bits[rows.astype(np.intp)]), note, shots)


def errors_from_training(
    rbm: RBM,
    training: Training,
    readout: ReadoutError | None,
    observables: Mapping[str, Observable],
    seed: int,
) -> TrainingErrors:
    """Return the errors of the means of m, |m|, Z_i Z_{i+1}, C(d) and of custom observables.

    Names and shapes as in `ShotsReport`. Custom observables that are one number for all shots have
    none. Those of the true bits are given for shots with readout errors only; strings with X or Y
    are of the true bits in both. Their mean changes as that of their local estimator would with a
    fixed estimator and p(v): d<O> = 2 sum_v (O psi)(v) d psi(v) = Cov(O_loc, s) d theta.

    Args:
        rbm: the RBM.
        training: of this RBM; without `curvature` there are no errors.
        readout: the readout errors of the shots at hand.
        observables: custom ones by name.
        seed: of the records that the RBM's draws are read as.
    """
    found = training.curvature
    if found is None:
        return TrainingErrors({}, {})

    def errors(values: Mapping[str, Float64]) -> Errors:
        variances = training_variances(rbm, found, np.column_stack([*values.values()]))
        ends = np.cumsum([values[name][:1].size for name in values])[:-1]
        parts = np.split(np.sqrt(variances / training.shots), ends)
        return {
            name: part if values[name].ndim == 2 else part[0]
            for name, part in zip(values, parts, strict=True)
        }

    if readout is None:
        return TrainingErrors(errors(_by_draw(rbm, found.bits, observables)), {})
    of_records = {name: each for name, each in observables.items() if is_determined(each)}
    sums = {name: each for name, each in observables.items() if isinstance(each, PauliObservable)}
    true = _by_draw(rbm, found.bits, sums)
    records = readout.misread(found.bits, derive_seed(seed, Stream.TRAINING_ERROR))
    values = _by_draw(rbm, records, of_records)
    values |= {name: true[name] for name in sums if name not in of_records}
    of_state = (*STATE_OBSERVABLES, *(name for name in sums if name in of_records))
    return TrainingErrors(errors(values), errors({name: true[name] for name in of_state}))


def _by_draw(rbm: RBM, bits: Bits, observables: Mapping[str, Observable]) -> dict[str, Float64]:
    """Return functions of bits that change with p(v) as the observables, [draw] or [draw, d].

    To first order C(d) = <Z_i Z_j> - <Z_i><Z_j> changes as the mean of (Z_i - <Z_i>)(Z_j - <Z_j>).
    """
    found = observable_values(rbm, bits, None) | {"neighbours": mean_bond(spins(bits))}
    custom = {
        name: values_of_draws(name, each, bits, rbm)
        for name, each in observables.items()
        if not isinstance(each, EntropyObservable)
    }
    return found | {name: values for name, values in custom.items() if values.ndim}
