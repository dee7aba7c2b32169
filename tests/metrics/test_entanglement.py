"""Entanglement entropies: known states, free fermions, and swapped replicas against SVD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import exact
import psiprune as pp
from machines import magnet, random_rbm, w_state
from psiprune.core.random import Stream, generator_for
from psiprune.inference.log_partition import independent_draws
from psiprune.metrics.against_state import evaluate
from psiprune.metrics.draws import Draws
from psiprune.metrics.entanglement import Entanglement, swap_estimate
from psiprune.metrics.reference import reference_of
from psiprune.rbm.model import RBM
from refusals import refuses

LN2 = np.log(2)


def entropies(found: Entanglement) -> tuple[float, float]:
    assert found.entropy is not None
    return found.entropy.value, found.renyi2.value


def of_weights(weights: NDArray[np.float64]) -> tuple[float, float]:
    """S and S_2 of a distribution without zeros."""
    return -float((weights * np.log(weights)).sum()), -float(np.log((weights**2).sum()))


def pairs(sites: int, steep: float = 20.0) -> RBM:
    """Bits i and i + N/2 are equal, of either value: N/2 pairs, each of S_2 = ln 2 nearly."""
    half = sites // 2
    weights = steep * np.hstack([np.eye(half), np.eye(half)])
    return RBM(weights, np.full(sites, -steep / 2), np.full(half, -steep))


def drawn(rbm: RBM, number: int, seed: int = 0) -> Draws:
    bits = independent_draws(rbm, number, seed=seed)
    assert bits is not None
    return Draws(bits[:, None], "independent draws", "")


def sigmas(rbm: RBM, cut: int, number: int = 20_000, seed: int = 0, truth: int = -1) -> float:
    """How many standard errors S_2 by swapping at `cut` is off that by SVD at `truth`, or `cut`."""
    found = swap_estimate(rbm, drawn(rbm, number, seed), cut)
    wanted = pp.entanglement(rbm, cut if truth < 0 else truth).renyi2.value
    assert not found.warning
    return (found.value - wanted) / found.error


# --- known states ----------------------------------------------------------------------------


def test_a_product_state_has_none() -> None:
    generator = np.random.default_rng(0)
    vector: NDArray[Any] = np.ones(1)
    for _ in range(6):
        vector = np.kron(vector, generator.normal(size=2))
    for cut in range(7):
        for state in (vector, pp.mps_from_vector(vector)):
            assert entropies(pp.entanglement(state, cut)) == pytest.approx((0, 0), abs=1e-12)
    rbm = random_rbm(6, 3, density=0.0)
    assert entropies(pp.entanglement(rbm)) == pytest.approx((0, 0), abs=1e-12)
    assert pp.entanglement(rbm).bond_dimension() == 1


def test_rounding_makes_no_entropy_negative() -> None:
    """The purity of a product state is 1 or, by rounding, more: -log of it is -0 or less."""
    generator = np.random.default_rng(0)
    for _ in range(40):
        product = np.kron(generator.normal(size=4), generator.normal(size=4))
        assert not np.signbit(pp.entanglement(product).renyi2.value)


@pytest.mark.parametrize("sites", [2, 5, 60])
def test_a_ghz_state_has_ln_2_at_each_cut(sites: int) -> None:
    middle = np.zeros((2, 2, 2))
    middle[0, 0, 0] = middle[1, 1, 1] = 1.0
    tensors = [middle[:1] + middle[1:], *[middle] * (sites - 2), middle.sum(2, keepdims=True)]
    state = pp.mps_from_tensors(tensors)
    for cut in range(1, sites):
        found = pp.entanglement(state, cut)
        assert entropies(found) == pytest.approx((LN2, LN2), rel=1e-12)
        assert found.bond_dimension() == 2
    for cut in (0, sites):
        assert entropies(pp.entanglement(state, cut)) == pytest.approx((0, 0), abs=1e-12)
    if sites == 5:
        assert entropies(pp.entanglement(state.to_vector())) == pytest.approx((LN2, LN2))
        assert entropies(pp.entanglement(magnet(5, 2, 40.0))) == pytest.approx((LN2, LN2))


def test_a_w_state_has_the_entropy_of_where_its_one_is() -> None:
    vector = np.zeros(64)
    vector[1 << np.arange(6)] = 1.0
    for cut in range(1, 6):
        wanted = of_weights(np.array([cut / 6, 1 - cut / 6]))
        assert entropies(pp.entanglement(vector, cut)) == pytest.approx(wanted, rel=1e-12)
        assert entropies(pp.entanglement(pp.mps_from_vector(vector), cut)) == pytest.approx(wanted)
        assert entropies(pp.entanglement(w_state(6, 24.0, 70.0), cut)) == pytest.approx(
            wanted, rel=1e-3
        )


def correlation_matrix(sites: int, field: float) -> NDArray[np.float64]:
    """G of the open chain: the ground state's <i b_i a_j> over Majorana operators a, b.

    H = i sum_ij b_i M_ij a_j with the field on the diagonal of M and J = 1 beside it, so G is the
    orthogonal factor of M (Peschel, J. Phys. A 36, L205 (2003)).
    """
    u, _, vt = np.linalg.svd(np.diag(np.full(sites, field)) + np.diag(np.ones(sites - 1), -1))
    return u @ vt


def fermions(sites: int, field: float, cut: int) -> tuple[float, float]:
    """S and S_2 of the first sites: sums over the singular values nu of their block of G."""
    block = correlation_matrix(sites, field)[:cut, :cut]
    nu = np.clip(np.linalg.svd(block, compute_uv=False), 0, 1 - 1e-16)
    modes = [of_weights(np.array([1 + each, 1 - each]) / 2) for each in nu]
    return sum(s for s, _ in modes), sum(s for _, s in modes)


@pytest.mark.parametrize("field", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("sites", [2, 7, 12])
def test_the_ising_chain_by_free_fermions(sites: int, field: float) -> None:
    vector = pp.TFIM(sites=sites, field=field).ground_state_vector()
    state = pp.mps_from_vector(vector)
    for cut in {1, sites // 2, sites - 1}:
        wanted = fermions(sites, field, cut)
        assert entropies(pp.entanglement(vector, cut)) == pytest.approx(wanted, rel=1e-9)
        assert entropies(pp.entanglement(state, cut)) == pytest.approx(wanted, rel=1e-9)
    assert pp.entanglement(state).cut == sites // 2


@pytest.mark.slow
@pytest.mark.parametrize(("sites", "field"), [(18, 0.5), (40, 1.0), (100, 1.0), (100, 2.0)])
def test_long_ising_chains_by_free_fermions(sites: int, field: float) -> None:
    state = pp.ground_state(pp.TFIM(sites=sites, field=field))
    for cut in (1, sites // 3, sites // 2):
        wanted = fermions(sites, field, cut)
        assert entropies(pp.entanglement(state, cut)) == pytest.approx(wanted, rel=1e-6)


def test_product_rotations_and_the_norm_change_nothing_but_other_signs_do() -> None:
    psi = np.random.default_rng(1).random(64)
    wanted = entropies(pp.entanglement(psi, 2))
    bits = exact.basis(6)
    turned = psi * np.exp(1j * bits @ np.linspace(0.1, 2.0, 6))
    for same in (-3e200 * psi, 1e-200 * psi, psi.astype(complex), turned, turned * 1j):
        assert entropies(pp.entanglement(same, 2)) == pytest.approx(wanted, rel=1e-12)
    even = np.ones(16)
    assert entropies(pp.entanglement(even)) == pytest.approx((0, 0), abs=1e-12)
    even[exact.basis(4)[:, 1:3].all(axis=1)] = -1.0  # a sign where sites 1 and 2 are both 1
    assert entropies(pp.entanglement(even)) == pytest.approx((LN2, LN2), rel=1e-12)


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_an_rbm_is_the_root_of_p(sites: int) -> None:
    rbm = random_rbm(sites, 3)
    psi = np.sqrt(np.exp(rbm.log_prob(exact.basis(sites))))
    for cut in range(sites + 1):
        found = pp.entanglement(rbm, cut)
        assert entropies(found) == pytest.approx(entropies(pp.entanglement(psi, cut)), rel=1e-10)
        assert found.cut == cut
        density = np.zeros((1 << cut, 1 << cut))
        for row, amplitude in zip(exact.basis(sites), psi, strict=True):
            for other, partner in zip(exact.basis(sites), psi, strict=True):
                if (row[cut:] == other[cut:]).all():
                    i, j = (int(exact.index(x[None, :cut])[0]) for x in (row, other))
                    density[i, j] += amplitude * partner
        assert found.renyi2.value == pytest.approx(-np.log((density**2).sum()), abs=1e-10)


def test_bond_dimensions() -> None:
    values = np.sqrt([0.9, 0.09, 0.009, 0.001])
    vector = np.zeros((4, 4))
    np.fill_diagonal(vector, values)
    found = pp.entanglement(vector.ravel())
    assert found.schmidt is not None
    np.testing.assert_allclose(found.schmidt, values)
    assert [found.bond_dimension(x) for x in (0.2, 0.05, 0.005, 0.0005)] == [1, 2, 3, 4]
    assert repr(found) == "Entanglement(cut=2, entropy=0.36084, renyi2=0.20067)"
    for discarded in (0, 1, float("nan")):
        with refuses("discarded", 0, 1, repr(discarded)):
            found.bond_dimension(discarded)


# --- swapped replicas ------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [10, 12, 14])
@pytest.mark.parametrize("cut", [1, 5, 9])
def test_swapping_agrees_with_svd(sites: int, cut: int) -> None:
    """Within 4 standard errors: by chance one of the 9 fails with a probability of 6e-4."""
    assert abs(sigmas(random_rbm(sites, 6), cut)) < 4


def test_another_cut_does_not_agree() -> None:
    assert abs(sigmas(random_rbm(12, 6), 5, truth=2)) > 4


def test_one_replica_twice_does_not_agree() -> None:
    rbm = random_rbm(12, 6)
    bits = drawn(rbm, 10_000).bits
    found = swap_estimate(rbm, Draws(np.concatenate([bits, bits]), "", ""), 6)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert pp.entanglement(rbm).renyi2.value > 4 * found.error


def test_errors_are_those_of_many_estimates() -> None:
    """The mean of z^2 over 100 estimates, whose deviation is 0.14; half the error would give 4."""
    rbm = random_rbm(8, 4)
    z = np.array([sigmas(rbm, 4, 2000, seed) for seed in range(100)])
    assert 0.5 < (z**2).mean() < 1.6


def test_chains_that_stand_still_count_once() -> None:
    rbm = random_rbm(8, 4)
    once = drawn(rbm, 2000)
    one = swap_estimate(rbm, once, 4)
    many = swap_estimate(rbm, once._replace(bits=np.repeat(once.bits, 10, axis=1)), 4)
    assert many.value == pytest.approx(one.value)
    # Ten times as many independent pairs would have a third of the error.
    assert many.error == pytest.approx(one.error, rel=0.25)


def test_entropies_too_large_for_the_draws() -> None:
    """exp(2 S_2) = 1024: a thousand pairs cannot tell, and a hundred thousand can."""
    rbm = pairs(10)
    assert pp.entanglement(rbm).renyi2.value == pytest.approx(5 * LN2, rel=1e-2)
    found = swap_estimate(rbm, drawn(rbm, 2000), 5)
    assert "exp(2 S_2)" in found.warning
    assert found.effective_sample_size is not None
    assert found.effective_sample_size < 30
    assert abs(sigmas(rbm, 5, 200_000)) < 4
    # Chains that have not converged are the first thing to say.
    doubtful = drawn(rbm, 2000)._replace(warning="not converged")
    assert swap_estimate(rbm, doubtful, 5).warning == "not converged"


def inside(rbm: RBM, sites: int, first: int, bias: float = 0.3) -> RBM:
    """The RBM on some sites of a longer chain, whose other sites are independent."""
    weights = np.zeros((rbm.hidden, sites))
    biases = np.full(sites, bias)
    here = slice(first, first + rbm.visible)
    weights[:, here], biases[here] = rbm.weights, rbm.visible_bias
    return RBM(weights, biases, rbm.hidden_bias)


def test_a_large_rbm_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    small = random_rbm(8, 4)
    large, wanted = inside(small, 24, 8), pp.entanglement(small, 4).renyi2.value
    found = pp.entanglement(large, draws=20_000, seed=1)
    assert found.entropy is None
    assert found.schmidt is None
    assert abs(found.renyi2.value - wanted) < 4 * found.renyi2.error
    assert found.renyi2.error < 0.1
    assert "independent draws" in found.renyi2.method
    assert repr(found).startswith(f"Entanglement(cut=12, renyi2={found.renyi2.value:.5g} +- 0.0")
    assert pp.entanglement(large, draws=20_000, seed=1).renyi2 == found.renyi2
    assert pp.entanglement(large, draws=20_000, seed=2).renyi2 != found.renyi2
    with refuses("bond_dimension", 20):
        found.bond_dimension()
    with refuses("draws", 100, 99):
        pp.entanglement(large, draws=99)
    for empty in (0, 24):
        assert pp.entanglement(large, empty, draws=100).renyi2.value == pytest.approx(0, abs=1e-9)
    # Where only chains can draw; half of them may start at measured bits.
    monkeypatch.setattr("psiprune.metrics.draws.independent_draws", lambda *_, **__: None)
    bits = generator_for(0, Stream.CHAIN_START).integers(0, 2, (50, 24), dtype=np.uint8)
    for data in (None, bits):
        chained = pp.entanglement(large, draws=20_000, data=data)
        assert "Gibbs chains" in chained.renyi2.method
        assert abs(chained.renyi2.value - wanted) < 4 * chained.renyi2.error


# --- reports and refusals --------------------------------------------------------------------


def test_a_report_compares_with_the_reference() -> None:
    state, rbm = pp.mps_from_vector(pp.TFIM(sites=6).ground_state_vector()), random_rbm(6, 3)
    report = evaluate(rbm, reference_of(state), draws=200)
    truth, found = pp.entanglement(state), pp.entanglement(rbm)
    for name in ("entropy", "renyi2"):
        wanted, value = getattr(truth, name).value, getattr(found, name).value
        measure, loss = getattr(report, name), getattr(report, f"{name}_loss")
        assert (measure.value, measure.error, measure.floor) == (value, 0.0, wanted)
        assert (loss.value, loss.error, loss.floor) == (wanted - value, 0.0, 0.0)
        assert measure.method == "sum over all states"


def test_a_report_of_a_large_rbm_has_no_von_neumann_entropy() -> None:
    small = random_rbm(8, 4)
    tensors = pp.mps_from_vector(np.exp(0.5 * small.log_prob_all())).tensors
    other = np.ones((1, 2, 1)) * np.sqrt(0.5)
    state = pp.mps_from_tensors([*[other] * 8, *tensors, *[other] * 8])
    report = evaluate(inside(small, 24, 8, 0.0), state, draws=20_000)
    assert report.entropy is None
    assert report.entropy_loss is None
    assert report.renyi2 is not None
    assert report.renyi2_loss is not None
    assert report.renyi2.floor == pytest.approx(pp.entanglement(small).renyi2.value)
    assert report.renyi2_loss.error == report.renyi2.error > 0
    assert abs(report.renyi2_loss.value) < 4 * report.renyi2_loss.error
    assert [name for name, _ in report][-2:] == ["renyi2", "renyi2_loss"]


def test_refusals() -> None:
    rbm = random_rbm(4, 2)
    for state in (rbm, np.ones(16), pp.mps_from_vector(np.ones(16))):
        for cut in (-1, 5):
            with refuses("cut", cut, *([4] if cut > 4 else [0])):
                pp.entanglement(state, cut)
        for odd in (1.5, True, "2"):
            with refuses("cut", repr(odd)):
                pp.entanglement(state, odd)  # type: ignore[arg-type]
    for wrong in (
        [],
        [1.0],
        [1.0, 2.0, 3.0],
        np.ones((2, 2)),
        ["0", "1"],
        [[1], [1, 2]],
        "x",
        None,
    ):
        with refuses("state", 20):
            pp.entanglement(wrong)  # type: ignore[arg-type]
    with refuses("state", 20, str((1 << 21,))):
        pp.entanglement(np.ones(1 << 21, np.uint8))
    for values in ([0.0, 0.0], [1.0, np.nan], [np.inf, 0.0]):
        with refuses("state", 0):
            pp.entanglement(values)
    assert entropies(pp.entanglement([3, 4])) == pytest.approx((0, 0), abs=1e-12)
    with refuses("seed", -1):
        pp.entanglement(random_rbm(21, 1), seed=-1)
