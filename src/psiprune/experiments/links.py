"""Over which distances the links of an RBM reach."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.rbm.geometry import geometry_of


def links_by_length(
    weights: NDArray[np.float64], positions: NDArray[np.float64] | None = None
) -> xr.Dataset:
    """Return the numbers of links of each length from the middles of the hidden units.

    The middle of a unit is the site of its largest |W_ji|, the first of several. Units without
    links have none.

    Args:
        weights: W, 0 where there is no link, [hidden, site].
        positions: of sites not on a chain, [site, axis]; lengths are then rounded distances, in
            units of the median distance between nearest neighbours.

    Returns:
        Over length 0 .. N - 1, summed over units: links, and possible_links, the number of sites at
        that distance. links / possible_links is what pruning has retained.
    """
    linked = weights[weights.any(axis=1)]
    sites = weights.shape[1]
    middle = np.abs(linked).argmax(axis=1)
    apart = geometry_of(sites, sites, False, positions).distance
    distance = np.minimum(apart.round().astype(int), sites - 1)[middle]
    counts = {
        "links": np.bincount(distance[linked != 0], minlength=sites),
        "possible_links": np.bincount(distance.ravel(), minlength=sites),
    }
    return xr.Dataset({name: ("length", count) for name, count in counts.items()})
