"""Confusion matrices of groups of qubits: checks, marginals, estimates from counts, products.

A confusion matrix p(y | v) has one row per true state v and one column per recorded state y of the
group, both at index sum_i v_i 2^i over the sites of the group in their order. Each row sums to 1.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import READOUT_GROUP_SITES
from psiprune.core.repr import one_line

Float64 = NDArray[np.float64]
#: Smallest singular value: averages over one group then need up to 1 / 0.05^2 = 400 times the
#: shots of perfect readout.
LEAST_SINGULAR = 0.05
#: Tolerance of the sum of a row, for numbers that a file rounds to 6 digits.
ROUNDING = 1e-5
#: The same for sums of float64 numbers.
_EXACT = 1e-12
#: Calibration shots from which on the error of a rate is negligible.
MOST_SHOTS = 10**12


@one_line
@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrix of a group of sites that are read independently of all others.

    Attributes:
        sites: the sites of the group, k of them.
        matrix: p(y | v) [v, y], float64 [2^k, 2^k]; row and column sum_i v_i 2^i, with i the
            position in `sites`.
        prepared: calibration shots of each row, int64 [2^k]; None for rates given without a
            measurement.
    """

    sites: tuple[int, ...]
    matrix: Float64
    prepared: NDArray[np.int64] | None = None


def marginal(matrix: Float64, *kept: int) -> Float64:
    """Return the confusion matrix of some sites of a group, the others in 0 or 1 alike."""
    sites = len(matrix).bit_length() - 1
    states = np.arange(len(matrix))
    reduced = np.zeros(len(matrix), np.int64)
    for new, position in enumerate(kept):
        reduced |= ((states >> position) & 1) << new
    out = np.zeros((1 << len(kept),) * 2)
    np.add.at(out, (reduced[:, None], reduced[None, :]), matrix)
    return out / (1 << (sites - len(kept)))


def pooled(prepared: NDArray[np.int64], sites: int, kept: Sequence[int]) -> NDArray[np.int64]:
    """Return the prepared shots of the states of some sites of a group, summed over the others.

    At most 10^12 each.
    """
    states = np.arange(1 << sites)
    reduced = sum(((states >> position) & 1) << new for new, position in enumerate(kept))
    summed = np.bincount(reduced, weights=prepared, minlength=1 << len(kept))
    return np.minimum(summed, MOST_SHOTS).astype(np.int64)


def frequencies(counts: NDArray[np.int64]) -> Float64:
    """Return the relative frequencies of each row of counts."""
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def with_unseen(group: Confusion) -> Confusion:
    """Return the group with a probability above 0 for every recorded state, if it was measured.

    What n calibration shots have not shown may still occur: a row of 2^k states gets 2^-k of a shot
    at each state that is not among its own, half a shot for a single site (Jeffreys' prior). For
    the error of the rates; added to the rates themselves it would bias them.
    """
    if group.prepared is None:
        return group
    prepared = group.prepared[:, None]
    shots = group.matrix * prepared + (group.matrix == 0) / len(group.matrix)
    return replace(group, matrix=shots / shots.sum(axis=1, keepdims=True))


def scaled(matrix: Float64, factor: Float64) -> Float64:
    """Return the matrix with the off-diagonal part of each row multiplied by its factor."""
    wrong = matrix * (1 - np.eye(len(matrix))) * np.maximum(factor, 0.0)[:, None]
    return near(np.asarray(wrong + np.diag(1 - wrong.sum(axis=1))), matrix)


def near(matrix: Float64, valid: Float64) -> Float64:
    """Return the matrix, or the first one that can be inverted on the way to a valid one.

    For matrices drawn around one that is almost singular.
    """
    for halvings in range(20):
        mixed = valid + (matrix - valid) / 2**halvings
        sites = range(len(matrix).bit_length() - 1)
        flips = [np.diag(marginal(mixed, site)).min() > 0.5 for site in sites]
        if mixed.min() >= 0 and all(flips) and smallest_singular(mixed) >= LEAST_SINGULAR:
            return np.asarray(mixed)
    return valid


def joined(groups: Sequence[Confusion]) -> list[tuple[tuple[int, ...], Float64]]:
    """Return sites and matrices; runs of single sites become one matrix of up to 64 rows."""
    blocks: list[tuple[tuple[int, ...], Float64]] = []
    for group in groups:
        sites, matrix = group.sites, group.matrix
        if blocks and len(sites) == 1:
            before, joint = blocks[-1]
            if before == tuple(range(sites[0] - len(before), sites[0])) and len(before) < 6:
                blocks[-1] = ((*before, *sites), np.kron(matrix, joint).astype(np.float64))
                continue
        blocks.append((sites, matrix))
    return blocks


def contract_blocks(
    blocks: Sequence[tuple[tuple[int, ...], Float64]], values: Float64, *, transpose: bool = False
) -> Float64:
    """Return sum_v C(y | v) f(v) of values f [2^N], or sum_y C(y | v) f(y), with `joined` groups.

    Index sum_i v_i 2^i over all sites; each must be in one of the blocks.
    """
    sites, out = len(values).bit_length() - 1, values
    for group, matrix in blocks:
        to_from = matrix if transpose else matrix.T
        if group == tuple(range(group[0], group[0] + len(group))):
            block = out.reshape(-1, len(matrix), 1 << group[0])
            if group[0] == 0:
                out = (block[:, :, 0] @ to_from.T).reshape(-1)
            else:
                out = (to_from @ block).reshape(-1)
            continue
        # Axis 0 of the tensor is the last site.
        axes = [sites - 1 - site for site in reversed(group)]
        tensor = np.moveaxis(out.reshape((2,) * sites), axes, range(len(axes)))
        product = (to_from @ tensor.reshape(len(matrix), -1)).reshape(tensor.shape)
        out = np.ascontiguousarray(np.moveaxis(product, range(len(axes)), axes)).reshape(-1)
    return out


def smallest_singular(matrix: Float64) -> float:
    """Return the smallest singular value."""
    return float(np.linalg.svd(matrix, compute_uv=False)[-1])


def in_line(value: object) -> str:
    """Return the beginning of a value's repr in one line, also of an array."""
    return " ".join(repr(value).split())[:60]


def named(group: Sequence[int]) -> str:
    """Return "site 3" or "sites 3, 4"."""
    return f"site {group[0]}" if len(group) == 1 else f"sites {', '.join(map(str, group))}"


def broken_rule(rate: float, shots: int | None = None) -> str:
    """Return what a rate outside [0, 0.5) must be, the rate, its shots if known, and a way out."""
    way_out = "give a probability"
    if 0.5 <= rate <= 1:
        way_out = "above 0.5 the labels 0 and 1 are exchanged"
    elif 1 < rate <= 100:
        way_out = "give a fraction, not percent"
    found = f"{rate:.6g}"
    if shots is not None:
        found += f" from {shots} calibration shot{'' if shots == 1 else 's'}"
        way_out += ", or the shots are too few"
    return f"must be a number of at least 0 and below 0.5, found {found}; {way_out}"


def check_group(sites: tuple[int, ...]) -> None:
    """Raise InputError unless the group has 1 to 6 different sites."""
    try:
        [operator.index(site) for site in sites]
    except TypeError:
        raise InputError(
            "readout: the sites of a group must be a tuple of integers, such as (0,), found "
            f"{in_line(sites)}"
        ) from None
    if not 1 <= len(sites) <= READOUT_GROUP_SITES or len(set(sites)) < len(sites):
        raise InputError(
            f"readout: a group must have 1 to {READOUT_GROUP_SITES} different sites, found "
            f"{list(sites)}"
        )


def checked(group: Confusion) -> Confusion:
    """Return the group with a read-only matrix, or raise InputError."""
    check_group(group.sites)
    name, size = named(group.sites), 1 << len(group.sites)
    try:
        matrix = np.array(group.matrix, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"readout: the confusion matrix of {name} must be {size} x {size} numbers, found "
            f"{in_line(group.matrix)}"
        ) from None
    if matrix.shape != (size, size):
        raise InputError(
            f"readout: the confusion matrix of {name} must be {size} x {size}, found shape "
            f"{matrix.shape}"
        )
    if not ((matrix >= 0) & (matrix <= 1)).all():
        wrong = matrix[~((matrix >= 0) & (matrix <= 1))][0]
        raise InputError(
            f"readout: the confusion matrix of {name} must hold probabilities from 0 to 1, found "
            f"{wrong:g}"
        )
    sums = matrix.sum(axis=1)
    if np.abs(sums - 1).max() > ROUNDING:
        row = int(np.abs(sums - 1).argmax())
        hint = "; transpose it" if np.abs(matrix.sum(axis=0) - 1).max() <= ROUNDING else ""
        raise InputError(
            f"readout: each row of the confusion matrix of {name} must sum to 1 (row: true state, "
            f"column: recorded state), found {sums[row]:.6g} in row {row}{hint}"
        )
    rounded = np.abs(sums - 1) > _EXACT  # not every row: a saved matrix is read as it was
    matrix[rounded] /= sums[rounded, None]
    prepared = _checked_shots(group, size)
    for position, site in enumerate(group.sites):
        single = marginal(matrix, position)
        of_site = None if prepared is None else pooled(prepared, len(group.sites), [position])
        for given in (0, 1):
            if not single[given, 1 - given] < 0.5:
                shots = None if of_site is None else int(of_site[given])
                raise InputError(
                    f"readout: p({1 - given}|{given}) at site {site} "
                    f"{broken_rule(float(single[given, 1 - given]), shots)}"
                )
    smallest = smallest_singular(matrix)
    if smallest < LEAST_SINGULAR:
        raise InputError(
            f"readout: the confusion matrix of {name} is nearly singular: its smallest singular "
            f"value must be at least {LEAST_SINGULAR:g}, found {smallest:.2g}; these records say "
            "almost nothing about the true bits"
        )
    matrix.flags.writeable = False
    return Confusion(tuple(int(site) for site in group.sites), matrix, prepared)


def _checked_shots(group: Confusion, size: int) -> NDArray[np.int64] | None:
    """Return the calibration shots of each row, or raise InputError."""
    if group.prepared is None:
        return None
    prepared = np.asarray(group.prepared)  # of any integers: those of a file may exceed 64 bits
    try:
        valid = prepared.shape == (size,) and all(
            1 <= number <= MOST_SHOTS and number % 1 == 0 for number in prepared.tolist()
        )
    except TypeError:  # no numbers
        valid = False
    if not valid:
        raise InputError(
            f"readout: prepared shots of {named(group.sites)} must be {size} integers from 1 to "
            f"10^12, found {prepared.tolist()}"
        )
    return prepared.astype(np.int64)
