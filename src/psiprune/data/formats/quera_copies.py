"""Copies of a register that run in parallel on QuEra's machine: which atom is of which copy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.data.formats.base import brief, part
from psiprune.data.formats.names import choose


class Copies(NamedTuple):
    """The chosen copies of a register.

    Attributes:
        places: [copy, site], the place of each atom in the sequences of the file; with one row if
            the copies are kept apart, as sites of one register.
        names: of the copies, their indices in the file, "0,1".
        order: which atoms the sites are, in words.
    """

    places: NDArray[np.intp]
    names: tuple[str, ...]
    order: str

    def within(self, sites: int, place: str) -> NDArray[np.intp]:
        """Return the places; raise `InputError` if one lies outside a register of `sites`."""
        if self.places.max() >= sites:
            raise InputError(
                f"{place}: parallel_decoder: global_location_index {self.places.max()} is not one "
                f"of the {sites} sites of the register"
            )
        return self.places


def read_copies(decoder: Any, wanted: tuple[str, ...], apart: bool, place: str) -> Copies:
    """Read Bloqade's `parallel_decoder`, which lists for every atom its copy and its site there.

    Args:
        decoder: {"mapping": [{"cluster_index": [0, 1], "cluster_location_index": 2,
            "global_location_index": 5}, ...]}; atoms may be listed in any order.
        wanted: names of the copies to take, such as "0,1"; all if empty.
        apart: whether the copies become sites of one register, copy after copy.
        place: for messages.

    Raises:
        InputError: the entries are not of this form, a site of a copy occurs twice, or the copies
            differ in their sites.
    """
    copies: dict[str, dict[int, int]] = {}
    taken: set[int] = set()
    for number, atom in enumerate(part(decoder, "mapping", list, f"{place}: parallel_decoder")):
        where = f"{place}: parallel_decoder: atom {number}"
        cluster = part(atom, "cluster_index", list, where)
        site = part(atom, "cluster_location_index", int, where)
        position = part(atom, "global_location_index", int, where)
        sites = copies.setdefault(",".join(map(str, cluster))[:60], {})
        if position < 0 or site in sites or position in taken:
            raise InputError(
                f"{where}: site {site} of copy {brief(cluster)} at place {position}: each site of "
                "a copy must occur once and have a place of its own"
            )
        sites[site] = position
        taken.add(position)
    if not copies or len({frozenset(sites) for sites in copies.values()}) > 1:
        sizes = ", ".join(str(len(sites)) for sites in copies.values())[:60]
        raise InputError(
            f"{place}: parallel_decoder: the copies must have the same sites, found copies of "
            f"{sizes or 'no'} atoms"
        )
    names = choose(list(copies), wanted or ("*",), "copy", place)
    places = np.array([[at for _, at in sorted(copies[name].items())] for name in names])
    if not apart:
        order = "sites are the atoms of a copy by cluster_location_index; each copy is a shot"
        return Copies(places, tuple(names), order)
    order = f"sites are the atoms of copy {' then '.join(names)} by cluster_location_index"
    return Copies(places.reshape(1, -1), tuple(names), order)
