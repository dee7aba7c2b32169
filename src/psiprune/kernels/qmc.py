"""Projector quantum Monte Carlo of Ising models in a transverse field."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int32, uint32, uint64
from numpy.typing import NDArray

from psiprune.kernels.simd import compiled, row_key

#: Slices of a path: at a half of the projection, twice, and in the middle.
SLICES = 3


class Operators(NamedTuple):
    """The terms of H' = sum_i h_i (1 + X_i) + sum_b |J_b| (1 + s_b Z Z), drawn by their weights.

    Item k is the constant h_k on site k, or bond k - N. It is drawn by Walker's alias method: a
    cell is uniform, and item `other[cell]` takes its place where 32 random bits reach
    `threshold[cell]`.
    """

    threshold: NDArray[np.uint32]  # [item]
    other: NDArray[np.int32]  # [item]
    first: NDArray[np.int32]  # [bond]
    second: NDArray[np.int32]  # [bond]
    odd: NDArray[np.uint8]  # [bond] whether the bits of a satisfied bond differ


@compiled
def projector_sweeps(  # type: ignore[no-untyped-def]
    start, string, operators, thin, key, slices, constants
):
    """Sweep over a string of operators between two states |+...+>, in place.

    A sweep draws new diagonal operators where there is no flip, and then turns each cluster of
    space and time with probability 1/2: operators of sites end clusters, bonds join them. After
    every `thin` sweeps three slices are shots.

    Args:
        start: uint8 [site], bits before the first operator.
        string: int32 [position]: k the constant on site k, N + k the flip of site k, 2 N + b the
            bond b.
        operators: `Operators`.
        thin: number of sweeps for each shot.
        key: of the random numbers.
        slices: uint8 [shot, slice, site].
        constants: [sweep], the mean number of constants over the turns of the clusters.
    """
    sites, length = start.shape[0], string.shape[0]
    cells = uint64(operators.threshold.shape[0])
    state, last = np.empty(sites, np.uint8), np.empty(sites, np.int32)
    # Segments are the intervals between the operators of a site; the first `sites` begin at start.
    parent, below = np.empty(sites + length, np.int32), np.empty(sites + length, np.int32)
    place, turn = np.empty(sites + length, np.int32), np.empty(sites + length, np.uint8)
    before = np.empty((SLICES, sites), np.uint8)
    segments = np.empty((SLICES, sites), np.int32)
    after = key
    for sweep in range(constants.shape[0]):
        state[:] = start
        for i in range(sites):
            parent[i] = i
            last[i] = i
        number, measured = sites, 0
        for position in range(length):
            if measured < SLICES and position == (measured + 1) * length // (SLICES + 1):
                before[measured] = state
                segments[measured] = last
                measured += 1
            operator = string[position]
            if operator < sites or operator >= 2 * sites:
                while True:
                    mixed = row_key(after)
                    after = uint64(after + uint64(1))
                    item = int32((mixed >> uint64(32)) * cells >> uint64(32))
                    if uint32(mixed) >= operators.threshold[item]:
                        item = operators.other[item]
                    if item < sites:
                        operator = item
                        break
                    bond = item - sites
                    differ = state[operators.first[bond]] ^ state[operators.second[bond]]
                    if differ == operators.odd[bond]:
                        operator = 2 * sites + bond
                        break
                string[position] = operator
            if operator >= 2 * sites:
                bond = operator - 2 * sites
                a, b = last[operators.first[bond]], last[operators.second[bond]]
                while parent[a] != a:
                    parent[a] = parent[parent[a]]
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                # Parents have lower numbers, so that one pass finds all clusters.
                parent[max(a, b)] = min(a, b)
            else:
                site = operator
                if operator >= sites:
                    site = operator - sites
                    state[site] ^= 1
                below[number] = last[site]
                place[number] = position
                parent[number] = number
                last[site] = number
                number += 1
        for k in range(number):
            if parent[k] == k:
                turn[k] = row_key(uint64(after + uint64(k))) >> uint64(63)
            else:
                parent[k] = parent[parent[k]]
                turn[k] = turn[parent[k]]
        after = uint64(after + uint64(number))
        total = 0.0
        for k in range(sites, number):
            operator = string[place[k]]
            if parent[k] != parent[below[k]]:
                total += 0.5
            elif operator < sites:
                total += 1.0
            if turn[k] != turn[below[k]]:
                string[place[k]] = operator + sites if operator < sites else operator - sites
        constants[sweep] = total
        for i in range(sites):
            start[i] ^= turn[i]
        if sweep % thin == thin - 1:
            for k in range(SLICES):
                for i in range(sites):
                    slices[sweep // thin, k, i] = before[k, i] ^ turn[segments[k, i]]
