"""Random readout errors, and their dense confusion matrix over all states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from exact import basis, index
from psiprune.data.confusion import Confusion, scaled
from psiprune.data.readout_error import ReadoutError

Float64 = NDArray[np.float64]


def random_matrix(sites: int, generator: np.random.Generator, wrong: float = 0.3) -> Float64:
    """A confusion matrix [v, y] of some sites with up to `wrong` off the diagonal of a row."""
    size = 1 << sites
    off = generator.random((size, size)) * (1 - np.eye(size))
    off *= wrong * generator.random((size, 1)) / off.sum(axis=1, keepdims=True)
    return off + np.diag(1 - off.sum(axis=1))


def random_error(groups: Sequence[Sequence[int]], seed: int = 0) -> ReadoutError:
    """Errors of these groups with random matrices."""
    generator = np.random.default_rng(seed)
    return ReadoutError(
        tuple(Confusion(tuple(each), random_matrix(len(each), generator)) for each in groups)
    )


def with_rates_times(factor: float, error: ReadoutError) -> ReadoutError:
    """The same groups with all probabilities of a wrong record multiplied by a factor."""
    return ReadoutError(
        tuple(
            Confusion(each.sites, scaled(each.matrix, np.full(len(each.matrix), factor)))
            for each in error.groups
        )
    )


def flips_together(groups: Sequence[Sequence[int]], together: float, single: float) -> ReadoutError:
    """Errors of groups whose sites flip all together, rarely one alone, and in no other way."""
    confusions = []
    for sites in groups:
        states = np.arange(1 << len(sites))
        by_flips = np.zeros(len(states))
        by_flips[1 << np.arange(len(sites))] = single
        by_flips[-1] = together
        by_flips[0] = 1 - by_flips.sum()
        confusions.append(Confusion(tuple(sites), by_flips[states[:, None] ^ states]))
    return ReadoutError(tuple(confusions))


def dense(error: ReadoutError) -> Float64:
    """C(y | v) [y, v] over all states, from the definition."""
    states = basis(error.sites)
    matrix = np.ones((len(states), len(states)))
    for group in error.groups:
        within = index(states[:, list(group.sites)])
        matrix *= group.matrix[within[None, :], within[:, None]]
    return matrix


@st.composite
def grouped_sites(draw: st.DrawFn, most: int = 6) -> list[list[int]]:
    """Sites 0 to N - 1 in any order, in groups of one to three."""
    left = list(draw(st.permutations(range(draw(st.integers(1, most))))))
    groups = []
    while left:
        size = draw(st.integers(1, min(3, len(left))))
        groups.append(left[:size])
        left = left[size:]
    return groups


def pair_matrix(zero: float, one: float) -> Float64:
    """Two sites with these rates as a joint matrix, and both bits flipped together in 1 % more."""
    single = np.array([[1 - zero, zero], [one, 1 - one]])
    return np.asarray(0.99 * np.kron(single, single) + 0.01 * np.eye(4)[::-1], np.float64)


def calibrated(error: ReadoutError, prepared: int) -> ReadoutError:
    """The same rates, from so many calibration shots of each state."""
    groups = (
        replace(group, prepared=np.full(len(group.matrix), prepared)) for group in error.groups
    )
    return replace(error, groups=tuple(groups))
