"""Bootstrap errors of averages over shots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for

Float64 = NDArray[np.float64]
#: Resamples behind the error of an average.
RESAMPLES = 400


def at_least_one_shot(errors: Float64, values: Float64, shots: float) -> Float64:
    """Return errors, with max(1, |value|) / shots where all shots agree and the error is 0.

    What none of n shots has shown may still occur in one of n; zero would claim certainty.
    """
    scale = np.maximum(1.0, np.abs(values))
    return np.where(errors <= 1e-12 * scale, scale / shots, errors)


def block_means(values: Float64, block: int) -> Float64:
    """Return the means of values [..., shot] over blocks of consecutive shots, [..., block]."""
    starts = np.arange(0, values.shape[-1], block)
    sizes = np.diff([*starts, values.shape[-1]])
    return values if block == 1 else np.add.reduceat(values, starts, axis=-1) / sizes


def bootstrap_means(table: NDArray[np.float32], seed: int, block: int = 1) -> Float64:
    """Return column means of table [shot, column] over resamples of its rows: [resample, column].

    Rows are drawn with replacement, by `scipy.stats.bootstrap`, in blocks of `block` consecutive
    ones (Carlstein 1986), the last of which may be shorter; a few resamples are in memory at a
    time, as counts of each block.
    """
    from scipy.stats import bootstrap  # half a second to load, and only needed here

    sizes = None
    if block > 1:
        starts = np.arange(0, len(table), block)
        sizes = np.diff([*starts, len(table)]).astype(np.float32)
        table = np.add.reduceat(table, starts)
    rows = len(table)

    def means(resamples: NDArray[np.int64], axis: int) -> Float64:
        counts = np.array(
            [np.bincount(drawn, minlength=rows) for drawn in resamples], dtype=np.float32
        )
        shots = rows if sizes is None else (counts @ sizes).astype(np.float64)
        return (counts @ table).T.astype(np.float64) / shots

    result = bootstrap(
        (np.arange(rows),),
        means,
        n_resamples=RESAMPLES,
        batch=max(1, min(RESAMPLES, 4_000_000 // rows)),
        method="percentile",
        rng=generator_for(seed, Stream.BOOTSTRAP),
    )
    return np.asarray(result.bootstrap_distribution.T)
