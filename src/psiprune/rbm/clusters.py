"""Find the clusters of an RBM: for each hidden unit, a few adjacent sites that hold its weights."""

from __future__ import annotations

from typing import cast

import numpy as np
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]
#: Random orders behind a p-value: with so many its error is below 0.0005, and they take gigabytes.
MOST_PERMUTATIONS = 1_000_000


def find_clusters(
    rbm: RBM,
    *,
    width: int = 3,
    threshold: float = 0.05,
    permutations: int = 10_000,
    seed: int = 0,
) -> xr.Dataset:
    """The strongest window of `width` adjacent sites of every hidden unit, and whether it counts.

    For unit j and the window from site s, with X sites:

        strength_j = max_s sum_{i=s}^{s+X-1} |W_ji|,      share_j = strength_j / sum_i |W_ji|.

    Is it a cluster, or do large weights stand side by side by chance? p_j is the share of random
    orders of the unit's own weights that have a window at least as strong. A cluster counts if
    p_j <= threshold. Weights in random order, as those of an untrained RBM are, pass this test in
    at most a share `threshold` of the units: 0.45 of 9 by default.

    Weights are dealt anew among the positions of the mask only, so a mask that was imposed is no
    evidence. Where pruning itself chose the mask, give the RBM without it,
    `RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias)`: what is pruned then counts as weight 0.
    If the X largest weights stand side by side, p = (N - X + 1) / C(N, X): 0.02 for three of 18
    sites, and above 0.05 below 12 sites, where no cluster of three can count by default.

    Golubeva & Melko 2021, Section III B: "for each hidden unit, there is one cluster of three
    weights with significantly larger magnitude than the rest".

    Args:
        rbm: any RBM.
        width: X, sites of a cluster.
        threshold: the largest p that counts, in (0, 1]; 1 takes every unit's best window.
        permutations: random orders behind each p; its standard error is at most 0.005.
        seed: of the random orders.

    Returns:
        A dataset over `hidden` with first_site, strength, share, p_value (at least
        1 / (permutations + 1)) and found, and over (hidden, visible) with inside, True at the
        positions of clusters that count. width, threshold, permutations and seed are attributes.

    Raises:
        InputError: width is not 2 .. N, threshold not in (0, 1], permutations not 1 .. 10^6.
    """
    if check_count("width", width, 2) > rbm.visible:
        raise InputError(f"width: the RBM has {rbm.visible} sites, found {width}")
    rule = "above 0 and at most 1"
    threshold = check_number("threshold", threshold, rule, lambda x: 0 < x <= 1)
    check_count("permutations", permutations, 1, MOST_PERMUTATIONS)
    generator = generator_for(check_seed(seed), Stream.CLUSTER_NULL)
    first, strength, share = strongest_windows(rbm.weights, width)
    p_value = np.array(
        [
            _chance(np.abs(row), there, best, width, permutations, generator)
            for row, there, best in zip(rbm.weights, rbm.mask, strength, strict=True)
        ]
    )
    found = p_value <= threshold
    sites = np.arange(rbm.visible)
    inside = (sites >= first[:, None]) & (sites < first[:, None] + width) & found[:, None]

    def meaning(text: str) -> dict[str, str]:
        return {"long_name": text, "units": "1"}

    return xr.Dataset(
        {
            "first_site": ("hidden", first, {"long_name": "first site", "units": "sites"}),
            "strength": ("hidden", strength, meaning("sum of |W| in the window")),
            "share": ("hidden", share, meaning("strength over the unit's sum of |W|")),
            "p_value": ("hidden", p_value, meaning("random orders with a window as strong")),
            "found": ("hidden", found, meaning("whether the window counts as a cluster")),
            "inside": (("hidden", "visible"), inside, meaning("positions of found clusters")),
        },
        attrs={
            "width": width,
            "threshold": threshold,
            "permutations": permutations,
            "seed": seed,
        },
    )


def strongest_windows(weights: Float64, width: int) -> tuple[NDArray[np.intp], Float64, Float64]:
    """(first site, strength, share) of each unit's strongest window, all [hidden].

    See `find_clusters`; the leftmost of equals, and share 0 of a unit without weights.
    """
    sizes = np.abs(weights)
    sums, total = _windows(sizes, width), sizes.sum(axis=1)
    strength = sums.max(axis=1)
    share = np.divide(strength, total, out=np.zeros_like(total), where=total > 0)
    return sums.argmax(axis=1), strength, share


def best_widths(weights: Float64, largest: int) -> NDArray[np.intp]:
    """How many adjacent sites divide each unit's |W| best into large and small, [hidden].

    For a window of X sites with the sum S, of N sites with the mean m, two values (one inside, one
    outside) leave less of the sum of squares than one value does by

        (S - X m)^2 N / (X (N - X)).

    The width of the window that saves most, of all with 1 .. largest < N sites and S > X m; the
    narrowest of equals. All widths have the same number of parameters, so none is favoured.

    Raises:
        InputError: largest is not 1 .. N - 1.
    """
    sizes = np.abs(weights)
    sites, mean = sizes.shape[1], sizes.mean(axis=1, keepdims=True)
    if check_count("largest", largest, 1) >= sites:
        raise InputError(f"largest: must leave a site of {sites} outside, found {largest}")
    saved = []
    for width in range(1, largest + 1):
        above = np.maximum(_windows(sizes, width) - width * mean, 0.0).max(axis=1)
        saved.append(above**2 * sites / (width * (sites - width)))
    return 1 + np.argmax(saved, axis=0)


def second_windows(
    weights: Float64, width: int, *, permutations: int = 10_000, seed: int = 0
) -> Float64:
    """Whether a unit has a second cluster: the p-value of its strongest window elsewhere, [hidden].

    Elsewhere: without the sites of its strongest window and those beside it, which a wider cluster
    would cover as well. p is the share of random orders of the weights there that have a window at
    least as strong, as in `find_clusters`; 1 where there is no room for one.
    """
    generator = generator_for(check_seed(seed), Stream.SECOND_CLUSTER_NULL)
    first, _, _ = strongest_windows(weights, width)
    sites = np.arange(weights.shape[1])
    found = []
    for row, start in zip(np.abs(weights), first, strict=True):
        there = (sites < start - 1) | (sites > start + width)
        windows: NDArray[np.bool_] = np.all(sliding_window_view(there, width), axis=1)
        if not windows.any():
            found.append(1.0)
            continue
        best = float(_windows(row[None], width)[0, windows].max())
        found.append(_chance(row, there, best, width, permutations, generator, windows))
    return np.array(found)


def _windows(sizes: Float64, width: int) -> Float64:
    """Sums over all windows, [row, site] -> [row, first site]."""
    windows = sliding_window_view(sizes, width, axis=1)
    return cast(Float64, windows.sum(axis=-1))


def _chance(
    sizes: Float64,
    there: NDArray[np.bool_],
    best: float,
    width: int,
    permutations: int,
    generator: np.random.Generator,
    windows: NDArray[np.bool_] | slice = slice(None),
) -> float:
    """The share of random orders of a unit's weights with a window at least as strong as `best`."""
    orders = np.zeros((permutations, len(sizes)))
    orders[:, there] = generator.permuted(np.tile(sizes[there], (permutations, 1)), axis=1)
    # The same weights added in another order may differ in the last bit.
    as_strong = _windows(orders, width)[:, windows].max(axis=1) >= best * (1 - 1e-12)
    return float((1 + np.count_nonzero(as_strong)) / (1 + permutations))
