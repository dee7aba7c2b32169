"""States cut to a bond dimension: the optimum where one cut decides, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from psiprune.states.truncation import parity_parameters, truncated_mps
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


def tensors_with_parity(sectors: list[tuple[int, int]], numbers: np.ndarray) -> list[np.ndarray]:
    """Fill the entries that conserve parity; the physical index is in the X basis."""
    left, tensors, used = (1, 0), [], 0
    for right in [*sectors, (1, 0)]:
        tensor = np.zeros((sum(left), 2, sum(right)))
        odd = [np.arange(sum(each)) >= each[0] for each in (left, right)]
        for spin in (0, 1):
            allowed = (odd[0][:, None] != odd[1]) == bool(spin)
            tensor[:, spin][allowed] = numbers[used : used + allowed.sum()]
            used += int(allowed.sum())
        tensors.append(tensor)
        left = right
    return tensors


@pytest.mark.parametrize(
    "sectors", [[(1, 1), (1, 1), (1, 1), (1, 1)], [(1, 1), (2, 1), (1, 2), (1, 1)], [(1, 0)] * 4]
)
def test_parameters_with_parity_are_the_dimension_of_the_set(
    sectors: list[tuple[int, int]],
) -> None:
    """The rank of the derivatives of all amplitudes with respect to the entries."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=200)

    def amplitudes(values: np.ndarray) -> np.ndarray:
        out = np.ones((1, 1))
        for tensor in tensors_with_parity(sectors, values):
            out = np.tensordot(out, tensor, 1)
        return out.ravel()

    step = 1e-6 * np.eye(len(numbers))
    each = [(amplitudes(numbers + d) - amplitudes(numbers - d)) / 2e-6 for d in step]
    rank = np.linalg.matrix_rank(np.array(each), tol=1e-6)
    hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    in_z = [
        np.einsum("asb,st->atb", tensor, hadamard)
        for tensor in tensors_with_parity(sectors, numbers)
    ]
    assert parity_parameters(pp.mps_from_tensors(in_z)) == rank


def test_a_state_without_parity_has_no_such_number() -> None:
    assert np.isnan(parity_parameters(random_state()))
    odd = pp.mps_from_vector(np.array([1.0, 0.5, -0.5, -1.0]))
    assert parity_parameters(odd) == 2  # as many as odd states of two sites
