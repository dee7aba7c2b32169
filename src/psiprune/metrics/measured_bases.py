"""Sums of Pauli strings from shots in several bases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, derive_seed
from psiprune.data.readout_error import ReadoutError
from psiprune.data.shots import Shots
from psiprune.metrics.bootstrap import at_least_one_shot
from psiprune.metrics.corrected import inverted_signs, recorded_states
from psiprune.states.hamiltonian import Hamiltonian, PauliTerm

Float64 = NDArray[np.float64]
#: Draws of the rates within their uncertainty.
_RATES = 50


class Mean(NamedTuple):
    """A mean and its standard error."""

    value: np.float64
    error: np.float64


def pauli_mean(name: str, operator: Hamiltonian, shots: Shots) -> Mean:
    """Return the mean of a sum of Pauli strings over shots in several bases.

    <O> = sum_t c_t m_t, with m_t the mean of the outcomes' product over all n_t shots whose basis
    has the letters of string t. The error follows from what each shot contributes beyond the mean,

        r_x = sum_t c_t (product of x - m_t) / sqrt(n_t (n_t - 1))

    over the strings that its basis measures: the variance is the sum of r_x^2 over all shots, as
    strings share shots and have the same mean in all bases. Of a string measured once m_t is taken
    as 0.

    With readout errors of the shots it is the mean of the true bits, by inverted confusion matrices
    (`psiprune.metrics.corrected`), and the error includes that of the rates.

    Raises:
        InputError: a string is measured in none of the bases.
    """
    groups = shots.by_basis()
    letters = np.array([list(basis) for basis in groups])  # [basis, site]
    number = np.array([len(bits) for bits in groups.values()])
    measures = [_measures(letters, term) for term in operator.terms]
    for term, known in zip(operator.terms, measures, strict=True):
        if not known.any():
            raise InputError(
                f"{name}: {term.string} is measured in none of the {len(groups)} bases of "
                f"{shots.source}; measure it, or leave it out"
            )
    weights = [
        (list(term.letters), np.where(known, term.coefficient / number[known].sum(), 0.0))
        for term, known in zip(operator.terms, measures, strict=True)
    ]

    def contributions(readout: ReadoutError | None) -> Iterator[Float64]:
        """Yield y of the shots in each basis."""
        for k, bits in enumerate(groups.values()):
            products = (w[k] * _products(bits, sites, readout) for sites, w in weights if w[k])
            yield sum(products, np.zeros(len(bits)))

    value = float(sum(each.sum() for each in contributions(shots.readout)))
    residuals = [np.zeros(len(bits)) for bits in groups.values()]
    for (sites, w), known in zip(weights, measures, strict=True):
        products = {
            k: _products(bits, sites, shots.readout)
            for k, bits in enumerate(groups.values())
            if sites and known[k]
        }
        times = int(number[known].sum())
        mean = sum(each.sum() for each in products.values()) / times if times > 1 else 0.0
        unbiased = np.sqrt(times / max(times - 1, 1))
        for k, each in products.items():
            residuals[k] += w[k] * unbiased * (each - mean)
    variance = sum(float(each @ each) for each in residuals)
    error = at_least_one_shot(np.array(variance**0.5), np.array(value), len(shots))
    if shots.readout is not None:
        again = (
            shots.readout.resampled(derive_seed(0, Stream.PHASE_CALIBRATION, k))
            for k in range(_RATES)
        )
        means = [sum(each.sum() for each in contributions(other)) for other in again]
        error = np.hypot(error, np.std(means, ddof=1))
    return Mean(np.float64(value), np.float64(error))


def _products(bits: NDArray[np.uint8], sites: list[int], readout: ReadoutError | None) -> Float64:
    """Return the product of the outcomes of some sites, or its estimate from a record, [shot]."""
    if readout is None:
        return np.asarray(1.0 - 2.0 * (bits[:, sites].sum(axis=1) & 1))
    value, records = np.ones(len(bits)), recorded_states(bits, readout)
    for number, estimate in inverted_signs(readout, sites):
        value *= estimate[records[number]]
    return value


def _measures(letters: NDArray[np.str_], term: PauliTerm) -> NDArray[np.bool_]:
    """Return which bases have the letters of a string, [basis]."""
    sites = list(term.letters)
    return np.asarray((letters[:, sites] == list(term.letters.values())).all(axis=1))
