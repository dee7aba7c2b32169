"""Bootstrap errors of averages over shots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, generator_for

Float64 = NDArray[np.float64]
#: Resamples behind the error of an average.
RESAMPLES = 400


def at_least_one_shot(errors: Float64, values: Float64, shots: int) -> Float64:
    """Return errors, with max(1, |value|) / shots where all shots agree and the error is 0.

    What none of n shots has shown may still occur in one of n; zero would claim certainty.
    """
    scale = np.maximum(1.0, np.abs(values))
    return np.where(errors <= 1e-12 * scale, scale / shots, errors)


def bootstrap_means(table: NDArray[np.float32], seed: int) -> Float64:
    """Return column means of table [shot, column] over resamples of its rows: [resample, column].

    Rows are drawn with replacement, by `scipy.stats.bootstrap`; a few resamples are in memory at a
    time, as counts of each row.
    """
    from scipy.stats import bootstrap  # half a second to load, and only needed here

    shots = len(table)

    def means(resamples: NDArray[np.int64], axis: int) -> Float64:
        counts = [np.bincount(rows, minlength=shots) for rows in resamples]
        return (np.array(counts, dtype=np.float32) @ table).T.astype(np.float64) / shots

    result = bootstrap(
        (np.arange(shots),),
        means,
        n_resamples=RESAMPLES,
        batch=max(1, min(RESAMPLES, 4_000_000 // shots)),
        vectorized=True,
        method="percentile",
        rng=generator_for(seed, Stream.BOOTSTRAP),
    )
    return np.asarray(result.bootstrap_distribution.T)
