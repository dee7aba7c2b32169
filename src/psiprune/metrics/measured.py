"""Observables of shots or of a state alone, without an RBM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import EXACT_SITES
from psiprune.core.repr import one_line
from psiprune.core.validation import check_seed
from psiprune.data.dependence import Blocks, find_dependence
from psiprune.data.shots import Shots, as_shots
from psiprune.metrics.bootstrap import at_least_one_shot, bootstrap_means
from psiprune.metrics.corrected import corrected_estimates
from psiprune.metrics.custom import Observable
from psiprune.metrics.entropy_observable import EntropyObservable
from psiprune.metrics.measured_bases import pauli_mean
from psiprune.metrics.observable_text import GivenObservables, as_observables
from psiprune.metrics.observables import Estimate
from psiprune.metrics.observed import (
    constant_of,
    dimension_of,
    estimate_from_draws,
    estimate_of_state,
    values_of_draws,
)
from psiprune.metrics.pauli_observable import PauliObservable
from psiprune.rbm.model import Data
from psiprune.states.hamiltonian import positions_of
from psiprune.states.mps import MPS

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]


@one_line
@dataclass(frozen=True, eq=False)
class Measured:
    """An observable of shots or of a state, scalar or [value].

    Attributes:
        value, error: the mean and its standard error; 0 for what is exact.
        corrected, corrected_error: of the true bits, with the readout errors inverted; None without
            readout errors, and for what is no sum of Z strings.
        dimension, coordinates: what distinguishes the values; empty for a scalar.
    """

    value: Float64 | np.float64
    error: Float64 | np.float64
    corrected: Float64 | np.float64 | None = None
    corrected_error: Float64 | np.float64 | None = None
    dimension: str = ""
    coordinates: tuple[float, ...] = ()

    @property
    def numbers(self) -> dict[str, Any]:
        """All fields with lists for arrays, for JSON."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
            for key, value in vars(self).items()
        }


def measure_observables(
    of: MPS | Data, observables: GivenObservables, *, seed: int = 0
) -> dict[str, Measured]:
    """Return observables of shots, or of a state, by name.

    Errors of shots are standard deviations over 400 bootstrap resamples, of blocks where shots are
    not independent. Of shots in several bases, a Pauli string is the mean over all bases that have
    its letters, with the error of independent shots, and functions of bits are those of the shots
    in Z. Of a state, sums of Pauli strings are exact at any size, functions of bits up
    to 20 sites; above they are means over 100,000 draws.

    Args:
        of: shots (`Shots`, bits [shot, site] or counts by bit string), or a state.
        observables: by name functions of bits [shot, site], sums of Pauli strings as `Hamiltonian`
            or text, or ready-made names; or a list of texts such as "Z0 Z3".
        seed: of the resamples or draws.

    Raises:
        InputError: an observable cannot be read, or has letters that no shot was measured in; or
            there are fewer than 2 shots.

    Examples:
        >>> measure_observables({"01": 2, "11": 2}, ["Z1"])["Z1"].value
        -1.0
    """
    seed = check_seed(seed)
    if isinstance(of, MPS):
        found = as_observables(observables, of.sites, positions_of(of.model))
        return _of_state(of, found, seed)
    shots = as_shots(of)
    found = as_observables(observables, shots.sites)
    if len(shots) < 2:
        raise InputError(f"{shots.source}: an error bar needs at least 2 shots, found {len(shots)}")
    if shots.basis != "Z":
        return _of_bases(shots, found, seed)
    for name, each in found.items():
        if isinstance(each, PauliObservable | EntropyObservable):
            each.check_diagonal(name)
    return _of_shots(shots, found, seed)


def _of_bases(shots: Shots, observables: dict[str, Observable], seed: int) -> dict[str, Measured]:
    """Measure Pauli strings in the bases that have their letters, functions of bits in Z."""
    records, measured = replace(shots, readout=None), {}
    for name, each in observables.items():
        if isinstance(each, PauliObservable):
            mean = constant_of(each) or pauli_mean(name, each.operator, records)
            true = None
            if shots.readout is not None:
                true = constant_of(each) or pauli_mean(name, each.operator, shots)
            measured[name] = Measured(
                mean.value,
                mean.error,
                None if true is None else true.value,
                None if true is None else true.error,
            )
        else:
            if isinstance(each, EntropyObservable):
                each.check_diagonal(name)
            measured |= _of_shots(shots.in_basis("Z"), {name: each}, seed)
    return measured


def _of_state(state: MPS, observables: dict[str, Observable], seed: int) -> dict[str, Measured]:
    log_q = None
    if state.sites <= EXACT_SITES:
        with np.errstate(divide="ignore"):  # amplitude 0
            log_q = 2.0 * np.log(np.abs(state.to_vector()))
    estimates = {
        name: estimate_of_state(name, each, state, log_q, seed)
        for name, each in observables.items()
    }
    return {
        name: Measured(each.value, each.error, None, None, *dimension_of(observables[name]))
        for name, each in estimates.items()
    }


def _of_shots(shots: Shots, observables: dict[str, Observable], seed: int) -> dict[str, Measured]:
    dependence = find_dependence(shots)
    blocks, bits = dependence.blocks, shots.bits
    if blocks.length > 1:
        bits = bits[dependence.order]
    corrected: Mapping[str, Estimate] = {}
    if shots.readout is not None:
        sums = {n: o.operator for n, o in observables.items() if isinstance(o, PauliObservable)}
        corrected = corrected_estimates(bits, shots.readout, seed, blocks, sums)
    found = {}
    for name, each in observables.items():
        estimate = _estimate(name, each, bits, blocks, seed)
        true = corrected.get(name)
        found[name] = Measured(
            estimate.value,
            estimate.error,
            None if true is None else true.value,
            None if true is None else true.error,
            *dimension_of(each),
        )
    return found


def _estimate(name: str, observable: Observable, bits: Bits, blocks: Blocks, seed: int) -> Estimate:
    if (constant := constant_of(observable)) is not None:
        return constant
    values, size = values_of_draws(name, observable, bits, None), blocks.effective(len(bits))
    if values.ndim == 0:
        estimate = estimate_from_draws(name, observable, bits[:, None, :], seed, blocks.length)
        centre, error = np.asarray(estimate.value), np.asarray(estimate.error)
    else:
        table = values.reshape(len(values), -1)
        centre = table.mean(axis=0)
        resampled = bootstrap_means((table - centre).astype(np.float32), seed, blocks.length)
        error = resampled.std(axis=0, ddof=1).reshape(values.shape[1:])
        centre = centre.reshape(values.shape[1:])
    return Estimate(centre[()], at_least_one_shot(error, centre, size)[()], np.float64("nan"))
