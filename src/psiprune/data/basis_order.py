"""Whether shots in several bases are independent: copies, memory from shot to shot, drift.

As for shots in Z all is compared with random orders, here of the shots within each basis, so no
model of the state is needed, and it does not matter whether bases follow each other or alternate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core import normal as norm
from psiprune.core.repr import one_line
from psiprune.data.diagnostics import LEVEL, RESET, DataWarning
from psiprune.data.pauli_bases import LETTERS
from psiprune.data.repeats import Repeats, compare_repeats, repeats_in_random_order
from psiprune.data.repetition import find_repetition, is_grouped
from psiprune.data.shots import Shots

Float64 = NDArray[np.float64]


@one_line
class BasesOrder(NamedTuple):
    """What the order of shots in several bases shows.

    Attributes:
        grouped: equal outcomes of each basis are adjacent, as in counts, so the order is lost.
        repetition: an exact repetition in words, or "".
        repeats: outcomes equal to the one before in the same basis, of all sites.
        memory: the rarer value of a site in a shot and in the one before, whatever their bases,
            [site].
        halves: means of X, Y and Z in the first and the second half of the shots of each basis,
            averaged over bases with their shots, [half, letter, site]; NaN where none is measured.
        drift: their difference in standard deviations of random orders, [letter, site].
        basis_drift: the same of each basis, [basis, site].
    """

    grouped: bool
    repetition: str
    repeats: Repeats
    memory: Repeats
    halves: Float64
    drift: Float64
    basis_drift: Float64

    @property
    def memory_p_value(self) -> float:
        """The smallest p-value of all sites, times their number (Bonferroni)."""
        return min(1.0, len(self.memory.p_value) * float(self.memory.p_value.min()))

    @property
    def drift_p_value(self) -> float:
        """The smallest p-value of all drifts, where those of letters and of bases count half."""
        found = (
            4 * each.size * norm.sf(np.abs(each).max()) for each in (self.drift, self.basis_drift)
        )
        return min(1.0, *map(float, found))


def find_bases_order(shots: Shots) -> BasesOrder:
    """Compare the order of shots with random orders of the shots of each basis."""
    groups = shots.by_basis()
    repeats, grouped, repetition = _repeats(groups, _parts(shots))
    halves, drift, basis_drift = _drift(groups)
    return BasesOrder(grouped, repetition, repeats, _memory(shots), halves, drift, basis_drift)


def _parts(shots: Shots) -> int:
    joined = shots.provenance.get("joined", ())
    return max(1, len(joined)) if isinstance(joined, list) else 1


def _repeats(groups: Mapping[str, NDArray[np.uint8]], parts: int) -> tuple[Repeats, bool, str]:
    """Return equal neighbours in the same basis, whether they are grouped, and a repetition."""
    pairs, mean, variance, grouped, copied = 0, 0.0, 0.0, True, []
    for name, bits in groups.items():
        if len(bits) < 2:
            continue
        packed = np.packbits(bits, axis=1)
        counts = np.unique(packed, axis=0, return_counts=True)[1]
        expected, spread = repeats_in_random_order(counts, len(bits))
        pairs += int((packed[1:] == packed[:-1]).all(axis=1).sum())
        mean, variance = mean + expected, variance + spread**2
        grouped = grouped and is_grouped(packed, parts)
        found = find_repetition(packed, counts, LEVEL / len(groups))
        if found is not None:
            copied.append(f"in basis {name[:40]} {found.found}")
    repeats = compare_repeats(np.array([pairs]), np.array([mean]), np.array([variance**0.5]))
    more = f" (and in {len(copied) - 1} more bases)" if len(copied) > 1 else ""
    grouped = grouped and bool(repeats.p_value[0] < LEVEL)
    return repeats, grouped, copied[0] + more if copied else ""


def _memory(shots: Shots) -> Repeats:
    """Return how often the rarer value of a site follows itself, in whatever bases, [site].

    With c of n shots in a basis, a random order has a pair with probability c (c - 1) / n (n - 1)
    in one basis, and p q in two. Counted are deviations r - p, sum_k (r_k - p)(r_k+1 - q) beyond
    this: a rare value has more pairs anyway where the next basis has a larger q.
    """
    of, sizes = shots.basis_of, np.bincount(shots.basis_of)
    ones = np.array([bits.sum(axis=0, dtype=np.int64) for bits in shots.by_basis().values()])
    same = of[1:] == of[:-1]
    observed, expected, spread = [], [], []
    for site in range(shots.sites):
        value = 2 * ones[:, site].sum() <= len(shots)
        rare = ones[:, site] if value else sizes - ones[:, site]
        share, twice = rare / sizes, rare * (rare - 1) / np.maximum(sizes * (sizes - 1), 1)
        chance, variance = share[of], (share * (1 - share))[of]
        deviation = (shots.bits[:, site] == value) - chance
        fewer = float((share**2 - twice)[of[1:]][same].sum())  # what is expected of deviations
        mean = float(chance[1:] @ chance[:-1]) - fewer
        observed.append(round(mean + float(deviation[1:] @ deviation[:-1]) + fewer))
        expected.append(mean)
        spread.append(float(variance[1:] @ variance[:-1]) ** 0.5)
    return compare_repeats(np.array(observed), np.array(expected), np.array(spread))


def _drift(groups: Mapping[str, NDArray[np.uint8]]) -> tuple[Float64, Float64, Float64]:
    """Return means of both halves, and their drifts by letter and by basis."""
    sites = len(next(iter(groups)))
    gaps, variances = np.zeros((2, len(groups), sites))
    ones, shots = np.zeros((2, len(LETTERS), sites)), np.zeros((2, len(LETTERS), sites))
    letters = np.array([[LETTERS.index(letter) for letter in name] for name in groups])
    for number, bits in enumerate(groups.values()):
        first, size = len(bits) // 2, len(bits)
        early, total = bits[:first].sum(axis=0, dtype=np.int64), bits.sum(axis=0, dtype=np.int64)
        share = total / size
        gaps[number] = early - share * first
        variances[number] = share * (1 - share) * first * (size - first) / max(1, size - 1)
        for half, (found, of) in enumerate(((early, first), (total - early, size - first))):
            ones[half, letters[number], np.arange(sites)] += found
            shots[half, letters[number], np.arange(sites)] += of
    measured = letters == np.arange(len(LETTERS))[:, None, None]  # [letter, basis, site]
    with np.errstate(invalid="ignore"):
        halves = np.where(shots > 0, 1 - 2 * ones / shots, np.nan)
    pooled = (np.einsum("lbs,bs->ls", measured, each) for each in (gaps, variances))
    return halves, _sigmas(*pooled), _sigmas(gaps, variances)


def _sigmas(gap: Float64, variance: Float64) -> Float64:
    """Return gaps of counts in standard deviations, with continuity correction."""
    distance = np.sign(gap) * np.maximum(np.abs(gap) - 0.5, 0)
    return np.divide(distance, np.sqrt(variance), out=np.zeros(gap.shape), where=variance > 0)


def order_warnings(order: BasesOrder, bases: tuple[str, ...]) -> Iterator[DataWarning]:
    """Yield warnings that shots are not independent, or drift; each in at most `LEVEL` of all."""
    if order.repetition:
        yield DataWarning(
            "repetition", f"{order.repetition}; analyse the original record, before it was copied"
        )
    elif order.grouped:
        yield DataWarning(
            "grouped",
            "equal outcomes of a basis are adjacent, as in counts: the order of the shots is lost",
        )
    elif order.repeats.p_value[0] < LEVEL:
        yield DataWarning(
            "repeats",
            f"{order.repeats.observed[0]} shots equal the one before in the same basis, by chance "
            f"it would be {order.repeats.expected[0]:.1f}; {RESET}",
        )
    if not order.grouped and order.memory_p_value < LEVEL:
        k = int(np.argmin(order.memory.p_value))
        yield DataWarning(
            "memory",
            f"site {k}: the value of the shot before repeats too often, the rarer one "
            f"{order.memory.observed[k]} times, by chance it would be "
            f"{order.memory.expected[k]:.1f}; {RESET}",
        )
    if not order.grouped and order.drift_p_value < LEVEL:
        yield DataWarning("drift", f"{_drifting(order, bases)}; calibrate again")


def _drifting(order: BasesOrder, bases: tuple[str, ...]) -> str:
    """Say which mean drifts most."""
    tables = order.drift, order.basis_drift
    row, site = np.unravel_index(np.argmax(np.abs(tables[0])), tables[0].shape)
    chances = [each.size * norm.sf(np.abs(each).max()) for each in tables]
    if chances[0] <= chances[1]:
        early, late = order.halves[:, row, site]
        return (
            f"<{LETTERS[row]}> of site {site} is {early:+.4f} in the first half of the shots of "
            f"each basis and {late:+.4f} in the second ({abs(tables[0][row, site]):.1f} sigma)"
        )
    row, site = np.unravel_index(np.argmax(np.abs(tables[1])), tables[1].shape)
    name = bases[row]
    return (
        f"<{name[site]}> of site {site} differs by {abs(tables[1][row, site]):.1f} sigma between "
        f"the halves of the shots in basis {name[:40]}"
    )
