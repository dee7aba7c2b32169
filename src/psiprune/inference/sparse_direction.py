"""The damped Fisher matrix of an RBM with a sparse mask, by its products with vectors.

As in `inference.natural_direction`, with sums over the edges of the mask in place of matrix
products: time and memory are proportional to the number of weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.threads import map_threads, single_blas_thread
from psiprune.inference.natural_direction import DampedFisher, Linear
from psiprune.rbm.edges import Edges, edges_of, sigmoid
from psiprune.rbm.model import RBM

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
_PIECE = 1024  # samples per task; fixed, so that sums are the same on any number of cores


class _Piece(NamedTuple):
    """Some samples: s_j = p(h_j = 1 | v), [unit, sample], and v, [site, sample]."""

    s: Float32
    v: Float32


@single_blas_thread()
def sparse_damped_fisher(rbm: RBM, bits: NDArray[np.uint8], damping: float) -> DampedFisher:
    """Return A = F + lambda 1, with F the covariance of the scores over configurations.

    The preconditioner is the inverse of A between the parameters of one site: its bias, and its
    weights to all units. Of a unit's bias it is the inverse of the variance.

    Args:
        rbm: an RBM, whose mask names the parameters, in the order of `fisher_matrix`.
        bits: configurations [sample, site].
        damping: lambda.
    """
    edges = edges_of(rbm.mask)
    weight, bias = rbm.weights[rbm.mask].astype(np.float32), rbm.hidden_bias.astype(np.float32)

    def piece(first: int) -> _Piece:
        v = np.ascontiguousarray(bits[first : first + _PIECE].T, np.float32)
        return _Piece(sigmoid(edges.inputs(weight, bias, v)), v)

    pieces = map_threads(piece, range(0, len(bits), _PIECE))
    fisher = _product(pieces, edges, len(bits))
    precondition = _site_blocks(rbm, pieces, damping)
    return DampedFisher(lambda x: fisher(x) + damping * x, precondition)


def _product(pieces: list[_Piece], edges: Edges, count: int) -> Linear:
    """Return the function x -> F x over samples, in pieces, in threads."""
    weights, sites = len(edges.site), len(pieces[0].v)

    def mean_of(weigh: Callable[[_Piece], Float32]) -> Float64:
        """Return the mean of u s_a v_b, [parameter], with u [sample] from s and v."""

        def sums(piece: _Piece) -> Float64:
            u = weigh(piece)
            weighted = piece.s * u
            parts = edges.products(weighted, piece.v), piece.v @ u, weighted.sum(axis=1)
            return np.concatenate(parts).astype(np.float64)

        total: Float64 = np.sum(map_threads(sums, pieces), axis=0)
        return total / count

    mean = mean_of(lambda piece: np.ones(piece.v.shape[1], np.float32))

    def product(x: Float64) -> Float64:
        offset = np.float32(mean @ x)
        weight, visible, hidden = np.split(x.astype(np.float32), [weights, weights + sites])

        def weigh(piece: _Piece) -> Float32:
            along = edges.inputs(weight, hidden, piece.v)
            along *= piece.s
            u: Float32 = along.sum(axis=0) + visible @ piece.v - offset
            return u

        return mean_of(weigh)

    return product


def _site_blocks(rbm: RBM, pieces: list[_Piece], damping: float) -> Linear:
    """Return x -> B x with the inverse of A within each site's parameters, and 0 between sites."""
    from scipy.sparse import block_diag

    weights, sites = rbm.number_of_weights, rbm.visible
    number = np.zeros(rbm.mask.shape, np.int64)
    number[rbm.mask] = np.arange(weights)
    s, v = (np.concatenate(factor, axis=1) for factor in zip(*pieces, strict=True))

    def block(site: int) -> tuple[NDArray[Any], NDArray[Any]]:
        units = np.flatnonzero(rbm.mask[:, site])
        scores = np.concatenate([s[units], np.ones((1, len(s[0])), np.float32)]) * v[site]
        damped = np.atleast_2d(np.cov(scores, ddof=0)) + damping * np.eye(len(scores))
        return np.append(number[units, site], weights + site), np.linalg.inv(damped)

    places, blocks = zip(*map_threads(block, range(sites)), strict=True)
    biases = 1.0 / (s.var(axis=1, dtype=np.float64) + damping)
    inverse = block_diag([*blocks, *biases], format="csr")
    place = np.concatenate([*places, np.arange(weights + sites, rbm.number_of_parameters)])

    def precondition(x: Float64) -> Float64:
        out = np.empty(len(x))
        out[place] = inverse @ x[place]
        return out

    return precondition
