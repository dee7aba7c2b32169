"""Exact repetition in a record of shots: each stands there k times, in succession or elsewhere."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.data.shots import unique_rows

Bits = NDArray[np.uint8]


class Repetition(NamedTuple):
    """An exact repetition.

    Attributes:
        copies: how often each shot was recorded, at least 2.
        apart: how many shots a copy follows the one before: 1, or the length of the record that is
            repeated; 0 if copies may be anywhere.
        grouped: equal configurations are adjacent, as in counts.
    """

    copies: int
    apart: int
    grouped: bool = False

    @property
    def found(self) -> str:
        """What was found, in words."""
        times = "twice" if self.copies == 2 else f"{self.copies} times"
        if self.grouped:
            return (
                f"every configuration occurs a multiple of {self.copies} times, as if each shot "
                f"was recorded {times}"
            )
        if self.apart == 0:
            return (
                f"every configuration occurs a multiple of {self.copies} times: the shots are "
                f"recorded {self.copies} times"
            )
        if self.apart == 1:
            return f"each shot is recorded {times} in succession"
        if self.copies == 2:
            return "the second half of the record repeats the first, shot by shot"
        return f"the record is its first {self.apart} shots {times} over"

    @property
    def rows(self) -> str:
        """The slice that has each shot once, as `start:stop:step`; "" if none has."""
        if self.apart == 0:
            return ""
        return f"::{self.copies}" if self.apart == 1 else f":{self.apart}"

    def once(self, bits: Bits) -> Bits:
        """Return the rows of bits [shot, site] without their copies, if a slice has them."""
        return bits[:: self.copies] if self.apart == 1 else bits[: self.apart]


def is_grouped(rows: Bits, parts: int) -> bool:
    """Return whether the record is at most `parts` pieces in which equal rows are adjacent.

    Args:
        rows: of the record [shot, ...]; packed bits will do.
        parts: files of counts that were joined; at least 1.
    """
    seen: set[bytes] = set()
    for start in (0, *_changes(rows).tolist()):
        row = rows[start].tobytes()
        if row in seen:
            parts -= 1
            seen.clear()
        if parts == 0:
            return False
        seen.add(row)
    return True


def gather_copies(rows: Bits, copies: int) -> NDArray[np.int64]:
    """Return an order of rows [shot, ...] in which `copies` equal ones are adjacent.

    The first ones are in the order of the record. Every row occurs a multiple of `copies` times.
    """
    packed = np.packbits(rows, axis=1)
    which = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_inverse=True)[1]
    blocks = np.argsort(which, kind="stable").reshape(-1, copies)
    return np.asarray(blocks[np.argsort(blocks[:, 0])].ravel(), np.int64)


def find_repetition(rows: Bits, counts: NDArray[np.int64], level: float) -> Repetition | None:
    """Find an exact repetition that independent shots show with probability `level` at most.

    The rows are compared with all orders of the same rows: one in n! / prod n_c! of them is a given
    one, where n_c rows are equal, and (n/k)! / prod (n_c/k)! consist of k copies. Each k >= 2 has a
    share 1/(2 k^2 (k - 1)) of the level. Copies in any order make all counts multiples of k, which
    the counts of D configurations that occur in independent shots are with probability
    min(k, 3)^(1-D) at most; half of the level is left for that. Where equal rows are adjacent, as
    in counts, there is no order to compare with, and only this counts.

    Args:
        rows: of the record [shot, ...]; packed bits will do.
        counts: how often each configuration occurs in it, [configuration].
        level: of the test.
    """
    number = len(rows)
    changes = _changes(rows)
    copies = int(np.gcd.reduce(changes)) if len(changes) else 1
    if copies > 1:
        whole = _counts(rows[: number - number % copies])
        if len(changes) + 1 == len(counts):
            rare = _log_chance_of_multiples(len(whole), copies) < math.log(level)
            return Repetition(copies, 1, True) if rare else None
        if _log_chance(whole, copies) < math.log(level):
            return Repetition(copies, 1)
    period = number
    for factor in _prime_factors(number):
        if _repeats_after(rows, period // factor):
            period //= factor
    copies = number // period
    if copies > 1 and _log_chance(counts, copies) < math.log(level):
        return Repetition(copies, period)
    copies = int(np.gcd.reduce(counts))
    if copies > 1 and _log_chance_of_multiples(len(counts), copies) < math.log(level):
        return Repetition(copies, 0)
    return None


def _changes(rows: Bits) -> NDArray[np.intp]:
    """Return where a row differs from the one before."""
    return 1 + np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1))


def _counts(rows: Bits) -> NDArray[np.int64]:
    return unique_rows(np.unpackbits(rows, axis=1))[1]


def _log_chance(counts: NDArray[np.int64], copies: int) -> float:
    """Return the logarithm of the probability, with the share of this number of copies."""
    from scipy.special import gammaln

    once = counts // copies

    def orders(sizes: NDArray[np.int64]) -> float:
        return float(gammaln(sizes.sum() + 1) - gammaln(sizes + 1).sum())

    return orders(once) - orders(counts) + math.log(2 * copies**2 * (copies - 1))


def _log_chance_of_multiples(configurations: int, copies: int) -> float:
    """Return the logarithm of a bound on the probability, with the share of these tests.

    A Poisson count that is not 0 is a multiple of 2 or 3 with probability 1/2 or 1/3 at most, of
    a larger number with a smaller one; the number of shots fixes one of the counts.
    """
    return (1 - configurations) * math.log(min(copies, 3)) + math.log(2)


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors + [number] * (number > 1)


def _repeats_after(rows: Bits, period: int) -> bool:
    few = rows[period : period + 64]  # enough to rule out most periods
    return bool((few == rows[: len(few)]).all() and (rows[period:] == rows[:-period]).all())
