"""Compare every site and pair of an RBM with shots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.repr import one_line
from psiprune.core.threads import single_blas_thread
from psiprune.data.shots import Shots, check_sites
from psiprune.metrics.draws import draw_from_data
from psiprune.rbm.model import RBM

Float64 = NDArray[np.float64]


@one_line
class SitesAndPairs(NamedTuple):
    """<Z_i Z_j> of a model and of shots, all [site, site]; on the diagonal <Z_i>.

    Attributes:
        value, error: of the model, and its standard error.
        shots_value: of the shots.
        warning: why the values of the model cannot be trusted; empty if no problem was detected.
    """

    value: Float64
    error: Float64
    shots_value: Float64
    warning: str = ""


@single_blas_thread()
def sites_and_pairs(
    rbm: RBM, shots: Shots, *, draws: int = 100_000, seed: int = 0
) -> SitesAndPairs:
    """Return all <Z_i> and <Z_i Z_j> of an RBM and of shots; with readout errors, of its records.

    Errors of the RBM are those of its chains' means.

    Raises:
        InputError: the shots have another number of sites or another basis.
    """
    bits = check_sites(shots, rbm.visible, "the RBM").bits
    drawn = draw_from_data(rbm, bits, draws, seed, Stream.AGREEMENT_START, Stream.AGREEMENT_DRAWS)
    drawn = drawn.recorded(shots.readout, derive_seed(seed, Stream.AGREEMENT_RECORDS))
    mean, error = _moments(drawn.bits)
    shots_mean, _ = _moments(bits[:, None, :])
    return SitesAndPairs(mean, error, shots_mean, drawn.warning)


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
