"""Whether the sites of measured shots stand in the order of a chain, as the shots alone show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from psiprune.core.random import Stream, generator_for

Float64 = NDArray[np.float64]
Bits = NDArray[np.uint8]
#: Sites up to which all pairs are looked at: a matrix of 8 MiB.
MOST_SITES = 1024
_CHUNK = 1 << 23  # bits that are turned into floats at a time
_SIGNIFICANT = 4.0  # standard errors from which a correlation counts


class Ordering(NamedTuple):
    """A chain through the sites by their strongest correlations, against the order given.

    Attributes:
        order: the sites in the order that was found.
        strength, found_strength: mean of |C| over the bonds of the order given and of that found,
            C_ij = <Z_i Z_j> - <Z_i><Z_j>, from shots that the search did not see.
        sigmas: their difference in standard errors; 0 if the two orders have the same bonds.
        p_value: the chance of such a difference if the order given is as good.
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
    """The chain through the sites with the strongest bonds, and whether it beats the order given.

    In a chain whose correlations fall with distance the bonds are the strongest pairs (Chow & Liu,
    IEEE Trans. Inf. Theory 14, 462 (1968), for trees). So the strongest pairs of a random half of
    the shots are joined, the strongest first, as long as that leaves a path; what is left apart is
    put together in the order given. The other half of the shots tells whether sum |C| over the
    bonds is larger than in the order given, so that the search cannot find what is noise only.

    A reversed chain has the same bonds, and so has any other symmetry of the correlations; sites
    without correlations, or with the same one between all, have no order to be found.

    Returns:
        None where there is nothing to compare: fewer than 3 or more than 1024 sites, fewer than
        100 shots, or no correlation of 4 standard errors.
    """
    shots, sites = bits.shape
    if not 3 <= sites <= MOST_SITES or shots < 100:
        return None
    first = generator_for(0, Stream.SITE_ORDER_HALVES).integers(0, 2, shots).astype(bool)
    second = np.logical_not(first)
    weights, signs = _strong_pairs(bits, first)
    if not weights.any():
        return None
    order = _chain(weights)
    mean, number = np.zeros(sites), int(second.sum())
    both = np.zeros(sites - 1)
    for rows in _chunks(bits, second):
        mean += rows.sum(axis=0) / number
        both += (rows[:, :-1] * rows[:, 1:]).sum(axis=0) / number
    given = 4 * (both - mean[:-1] * mean[1:])
    strength = float(np.abs(given).sum())
    if (np.abs(np.diff(order)) == 1).all():
        return Ordering(tuple(order.tolist()), strength / (sites - 1), strength / (sites - 1), 0, 1)
    # |C| of the bonds given is too large by noise, and C of those found has the sign of the search,
    # so a difference in favour of the order found is none of chance.
    found = signs[order[:-1], order[1:]]
    gains = []
    for rows in _chunks(bits, second):
        z = 2 * (mean - rows)
        new = (z[:, order[:-1]] * z[:, order[1:]]) @ found
        gains.append(new - (z[:, :-1] * z[:, 1:]) @ np.sign(given))
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
    """|C_ij| of the chosen shots where it is more than noise, else 0, and the sign of C_ij."""
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
    """A path through all sites, by the largest weights that leave a path, [site]."""
    pieces = {site: [site] for site in range(len(weights))}  # by both of their ends
    i, j = np.nonzero(np.triu(weights))
    for k in np.argsort(-weights[i, j], kind="stable"):
        a, b = int(i[k]), int(j[k])
        if a not in pieces or b not in pieces or pieces[a] is pieces[b]:
            continue  # inside a piece, or the two ends of one
        left, right = pieces.pop(a), pieces.pop(b)
        joined = (left if left[-1] == a else left[::-1]) + (right if right[0] == b else right[::-1])
        pieces[joined[0]] = pieces[joined[-1]] = joined
    apart = {min(piece): piece for piece in pieces.values()}
    rising = [p if p[0] <= p[-1] else p[::-1] for p in apart.values()]
    rising.sort(key=lambda piece: sum(piece) / len(piece))
    return np.array([site for piece in rising for site in piece])


def _chunks(bits: Bits, chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
    """The chosen shots as floats, a bounded number at a time: sums of them are exact in float32."""
    rows = max(1, min(1 << 20, _CHUNK // bits.shape[1]))
    for start in range(0, len(bits), rows):
        part = slice(start, start + rows)
        yield bits[part][chosen[part]].astype(np.float32)
