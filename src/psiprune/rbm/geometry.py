"""Where sites and hidden units are: chains, rings of sites, and sites with coordinates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from psiprune.core.exceptions import InputError
from psiprune.core.limits import SORTED_PAIRS
from psiprune.core.validation import check_count
from psiprune.data.formats.base import SourceFile, read_content
from psiprune.data.formats.lines import numbered_lines
from psiprune.rbm.masks import number_of_pairs

Float64 = NDArray[np.float64]

_DECIMALS = 6  # distances that are equal but for rounding errors must tie


class Geometry(NamedTuple):
    """Sites and middles of hidden units, in units of the spacing of the sites.

    Attributes:
        sites: [site, axis].
        middles: [unit, axis].
        distance: from the middle of each unit, [unit, site].
        periodic: whether the last site of a chain is next to the first.
    """

    sites: NDArray[np.float64]
    middles: NDArray[np.float64]
    distance: NDArray[np.float64]
    periodic: bool


def geometry_of(
    visible: int, hidden: int | None, periodic: bool, positions: ArrayLike | None
) -> Geometry:
    """Place the sites and the middles of the hidden units, as `scale_free_mask` describes.

    Raises:
        InputError: a layer has no unit, there are more than 2 * 10^7 pairs of units, or positions
            are not finite, not different, not of `visible` sites, or given with periodic.
    """
    check_count("visible", visible, 1)  # the default of hidden
    hidden = visible if hidden is None else hidden
    number_of_pairs(hidden, visible, SORTED_PAIRS)
    middles = ((np.arange(hidden) + 0.5) * visible / hidden)[:, None]
    if positions is None:
        sites = np.arange(visible, dtype=np.float64)[:, None]
        middles -= 0.5
    else:
        if periodic:
            raise InputError(
                "periodic: applies to a chain without positions, found True; omit one of them"
            )
        sites = _scaled(positions, visible)
        middles = sites[middles[:, 0].astype(int)]
    squared = np.zeros((hidden, visible))
    for middle, site in zip(middles.T, sites.T, strict=True):
        squared += (middle[:, None] - site) ** 2
    distance = np.sqrt(squared)
    if periodic:
        distance = np.minimum(distance, visible - distance)
    return Geometry(sites, middles, distance.round(_DECIMALS), periodic)


def read_positions(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read coordinates of sites, [site, axis]: text with a line per site, such as "0.0, 5.5".

    Raises:
        InputError: the file cannot be read, holds no coordinates, a value is not a number, or lines
            differ in length; the message names the file and the line.
    """
    file = SourceFile(Path(path), read_content(path))
    rows: list[list[float]] = []
    for number, line in numbered_lines(file, 0):
        cells = line.replace(",", " ").split()
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise InputError(
                f"{file.place}: line {number} must hold the coordinates of a site, numbers "
                f"separated by spaces or commas, found {line[:60]!r}"
            ) from None
        if len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"{file.place}: line {number} has {len(rows[-1])} coordinates, but the first line "
                f"has {len(rows[0])}"
            )
    if not rows:
        raise InputError(
            f"{file.place}: must hold a line with the coordinates of each site, found only blank "
            "lines and comments"
        )
    return np.array(rows, np.float64)


def nearest_distances(positions: ArrayLike, visible: int) -> tuple[Float64, Float64]:
    """Return positions [site, axis] and the distance of each site from its nearest one [site].

    Raises:
        InputError: they are not finite numbers for each of the sites, or not all different.
    """
    from scipy.spatial import KDTree

    try:
        table = np.asarray(positions, np.float64)
    except (TypeError, ValueError):  # rows of different lengths, or no numbers
        raise InputError("positions: must be a table of numbers [site, axis]") from None
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or len(table) != visible or not table.size:
        raise InputError(
            f"positions: must have a row for each of {visible} sites, found shape "
            f"{np.shape(positions)}"
        )
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        raise InputError(
            f"positions: must be finite, found {table[bad[0]].tolist()} for site {bad[0]}"
        )
    # The nearest site is the site itself; a single one has its second at a distance of inf.
    nearest = KDTree(table).query(table, k=[2])[0]
    if not nearest.all():
        site = int((nearest == 0).argmax())
        raise InputError(
            f"positions: must all differ, found {table[site].tolist()} for site {site} and another"
        )
    return table, nearest[:, 0]


def _scaled(positions: ArrayLike, visible: int) -> Float64:
    """Return positions [site, axis] in units of the median distance between nearest neighbours."""
    table, nearest = nearest_distances(positions, visible)
    scaled: Float64 = table / np.median(nearest)
    return scaled
