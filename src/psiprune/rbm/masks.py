"""Sparsity masks made without training: random, clusters, broken and excluded clusters.

A mask is bool [hidden, visible], True where a weight exists.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import MOST_PAIRS
from psiprune.core.random import Stream, generator_for
from psiprune.core.validation import check_count, check_number, check_seed
from psiprune.data.read_shots import read_shots
from psiprune.io.netcdf import kind_of, write_bytes
from psiprune.io.paths import MASK, check_suffix
from psiprune.rbm.serialization import load_rbm

Mask = NDArray[np.bool_]
#: Fewest adjacent sites of a cluster: the X >= 3 of the paper's Section III B.
NARROWEST = 3
_GOLDEN = 0.6180339887498949
_TRADES = 20  # per unit; a mask is well mixed after a few (Strona et al. 2014)


def random_mask(hidden: int, visible: int, count: int, seed: int) -> Mask:
    """Draw a mask of `count` weights uniformly from all such masks; it need not be connected.

    Raises:
        InputError: a layer has no unit, there are more than 10^8 pairs of units, or count is not
            0 .. hidden * visible.
    """
    total = number_of_pairs(hidden, visible)
    if check_count("count", count, 0) > total:
        raise InputError(f"count: {hidden} x {visible} units have {total} weights, found {count}")
    generator = generator_for(check_seed(seed), Stream.RANDOM_MASK)
    mask = np.zeros(total, bool)
    mask[generator.choice(total, count, replace=False)] = True
    return mask.reshape(hidden, visible)


def cluster_mask(hidden: int, visible: int, count: int) -> Mask:
    """Return the paper's "sc": each hidden unit on one cluster of adjacent sites, graph connected.

    Unit j gets the sites s_j .. s_j + X_j - 1 of the open chain:

    - X_j = floor((j + 1) count / N_h) - floor(j count / N_h): widths differ by at most one and sum
      to `count`;
    - its middle is as close as possible to (j + 1/2) N / N_h, so middles are evenly spaced; a
      cluster that would extend past an end is shifted inside;
    - it starts at the last site of the cluster before or earlier. So neighbours share a site, and
      every site is covered: as `count` >= N + N_h - 1, the middles are late enough for the last
      cluster to reach site N - 1.

    Golubeva & Melko 2022, Section III B, rules 1 and 2; they leave the positions open.

    Raises:
        InputError: no such mask has `count` weights; the message gives the least and the most.
    """
    number_of_pairs(hidden, visible)
    hidden, visible = int(hidden), int(visible)
    if visible < NARROWEST:
        raise InputError(f"visible: a cluster needs at least {NARROWEST} sites, found {visible}")
    # A tree over N + N_h units has N + N_h - 1 edges, and a chain of clusters is that sparse.
    least, most = max(NARROWEST * hidden, hidden + visible - 1), hidden * visible
    if not least <= check_count("count", count, 0) <= most:
        raise InputError(
            f"count: connected clusters of at least {NARROWEST} sites on {hidden} hidden units and "
            f"{visible} sites take from {least} to {most} weights, found {count}"
        )
    bounds = np.arange(hidden + 1) * count // hidden
    widths = np.diff(bounds).tolist()
    mask = np.zeros((hidden, visible), bool)
    past = 1  # the last cluster's end; the first cluster begins at site 0
    for j, width in enumerate(widths):
        highest = min(past - 1, visible - width)
        middle = (2 * j + 1) * visible / (2 * hidden)
        first = min(max(int(middle - width / 2 + 0.5), 0), highest)
        past = first + width
        mask[j, first:past] = True
    return mask


def break_clusters(mask: ArrayLike, share: float, seed: int) -> Mask:
    """Return the mask moved a share of the way to a random one of the same number of weights.

    The random mask has as many weights at every hidden unit *and* at every site as the given one,
    drawn uniformly from all such masks (curveball trades). Weights that differ are moved one by one
    within their hidden unit, and the first round(share * moves) moves are made. So hidden units
    keep their number of weights, sites keep it within one, and for one seed the moves of a small
    share are among those of a larger one. 0 returns the mask itself, 1 the random mask.

    After Golubeva & Melko 2022, Section III B ("gradually breaking up the cluster structure of the
    pruning mask"), who give no rule; trades as in Strona et al., Nat. Commun. 5, 4114 (2014).

    Args:
        mask: bool [hidden, visible].
        share: from 0 to 1.
        seed: of the random mask and of the order of the moves.

    Raises:
        InputError: the mask is not a table of bool, or the share is not in 0 .. 1.
    """
    original = _table("mask", mask)
    share = check_number("share", share, "from 0 to 1", lambda x: 0 <= x <= 1)
    generator = generator_for(check_seed(seed), Stream.BROKEN_MASK)
    moves = _moves(original, _shuffled(original, generator), generator)
    out = original.copy()
    for unit, site, to in moves[: round(share * len(moves))]:
        out[unit, site], out[unit, to] = False, True
    return out


def exclude_clusters(inside: ArrayLike) -> Mask:
    """Return the mask of all weights outside clusters, the complement of bool [hidden, visible].

    Golubeva & Melko 2022, Section III B: "prune the weights that would form clusters in the final
    model at initialization". `inside` is that of `find_clusters`.
    """
    return ~_table("inside", inside)


def exclude_matched_control(inside: ArrayLike, seed: int) -> Mask:
    """Return the control of `exclude_clusters`: each unit loses as many random weights outside.

    A unit with more sites inside than outside loses all those outside.
    """
    table = _table("inside", inside)
    generator = generator_for(check_seed(seed), Stream.CONTROL_MASK)
    mask = np.ones(table.shape, bool)
    for unit, row in enumerate(table):
        outside = generator.permutation(np.flatnonzero(~row))
        mask[unit, outside[: row.sum()]] = False
    return mask


def read_mask(path: str | os.PathLike[str]) -> Mask:
    """Read a mask: that of an RBM file, or a table of 0 and 1 [hidden, site], .npy or text.

    Raises:
        InputError: the file cannot be read or holds anything else; the message says where.
    """
    if kind_of(path) is not None:
        return load_rbm(path).mask
    # A mask has a row for each hidden unit, as shots have one for each shot.
    kind = "numpy" if Path(path).suffix.lower() in (".npy", ".npz") else "text"
    return read_shots(path, kind).bits.astype(bool)


def write_mask(mask: Mask, path: str | os.PathLike[str]) -> Path:
    """Write a mask for `read_mask`: .npy, or else text with a line for each hidden unit.

    Raises:
        InputError: the suffix belongs to another format, or the mask is not a table of bool.
    """
    check_suffix(path, MASK)
    table = _table("mask", mask).astype(np.uint8)
    if Path(path).suffix.lower() == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, table)
        return write_bytes(path, buffer.getvalue())
    lines = ("".join(map(str, row)) for row in table.tolist())
    return write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def number_of_pairs(hidden: int, visible: int, most: int | None = None) -> int:
    """Return the number of pairs of a hidden unit and a site; raise InputError above a limit."""
    most = MOST_PAIRS if most is None else most
    total = check_count("hidden", hidden, 1) * check_count("visible", visible, 1)
    if total > most:
        raise InputError(
            f"hidden: a mask of {hidden:,} hidden units and {visible:,} sites has {total:,} "
            f"entries; use numbers with a product of at most {most:,}"
        )
    return total


def check_connected_weights(weights: int, hidden: int, visible: int) -> int:
    """Return the number of weights if a connected mask has so many."""
    least, most = hidden + visible - 1, hidden * visible  # a tree, and all links
    if not least <= check_count("weights", weights, 0) <= most:
        raise InputError(
            f"weights: connected masks of {hidden} hidden units and {visible} sites have from "
            f"{least} to {most} weights, found {weights}"
        )
    return int(weights)


def sorted_links(
    *keys: NDArray[Any], lowest: NDArray[Any] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the links of the minimum spanning tree and all others, both in the same order.

    That is the order in which Kruskal's algorithm adds links to the tree: by the keys and, where
    they are equal, by the fractional part of 0.618 j, with j the lowest of the units of the link
    and of its images. So these are spread over the units, each beside its images.

    Args:
        keys: [unit, site] each, the most significant one last, as for np.lexsort.
        lowest: the lowest number of an image of each link, [link]; default: those of mirror images.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    hidden, visible = keys[0].shape
    link = np.arange(hidden * visible)
    lowest = np.minimum(link, link[::-1]) if lowest is None else lowest
    spread = lowest // visible * _GOLDEN % 1.0
    order = np.lexsort((link, lowest, spread, *(key.ravel() for key in keys)))
    # Ranks as costs: all differ, so there is one tree.
    ends = order // visible, hidden + order % visible
    graph = csr_array((link + 1.0, ends), shape=(hidden + visible, hidden + visible))
    in_tree = np.zeros(link.shape, bool)
    in_tree[minimum_spanning_tree(graph).data.astype(np.intp) - 1] = True
    return order[in_tree], order[~in_tree]


def mask_of(links: NDArray[np.intp], shape: tuple[int, ...]) -> Mask:
    """Return the mask of these links, numbered unit by unit."""
    mask = np.zeros(shape, bool)
    mask.ravel()[links] = True
    return mask


def _shuffled(mask: Mask, generator: np.random.Generator) -> Mask:
    """Return a random mask with the same number of weights at every unit of both layers."""
    out = mask.copy()
    hidden = len(mask)
    for _ in range(_TRADES * hidden if hidden > 1 else 0):
        # Two units pool the sites that only one of them has, and redistribute them.
        one, other = generator.choice(hidden, 2, replace=False)
        pool = generator.permutation(np.flatnonzero(out[one] != out[other]))
        count = int(out[one, pool].sum())
        out[one, pool[:count]], out[one, pool[count:]] = True, False
        out[other, pool[:count]], out[other, pool[count:]] = False, True
    return out


def _moves(
    mask: Mask, target: Mask, generator: np.random.Generator
) -> list[tuple[np.intp, np.intp, np.intp]]:
    """Return (unit, from site, to site) of all moves, in cycles: what a site gained leaves next."""
    leaving, coming = mask & ~target, target & ~mask
    moves = []
    site = None
    while leaving.any():
        if site is None or not leaving[:, site].any():  # a cycle is closed
            site = generator.choice(np.flatnonzero(leaving.any(axis=0)))
        unit = generator.choice(np.flatnonzero(leaving[:, site]))
        to = generator.choice(np.flatnonzero(coming[unit]))
        leaving[unit, site], coming[unit, to] = False, False
        moves.append((unit, site, to))
        site = to
    return moves


def _table(name: str, values: ArrayLike) -> Mask:
    table = np.asarray(values)
    if table.ndim != 2 or table.dtype != bool:
        raise InputError(
            f"{name}: must be bool [hidden, visible], found {table.dtype} of shape {table.shape}"
        )
    return table
