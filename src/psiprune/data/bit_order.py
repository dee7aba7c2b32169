"""The order of bits in shots of another program's files, compared between two sets of shots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from psiprune.data.formats.base import REVERSED


def bit_order_of(provenance: Mapping[str, Any]) -> str:
    """Return format and order of the bits, such as "qiskit: site 0 is bit 0"; "" if not known.

    Of joined shots the one that all parts have.
    """
    joined = provenance.get("joined")
    if not isinstance(joined, list) or not joined:
        return _of_one(provenance)
    orders = {bit_order_of(part) if isinstance(part, Mapping) else "" for part in joined}
    return orders.pop() if len(orders) == 1 else ""


def are_opposite(one: str, other: str) -> bool:
    """Return whether two orders are of one format, and one is the reverse of the other."""
    reverse = [f": {REVERSED}" in order for order in (one, other)]
    plain = [order.replace(f": {REVERSED}", ": ", 1) for order in (one, other)]
    return plain[0] == plain[1] and reverse[0] != reverse[1]


def qubits_of(order: str) -> list[str]:
    """Return the qubit of each site where an order names them, as that of Braket does; else []."""
    match = re.fullmatch(rf"\w+: ({REVERSED})?sites are the qubits ([\d, ]+)", order)
    if match is None:
        return []
    names = match[2].split(", ")
    return names[::-1] if match[1] else names


def order_of_sites(order: str, sites: Sequence[int]) -> str:
    """Return the order of bits of these sites, as they are listed; "" where it has no name.

    The qubits, if the order names them. Else the order itself where the sites rise, and its reverse
    where they fall.
    """
    form, _, listed = order.partition(": ")
    if qubits := qubits_of(order):
        return f"{form}: sites are the qubits {', '.join(qubits[site] for site in sites)}"
    rising, falling = (all(sign * (b - a) > 0 for a, b in pairwise(sites)) for sign in (1, -1))
    if not order or rising == falling:  # neither, or a single site
        return ""
    if rising:
        return order
    reverse = listed.removeprefix(REVERSED)
    return f"{form}: {reverse if reverse != listed else REVERSED + listed}"


def _of_one(provenance: Mapping[str, Any]) -> str:
    form, order = provenance.get("format"), provenance.get("bit_order")
    return f"{form}: {order}" if isinstance(form, str) and isinstance(order, str) else ""
