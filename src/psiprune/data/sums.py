"""Counts over shots, in one pass, and means of their first and second half."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Float64 = NDArray[np.float64]
_CHUNK = 1 << 23  # bits processed at a time


class Sums(NamedTuple):
    """Counts over the shots: ones [site], also in the first half, ones and zeros that follow
    themselves, and domain walls, where the bits of a bond differ [bond]; ones and walls per shot.
    """

    ones: NDArray[np.int64]
    early: NDArray[np.int64]
    ones_twice: NDArray[np.int64]
    zeros_twice: NDArray[np.int64]
    walls: NDArray[np.int64]
    by_shot: NDArray[np.int64]
    walls_by_shot: NDArray[np.int64]


def sum_up(bits: Bits) -> Sums:
    """Count in one pass over bits [shot, site], a few rows at a time."""
    number, sites = bits.shape
    ones, early, ones_twice, zeros_twice = np.zeros((4, sites), np.int64)
    walls = np.zeros(sites - 1, np.int64)
    by_shot, walls_by_shot = np.zeros((2, number), np.int64)
    step = max(1, _CHUNK // sites)
    for start in range(0, number, step):
        rows = bits[start : start + step]
        after = rows[int(start == 0) :]  # no shot precedes the first one
        before = bits[max(0, start - 1) : start + len(rows) - 1]
        ones += rows.sum(axis=0, dtype=np.int64)
        early += rows[: max(0, number // 2 - start)].sum(axis=0, dtype=np.int64)
        ones_twice += (after & before).sum(axis=0, dtype=np.int64)
        zeros_twice += len(after) - (after | before).sum(axis=0, dtype=np.int64)
        wall = rows[:, 1:] ^ rows[:, :-1]
        walls += wall.sum(axis=0, dtype=np.int64)
        by_shot[start : start + step] = rows.sum(axis=1)
        walls_by_shot[start : start + step] = wall.sum(axis=1)
    return Sums(ones, early, ones_twice, zeros_twice, walls, by_shot, walls_by_shot)


def compare_halves(sums: Sums, number: int) -> tuple[Float64, Float64]:
    """Return the values in both halves, and their difference relative to random orders."""
    first = number // 2
    parts = np.array([first, number - first])
    late = sums.ones - sums.early
    z = 1 - 2 * np.array([sums.early, late]) / np.maximum(parts, 1)[:, None]
    # Ones of a site in the first half: hypergeometric, with continuity correction.
    share = sums.ones / number
    spread = np.sqrt(share * (1 - share) * parts[0] * parts[1] / max(1, number - 1))
    gap = sums.early - share * first
    drift = np.sign(gap) * np.maximum(np.abs(gap) - 0.5, 0)
    values, drifts = [z], [_ratio(drift, spread)]
    sites = len(sums.ones)
    for x in (np.abs(1 - 2 * sums.by_shot / sites), 1 - 2 * sums.walls_by_shot / max(1, sites - 1)):
        means = np.array([half.mean() if half.size else 0.0 for half in (x[:first], x[first:])])
        error = x.std() * np.sqrt((1 / np.maximum(parts, 1)).sum())
        values.append(means[:, None])
        drifts.append(_ratio(means[1:] - means[:1], np.array([error])))
    return np.concatenate(values, axis=1), np.concatenate(drifts)


def _ratio(value: Float64, spread: Float64) -> Float64:
    return np.divide(value, spread, out=np.zeros(value.shape), where=spread > 0)
