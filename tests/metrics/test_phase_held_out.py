"""Held-out shots of each basis: as expected of the right state, and not of another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

import psiprune as pp
from machines import random_phase_rbm
from psiprune.metrics import phase_held_out
from psiprune.metrics.phase_held_out import held_out_by_basis, split_by_basis
from psiprune.rbm.phase_shots import shots_of as in_bases
from refusals import refuses

BASES = ("ZZZ", "XYZ", "YXX")


def shots_of(state: pp.PhaseRBM, each: int, seed: int = 0) -> pp.Shots:
    bits = [state.sample(each, basis, seed=seed + k) for k, basis in enumerate(BASES)]
    index = np.repeat(np.arange(3), each)
    return pp.Shots(np.concatenate(bits), pp.PauliBases(BASES, index))


def test_deviations_of_the_right_state_are_standard_normal() -> None:
    state = random_phase_rbm(3, 2, 2)
    z = [
        fit.z for seed in range(100) for fit in held_out_by_basis(state, shots_of(state, 200, seed))
    ]
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3


def test_a_wrong_phase_shows_in_its_bases_alone() -> None:
    state = random_phase_rbm(3, 2, 2, scale=2.0)
    conjugate = pp.PhaseRBM(
        state.amplitude,
        pp.RBM(np.zeros((1, 3)), np.zeros(3), np.zeros(1)),
    )
    in_z, *others = held_out_by_basis(conjugate, shots_of(state, 2000))
    assert abs(in_z.z) < 4
    assert min(fit.z for fit in others) < -10
    assert (in_z.basis, in_z.shots) == ("ZZZ", 2000)
    bits = shots_of(state, 2000).by_basis()["ZZZ"]
    assert in_z.log_likelihood == pytest.approx(state.amplitude.log_prob(bits).mean())


def test_a_state_without_spread_has_a_finite_deviation() -> None:
    zero = replace(random_phase_rbm(1, 1, 1).amplitude, visible_bias=np.array([-99.0]))
    state, bits = pp.PhaseRBM(zero, zero), np.array([[0], [1]], np.uint8)
    assert held_out_by_basis(state, pp.Shots(bits))[0].z == -1000
    assert held_out_by_basis(state, pp.Shots(bits[:1]))[0].z == pytest.approx(0, abs=1e-3)


def test_each_basis_gives_its_share() -> None:
    shots = shots_of(random_phase_rbm(3, 2, 2), 30)
    training, held = split_by_basis(shots, 0.2, seed=1)
    assert {basis: len(bits) for basis, bits in held.by_basis().items()} == dict.fromkeys(BASES, 6)
    assert len(training) == 72
    rows = np.concatenate([training.bits, held.bits])
    assert rows.sum(axis=0).tolist() == shots.bits.sum(axis=0).tolist()
    again, other = (split_by_basis(shots, 0.2, seed=seed)[1] for seed in (1, 2))
    np.testing.assert_array_equal(again.bits, held.bits)
    assert not np.array_equal(other.bits, held.bits)
    with pytest.raises(pp.InputError, match="fraction: must be a number above 0 and below 1"):
        split_by_basis(shots, 1.0, seed=1)


def test_many_sites_are_judged_by_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm, other = random_phase_rbm(4, 2, 2), random_phase_rbm(4, 3, 3)
    bases = ["Z", "XZZY", "ZYXZ"]
    exact = held_out_by_basis(rbm, in_bases(rbm, 6000, bases, seed=3))
    monkeypatch.setattr(phase_held_out, "EXACT_SITES", 3)
    drawn = held_out_by_basis(rbm, in_bases(rbm, 6000, bases, seed=3))
    for one, by_draws in zip(exact, drawn, strict=True):
        assert by_draws.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
        assert by_draws.expected == pytest.approx(one.expected, abs=0.1)
        assert abs(by_draws.z) < 4
    wrong = held_out_by_basis(rbm, in_bases(other, 6000, bases, seed=3))
    assert max(abs(fit.z) for fit in wrong) > 8


def test_shots_of_other_sizes_are_refused() -> None:
    with refuses("array", 4, 3):
        held_out_by_basis(random_phase_rbm(3, 2, 2), pp.Shots(np.zeros((2, 4), np.uint8)))
