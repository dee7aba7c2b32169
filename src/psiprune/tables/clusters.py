"""The clusters of an RBM as plain text and plain numbers."""

from __future__ import annotations

from typing import Any

import xarray as xr

from psiprune.tables.common import align


def clusters_text(clusters: xr.Dataset) -> str:
    """A line for each hidden unit with its strongest window, then how many of them count."""
    own = clusters_numbers(clusters)
    rows = [["unit", "sites", "share of |W|", "p", "cluster"]]
    rows += [
        [
            str(one["unit"]),
            f"{one['first_site']} to {one['first_site'] + own['width'] - 1}",
            f"{one['share']:.2f}",
            f"{one['p_value']:.2g}",
            "yes" if one["found"] else "no",
        ]
        for one in own["units"]
    ]
    counted = (
        f"{own['found']} of {len(own['units'])} units with a cluster of {own['width']} sites "
        f"(p <= {own['threshold']:g})"
    )
    return f"{align(rows)}\n{counted}"


def clusters_numbers(clusters: xr.Dataset) -> dict[str, Any]:
    """The same for JSON; units and sites from 0."""
    units = [
        {
            "unit": unit,
            "first_site": int(clusters["first_site"][unit]),
            "strength": float(clusters["strength"][unit]),
            "share": float(clusters["share"][unit]),
            "p_value": float(clusters["p_value"][unit]),
            "found": bool(clusters["found"][unit]),
        }
        for unit in range(clusters.sizes["hidden"])
    ]
    return {
        "width": int(clusters.attrs["width"]),
        "threshold": float(clusters.attrs["threshold"]),
        "found": sum(one["found"] for one in units),
        "units": units,
    }
