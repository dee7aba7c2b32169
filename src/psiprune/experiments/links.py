"""Over which distances the links of an RBM on a chain reach."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def links_by_length(weights: NDArray[np.float64]) -> xr.Dataset:
    """Return the numbers of links of each length from the middles of the hidden units.

    The middle of a unit is the site of its largest |W_ji|, the first of several. Units without
    links have none.

    Args:
        weights: W, 0 where there is no link, [hidden, site].

    Returns:
        Over length 0 .. N - 1, summed over units: links, and possible_links, the number of sites at
        that distance. links / possible_links is what pruning has retained.
    """
    linked = weights[weights.any(axis=1)]
    sites = weights.shape[1]
    middle = np.abs(linked).argmax(axis=1)
    distance = np.abs(np.arange(sites) - middle[:, None])
    counts = {
        "links": np.bincount(distance[linked != 0], minlength=sites),
        "possible_links": np.bincount(distance.ravel(), minlength=sites),
    }
    return xr.Dataset({name: ("length", count) for name, count in counts.items()})
