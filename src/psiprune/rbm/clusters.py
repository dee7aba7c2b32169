"""Find the clusters of an RBM: for each hidden unit, adjacent sites with most of its weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_PERMUTATIONS
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.rbm.model import RBM

if TYPE_CHECKING:
    import xarray as xr

Float64 = NDArray[np.float64]


def find_clusters(
    rbm: RBM, *, width: int = 3, threshold: float = 0.05, permutations: int = 10_000, seed: int = 0
) -> xr.Dataset:
    """Find the strongest window of `width` adjacent sites of every hidden unit, and its p-value.

    For unit j and the window from site s, with X sites:

        strength_j = max_s sum_{i=s}^{s+X-1} |W_ji|,      share_j = strength_j / sum_i |W_ji|.

    The null hypothesis is that large weights are adjacent by chance: p_j is the share of random
    orders of the unit's weights that have a window at least as strong. A window is a cluster if
    p_j <= threshold. Of weights in random order, as in an untrained RBM, at most a share
    `threshold` of the units passes: 0.45 of 9 by default.

    Weights are permuted among the positions of the mask only, so an imposed mask is no evidence.
    Where pruning chose the mask, pass the RBM without it,
    `RBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias)`: pruned weights then count as 0.
    If the X largest weights are adjacent, p = (N - X + 1) / C(N, X): 0.02 for three of 18 sites,
    and above 0.05 below 12 sites, where no cluster of three can pass by default.

    Golubeva & Melko 2022, Section III B: "for each hidden unit, there is one cluster of three
    weights with significantly larger magnitude than the rest".

    Args:
        rbm: any RBM.
        width: X, sites of a cluster.
        threshold: the largest p of a cluster, in (0, 1]; 1 accepts every unit's best window.
        permutations: random orders per p; its standard error is at most 0.005.
        seed: of the random orders.

    Returns:
        A dataset over `hidden` with first_site, strength, share, p_value (at least
        1 / (permutations + 1)) and found, and over (hidden, visible) with inside, True at the
        positions of clusters. width, threshold, permutations and seed are attributes.

    Raises:
        InputError: width is not 2 .. N, threshold not in (0, 1], permutations not 1 .. 10^6.
    """
    import xarray as xr

    if check_count("width", width, 2) > rbm.visible:
        raise InputError(f"width: the RBM has {rbm.visible} sites, found {width}")
    rule = "above 0 and at most 1"
    threshold = check_number("threshold", threshold, rule, lambda x: 0 < x <= 1)
    check_count("permutations", permutations, 1, MOST_PERMUTATIONS)
    p_value = cluster_p_values(rbm, width, permutations=permutations, seed=check_seed(seed))
    first, strength, share = strongest_windows(rbm.weights, width)
    is_cluster = p_value <= threshold
    sites = np.arange(rbm.visible)
    inside = (sites >= first[:, None]) & (sites < first[:, None] + width) & is_cluster[:, None]
    variables = {
        "first_site": ("hidden", first, "first site", "sites"),
        "strength": ("hidden", strength, "sum of |W| in the window", "1"),
        "share": ("hidden", share, "strength over the unit's sum of |W|", "1"),
        "p_value": ("hidden", p_value, "random orders with a window as strong", "1"),
        "found": ("hidden", is_cluster, "whether the window counts as a cluster", "1"),
        "inside": (("hidden", "visible"), inside, "positions of found clusters", "1"),
    }
    labelled = {
        name: (dims, values, {"long_name": label, "units": units})
        for name, (dims, values, label, units) in variables.items()
    }
    dataset = xr.Dataset(labelled)
    return dataset.assign_attrs(
        width=width, threshold=threshold, permutations=permutations, seed=seed
    )


def cluster_p_values(rbm: RBM, width: int, *, permutations: int = 10_000, seed: int = 0) -> Float64:
    """Return the p-value of each unit's strongest window, [hidden]; see `find_clusters`."""
    generator = generator_for(seed, Stream.CLUSTER_NULL)
    _, strength, _ = strongest_windows(rbm.weights, width)
    p_values = [
        _p_value(np.abs(row), movable, best, width, permutations, generator)
        for row, movable, best in zip(rbm.weights, rbm.mask, strength, strict=True)
    ]
    return np.array(p_values)


def strongest_windows(weights: Float64, width: int) -> tuple[NDArray[np.intp], Float64, Float64]:
    """Return (first site, strength, share) of each unit's strongest window, all [hidden].

    See `find_clusters`. Ties go to the leftmost window; a unit without weights has share 0.
    """
    sizes = np.abs(weights)
    sums, total = _windows(sizes, width), sizes.sum(axis=1)
    strength = sums.max(axis=1)
    share = np.divide(strength, total, out=np.zeros_like(total), where=total > 0)
    return sums.argmax(axis=1), strength, share


def best_widths(weights: Float64, largest: int) -> NDArray[np.intp]:
    """Return the window width that best splits each unit's |W| into large and small, [hidden].

    For a window of X of N sites with the sum S, and the mean m of all sites, fitting two values
    (inside, outside) instead of one reduces the residual sum of squares by

        (S - X m)^2 N / (X (N - X)).

    The width is that of the window with the largest reduction, of all with 1 .. largest < N sites
    and S > X m; the narrowest of equals. All widths have the same number of parameters.

    Raises:
        InputError: largest is not 1 .. N - 1.
    """
    sizes = np.abs(weights)
    sites, mean = sizes.shape[1], sizes.mean(axis=1, keepdims=True)
    if check_count("largest", largest, 1) >= sites:
        raise InputError(f"largest: must be below the number of sites, {sites}, found {largest}")
    reductions = []
    for width in range(1, largest + 1):
        above = np.maximum(_windows(sizes, width) - width * mean, 0.0).max(axis=1)
        reductions.append(above**2 * sites / (width * (sites - width)))
    return 1 + np.argmax(reductions, axis=0)


def second_windows(
    weights: Float64, width: int, *, permutations: int = 10_000, seed: int = 0
) -> Float64:
    """Return the p-value of each unit's second cluster, its strongest window elsewhere, [hidden].

    The sites of the strongest window and those next to it, which a wider cluster would cover, are
    excluded. p is the share of random orders of the other weights that have a window at least as
    strong, as in `find_clusters`; 1 where no window fits.
    """
    generator = generator_for(check_seed(seed), Stream.SECOND_CLUSTER_NULL)
    first, _, _ = strongest_windows(weights, width)
    sites = np.arange(weights.shape[1])
    p_values = []
    for row, start in zip(np.abs(weights), first, strict=True):
        outside = (sites < start - 1) | (sites > start + width)
        windows: NDArray[np.bool_] = np.all(sliding_window_view(outside, width), axis=1)
        if not windows.any():
            p_values.append(1.0)
            continue
        best = float(_windows(row[None], width)[0, windows].max())
        p_values.append(_p_value(row, outside, best, width, permutations, generator, windows))
    return np.array(p_values)


def _windows(sizes: Float64, width: int) -> Float64:
    """Return sums over all windows, [row, site] -> [row, first site]."""
    windows = sliding_window_view(sizes, width, axis=1)
    return cast(Float64, windows.sum(axis=-1))


def _p_value(
    sizes: Float64,
    movable: NDArray[np.bool_],
    best: float,
    width: int,
    permutations: int,
    generator: np.random.Generator,
    windows: NDArray[np.bool_] | slice = slice(None),
) -> float:
    """Return the share of random orders of a unit's weights with a window as strong as `best`."""
    orders = np.zeros((permutations, len(sizes)))
    orders[:, movable] = generator.permuted(np.tile(sizes[movable], (permutations, 1)), axis=1)
    # The same weights summed in another order may differ in the last bit.
    as_strong = _windows(orders, width)[:, windows].max(axis=1) >= best * (1 - 1e-12)
    return float((1 + np.count_nonzero(as_strong)) / (1 + permutations))
