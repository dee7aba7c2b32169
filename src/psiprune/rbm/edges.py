"""Sums over configurations for sparse masks: a multiply-add for each weight that exists.

Matrix products take N N_h multiply-adds for each configuration whatever the mask, but make three
times as many a second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.kernels import edges

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
#: Largest share of weights at which sums over edges are faster than matrix products, and how much
#: longer a multiply-add takes in them.
_SPARSE, _SLOWER = 0.25, 3


class Edges(NamedTuple):
    """The weights of a mask in the order of `mask[mask]`, by hidden units.

    Attributes:
        start: where the edges of each unit begin, [unit + 1].
        site: the site of each edge, [edge].
    """

    start: Int64
    site: Int64

    def inputs(self, weight: Float32, bias: Float32, v: Float32) -> Float32:
        """Return c_j + sum_i W_ji v_i, [unit, configuration].

        Args:
            weight: W, [edge].
            bias: c, [unit].
            v: contiguous [site, configuration].
        """
        out = np.empty((len(bias), v.shape[1]), np.float32)
        edges.inputs(self.start, self.site, weight, bias, v, out)
        return out

    def products(self, s: Float32, v: Float32) -> Float32:
        """Return sum_k s[j, k] v[i, k] for each edge between j and i, [edge].

        Args:
            s: contiguous [unit, configuration].
            v: contiguous [site, configuration].
        """
        out = np.empty(len(self.site), np.float32)
        edges.products(self.start, self.site, s, v, out)
        return out


def edges_of(mask: NDArray[np.bool_]) -> Edges:
    """Return the edges of a mask [hidden, visible]."""
    unit, site = np.nonzero(mask)
    return Edges(np.searchsorted(unit, np.arange(len(mask) + 1)).astype(np.int64), site)


def is_sparse(weights: int, sites: int, hidden: int) -> bool:
    """Return whether sums over so many edges are faster than products of whole matrices."""
    return weights <= _SPARSE * sites * hidden


def product_work(weights: int, sites: int, hidden: int) -> int:
    """Return the multiply-adds of matrix products that take as long as the faster of the two."""
    return _SLOWER * weights if is_sparse(weights, sites, hidden) else sites * hidden


def sigmoid(x: Float32) -> Float32:
    """Return 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2 in place of x."""
    half = np.float32(0.5)
    x *= half
    np.tanh(x, out=x)
    x *= half
    x += half
    return x
