"""What holds for any matrix product state, and textbook states in closed form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exact
from psiprune.states.mps import MPS, mps_from_tensors, mps_from_vector
from psiprune.states.sampling import sample
from psiprune.states.tensors import draw_bits
from psiprune.states.tfim import TFIM


@st.composite
def chains(draw: Any) -> list[NDArray[np.float64]]:
    """Any tensors of 2 to 5 sites, some entries 0, of any scale."""
    bonds = [1, *draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)), 1]
    zeros, scale = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([1.0, 1e-100, 1e100]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = [(left, 2, right) for left, right in pairwise(bonds)]
    return [
        np.where(generator.random(shape) < zeros, 0.0, scale * generator.normal(size=shape))
        for shape in shapes
    ]


def vector_of(tensors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The amplitudes at index sum_i bit_i 2^i, normalised, a product of matrices for each."""
    product = np.ones((2 ** len(tensors), 1, 1))
    for tensor, bits in zip(tensors, exact.basis(len(tensors)).T, strict=True):
        product = product @ (tensor / np.abs(tensor).max(initial=1e-300)).swapaxes(0, 1)[bits]
    psi = product[:, 0, 0]
    return psi / (np.linalg.norm(psi) or 1.0)


@given(chains())
def test_any_tensors_are_their_state(tensors: list[NDArray[np.float64]]) -> None:
    psi, n = vector_of(tensors), len(tensors)
    if not psi.any():
        return
    state = mps_from_tensors(tensors)
    np.testing.assert_allclose(state.to_vector(), psi, atol=1e-11)
    for tensor in state.tensors:
        rows = tensor.reshape(len(tensor), -1)
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
    z, p = 1.0 - 2.0 * exact.basis(n), psi**2
    np.testing.assert_allclose(state.magnetization(), p @ z, atol=1e-11)
    np.testing.assert_allclose(state.correlations(), (z * p[:, None]).T @ z, atol=1e-11)
    flips = [psi @ psi[np.arange(2**n) ^ (1 << i)] for i in range(n)]
    np.testing.assert_allclose(state.transverse_magnetization(), flips, atol=1e-11)
    by_ones = np.bincount(exact.basis(n).sum(axis=1), weights=p)
    np.testing.assert_allclose(state.magnetization_distribution(), by_ones, atol=1e-11)
    np.testing.assert_allclose(np.exp(state.log_prob(exact.basis(n))), p, atol=1e-11)
    # Read from the other end it is the same state with the sites in reverse order.
    mirrored = mps_from_tensors([tensor.transpose(2, 1, 0) for tensor in tensors[::-1]])
    np.testing.assert_allclose(
        mirrored.to_vector().reshape((2,) * n).T.ravel(), state.to_vector(), atol=1e-11
    )


@settings(max_examples=15)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([0.0, 0.3]))
def test_cuts_discard_the_smallest_singular_values(
    sites: int, seed: int, max_bond: int, svd_min: float
) -> None:
    vector = np.random.default_rng(seed).normal(size=2**sites)
    cut = mps_from_vector(vector, max_bond=max_bond, svd_min=svd_min)
    # The same on the amplitudes themselves: project on the largest singular vectors, bond by bond.
    psi, discarded = vector / np.linalg.norm(vector), [0.0]
    for bond in reversed(range(1, sites)):
        u, s, vt = np.linalg.svd(psi.reshape(-1, 2**bond), full_matrices=False)
        left = max(1, min(max_bond, np.count_nonzero(s > svd_min)))
        discarded.append((s[left:] ** 2).sum())
        psi = ((u[:, :left] * s[:left]) @ vt[:left]).ravel()
    np.testing.assert_allclose(cut.to_vector(), psi / np.linalg.norm(psi), atol=1e-12)
    assert cut.truncation_error == pytest.approx(max(discarded), abs=1e-14)
    # <Psi|psi>^2 is the weight that is left.
    overlap = cut.to_vector() @ vector / np.linalg.norm(vector)
    assert overlap**2 == pytest.approx(1 - sum(discarded), abs=1e-12)


def test_the_truncation_error_is_the_weight_discarded() -> None:
    cut = mps_from_vector([0.8, 0.0, 0.0, 0.6], max_bond=1)
    assert cut.truncation_error == pytest.approx(0.36)
    assert cut.to_vector() == pytest.approx([1, 0, 0, 0])
    assert (np.isnan(cut.energy), cut.model) == (True, None)
    assert mps_from_vector([1.0, 0.0, 0.0, 0.0], svd_min=0.0).bond_dimensions == (1,)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1.0, 1e200, 1e308])
def test_amplitudes_may_have_any_scale(scale: float) -> None:
    found = mps_from_vector(np.array([-0.8, 0.0, 0.0, -0.6]) * scale).to_vector()
    assert found == pytest.approx([-0.8, 0, 0, -0.6], rel=1e-3)


@given(chains(), st.integers(0, 2**32 - 1))
def test_draws_follow_the_conditional_probabilities(
    tensors: list[NDArray[np.float64]], seed: int
) -> None:
    psi, n = vector_of(tensors), len(tensors)
    if not psi.any():
        return
    p = psi.reshape((2,) * n).T ** 2  # [bit of site 0, bit of site 1, ...]
    uniform = np.random.default_rng(seed).random((5, n))
    drawn = draw_bits(mps_from_tensors(tensors).tensors, uniform)
    for row, bits in zip(uniform, drawn, strict=True):
        for site, (u, bit) in enumerate(zip(row, bits, strict=True)):
            zero, one = (p[tuple(bits[:site])][value].sum() for value in (0, 1))
            excess = u - zero / (zero + one)
            assert abs(excess) < 1e-9 or bit == (excess > 0)


def test_a_uniform_number_of_0_draws_nothing_impossible() -> None:
    bits = np.array([[0, 1, 1, 0]])
    state = mps_from_tensors([np.eye(2)[bit].reshape(1, 2, 1) for bit in bits[0]])
    np.testing.assert_array_equal(draw_bits(state.tensors, np.zeros((1, 4))), bits)


def test_long_chains_are_drawn_without_underflow() -> None:
    fair, one = np.full((1, 2, 1), 0.5**0.5), np.array([[[0.0], [1.0]]])
    uniform = np.random.default_rng(0).random((2, 2400))
    wanted = (uniform >= 0.5) | (np.arange(2400) % 2 == 1)  # 2^-1200 each
    np.testing.assert_array_equal(draw_bits((fair, one) * 1200, uniform), wanted)


# --- textbook states -------------------------------------------------------------------------


def check(
    state: MPS,
    z: NDArray[np.float64],
    zz: NDArray[np.float64],
    x: NDArray[np.float64],
    ones: NDArray[np.float64],
) -> None:
    n = state.sites
    np.testing.assert_allclose(state.magnetization(), z, atol=1e-13)
    np.testing.assert_allclose(state.correlations(), zz, atol=1e-13)
    np.testing.assert_allclose(state.transverse_magnetization(), x, atol=1e-13)
    np.testing.assert_allclose(state.magnetization_distribution(), ones, atol=1e-13)
    m = np.abs(1 - 2 * np.arange(n + 1) / n)
    assert state.abs_magnetization() == pytest.approx(ones @ m)
    a = n // 2 - 1
    connected = zz[a, a:] - z[a] * z[a:]
    np.testing.assert_allclose(state.correlation_from_midpoint(), connected, atol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_a_product_state(n: int) -> None:
    angle = np.linspace(0.1, 1.3, n)
    state = mps_from_tensors([np.array([np.cos(t), np.sin(t)]).reshape(1, 2, 1) for t in angle])
    z, ones = np.cos(2 * angle), np.ones(1)
    for t in angle:
        ones = np.convolve(ones, [np.cos(t) ** 2, np.sin(t) ** 2])
    zz = np.outer(z, z)
    np.fill_diagonal(zz, 1.0)
    check(state, z, zz, np.sin(2 * angle), ones)
    assert state.log_prob([[1] * n])[0] == pytest.approx(2 * np.log(np.sin(angle)).sum())
    assert state.free_parameters == 2 * n - (n - 1)


@pytest.mark.parametrize("n", [3, 4, 50])
def test_a_ghz_state(n: int) -> None:
    middle = np.zeros((2, 2, 2))
    middle[0, 0, 0] = middle[1, 1, 1] = 1.0
    ends = middle.sum(axis=0)[None], middle.sum(axis=2)[..., None]
    state = mps_from_tensors([ends[0], *[middle] * (n - 2), ends[1]])
    ones = np.zeros(n + 1)
    ones[[0, n]] = 0.5
    check(state, np.zeros(n), np.ones((n, n)), np.zeros(n), ones)
    sums = sample(state, 2000, seed=0).bits.sum(axis=1)
    assert set(sums.tolist()) == {0, n}
    assert abs((sums == 0).sum() - 1000) < 5 * np.sqrt(500)
    found = state.log_prob([[0] * n, [1] * n, [0] * (n - 1) + [1]])
    assert found == pytest.approx([-np.log(2), -np.log(2), -np.inf])


@pytest.mark.parametrize("n", [3, 4, 50])
def test_a_w_state(n: int) -> None:
    middle = np.zeros((2, 2, 2))  # the bond says whether the 1 has been
    middle[0, 0, 0] = middle[0, 1, 1] = middle[1, 0, 1] = 1.0
    state = mps_from_tensors([middle[:1], *[middle] * (n - 2), middle[..., 1:]])
    zz = np.full((n, n), 1 - 4 / n)
    np.fill_diagonal(zz, 1.0)
    check(state, np.full(n, 1 - 2 / n), zz, np.zeros(n), np.eye(n + 1)[1])
    where = sample(state, 2000, seed=0).bits
    assert (where.sum(axis=1) == 1).all()
    assert scipy.stats.chisquare(where.sum(axis=0)).pvalue > 1e-4


CHAINS = [(2, 1e-3, 1.0), (3, 0.5, -1.0), (4, 2.0, 1.0)]


@pytest.mark.parametrize(("sites", "field", "coupling"), CHAINS)
def test_the_energy_of_any_state_and_its_variance(
    sites: int, field: float, coupling: float
) -> None:
    hamiltonian = exact.tfim_hamiltonian(sites, field, coupling)
    psi = np.random.default_rng(0).normal(size=2**sites)
    psi /= np.linalg.norm(psi)
    found = mps_from_vector(psi, TFIM(sites=sites, field=field, coupling=coupling))
    mean = psi @ hamiltonian @ psi
    assert found.energy == pytest.approx(mean)
    assert found.energy_variance == pytest.approx(psi @ hamiltonian @ hamiltonian @ psi - mean**2)
