"""Sums of Pauli strings from shots in several bases."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.shots import Shots
from psiprune.metrics.bootstrap import at_least_one_shot
from psiprune.states.hamiltonian import Hamiltonian, PauliTerm

Float64 = NDArray[np.float64]


class Mean(NamedTuple):
    """A mean and its standard error."""

    value: np.float64
    error: np.float64


def pauli_mean(name: str, operator: Hamiltonian, shots: Shots) -> Mean:
    """Return the mean of a sum of Pauli strings over shots in several bases.

    <O> = sum_t c_t m_t, with m_t the mean of the outcomes' product over all n_t shots whose basis
    has the letters of string t. The error follows from the contribution of each shot,
    y_x = sum_t c_t (product of x) / n_t over the strings that its basis measures: its variance is
    the sum over bases of their shots times the variance of y, as strings share shots.

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
    value, variance = 0.0, 0.0
    for k, bits in enumerate(groups.values()):
        contribution = np.zeros(len(bits))
        for term, known in zip(operator.terms, measures, strict=True):
            if known[k]:
                sites = list(term.letters)
                products = 1.0 - 2.0 * (bits[:, sites].sum(axis=1) & 1)
                contribution += term.coefficient / number[known].sum() * products
        value += float(contribution.sum())
        if len(bits) > 1:
            variance += len(bits) * float(contribution.var(ddof=1))
    error = at_least_one_shot(np.array(variance**0.5), np.array(value), len(shots))
    return Mean(np.float64(value), np.float64(error))


def _measures(letters: NDArray[np.str_], term: PauliTerm) -> NDArray[np.bool_]:
    """Return which bases have the letters of a string, [basis]."""
    sites = list(term.letters)
    return np.asarray((letters[:, sites] == list(term.letters.values())).all(axis=1))
