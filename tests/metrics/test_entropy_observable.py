"""Entanglement entropies as observables: of RBMs, states and in limits, but not of shots."""

from __future__ import annotations

import numpy as np
import pytest

import psiprune as pp
from machines import distribution, random_rbm
from psiprune.metrics.entropy_observable import EntropyObservable, entropies_at
from psiprune.metrics.reference import reference_of
from psiprune.metrics.selectors import check_state_metric, shots_metric, state_metric
from psiprune.states.mps import mps_from_tensors, mps_from_vector
from psiprune.states.spin_models import XXZ
from refusals import refuses

GHZ = np.sqrt([0.5, *np.zeros(62), 0.5])


def test_entropies_at_all_cuts() -> None:
    """Of an RBM by SVD and sampled, and of a state whose frame differs by signs."""
    rbm, model = random_rbm(6, 4, scale=1.0), XXZ(sites=6, delta=0.5).hamiltonian()
    ground = np.linalg.eigh(model.to_sparse().toarray())[1][:, 0]
    state = mps_from_vector(ground, model)
    names = entropies_at(range(1, 6), 6)
    report = pp.evaluate(rbm, state, draws=10_000, observables=names, progress=False)
    psi = np.sqrt(distribution(rbm))
    for cut in range(1, 6):
        of_rbm, of_state = pp.entanglement(psi, cut), pp.entanglement(state.to_vector(), cut)
        assert of_rbm.entropy is not None
        assert of_state.entropy is not None
        found = report.custom[f"entropy_{cut}"]
        assert found.value == pytest.approx(of_rbm.entropy.value, abs=1e-10)
        assert found.reference == pytest.approx(of_state.entropy.value, abs=1e-10)
        assert found.error == 0
        found = report.custom[f"renyi2_{cut}"]
        assert found.exact == pytest.approx(of_rbm.renyi2.value, abs=1e-10)
        assert found.reference == pytest.approx(of_state.renyi2.value, abs=1e-10)
        error = float(found.error)
        assert 0 < error < 0.1
        assert abs(float(found.value) - of_rbm.renyi2.value) < 4 * error
        assert not found.warning
    assert report.custom["renyi2_3"].loss.value != 0


def test_known_entropies_of_states() -> None:
    of_ghz = pp.measure_observables(mps_from_vector(GHZ), ["entropy", "renyi2", "renyi2(1)"])
    assert [float(each.value) for each in of_ghz.values()] == pytest.approx([np.log(2)] * 3)


def test_an_entropy_of_few_pairs_has_a_warning() -> None:
    """Pairs of equal bits across the cut, S_2 = 8 ln 2: 100 draws show nothing of that."""
    steep = 20.0 * np.hstack([np.eye(8), np.eye(8)])
    rbm = pp.RBM(steep, np.full(16, -10.0), np.full(8, -20.0))
    state = mps_from_vector(np.ones(2**16))
    report = pp.evaluate(rbm, state, draws=100, observables=["renyi2(8)"], progress=False)
    assert "effective pairs" in report.custom["renyi2_8"].warning
    shots = pp.sample(state, 100, seed=0)
    of_shots = pp.evaluate(rbm, shots, draws=100, observables=["renyi2(8)"], progress=False)
    assert "effective pairs" in of_shots.custom["renyi2_8"].warning


def test_a_limit_of_an_entropy_holds_for_either_sign() -> None:
    """An RBM without weights has less entropy than GHZ; one that is GHZ more than a product."""
    product = mps_from_vector(np.ones(64))
    for state, rbm in ((mps_from_vector(GHZ), random_rbm(6, 3, density=0.0)), (product, None)):
        machine = random_rbm(6, 4, scale=1.0) if rbm is None else rbm
        reference = reference_of(state)
        loss = pp.evaluate(machine, reference, draws=500, seed=1, progress=False).entropy_loss
        assert loss is not None
        assert (loss.value > 0) == (rbm is not None)
        limited = state_metric("entropy_loss", reference, draws=500, seed=1)(machine)
        assert limited.value == abs(loss.value) > 0.01


def test_entropies_of_half_the_sites_are_measured_anyway() -> None:
    """Against a state "entropy" is no second column, and its limit is that of entropy_loss."""
    state, rbm = mps_from_vector(GHZ), random_rbm(6, 4, scale=1.0)
    reference = reference_of(state, ["entropy", "renyi2(3)", "renyi2", "entropy(2)"])
    assert list(reference.custom) == ["renyi2_3", "entropy_2"]
    limits = [
        state_metric(name, reference, draws=100, seed=1)(rbm).value
        for name in ("entropy", "entropy_loss")
    ]
    assert limits[0] == limits[1] > 0.01
    check_state_metric("renyi2")
    with refuses("observables", "'entropy'"):
        reference_of(state, {"entropy": "renyi2"})
    with refuses("observables", "'entropy'"):
        reference_of(state, {"entropy": "entropy(2)"})


def test_what_entropies_refuse() -> None:
    rbm, shots = random_rbm(6, 3), pp.sample(mps_from_vector(GHZ), 100, seed=0)
    large = mps_from_tensors([np.full((1, 2, 1), 0.5**0.5)] * 22)
    with refuses("cut", 5, 6):
        entropies_at([6], 6)
    with refuses("observable", "entropy", 5, "'6'"):
        pp.evaluate(rbm, shots, observables=["entropy(6)"])
    with refuses("entropy_2", "shots", "do not determine"):
        pp.measure_observables(shots, ["entropy(2)"])
    with refuses("s", "shots", "do not determine"):
        given = {"s": EntropyObservable("renyi2", 3)}
        shots_metric("s", rbm, shots, draws=100, seed=0, observables=given)
    with refuses("observable", "entropy_3", 20, 22, "renyi2(3)"):
        reference_of(large, ["entropy(3)"])
    with refuses("until", "entropy_loss", 20, 22, "renyi2_loss"):
        state_metric("entropy_loss", reference_of(large), draws=100, seed=0)
    assert float(pp.measure_observables(large, ["entropy(3)"])["entropy_3"].value) < 1e-12
    assert entropies_at([3], 22) == ["renyi2(3)"]
