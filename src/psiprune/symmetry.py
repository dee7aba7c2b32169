"""How well shots keep the symmetry between a configuration and its flipped partner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from psiprune.inputs import InputError


def partner_ratios(bits: NDArray[np.uint8], most: Sequence[int]) -> xr.Dataset:
    """n(v) / n(-v) over the K most frequent configurations, for each K in `most`.

    n(v) is how often v occurs in bits [shot, site], -v is v with all bits flipped. In the ground
    state of the Ising chain both have the same probability, so the ratio is 1 but for noise of
    about sqrt(2 / n). (Golubeva & Melko 2021, Section III A: 0.98 +- 0.19; they do not say over
    which configurations.) Of equally frequent configurations the first in the order of bit strings
    counts.

    Returns:
        A dataset over `most` with ratio and ratio_spread, mean and standard deviation over those
        that have a partner; expected_spread, the root of the mean of 2 / n(v), what the noise of
        counting alone would give for small noise; with_partner, how many of the K have one;
        occurrences, the shots they make up; and a number, distinct, of all configurations. NaN
        where there are fewer than K configurations.

    Raises:
        InputError: not a table of bits, or a K below 1.
    """
    if bits.ndim != 2 or 0 in bits.shape:
        raise InputError(f"bits: must be [shot, site] and not empty, found shape {bits.shape}")
    if any(k < 1 for k in most):
        raise InputError(f"most: must be at least 1, found {list(most)}")
    packed = np.packbits(bits, axis=1)
    rows, count = np.unique(packed, axis=0, return_counts=True)
    flipped = np.packbits(1 - np.unpackbits(rows, axis=1, count=bits.shape[1]), axis=1)
    where = {row.tobytes(): k for k, row in enumerate(rows)}
    order = np.argsort(-count, kind="stable")
    found: dict[str, list[float]] = {name: [] for name in _NAMES}
    for k in most:
        top = order[:k]
        if len(top) < k:
            for values in found.values():
                values.append(np.nan)
            continue
        pairs = [(count[v], where.get(flipped[v].tobytes())) for v in top]
        ratios = np.array([n / count[partner] for n, partner in pairs if partner is not None])
        found["ratio"].append(ratios.mean() if len(ratios) else np.nan)
        found["ratio_spread"].append(ratios.std(ddof=1) if len(ratios) > 1 else np.nan)
        found["expected_spread"].append(np.sqrt(np.mean(2.0 / count[top])))
        found["with_partner"].append(len(ratios))
        found["occurrences"].append(count[top].sum())
    variables = {name: ("most", np.array(values, float)) for name, values in found.items()}
    return xr.Dataset({**variables, "distinct": len(rows)}, {"most": list(most)})


_NAMES = ("ratio", "ratio_spread", "expected_spread", "with_partner", "occurrences")
