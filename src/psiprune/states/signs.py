"""Rotations about z that make a ground state nonnegative, as psi = sqrt(p) requires.

A Z on a site changes the sign of its X and Y and leaves p(bits) as it is. If all matrix elements
of H off the diagonal are then at most 0, the lowest state of H has amplitudes of one sign (Perron
and Frobenius; Bravyi et al., Quantum Inf. Comput. 8, 361 (2008)). For the Heisenberg chain the
rotation is that of one sublattice (Marshall, Proc. R. Soc. A 232, 48 (1955)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.states.hamiltonian import Flip, Hamiltonian, PauliTerm

#: Sites that the matrix elements of one flip may depend on. Time: 2^16 configurations of each.
_MOST_SITES = 16
#: Matrix elements below this part of the sum of their terms are rounding errors.
_ROUNDING = 1e-13
#: Strings that a message lists.
_LISTED = 4


class Rotation(NamedTuple):
    """A Z on each of `sites` makes all matrix elements off the diagonal at most 0.

    Attributes:
        sites: in increasing order.
        unique: whether H can flip each site alone in every configuration. All configurations are
            then connected, and the lowest state is unique and positive.
    """

    sites: tuple[int, ...]
    unique: bool


def positive_rotation(model: Hamiltonian) -> Rotation:
    """Find the sites whose rotation about z by pi makes the ground state nonnegative.

    The elements of each flip f must have one sign; then sum_{i in f} r_i = 1 (mod 2) where it is
    positive, else 0, with r_i = 1 on rotated sites. The equations are solved by elimination.

    Raises:
        InputError: H is complex or diagonal, the elements of a flip have both signs, or no
            rotation makes all of them negative (frustration).
    """
    flips = [flip for flip in model.flips if flip.flips]
    if not flips:
        raise InputError(
            "hamiltonian: has only Z, so its eigenstates are single configurations; add a term "
            "that flips sites, such as a field along X"
        )
    rows: dict[int, tuple[int, bool, int]] = {}  # lowest site: sites, their sum, flips used
    lone = 0
    for number, flip in enumerate(flips):
        least, largest = _range(flip)
        if least < 0 < largest:
            raise InputError(
                f"hamiltonian: the matrix elements of {_name(flip)}, and of what flips the same"
                " sites, have both signs, so no rotation about z makes psi >= 0, as psi = sqrt(p)"
                " requires; choose another basis"
            )
        if least * largest > 0 and flip.flips.bit_count() == 1:
            lone |= flip.flips
        sites, odd, used = flip.flips, largest > 0, 1 << number
        while sites and (row := rows.get(sites & -sites)) is not None:
            sites, odd, used = sites ^ row[0], odd ^ row[1], used ^ row[2]
        if sites:
            rows[sites & -sites] = sites, odd, used
        elif odd:
            opposed = [each for k, each in enumerate(flips) if used >> k & 1]
            raise InputError(_frustrated(opposed))
    turned = 0
    for lowest in sorted(rows, reverse=True):
        sites, odd, _ = rows[lowest]
        if (sites & turned).bit_count() % 2 != odd:
            turned |= lowest
    chosen = tuple(site for site in range(model.sites) if turned >> site & 1)
    return Rotation(chosen, lone == (1 << model.sites) - 1)


def positive_frame(model: Hamiltonian) -> Hamiltonian:
    """Return the Hamiltonian of psi = sqrt(p): rotated as `positive_rotation` says.

    Raises:
        InputError: as `positive_rotation`.
    """
    return model.rotated(positive_rotation(model).sites)


def _range(flip: Flip) -> tuple[float, float]:
    """Return the smallest and the largest matrix element; rounding errors count as 0."""
    both = 0
    for signs in flip.signs:
        both |= signs
    sites = [site for site in range(both.bit_length()) if both >> site & 1]
    if len(sites) > _MOST_SITES:
        raise InputError(
            f"hamiltonian: the terms that flip the sites of {_name(flip)} have Z or Y on"
            f" {len(sites)} sites, and their signs can be tested on at most {_MOST_SITES}"
        )
    narrow = tuple(
        sum((signs >> site & 1) << bit for bit, site in enumerate(sites)) for signs in flip.signs
    )
    elements = flip._replace(signs=narrow).elements(np.arange(1 << len(sites)))
    elements[np.abs(elements) <= _ROUNDING * sum(map(abs, flip.weights))] = 0.0
    return float(elements.min()), float(elements.max())


def _name(flip: Flip) -> str:
    """Return the first of the strings."""
    return PauliTerm(flip.flips, flip.signs[0], flip.weights[0]).string


def _frustrated(flips: Sequence[Flip]) -> str:
    shown = ", ".join(map(_name, flips[:_LISTED]))
    more = f" and {len(flips) - _LISTED} more" if len(flips) > _LISTED else ""
    return (
        f"hamiltonian: frustrated: no rotation about z makes the matrix elements of {shown}{more} "
        "all negative, so psi = sqrt(p) cannot be its ground state; drop one of them, or choose "
        "another basis"
    )
