"""Compare every site and pair of an RBM with shots, and the halves of a record with each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from psiprune.core.random import Stream
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.dependence import INDEPENDENT, Blocks
from psiprune.data.diagnostics import describe_shots
from psiprune.data.shots import Shots, check_sites
from psiprune.metrics.bootstrap import at_least_one_shot
from psiprune.metrics.draws import draw_from_data
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


@one_line
class MaxDeviation(NamedTuple):
    """The largest of several differences, in standard errors.

    Attributes:
        sigmas: its size.
        limit: exceeded with probability 1 % at most if there is no difference (Bonferroni).
        where: the sites it belongs to, counted from 0.
        warning: why it cannot be trusted; empty if no problem was detected.
    """

    sigmas: float
    limit: float
    where: tuple[int, ...]
    warning: str = ""


def sigma_limit(comparisons: int, significance: float = 0.01) -> float:
    """Return what the largest of so many |normal| variables exceeds with this probability."""
    return float(norm.isf(significance / (2 * max(1, comparisons))))


@single_blas_thread()
def worst_pair(
    rbm: RBM,
    shots: Shots,
    *,
    draws: int = 100_000,
    seed: int = 0,
    blocks: Blocks = INDEPENDENT,
) -> MaxDeviation:
    """Return the largest difference of all <Z_i> and <Z_i Z_j> between an RBM and shots.

    Errors of the shots are those of independent blocks of them, at least 1/n for n independent
    shots, since what none has shown may still occur in one of n. Errors of the RBM are those of its
    chains' means.

    Raises:
        InputError: the shots have another number of sites or another basis.
    """
    bits = check_sites(shots, rbm.visible, "the RBM").bits
    drawn = draw_from_data(rbm, bits, draws, seed, Stream.AGREEMENT_START, Stream.AGREEMENT_DRAWS)
    mean, error = _moments(drawn.bits)
    shots_mean, shots_error = _moments(bits[:, None, :])
    if blocks.length > 1:
        complete = len(bits) // blocks.length
        _, shots_error = _moments(
            bits[: complete * blocks.length].reshape(complete, blocks.length, -1)
        )
    floor = at_least_one_shot(shots_error, shots_mean, blocks.effective(len(bits)))
    error = np.hypot(error, floor)
    upper = np.triu(np.abs(mean - shots_mean) / error)
    i, j = (int(k) for k in np.unravel_index(int(np.argmax(upper)), upper.shape))
    limit = sigma_limit(rbm.visible * (rbm.visible + 1) // 2)
    return MaxDeviation(float(upper[i, j]), limit, (i,) if i == j else (i, j), drawn.warning)


def drift(shots: Shots) -> MaxDeviation:
    """Return the largest difference of <Z_i> between the first and the second half of a record.

    Its standard error is that over random orders of the same shots, times the root of the
    inefficiency, see `ShotsDescription`. NaN,
    without a site, where equal configurations are grouped, as in counts, which have no order.
    """
    description = describe_shots(shots)
    if description.grouped:
        return MaxDeviation(float("nan"), sigma_limit(shots.sites), ())
    sigmas = np.abs(description.drift[: shots.sites]) / np.sqrt(description.inefficiency)
    k = int(np.argmax(sigmas))
    return MaxDeviation(float(sigmas[k]), sigma_limit(shots.sites), (k,))


def _moments(bits: NDArray[np.uint8]) -> tuple[Float64, Float64]:
    """Return <Z_i Z_j> (diagonal: <Z_i>) of bits [chain, draw, site] and the standard errors."""
    chains, length, sites = bits.shape
    z = 1.0 - 2.0 * bits.astype(np.float32)
    total, square = np.zeros((sites, sites)), np.zeros((sites, sites))
    if length == 1:  # independent draws: the products are +1 or -1, their squares 1
        flat = z[:, 0]
        total += flat.T @ flat
        np.fill_diagonal(total, flat.sum(axis=0, dtype=np.float64))
        square += chains
    else:
        for chain in z:
            mean = (chain.T @ chain).astype(np.float64) / length
            np.fill_diagonal(mean, chain.mean(axis=0))
            total += mean
            square += mean**2
    mean = total / chains
    spread = np.maximum(square / chains - mean**2, 0.0) * chains / (chains - 1)
    return mean, np.sqrt(spread / chains)
