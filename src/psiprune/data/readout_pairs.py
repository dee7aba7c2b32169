"""Readout errors against the shots: frequencies of two bits that no state can produce.

A state that is symmetric under flipping all bits shows as many ones as zeros at any rates. Only
pairs of sites then reveal rates that are too large: their bits agree more often than the readout
errors allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.data.confusion import Confusion, marginal
from psiprune.data.readout_error import ReadoutError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_CHUNK = 1 << 23  # bits processed at a time
#: Iterations multiply probabilities, which therefore begin above 0.
_ITERATIONS, _LEAST = 500, 1e-6


class ExcludedPairs(NamedTuple):
    """Pairs of sites whose records no state explains.

    Attributes:
        pairs: their number.
        sites: the pair whose records are the least likely.
        state: the true bits of these sites with the lowest probability.
        probability: this probability by inverting the readout errors, below 0.
    """

    pairs: int
    sites: tuple[int, int]
    state: str
    probability: float


def excluded_pairs(
    bits: NDArray[np.uint8], error: ReadoutError, number: float, level: float
) -> ExcludedPairs | None:
    """Return the pairs of sites whose records the readout errors exclude, None if there are none.

    The distribution of the records y of a pair lies in the convex hull of the rows C(y | v) of all
    true bits v. L, the log-likelihood that the best point of the hull lacks to the frequencies of
    y, exceeds l > 3 with a probability of at most exp(-l) (e l / 3)^3: R. Agrawal, IEEE Trans. Inf.
    Theory 66, 6297 (2020). A pair is excluded where this is below half of `level` over the number
    of pairs. Calibrated rates may take any values within confidence limits (Clopper and Pearson),
    one of which fails with a probability of at most the other half.

    Args:
        bits: records, [shot, site].
        error: their readout errors.
        number: independent records.
        level: largest probability that correct rates exclude any pair.
    """
    pairs = np.stack(np.triu_indices(error.sites, 1), axis=1)
    if not len(pairs):
        return None
    frequency, least = _frequencies(bits, pairs), float(np.log(level / 2 / len(pairs)))
    lack = np.zeros(len(pairs))
    for some, rows in _hulls(error, pairs, level / 2):
        lack[some] = _lack(frequency[some], rows, number, least)
    if not lack.any():
        return None
    worst = int(lack.argmax())
    one, other = pairs[worst].tolist()
    prob = np.linalg.pinv(_confusion(error, one, other).T) @ frequency[worst]
    state = int(prob.argmin())
    of_state = f"{state & 1}{state >> 1}"
    return ExcludedPairs(int((lack > 0).sum()), (one, other), of_state, float(prob[state]))


def _frequencies(bits: NDArray[np.uint8], pairs: Int64) -> Float64:
    """Return the frequencies of the records of pairs of sites, [pair, y_0 + 2 y_1]."""
    number, sites = bits.shape
    both = np.zeros((sites, sites))
    step = max(1, _CHUNK // sites)
    for first in range(0, number, step):
        rows = bits[first : first + step].astype(np.float32)  # sums are exact up to 2^24
        both += rows.T @ rows
    (one, other), of_both = both.diagonal()[pairs.T], both[tuple(pairs.T)]
    counts = number - one - other + of_both, one - of_both, other - of_both, of_both
    return np.asarray(np.stack(counts, axis=1) / number)


def _hulls(error: ReadoutError, pairs: Int64, level: float) -> Iterator[tuple[Int64, Float64]]:
    """Yield indices of pairs and rows that span their hulls, [pair, row, y].

    For sites of different groups the products of the least and the largest p(y = 1) of each, for
    sites of one group a row, or what confidence limits allow, for each of its true bits.
    """
    group_of: dict[int, Confusion] = {site: group for group in error.groups for site in group.sites}
    sizes = [len(group.sites) for group in error.groups]
    alpha = level / sum(2 * k * (2 * k - 1) << k for k in sizes)  # of each limit below
    ends = np.empty((error.sites, 2, 2))  # [site, end, y]
    for site, group in group_of.items():
        low, high = _limits(_recorded(group, site)[:, 1:], group.prepared, alpha)
        ends[site] = [[1 - p, p] for p in (low.min(), high.max())]
    apart = np.array([group_of[one] is not group_of[other] for one, other in pairs.tolist()])
    one, other = ends[pairs[apart].T]
    yield np.flatnonzero(apart), np.einsum("nay,nbz->nbazy", one, other).reshape(-1, 4, 4)
    for k in np.flatnonzero(~apart):
        group = group_of[int(pairs[k, 0])]
        low, high = _limits(_recorded(group, *pairs[k].tolist()), group.prepared, alpha)
        yield np.array([k]), _vertices(low, high)[None]


def _recorded(group: Confusion, *sites: int) -> Float64:
    """Return the probabilities of the records of some sites of a group, [true bits of all, y]."""
    states, record = np.arange(len(group.matrix)), np.zeros(len(group.matrix), np.int64)
    for place, site in enumerate(sites):
        record |= ((states >> group.sites.index(site)) & 1) << place
    return group.matrix @ (record[:, None] == np.arange(1 << len(sites))).astype(np.float64)


def _limits(prob: Float64, prepared: Int64 | None, alpha: float) -> tuple[Float64, Float64]:
    """Return limits of probabilities [row, y]; each is wrong with a probability of `alpha`."""
    if prepared is None:
        return prob, prob
    number = prepared[:, None]
    seen = np.rint(prob * number)
    from scipy.stats import beta  # imported where used: it takes half a second

    low = beta.ppf(alpha, seen, number - seen + 1)
    high = beta.isf(alpha, seen + 1, number - seen)
    return np.where(seen > 0, low, 0.0), np.where(seen < number, high, 1.0)


def _vertices(low: Float64, high: Float64) -> Float64:
    """Return the vertices of the distributions within limits [row, y], [vertex, y].

    They are the limits filled up to a sum of 1 in any order.
    """
    found = []
    for order in permutations(range(low.shape[1])):
        vertex, rest = low.copy(), 1 - low.sum(axis=1)
        for y in order:
            added = np.minimum(high[:, y] - low[:, y], rest)
            vertex[:, y] += added
            rest = rest - added
        found.append(vertex)
    return np.concatenate(found)


def _lack(frequency: Float64, rows: Float64, number: float, least: float) -> Float64:
    """Return lower bounds of L, [pair], or 0 unless the log probability of L is below `least`.

    The weights of the rows are found by expectation maximisation. As the log-likelihood is concave,
    L is smaller by at most the largest of its derivatives - 1 for each record. Iterations end where
    these bounds decide.

    Args:
        frequency: of the records of a pair, [pair, y].
        rows: C(y | v) that span the hull, [pair, v, y].
        number: independent records.
        least: the log probability.
    """
    from scipy.special import xlogy

    lack, places = np.zeros(len(rows)), np.arange(len(rows))
    weight = np.full(rows.shape[:2], 1 / rows.shape[1])
    if rows.shape[1] == 4:  # begin with what the inverse gives
        inverted = np.linalg.solve(rows.swapaxes(1, 2), frequency[..., None])[..., 0]
        weight = np.maximum(inverted, _LEAST)
        weight /= weight.sum(axis=1, keepdims=True)
    for _ in range(_ITERATIONS):
        expected = np.einsum("nv,nvy->ny", weight, rows)
        ratio = frequency / expected
        slope = np.einsum("nvy,ny->nv", rows, ratio)
        above = number * xlogy(frequency, ratio).sum(axis=1)
        below = above - number * (slope.max(axis=1) - 1)
        excluded, possible = (_log_chance(bound) < least for bound in (below, above))
        lack[places[excluded]] = below[excluded]
        undecided = possible & ~excluded
        if not undecided.any():
            break
        places, weight = places[undecided], (weight * slope)[undecided]
        frequency, rows = frequency[undecided], rows[undecided]
    return lack


def _log_chance(lack: Float64) -> Float64:
    """Return the log of a bound of the probability that L is at least as large."""
    return np.where(lack > 3, 3 * (1 + np.log(np.maximum(lack, 3) / 3)) - lack, 0.0)


def _confusion(error: ReadoutError, one: int, other: int) -> Float64:
    """Return C(y | v) of two sites, averaged over the true bits of all others, [v, y]."""
    for group in error.groups:
        if {one, other} <= set(group.sites):
            return marginal(group.matrix, group.sites.index(one), group.sites.index(other))
    first, second = (np.array([[1 - a, a], [b, 1 - b]]) for a, b in error.rates[[one, other]])
    return np.kron(second, first)
