"""States cut to a bond dimension: the optimum where one cut decides, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.states.truncation import truncated_mps
from refusals import refuses


def random_state(sites: int = 6, seed: int = 3) -> pp.MPS:
    return pp.mps_from_vector(np.random.default_rng(seed).normal(size=2**sites))


def test_a_bond_that_suffices_changes_nothing() -> None:
    state = random_state()
    same = truncated_mps(state, 8)
    overlap = same.to_vector() @ state.to_vector()
    assert abs(overlap) == pytest.approx(1.0, abs=1e-12)
    assert same.bond_dimensions == (2, 4, 8, 4, 2)


def test_one_cut_keeps_the_largest_singular_values() -> None:
    state = random_state()  # only the middle bond exceeds 7
    cut = truncated_mps(state, 7)
    s = np.linalg.svd(state.to_vector().reshape(8, 8), compute_uv=False)
    overlap = cut.to_vector() @ state.to_vector()
    assert overlap**2 == pytest.approx(float((s[:7] ** 2).sum()), abs=1e-12)
    assert max(cut.bond_dimensions) == 7


@pytest.mark.parametrize("bond", [1, 2, 3])
def test_it_is_as_good_as_the_cut_from_the_other_end(bond: int) -> None:
    state = pp.ground_state(pp.TFIM(sites=6))
    vector = state.to_vector()
    one, other = truncated_mps(state, bond), pp.mps_from_vector(vector, max_bond=bond)
    assert one.free_parameters == other.free_parameters
    losses = [1 - (each.to_vector() @ vector) ** 2 for each in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert one.model is None


def test_no_bond_is_refused() -> None:
    with refuses("max_bond", 1, 0):
        truncated_mps(random_state(), 0)
