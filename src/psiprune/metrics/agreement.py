"""Do an RBM and shots agree on every site and every pair; are shots steady over their record?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from psiprune.core.random import Stream, derive_seed, generator_for
from psiprune.core.threads import single_blas_thread
from psiprune.data.diagnostics import describe_shots
from psiprune.data.shots import Shots, check_sites
from psiprune.metrics.draws import draw
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


class MaxDeviation(NamedTuple):
    """The largest of several differences, in standard errors.

    Attributes:
        sigmas: how large.
        limit: beyond it with probability 1 % at most, if there is no difference (Bonferroni).
        where: the sites it belongs to, counted from 0.
        warning: why it cannot be trusted; empty if nothing speaks against it.
    """

    sigmas: float
    limit: float
    where: tuple[int, ...]
    warning: str = ""


def sigma_limit(comparisons: int, significance: float = 0.01) -> float:
    """The largest of so many |normal| variables exceeds this with probability 1 % at most."""
    return float(norm.isf(significance / (2 * max(1, comparisons))))


@single_blas_thread()
def worst_pair(rbm: RBM, shots: Shots, *, draws: int = 100_000, seed: int = 0) -> MaxDeviation:
    """The largest difference of all <Z_i> and <Z_i Z_j> between an RBM and shots.

    Errors of the shots are those of independent shots, errors of the RBM those of its chains'
    means. Values that all shots and all draws share differ by nothing.

    Raises:
        InputError: the shots are of another number of sites or in another basis.
    """
    bits = check_sites(shots, rbm.visible, "the RBM").bits
    pick = generator_for(seed, Stream.AGREEMENT_START)
    own = derive_seed(seed, Stream.AGREEMENT_DRAWS)
    drawn = draw(rbm, lambda n: bits[pick.integers(0, len(bits), n)], draws, own)
    here, here_error = _moments(drawn.bits)
    there, there_error = _moments(bits[:, None, :])
    gap, error = np.abs(here - there), np.hypot(here_error, there_error)
    sigmas = np.divide(gap, error, out=np.where(gap > 1e-12, np.inf, 0.0), where=error > 0)
    upper = np.triu(sigmas)
    i, j = (int(k) for k in np.unravel_index(int(np.argmax(upper)), upper.shape))
    limit = sigma_limit(rbm.visible * (rbm.visible + 1) // 2)
    return MaxDeviation(float(upper[i, j]), limit, (i,) if i == j else (i, j), drawn.warning)


def drift(shots: Shots) -> MaxDeviation:
    """The largest difference of <Z_i> between the first and the second half of a record.

    Its standard error is that over random orders of the same shots, see `ShotsDescription`. NaN,
    and no site, where equal configurations stand together, as in counts, which keep no order.
    """
    found = describe_shots(shots)
    if found.grouped:
        return MaxDeviation(float("nan"), sigma_limit(shots.sites), ())
    sigmas = np.abs(found.drift[: shots.sites])
    k = int(np.argmax(sigmas))
    return MaxDeviation(float(sigmas[k]), sigma_limit(shots.sites), (k,))


def _moments(bits: NDArray[np.uint8]) -> tuple[Float64, Float64]:
    """<Z_i Z_j>, on the diagonal <Z_i>, of bits [chain, draw, site], and their standard errors."""
    chains, length, sites = bits.shape
    z = 1.0 - 2.0 * bits.astype(np.float32)
    total, square = np.zeros((sites, sites)), np.zeros((sites, sites))
    if length == 1:  # a chain of one draw: the products are +1 or -1, their squares 1
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
