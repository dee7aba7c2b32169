"""Fisher information of shots in bases that rotate few sites, at any number of sites.

The score of outcomes x whose amplitude A(x) is a sum of terms c_s psi(s) (`rbm.phase_terms`) is,
with w_s = c_s psi(s) / A(x) and up to a constant of each parameter, that of log Z,

    d log |A(x)|^2 = sum_s Re w_s d log p~(s) - sum_s Im w_s d phi(s).

Its covariance over the shots is the Fisher information of a shot, if the state describes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.inference.fisher import (
    factors_of_parameters,
    factors_of_scores,
    fill_symmetric,
    sample_fisher,
)
from psiprune.rbm.likelihood import unique_configurations
from psiprune.rbm.phase import PhaseRBM
from psiprune.rbm.phase_terms import Terms, relative_terms

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@single_blas_thread()
def terms_fisher(rbm: PhaseRBM, terms: Sequence[Terms]) -> Float64:
    """Return the Fisher information of a shot, [parameter, parameter], in the order of `to_vector`.

    Args:
        rbm: the state.
        terms: the shots, or a part of them, a table of whose scores fits in memory.
    """
    scores = np.concatenate(map_threads(lambda piece: shot_scores(rbm, piece), terms))
    weight = np.concatenate([piece.weight[_order(piece)] for piece in terms])
    weight /= weight.sum()
    scores -= (weight @ scores).astype(np.float32)
    scores *= np.sqrt(weight)[:, None].astype(np.float32)
    table = np.ascontiguousarray(scores.T)
    return fill_symmetric(len(table), lambda part: table[part])


def draws_fisher(rbm: PhaseRBM, draws: NDArray[np.uint8]) -> tuple[Float64, Float64]:
    """Return the blocks of `phase_fisher.quantum_fisher` over draws of |psi|^2 [draw, site]."""
    configurations = unique_configurations(draws)
    amplitude, phase = (
        sample_fisher(network, configurations) for network in (rbm.amplitude, rbm.phase)
    )
    return amplitude, phase


def shot_scores(rbm: PhaseRBM, piece: Terms) -> Float32:
    """Return the score of each shot up to that of log Z, [shot, parameter].

    Shots are in the order of the number of rotated sites.
    """
    _, ratio = relative_terms(rbm, piece)
    parts = []
    for network, weight in ((rbm.amplitude, ratio.real), (rbm.phase, -ratio.imag)):
        unit, site = factors_of_parameters(network)
        s, v = factors_of_scores(network, piece.bits.T)
        found = []
        for term in _terms_by_rotation(piece):
            state, share = piece.state[term], weight[term].astype(np.float32)
            both = (s[:, state] * share).transpose(1, 0, 2) @ v[:, state].transpose(1, 2, 0)
            found.append(both[:, unit, site])
        parts.append(np.concatenate(found))
    return np.concatenate(parts, axis=1)


def _order(piece: Terms) -> NDArray[np.int64]:
    return np.argsort(piece.rotated, kind="stable")


def _terms_by_rotation(piece: Terms) -> Iterator[NDArray[np.int64]]:
    """Yield the terms of the shots with each number of rotated sites, [shot, term]."""
    for rotated in np.unique(piece.rotated):
        yield piece.first[piece.rotated == rotated][:, None] + np.arange(1 << rotated)
