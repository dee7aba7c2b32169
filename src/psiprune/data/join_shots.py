"""Shots of several runs as one set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psiprune.core.exceptions import InputError
from psiprune.core.text import counted
from psiprune.data.formats.bits import check_size
from psiprune.data.pauli_bases import PauliBases
from psiprune.data.shots import Shots, ShotsLike, as_shots


def join_shots(parts: Sequence[ShotsLike]) -> Shots:
    """Join the shots of several runs in the order given; the provenance lists that of each.

    Runs may be in different bases, which the result keeps for each shot.

    Raises:
        InputError: there are none, or they differ in the number of sites or in readout errors.
    """
    if not parts:
        raise InputError("shots: needs at least one set of shots to join, found none")
    first, *others = sets = [as_shots(part) for part in parts]
    for other in others:
        if other.sites != first.sites:
            raise InputError(
                f"{other.source}: has {counted(other.sites, 'site')}, but {first.source} has "
                f"{first.sites}; only shots of one system can be joined"
            )
    if not others:
        return first
    readout = first.readout and first.readout.full_digest
    for other in others:
        if (other.readout and other.readout.full_digest) != readout:
            raise InputError(
                f"{other.source}: has other readout errors than {first.source}; only shots with "
                "the same readout errors can be joined"
            )
    check_size(sum(map(len, sets)), first.sites, "joined shots")
    return Shots(
        np.concatenate([part.bits for part in sets]),
        basis=_joined(sets),
        source=", ".join(part.source for part in sets),
        provenance={"joined": [dict(part.provenance) for part in sets]},
        readout=first.readout,
    )


def _joined(sets: Sequence[Shots]) -> PauliBases:
    """Return the bases of sets of shots one after the other."""
    names = {
        name: number for number, name in enumerate(dict.fromkeys(n for s in sets for n in s.bases))
    }
    index = [np.array([names[name] for name in part.bases])[part.basis_of] for part in sets]
    return PauliBases(tuple(names), np.concatenate(index))
