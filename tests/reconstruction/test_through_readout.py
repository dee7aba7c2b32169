"""Reconstruction from records with readout errors: the state, not what the detector shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import psiprune as pp
from machines import random_rbm
from psiprune.reconstruction.rates import rates_sensitivity

ERROR = pp.ReadoutError.from_rates(0.03, 0.06, sites=6)
SETTINGS = pp.ReconstructSettings(seeds=2, hidden=(3,), draws=20_000)


def test_a_run_reconstructs_the_state_and_names_the_assumption() -> None:
    state = pp.ground_state(pp.TFIM(sites=6, field=1.0))
    shots = pp.sample(state, 8000, seed=1).with_readout_error(ERROR, 2)
    found = pp.reconstruct(shots, settings=SETTINGS)
    assert found.verdict == "trusted"
    assert "p(1|0) = 0.03, p(0|1) = 0.06" in str(found)
    assert "rates off by 10% would change F" in " ".join(str(found).split())
    ignoring = pp.reconstruct(replace(shots, readout=None), settings=SETTINGS)
    fidelity, ignored = (pp.evaluate(each.rbm, state).fidelity.value for each in (found, ignoring))
    assert fidelity > ignored + 0.003


def test_other_rates_change_the_state_as_a_new_fit_does() -> None:
    state = pp.ground_state(pp.TFIM(sites=6, field=1.0))
    shots = pp.sample(state, 20_000, seed=1).with_readout_error(ERROR, 2)
    rbm = pp.train(shots)
    found = rates_sensitivity(rbm, shots, seed=0)
    # With all rates 10 % larger <Z Z> of neighbours changes by about 2 * 0.09 * 10 % of it.
    other = pp.train(replace(shots, readout=ERROR.scaled(1.1)))
    change = (
        pp.evaluate_on_shots(each, replace(shots, readout=None), draws=1000)
        for each in (rbm, other)
    )
    first, second = (float(each.neighbours.value) for each in change)
    assert 0 < float(found["neighbours"]) < 2 * abs(second - first) + 0.005
    assert 0 < float(found["infidelity"]) < 0.005
    certain = replace(
        ERROR,
        groups=tuple(replace(group, prepared=np.full(2, 10**12)) for group in ERROR.groups),
    )
    sure = rates_sensitivity(rbm, replace(shots, readout=certain), seed=0)
    assert float(sure["infidelity"]) < 0.1 * float(found["infidelity"])
    assert "calibrated" in str(sure["sentence"].item())


def test_many_sites_are_refused() -> None:
    rbm = random_rbm(21, 2)
    error = pp.ReadoutError.from_rates(0.01, sites=21)
    shots = pp.Shots(rbm.sample_exact(400, seed=0)).with_readout_error(error)
    with pytest.raises(pp.InputError, match="models them up to 20 sites, found 21"):
        pp.reconstruct(shots)
