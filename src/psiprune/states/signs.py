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
#: Lowest site: sites, whether the sum of their r is odd, flips used.
_Rows = dict[int, tuple[int, bool, int]]
#: Strings that a message lists.
_LISTED = 4


class Rotation(NamedTuple):
    """A Z on each of `sites` makes all matrix elements off the diagonal at most 0.

    Attributes:
        sites: in increasing order.
        unique: whether H can flip each site alone in every configuration. All configurations are
            then connected, and the lowest state is unique and positive.
        doubt: why it does so for the strongest terms alone, so that psi >= 0 needs a test; empty
            where all elements are at most 0.
    """

    sites: tuple[int, ...]
    unique: bool
    doubt: str = ""


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
    rows: _Rows = {}
    lone = 0
    for number, flip in enumerate(flips):
        least, largest = _range(flip)
        if least < 0 < largest:
            raise InputError(
                f"hamiltonian: the matrix elements of {_name(flip)}, and of what flips the same"
                " sites, have both signs, so no rotation about z makes them negative, which would"
                " make psi = sqrt(p) the ground state; choose another basis"
            )
        if least * largest > 0 and flip.flips.bit_count() == 1:
            lone |= flip.flips
        if used := _insert(rows, flip.flips, largest > 0, 1 << number):
            opposed = [each for k, each in enumerate(flips) if used >> k & 1]
            raise InputError(_frustrated(opposed))
    return Rotation(_solution(rows, model.sites), lone == (1 << model.sites) - 1)


def likely_rotation(model: Hamiltonian) -> Rotation:
    """Return `positive_rotation`, or where there is none that of the strongest terms.

    Flips are taken from the largest matrix element down; those of both signs, and those that
    contradict stronger ones, are left out. For the J1-J2 chain with a small J2 it is Marshall's,
    and the ground state is positive all the same; `doubt` says that this needs a test.

    Raises:
        InputError: H is complex or diagonal.
    """
    try:
        return positive_rotation(model)
    except InputError as error:
        doubt = str(error)
        if not any(flip.flips for flip in model.flips):
            raise
    ranges = [(flip.flips, *_range(flip)) for flip in model.flips if flip.flips]
    rows: _Rows = {}
    for sites, least, largest in sorted(ranges, key=lambda each: -max(-each[1], each[2])):
        if not least < 0 < largest:
            _insert(rows, sites, largest > 0, 0)
    return Rotation(_solution(rows, model.sites), unique=False, doubt=doubt)


def _insert(rows: _Rows, sites: int, odd: bool, used: int) -> int:
    """Add an equation, unless it follows from the rows; return the flips used if it contradicts."""
    while sites and (row := rows.get(sites & -sites)) is not None:
        sites, odd, used = sites ^ row[0], odd ^ row[1], used ^ row[2]
    if sites:
        rows[sites & -sites] = sites, odd, used
    return used if odd and not sites else 0


def _solution(rows: _Rows, sites: int) -> tuple[int, ...]:
    """Return the sites with r = 1."""
    turned = 0
    for lowest in sorted(rows, reverse=True):
        members, odd, _ = rows[lowest]
        if (members & turned).bit_count() % 2 != odd:
            turned |= lowest
    return tuple(site for site in range(sites) if turned >> site & 1)


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
        "all negative, which would make psi = sqrt(p) its ground state; drop one of them, or "
        "choose another basis"
    )
