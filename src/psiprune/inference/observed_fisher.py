"""The Fisher matrix of recorded bits, for pruning an RBM through readout errors.

A change delta of the parameters costs KL(p(y) || p'(y)) = delta.F.delta / 2 in the distribution of
the records, with F = Cov_p(y)(E[s | y]) and s = d log p~(v) / d theta: the part of the covariance
of s that readout errors do not hide (Louis, J. R. Stat. Soc. B 44, 226 (1982)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psiprune.core.random import Stream, derive_seed
from psiprune.core.threads import single_blas_thread
from psiprune.data.readout_error import ReadoutError
from psiprune.inference.fisher import factors_of_parameters, fill_symmetric, sample_bits
from psiprune.inference.natural_direction import Scores, sample_scores
from psiprune.rbm.model import RBM
from psiprune.rbm.posterior import TrueBits

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
#: Most and fewest draws of the true bits of each record, and Gibbs steps between them. With R of
#: them the variance within a record, which the errors hide, enters F with weight 1/R, or more as
#: these draws are correlated.
_MOST, _FEWEST, _THIN = 32, 4, 2
#: Numbers stored for all draws, 1 GiB in float32; beyond this there are fewer than `_MOST`.
_NUMBERS = 1 << 28


@single_blas_thread()
def observed_fisher(rbm: RBM, readout: ReadoutError, *, draws: int, seed: int) -> Float64:
    """Return F = Cov_p(y)(E[s | y]), [parameter, parameter], in the order of `fisher_matrix`.

    E[s | y] is averaged over 32 draws of the true bits of each record (fewer for large RBMs): the
    configuration that the record was simulated from, and states of a Gibbs chain of p(v | y) that
    starts there.

    Args:
        rbm: the RBM.
        readout: the readout errors.
        draws: simulated records.
        seed: of the draws.
    """
    return records_fisher(rbm, _simulated(rbm, readout, draws, seed), _repeats(rbm, draws), seed)


@single_blas_thread()
def records_fisher(rbm: RBM, chains: TrueBits, repeats: int, seed: int) -> Float64:
    """Return F over given records: `observed_fisher` with chains of their true bits.

    Args:
        rbm: the RBM.
        chains: the chains, which are advanced from here.
        repeats: draws of the true bits of each record.
        seed: of the chains.
    """
    scores = record_scores(rbm, chains, repeats, seed)
    unit, site = factors_of_parameters(rbm)
    root = 1 / np.sqrt(np.float32(len(chains.bits)))

    def derivatives(part: slice) -> Float32:
        block = _means(scores, unit[part], site[part])
        block -= block.mean(axis=1, keepdims=True)
        block *= root
        return block

    return fill_symmetric(len(unit), derivatives)


@single_blas_thread()
def observed_variances(rbm: RBM, readout: ReadoutError, *, draws: int, seed: int) -> Float64:
    """Return the diagonal of F for the weights, also pruned ones, [hidden, visible]."""
    chains = _simulated(rbm, readout, draws, seed)
    scores = record_scores(rbm, chains, _repeats(rbm, draws), seed)
    sites = np.arange(1, rbm.visible + 1)
    return np.stack(
        [
            _means(scores, np.full(rbm.visible, j + 1), sites).var(axis=1, dtype=np.float64)
            for j in range(rbm.hidden)
        ]
    )


def record_scores(rbm: RBM, chains: TrueBits, repeats: int, seed: int) -> Scores:
    """Return the factors of the scores over draws of the true bits of given records.

    Arguments as for `records_fisher`.
    """
    drawn = [sample_scores(rbm, chains.bits)]
    for _ in range(repeats - 1):
        chains = chains.advanced(rbm.compiled, _THIN, seed)
        drawn.append(sample_scores(rbm, chains.bits))
    return Scores(*map(np.concatenate, zip(*drawn, strict=True)))


def _simulated(rbm: RBM, readout: ReadoutError, draws: int, seed: int) -> TrueBits:
    """Return samples of the RBM, and records of them, as chains of true bits."""
    bits = sample_bits(rbm, draws, derive_seed(seed, Stream.OBSERVED_DRAWS))
    records = readout.misread(bits, derive_seed(seed, Stream.OBSERVED_DRAWS, 1))
    return TrueBits(records, readout, bits)


def _repeats(rbm: RBM, draws: int) -> int:
    fitting = _NUMBERS // (draws * (rbm.visible + rbm.hidden + 2))
    return min(_MOST, max(_FEWEST, fitting))


def _means(scores: Scores, unit: NDArray[np.int64], site: NDArray[np.int64]) -> Float32:
    """Return the averages over repeats of s_a v_b, [parameter, record]."""
    total = scores.hidden[0, unit] * scores.bits[0, site]
    for hidden, bits in zip(scores.hidden[1:], scores.bits[1:], strict=True):
        total += hidden[unit] * bits[site]
    total /= np.float32(len(scores.hidden))
    return total
