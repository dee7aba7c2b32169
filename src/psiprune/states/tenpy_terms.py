"""The Pauli strings of a TeNPy model, from the matrix product operator of its Hamiltonian.

An entry W_i[a, b] is an operator on site i, a sum of Pauli matrices. The strings are collected from
left to right by the bond a that they have reached, so each path through the operator is a product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import PAULI_TERMS

#: A string as (site, letter), from the left, and its coefficient.
Sum = dict[tuple[tuple[int, str], ...], complex]
#: Coefficients below this part of the largest are rounding errors.
_ROUNDING = 1e-13


def tenpy_strings(model: Any) -> tuple[int, Sum]:
    """Return the number of sites and the strings of a finite model of TeNPy.

    The state "up" of a site is bit 0, Z = +1. Sites count in the order of the model's MPS.

    Raises:
        InputError: the model is infinite, a site has other states than up and down, or there are
            too many strings.
    """
    operator, sites = model.H_MPO, model.lat.mps_sites()
    if operator.bc != "finite":
        raise InputError(
            f"terms: the model must be finite, found bc_MPS {operator.bc!r}; give bc_MPS='finite'"
        )
    open_sums: dict[int, Sum] = {operator.get_IdL(0): {(): 1.0}}
    for i, site in enumerate(sites):
        tensor = operator.get_W(i).transpose(["wL", "wR", "p", "p*"]).to_ndarray()
        letters = _pauli(tensor, _basis(site, i))
        reached: dict[int, Sum] = {}
        for left, strings in open_sums.items():
            for right, letter in zip(*np.nonzero(letters[left]), strict=True):
                added = () if letter == 0 else ((i, "IXYZ"[letter]),)
                value = complex(letters[left, right, letter])
                sums = reached.setdefault(int(right), {})
                for string, coefficient in strings.items():
                    longer = string + added
                    sums[longer] = sums.get(longer, 0.0) + coefficient * value
        if sum(map(len, reached.values())) > 2 * PAULI_TERMS:
            raise InputError(f"terms: at most {PAULI_TERMS:,} fit in memory; use fewer sites")
        open_sums = reached
    found = open_sums.get(operator.get_IdR(len(sites) - 1), {})
    if operator.explicit_plus_hc:
        found = {string: 2.0 * value.real for string, value in found.items()}
    limit = _ROUNDING * max(map(abs, found.values()), default=0.0)
    return len(sites), {
        string: value.real if abs(value.imag) <= limit else value
        for string, value in found.items()
        if abs(value) > limit
    }


def _basis(site: Any, number: int) -> list[int]:
    """Return the indices of up and down."""
    labels = site.state_labels
    if site.dim != 2 or not {"up", "down"} <= labels.keys():
        raise InputError(
            f"terms: site {number} must be a spin 1/2 with the states up and down, found "
            f"{type(site).__name__} of dimension {site.dim}; use SpinHalfSite, or SpinSite with "
            "S=0.5"
        )
    return [labels["up"], labels["down"]]


def _pauli(tensor: NDArray[Any], basis: list[int]) -> NDArray[np.complex128]:
    """Return the coefficients of I, X, Y, Z of each entry [left, right, letter]."""
    (a, b), (c, d) = np.moveaxis(tensor[:, :, basis][:, :, :, basis], (2, 3), (0, 1))
    return np.asarray(0.5 * np.stack([a + d, b + c, 1j * (b - c), a - d], axis=-1), complex)
