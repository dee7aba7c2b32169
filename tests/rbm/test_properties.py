"""What holds for any RBM: sums agree, units have no order, bits and spins have no names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exact
import psiprune as pp
from anything import BIASES, bits_of, orders, rbms
from psiprune.inference.variable_elimination import contract, plan_contraction
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.pruning.criteria import damage, magnitude, magnitude_by_unit, surgeon, top_k_mask
from psiprune.rbm.likelihood import log_likelihood, unique_configurations
from psiprune.rbm.model import RBM
from psiprune.states.mps import MPS, mps_from_vector
from psiprune.states.tfim import TFIM


def near(value: Any) -> Any:
    """Equal up to rounding: sums of a few hundred parameters up to 30."""
    return pytest.approx(value, rel=1e-11, abs=1e-9)


def rearranged(rbm: RBM, hidden: Any = slice(None), sites: Any = slice(None)) -> RBM:
    """The RBM with its units in another order."""
    weights, mask = rbm.weights[hidden][:, sites], rbm.mask[hidden][:, sites]
    return RBM(weights, rbm.visible_bias[sites], rbm.hidden_bias[hidden], mask)


def with_idle_unit(rbm: RBM, bias: float) -> RBM:
    """The RBM with one more hidden unit, which has no weights."""
    none = np.zeros((1, rbm.visible))
    return RBM(
        np.concatenate([rbm.weights, none]),
        rbm.visible_bias,
        np.append(rbm.hidden_bias, bias),
        np.concatenate([rbm.mask, none.astype(bool)]),
    )


def flipped(rbm: RBM, sites: NDArray[np.bool_], units: NDArray[np.bool_]) -> tuple[RBM, float]:
    """The RBM of 1 - v_i and 1 - h_j in place of some v_i and h_j, and its log Z less the old one.

    b.v + c.h + h.W.v with v = f + s v', h = g + t h', where f and g are 0 or 1, s and t 1 or -1.
    """
    s, t = 1 - 2 * sites.astype(float), 1 - 2 * units.astype(float)
    constant = rbm.visible_bias @ sites + rbm.hidden_bias @ units + units @ rbm.weights @ sites
    other = RBM(
        t[:, None] * rbm.weights * s,
        s * (rbm.visible_bias + units @ rbm.weights),
        t * (rbm.hidden_bias + rbm.weights @ sites),
        rbm.mask,
    )
    return other, -float(constant)


def state_of(vector: NDArray[np.float64]) -> MPS:
    """The state of these amplitudes, with a Hamiltonian, so that it has an energy."""
    return mps_from_vector(vector, TFIM(sites=len(vector).bit_length() - 1, field=0.7))


def own_state(rbm: RBM) -> MPS:
    """The state that the RBM is, by enumeration."""
    values = rbm.weights, rbm.visible_bias, rbm.hidden_bias
    return state_of(np.sqrt(exact.rbm_distribution(*values)))


def prunings(rbm: RBM, saliency: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    """The masks of all counts of weights."""
    return [top_k_mask(rbm.mask, saliency, k) for k in range(rbm.number_of_weights + 1)]


# --- log Z -----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(rbms(visible=7, hidden=7))
def test_sum_contraction_and_enumeration_agree(rbm: RBM) -> None:
    # Empty graphs, isolated units, several components and saturated units among them.
    joint = exact.rbm_joint(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
    log_z = float(scipy.special.logsumexp(joint))
    wanted = near(log_z)
    assert rbm.log_partition() == wanted
    assert contract(plan_contraction(rbm)) == wanted
    assert np.logaddexp.reduce(rbm.log_prob_all()) == wanted
    log_p = scipy.special.logsumexp(joint, axis=1) - log_z
    small = rbm.compact()
    assert small.log_prob(exact.basis(rbm.visible)) == near(log_p)
    assert small.hidden == max(1, np.count_nonzero(rbm.mask.sum(axis=1) > 1))


@given(rbms(), BIASES)
def test_a_unit_without_weights_is_a_constant_factor(rbm: RBM, bias: float) -> None:
    more = with_idle_unit(rbm, bias)
    gain = np.log1p(np.exp(-abs(bias))) + max(bias, 0.0)
    assert more.log_partition() == near(rbm.log_partition() + gain)
    assert contract(plan_contraction(more)) == near(more.log_partition())
    states = exact.basis(rbm.visible)
    assert more.log_prob(states) == near(rbm.log_prob(states))
    assert damage(more)[:-1] == pytest.approx(damage(rbm), rel=1e-9, abs=1e-11)
    assert not damage(more)[-1].any()


# --- the order of units, and of bits ---------------------------------------------------------


@given(st.data())
def test_the_order_of_units_and_of_sites_does_not_matter(data: st.DataObject) -> None:
    rbm = data.draw(rbms())
    hidden, sites = data.draw(orders(rbm.hidden)), data.draw(orders(rbm.visible))
    bits = data.draw(bits_of(rbm.visible))
    other = rearranged(rbm, hidden, sites)
    assert other.log_partition() == near(rbm.log_partition())
    assert other.components == rbm.components
    value, slope = log_likelihood(rbm, unique_configurations(bits))
    again, its_slope = log_likelihood(other, unique_configurations(bits[:, sites]))
    assert again == near(value)
    assert its_slope.visible_hidden == near(slope.visible_hidden[hidden][:, sites])
    assert its_slope.visible == near(slope.visible[sites])
    assert its_slope.hidden == near(slope.hidden[hidden])
    np.testing.assert_array_equal(magnitude(other), magnitude(rbm)[hidden][:, sites])
    # W^2 times a difference of averages, which are exact to 1e-15.
    assert damage(other) == pytest.approx(damage(rbm)[hidden][:, sites], rel=1e-9, abs=1e-11)


@settings(max_examples=15)
@given(st.data())
def test_measures_are_those_of_the_mirrored_rbm_against_the_mirrored_state(
    data: st.DataObject,
) -> None:
    rbm = data.draw(rbms(least_visible=2))
    sites = rbm.visible
    vector = np.random.default_rng(data.draw(st.integers(0, 99))).uniform(0.1, 1.0, 2**sites)
    mirrored = vector.reshape((2,) * sites).T.ravel()
    hidden = data.draw(orders(rbm.hidden))
    wanted = exact_metrics(rbm, reference_of(state_of(vector)))
    units = exact_metrics(rearranged(rbm, hidden), reference_of(state_of(vector)))
    mirror = exact_metrics(
        rearranged(rbm, hidden, slice(None, None, -1)), reference_of(state_of(mirrored))
    )
    # C(d) is measured from a site that is not its own mirror image.
    wanted_mirror = wanted._replace(correlation_mse=mirror.correlation_mse)
    assert units == pytest.approx(wanted, rel=1e-8, abs=1e-9)
    assert mirror == pytest.approx(wanted_mirror, rel=1e-8, abs=1e-9)


@given(st.data())
def test_zeros_and_ones_may_be_exchanged_at_any_unit(data: st.DataObject) -> None:
    rbm = data.draw(rbms())
    sites = data.draw(st.sampled_from([np.ones(rbm.visible, bool), np.arange(rbm.visible) % 2 > 0]))
    units = data.draw(st.sampled_from([np.ones(rbm.hidden, bool), np.zeros(rbm.hidden, bool)]))
    bits = data.draw(bits_of(rbm.visible))
    other, shift = flipped(rbm, sites, units)
    assert other.log_partition() == near(rbm.log_partition() + shift)
    states = exact.basis(rbm.visible)
    assert other.log_prob(states ^ sites) == near(rbm.log_prob(states))
    value, slope = log_likelihood(rbm, unique_configurations(bits))
    again, there = log_likelihood(other, unique_configurations(bits ^ sites))
    assert again == near(value)
    # The chain rule through the parameters of `flipped`.
    s, t = 1 - 2 * sites.astype(float), 1 - 2 * units.astype(float)
    by_visible, by_hidden = s * there.visible, t * there.hidden
    by_weight = t[:, None] * there.visible_hidden * s
    by_weight += np.outer(units, by_visible) + np.outer(by_hidden, sites)
    assert by_visible == near(slope.visible)
    assert by_hidden == near(slope.hidden)
    assert by_weight == near(slope.visible_hidden)


# --- an RBM against itself -------------------------------------------------------------------


@settings(max_examples=20)
@given(rbms(least_visible=2))
def test_an_rbm_is_its_own_state(rbm: RBM) -> None:
    reference = reference_of(own_state(rbm))
    found = exact_metrics(rbm, reference)
    assert found.kl == pytest.approx(0.0, abs=1e-9)
    assert found.infidelity == pytest.approx(0.0, abs=1e-11)
    assert found.energy_bias == pytest.approx(0.0, abs=1e-9)
    undefined = reference.observables.abs_magnetization.value == 0
    bias = pytest.approx(np.nan if undefined else 0.0, abs=1e-9, nan_ok=True)
    assert found.abs_magnetization_bias == bias
    assert found.correlation_mse == pytest.approx(0.0, abs=1e-20)


def test_evaluate_of_an_rbm_against_itself() -> None:
    rbm = RBM(np.array([[2.0, -1.0, 0.5]]), np.array([0.3, 0.0, -1.0]), np.array([0.4]))
    report = pp.evaluate(rbm, own_state(rbm), draws=100)
    assert report.kl.value == pytest.approx(0.0, abs=1e-12)
    assert report.fidelity.value == pytest.approx(1.0, abs=1e-12)


# --- pruning ---------------------------------------------------------------------------------


@given(rbms(), st.integers(-20, 20), BIASES)
def test_the_order_by_magnitude_depends_on_ratios_of_weights_alone(
    rbm: RBM, power: int, bias: float
) -> None:
    # Powers of 2 keep ties; signs and biases have no part.
    signs = np.where(np.arange(rbm.visible) % 2, -1.0, 1.0)
    biases = np.full(rbm.visible, bias), np.full(rbm.hidden, bias)
    other = RBM(np.ldexp(rbm.weights * signs, power), *biases, rbm.mask)
    for criterion in (magnitude, magnitude_by_unit):
        ours, others = prunings(rbm, criterion(rbm)), prunings(other, criterion(other))
        np.testing.assert_array_equal(ours, others)


@pytest.mark.parametrize("seed", range(3))
def test_the_surgeon_is_blind_to_names_of_units_and_bits(seed: int) -> None:
    """Exchanging 0 and 1 is a linear map of the parameters, which keeps W_k^2 / [F^-1]_kk."""
    generator = np.random.default_rng(seed)
    rbm = RBM(
        generator.uniform(1, 2, (2, 6)) * generator.choice([-1, 1], (2, 6)),
        generator.uniform(-1, 1, 6),
        generator.uniform(-1, 1, 2),
    )
    saliency = surgeon(rbm, damping=0)
    sites = generator.random(6) < 0.5
    other, _ = flipped(rbm, sites, np.array([True, False]))
    np.testing.assert_allclose(surgeon(other, damping=0), saliency, rtol=1e-3)
    order = generator.permutation(6)
    moved = surgeon(rearranged(rbm, [1, 0], order), damping=0)
    np.testing.assert_allclose(moved, saliency[::-1, order], rtol=1e-5)
