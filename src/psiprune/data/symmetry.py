"""Test of the symmetry between a configuration and its flipped partner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.random import Stream, generator_for

Float64 = NDArray[np.float64]
#: Random symmetric data sets behind every expected value.
_DRAWS = 400


def partner_ratios(bits: NDArray[np.uint8], most: Sequence[int]) -> xr.Dataset:
    """Return n(v) / n(-v) over the K most frequent configurations, for each K in `most`.

    n(v) is the count of v in bits [shot, site], -v is v with all bits flipped. In the ground state
    of the Ising chain both have the same probability. (Golubeva & Melko 2022, Section III A: 0.98
    +- 0.19; they do not say over which configurations.) Equally frequent configurations are ranked
    by their bit strings.

    Even then the mean ratio is not 1: v is selected because n(v) is large in these shots, and the
    mean of 1 / n(-v) is larger than 1 / its mean. The expected values account for this: in
    symmetric shots, given n(v) + n(-v), n(v) is binomial with probability 1/2. All pairs are
    redrawn 400 times from that law, and the same statistics are taken.

    Returns:
        A dataset over `most` with ratio and ratio_spread, mean and standard deviation over the
        configurations that have a partner; expected_ratio and expected_spread, the means of both
        over symmetric shots; ratio_p, the fraction of these in which the ratio is at least as far
        from the expected one (at least 1/401); with_partner, how many of the K have a partner;
        occurrences, their total count; and two numbers, distinct configurations and shots. NaN if
        there are fewer than K configurations.

    Raises:
        InputError: not a table of bits, or a K below 1.
    """
    if bits.ndim != 2 or 0 in bits.shape:
        raise InputError(f"bits: must be a non-empty table [shot, site], found shape {bits.shape}")
    if any(k < 1 for k in most):
        raise InputError(f"most: must be at least 1, found {list(most)}")
    count, partner, distinct = _counts(bits)
    measured = _ratios(count, partner, most)
    generator = generator_for(0, Stream.SYMMETRY_CHANCE)
    pairs = np.flatnonzero(partner > np.arange(len(count)))
    # One member of each of the K largest pairs has at least half its count: skip smaller pairs.
    total = count[pairs] + count[partner[pairs]]
    least = np.sort(total)[::-1][: max(most)][-1] / 2 if len(total) >= max(most) else 0
    count, partner = _only(pairs[total >= least], count, partner)
    pairs = np.flatnonzero(partner > np.arange(len(count)))
    total = count[pairs] + count[partner[pairs]]
    symmetric = np.empty((_DRAWS, 2, len(most)))
    for ratios in symmetric:
        redrawn = np.empty_like(count)
        redrawn[pairs] = generator.binomial(total, 0.5)
        redrawn[partner[pairs]] = total - redrawn[pairs]
        ratios[:] = _ratios(redrawn, partner, most)[:2]
    available = np.array([k <= distinct for k in most])
    expected = np.full((2, len(most)), np.nan)
    p = np.full(len(most), np.nan)
    for k in np.flatnonzero(available):
        for kind in (0, 1):
            values = symmetric[:, kind, k]
            values = values[np.isfinite(values)]
            expected[kind, k] = values.mean() if len(values) else np.nan
        off = np.abs(symmetric[:, 0, k] - expected[0, k])
        as_far = np.count_nonzero(off >= abs(measured[0, k] - expected[0, k]))
        p[k] = (1 + as_far) / (1 + _DRAWS) if np.isfinite(measured[0, k]) else np.nan
    names = ("ratio", "ratio_spread", "with_partner", "occurrences")
    columns = dict(zip(names, np.where(available, measured, np.nan), strict=True))
    columns |= {"expected_ratio": expected[0], "expected_spread": expected[1], "ratio_p": p}
    variables = {name: ("most", values) for name, values in columns.items()}
    numbers = {"distinct": distinct, "shots": len(bits)}
    return xr.Dataset({**variables, **numbers}, {"most": list(most)})


def _counts(bits: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.intp], int]:
    """Return the count of each configuration and the index of its partner, [configuration].

    Configurations that occur come first, sorted by bits, then partners that do not, with count 0.
    Also return the number of those that occur.
    """
    rows, count = np.unique(np.packbits(bits, axis=1), axis=0, return_counts=True)
    flipped = np.packbits(1 - np.unpackbits(rows, axis=1, count=bits.shape[1]), axis=1)
    index_of = {row.tobytes(): k for k, row in enumerate(rows)}
    partner = np.array([index_of.get(row.tobytes(), -1) for row in flipped])
    alone = np.flatnonzero(partner < 0)
    partner[alone] = len(rows) + np.arange(len(alone))
    return np.r_[count, np.zeros(len(alone), int)], np.r_[partner, alone], len(rows)


def _only(
    pairs: NDArray[np.intp], count: NDArray[np.int64], partner: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return counts and partners of some pairs, given by one member each, in the same order."""
    members = np.sort(np.r_[pairs, partner[pairs]])
    return count[members], np.searchsorted(members, partner[members])


def _ratios(count: NDArray[np.int64], partner: NDArray[np.intp], most: Sequence[int]) -> Float64:
    """Return mean and deviation of the ratio, those with a partner, total count: [4, K]."""
    order = np.argsort(-count, kind="stable")[: max(most)]
    n, of_partner = count[order], count[partner[order]]
    statistics = np.empty((4, len(most)))
    for row, k in zip(statistics.T, most, strict=True):
        paired = of_partner[:k] > 0
        ratios = n[:k][paired] / of_partner[:k][paired]
        row[0] = ratios.mean() if len(ratios) else np.nan
        row[1] = ratios.std(ddof=1) if len(ratios) > 1 else np.nan
        row[2:] = len(ratios), n[:k].sum()
    return statistics
