"""Units that separate two sides: against all subsets, and against ranks across the cut."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import exact
import psiprune as pp
from machines import distribution, random_rbm
from psiprune.rbm.model import RBM
from psiprune.rbm.vertex_cut import VertexCut
from refusals import refuses


def separate(rbm: RBM, cut: int, removed: frozenset[int]) -> bool:
    """Whether no path joins both sides; units are sites 0 .. N - 1, then hidden units."""
    for unit, row in enumerate(rbm.weights != 0):
        if rbm.visible + unit not in removed:
            kept = [site for site in np.flatnonzero(row) if site not in removed]
            if kept and min(kept) < cut <= max(kept):
                return False
    return True


def fewest(rbm: RBM, cut: int, units: int) -> int:
    """The size of the smallest separating set among the first `units` units."""
    return next(
        size
        for size in range(units + 1)
        if any(separate(rbm, cut, frozenset(s)) for s in combinations(range(units), size))
    )


def rank(matrix: np.ndarray) -> int:
    return int((np.linalg.svd(matrix, compute_uv=False) > 1e-10 * np.linalg.norm(matrix)).sum())


@pytest.mark.parametrize(
    ("visible", "hidden", "density"),
    [(6, 4, 0.3), (6, 4, 0.5), (7, 3, 0.4), (5, 5, 0.35), (6, 5, 0.25), (4, 2, 1.0), (2, 3, 1.0)],
)
def test_it_is_the_smallest_of_all_separating_sets(
    visible: int, hidden: int, density: float
) -> None:
    rbm = random_rbm(visible, hidden, density=density)
    for cut in range(visible + 1):
        wanted = fewest(rbm, cut, visible + hidden), fewest(rbm, cut, visible)
        assert pp.vertex_cut(rbm, cut) == wanted
    assert pp.vertex_cut(rbm) == pp.vertex_cut(rbm, visible // 2)


def test_dense_and_empty_graphs() -> None:
    assert pp.vertex_cut(random_rbm(18, 9)) == VertexCut(units=9, sites=9)
    assert pp.vertex_cut(random_rbm(18, 5)) == VertexCut(units=5, sites=9)
    assert pp.vertex_cut(random_rbm(18, 5), 2) == VertexCut(units=2, sites=2)
    assert pp.vertex_cut(random_rbm(18, 5, density=0.0)) == VertexCut(units=0, sites=0)
    assert pp.vertex_cut(random_rbm(1, 1)) == pp.vertex_cut(random_rbm(1, 1), 1) == VertexCut(0, 0)
    # A unit on one side does not cross, and a weight that trained to 0 is no edge.
    weights = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    rbm = RBM(weights, np.zeros(4), np.zeros(3))
    assert rbm.mask.all()
    assert pp.vertex_cut(rbm) == VertexCut(0, 0)
    assert pp.vertex_cut(rbm, 1) == VertexCut(1, 1)


@pytest.mark.parametrize(("hidden", "density"), [(1, 1.0), (2, 1.0), (4, 0.4), (5, 0.3)])
def test_the_bounds_hold_for_p_and_for_its_root(hidden: int, density: float) -> None:
    """Units bound the rank of p, sites alone that of sqrt(p), which may exceed the former."""
    rbm = random_rbm(8, hidden, density=density)
    p = distribution(rbm).reshape(16, 16)
    found = pp.vertex_cut(rbm)
    assert rank(p) <= 2**found.units
    assert rank(np.sqrt(p)) <= 2**found.sites
    entropy = pp.entanglement(rbm).entropy
    assert entropy is not None
    assert entropy.value <= found.sites * np.log(2)
    if hidden == 1:
        assert rank(p) == 2
        assert rank(np.sqrt(p)) > 2


def test_one_path_less_is_too_few() -> None:
    """2^(units - 1) does not bound the rank of p: the number is no larger than it must be."""
    pairs = np.repeat(np.eye(3), 2, axis=1)[:, [0, 2, 4, 1, 3, 5]]  # unit k on sites k and k + 3
    rbm = RBM(3.0 * pairs, np.zeros(6), np.ones(3))
    assert exact.components(rbm.mask) == 1
    assert pp.vertex_cut(rbm) == VertexCut(3, 3)
    assert rank(distribution(rbm).reshape(8, 8)) == 8


def test_refusals() -> None:
    for cut in (-1, 1.5, True):
        with refuses("cut", 0, repr(cut)):
            pp.vertex_cut(random_rbm(4, 2), cut)  # type: ignore[arg-type]
    with refuses("cut", 4, 5):
        pp.vertex_cut(random_rbm(4, 2), 5)
