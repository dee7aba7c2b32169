"""The order of bits in shots of another program's files, compared between two sets of shots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psiprune.data.formats.base import REVERSED


def bit_order_of(provenance: Mapping[str, Any]) -> str:
    """Return format and order of the bits, such as "qiskit: site 0 is bit 0"; "" if not known.

    Of joined shots the one that all parts have.
    """
    joined = provenance.get("joined")
    parts = joined if isinstance(joined, list) and joined else [provenance]
    orders = {_of_one(part) for part in parts}
    return orders.pop() if len(orders) == 1 else ""


def are_opposite(one: str, other: str) -> bool:
    """Return whether two orders are of one format, and one is the reverse of the other."""
    reverse = [f": {REVERSED}" in order for order in (one, other)]
    plain = [order.replace(f": {REVERSED}", ": ", 1) for order in (one, other)]
    return plain[0] == plain[1] and reverse[0] != reverse[1]


def _of_one(provenance: Any) -> str:
    named = provenance if isinstance(provenance, Mapping) else {}
    form, order = named.get("format"), named.get("bit_order")
    return f"{form}: {order}" if isinstance(form, str) and isinstance(order, str) else ""
