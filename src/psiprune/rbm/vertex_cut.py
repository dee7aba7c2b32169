"""How many units of an RBM separate the sites left of a cut from those right of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from psiprune.core.validation import check_count
from psiprune.rbm.model import RBM


class VertexCut(NamedTuple):
    """The fewest units of an RBM without which no path of weights crosses a cut of the sites.

    Attributes:
        units: sites and hidden units together. Given their values, the sites on both sides are
            independent, so p(v) is a sum of 2^units products of a function of each side.
        sites: sites alone. sqrt(p(v)) is a sum of 2^sites products, see `vertex_cut`.
    """

    units: int
    sites: int


def vertex_cut(rbm: RBM, cut: int | None = None) -> VertexCut:
    """Return how many units separate the first `cut` sites from the others.

    2^units bounds the bond dimension, at that cut, of an MPS whose entries are p(v) (Chen, Cheng,
    Xie, Wang & Xiang, Phys. Rev. B 97, 085104 (2018), whose amplitudes are sums over hidden units,
    as p is here). It is no bound for psi = sqrt(p): the root of a sum over a hidden unit has more
    terms. Fixing sites also splits the root, so 2^sites bounds the bond dimension of psi, and
    sites * ln 2 its entanglement entropy.

    By Menger's theorem the number is that of paths site - hidden unit - site across the cut that
    share no unit, a maximum flow. Weights that are 0 are no edges.

    Args:
        rbm: the RBM.
        cut: number of sites on the left, 0 .. N (default: N // 2).

    Returns:
        (units, sites), named: with all units, and with sites alone.

    Raises:
        InputError: `cut` is out of range.
    """
    cut = check_cut(cut, rbm.visible)
    edges = rbm.weights != 0
    return VertexCut(_largest_flow(edges, cut, 1), _largest_flow(edges, cut, rbm.visible))


def check_cut(cut: int | None, sites: int) -> int:
    """Return the number of sites left of a cut, half of them by default.

    Raises:
        InputError: it is not an integer from 0 to `sites`.
    """
    return sites // 2 if cut is None else check_count("cut", cut, 0, sites)


def _largest_flow(edges: NDArray[np.bool_], cut: int, capacity: int) -> int:
    """Return the flow from left to right sites; `capacity` is that of hidden units, of sites 1."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    hidden, visible = edges.shape
    # Numbers of nodes: sites, ends of hidden units towards the left and the right, source, sink.
    source, sink = visible + 2 * hidden, visible + 2 * hidden + 1
    unit, site = np.nonzero(edges)
    left = site < cut
    sites, units = np.arange(visible), np.arange(hidden)
    arcs = [
        (np.full(cut, source), sites[:cut], 1),
        (site[left], visible + unit[left], 1),
        (visible + units, visible + hidden + units, capacity),
        (visible + hidden + unit[~left], site[~left], 1),
        (sites[cut:], np.full(visible - cut, sink), 1),
    ]
    tails, heads = (np.concatenate([arc[k] for arc in arcs]) for k in (0, 1))
    capacities = np.concatenate([np.full(len(arc[0]), arc[2], np.int32) for arc in arcs])
    graph = coo_array((capacities, (tails, heads)), shape=(sink + 1, sink + 1)).tocsr()
    return int(maximum_flow(graph, source, sink).flow_value)
