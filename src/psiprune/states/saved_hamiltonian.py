"""Hamiltonians as variables of the NetCDF file of a state."""

from __future__ import annotations

from typing import Any

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import Stored
from psiprune.states.hamiltonian import Hamiltonian

#: Letters by their number in a file: bit 0 flips the site, bit 1 takes its sign.
_LETTERS = np.array(["I", "X", "Z", "Y"])
#: The variables of a Hamiltonian, and one that it may have.
VARIABLES = ("pauli", "coefficient")
POSITION = "position"


def variables_of(model: Hamiltonian) -> dict[str, Any]:
    """Return `pauli` [term, site], `coefficient` [term] and any `position` [site, axis]."""
    pauli = np.zeros((len(model.terms), model.sites), dtype=np.uint8)
    for row, term in zip(pauli, model.terms, strict=True):
        for site, letter in term.letters.items():
            row[site] = int(np.flatnonzero(letter == _LETTERS)[0])
    coefficients = np.array([term.coefficient for term in model.terms])
    meaning = {"convention": "0 is I, 1 is X, 2 is Z, 3 is Y", "units": "1"}
    units = {"units": "those of the model"}
    places = {}
    if model.positions is not None:
        places = {POSITION: (("site", "axis"), np.array(model.positions), units)}
    return {
        "pauli": (("term", "site"), pauli, meaning),
        "coefficient": (("term",), coefficients, units),
        **places,
    }


def hamiltonian_from(stored: Stored) -> Hamiltonian | None:
    """Return the Hamiltonian of a file, None if it has none.

    Raises:
        InputError: the variables do not fit together, or as `Hamiltonian`.
    """
    found = [name in stored.variables for name in VARIABLES]
    if not any(found):
        return None
    if not all(found):
        raise InputError(f"needs both of the variables {', '.join(VARIABLES)}")
    pauli, coefficients = (stored.variables[name][1] for name in VARIABLES)
    if pauli.ndim != 2 or coefficients.shape != pauli.shape[:1] or not (pauli < 4).all():
        raise InputError(
            "pauli, coefficient: must be [term, site] of 0 to 3 and [term], found shapes"
            f" {pauli.shape} and {coefficients.shape}"
        )
    labels = ["".join(row) for row in _LETTERS[pauli]]
    terms = dict(zip(labels, coefficients.tolist(), strict=True))
    places = stored.variables[POSITION][1] if POSITION in stored.variables else None
    name = str(stored.attributes.get("hamiltonian", ""))
    return Hamiltonian(terms, name=name, positions=places)
