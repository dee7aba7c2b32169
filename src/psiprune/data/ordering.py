"""Test from the shots alone whether their sites are in the order of a chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core import normal as norm
from psiprune.core.limits import ORDER_SITES
from psiprune.core.random import Stream, generator_for

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
_CHUNK = 1 << 23  # bits converted to floats at a time
_SIGNIFICANT = 4.0  # standard errors above which a correlation counts


class Ordering(NamedTuple):
    """A chain through the sites by their strongest correlations, compared with the given order.

    Attributes:
        order: the sites in the order found.
        strength, found_strength: mean of |C| over the bonds of the given and the found order,
            C_ij = <Z_i Z_j> - <Z_i><Z_j>, from shots that the search did not use.
        sigmas: their difference in standard errors; 0 if both orders have the same bonds.
        p_value: the probability of such a difference if the given order is as good.
    """

    order: tuple[int, ...]
    strength: float
    found_strength: float
    sigmas: float
    p_value: float

    def __repr__(self) -> str:
        """Return the first sites of the order and its advantage in one short line."""
        first = ", ".join(map(str, self.order[:8])) + (", ..." if len(self.order) > 8 else "")
        return f"Ordering(order=({first}), sigmas={self.sigmas:.3g}, p_value={self.p_value:.3g})"


def find_order(bits: Bits) -> Ordering | None:
    """Find the chain with the strongest bonds, and test whether it beats the given order.

    In a chain whose correlations decay with distance the bonds are the strongest pairs (Chow & Liu,
    IEEE Trans. Inf. Theory 14, 462 (1968), for trees). So the pairs of a random half of the shots
    are joined, the strongest first, as long as they form paths; separate paths are concatenated in
    the given order. The other half tests whether sum |C| over the bonds is larger than in the given
    order, so that the search does not fit noise.

    A reversed chain has the same bonds, and so has any other symmetry of the correlations. Sites
    without correlations, or with equal correlations between all, have no order.

    Returns:
        None if there is too little data: fewer than 3 or more than 1024 sites, fewer than 100
        shots, or no correlation above 4 standard errors.
    """
    shots, sites = bits.shape
    if not 3 <= sites <= ORDER_SITES or shots < 100:
        return None
    first = generator_for(0, Stream.SITE_ORDER_HALVES).integers(0, 2, shots).astype(bool)
    second = np.logical_not(first)
    weights, signs = _strong_pairs(bits, first)
    if not weights.any():
        return None
    order = _chain(weights)
    mean, number = np.zeros(sites), int(second.sum())
    products = np.zeros(sites - 1)
    for rows in _chunks(bits, second):
        mean += rows.sum(axis=0) / number
        products += (rows[:, :-1] * rows[:, 1:]).sum(axis=0) / number
    in_order = 4 * (products - mean[:-1] * mean[1:])
    strength = float(np.abs(in_order).sum())
    if (np.abs(np.diff(order)) == 1).all():
        return Ordering(tuple(order.tolist()), strength / (sites - 1), strength / (sites - 1), 0, 1)
    # Noise makes |C| of the given bonds too large, while C of the found bonds has a sign from the
    # other half, so a difference in favour of the found order is not due to chance.
    sign = signs[order[:-1], order[1:]]
    gains = []
    for rows in _chunks(bits, second):
        z = 2 * (mean - rows)
        new = (z[:, order[:-1]] * z[:, order[1:]]) @ sign
        gains.append(new - (z[:, :-1] * z[:, 1:]) @ np.sign(in_order))
    gain = np.concatenate(gains)
    error = float(gain.std()) / np.sqrt(number)
    sigmas = float(gain.mean()) / error if error else 0.0
    return Ordering(
        tuple(order.tolist()),
        strength / (sites - 1),
        (strength + float(gain.mean())) / (sites - 1),
        sigmas,
        float(norm.sf(sigmas)),
    )


def _strong_pairs(bits: Bits, chosen: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Return |C_ij| of the chosen shots if significant, else 0, and the sign of C_ij."""
    sites, number = bits.shape[1], int(chosen.sum())
    pairs, mean = np.zeros((sites, sites)), np.zeros(sites)
    for rows in _chunks(bits, chosen):
        pairs += rows.T @ rows / number
        mean += rows.sum(axis=0) / number
    covariance = 4 * (pairs - np.outer(mean, mean))
    variance = 4 * mean * (1 - mean)
    size = np.abs(covariance)
    noise = np.sqrt(np.outer(variance, variance) / number)
    weights = np.where(size > _SIGNIFICANT * noise, size, 0.0)
    np.fill_diagonal(weights, 0.0)
    return weights, np.sign(covariance)


def _chain(weights: Float64) -> NDArray[np.intp]:
    """Return a path through all sites, built greedily from the largest weights, [site]."""
    paths = {site: [site] for site in range(len(weights))}  # keyed by both ends
    i, j = np.nonzero(np.triu(weights))
    for k in np.argsort(-weights[i, j], kind="stable"):
        a, b = int(i[k]), int(j[k])
        if a not in paths or b not in paths or paths[a] is paths[b]:
            continue  # inside a path, or its two ends
        left, right = paths.pop(a), paths.pop(b)
        joined = (left if left[-1] == a else left[::-1]) + (right if right[0] == b else right[::-1])
        paths[joined[0]] = paths[joined[-1]] = joined
    separate = {min(path): path for path in paths.values()}
    rising = [p if p[0] <= p[-1] else p[::-1] for p in separate.values()]
    rising.sort(key=lambda path: sum(path) / len(path))
    return np.array([site for path in rising for site in path])


def _chunks(bits: Bits, chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
    """Yield the chosen shots as float32 in chunks so small that their sums are exact."""
    rows = max(1, min(1 << 20, _CHUNK // bits.shape[1]))
    for start in range(0, len(bits), rows):
        part = slice(start, start + rows)
        yield bits[part][chosen[part]].astype(np.float32)
