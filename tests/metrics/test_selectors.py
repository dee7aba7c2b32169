"""A measure that its reference cannot have is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from machines import random_rbm
from psiprune.metrics.reference import reference_of
from psiprune.metrics.selectors import (
    SHOTS_METRICS,
    STATE_METRICS,
    shots_metric,
    state_metric,
)
from psiprune.states.mps import mps_from_vector
from refusals import check_refusal, refuses


@pytest.mark.parametrize("name", ["energy_bias", "energy_roe"])
def test_energy_needs_a_hamiltonian(name: str) -> None:
    reference = reference_of(mps_from_vector(np.ones(16)))
    with refuses("until", name, "Hamiltonian"):
        state_metric(name, reference, draws=100, seed=0)
    state_metric("kl", reference, draws=100, seed=0)


@pytest.mark.parametrize("name", ["abs_magnetization_bias", "abs_magnetization_roe"])
def test_a_relative_error_needs_a_magnetization(name: str) -> None:
    vector = np.zeros(16)
    vector[[3, 5, 6, 9, 10, 12]] = 1.0  # two of four bits are 1
    reference = reference_of(mps_from_vector(vector))
    with refuses("until", name, "undefined", "m = 0", "kl"):
        state_metric(name, reference, draws=100, seed=0)
    state_metric("kl", reference, draws=100, seed=0)
    shots, rbm = pp.sample(reference.state, 100, seed=0), random_rbm(4, 2)
    with refuses("until", "abs_magnetization_roe", "undefined", "log_likelihood_loss"):
        shots_metric("abs_magnetization_roe", rbm, shots, draws=100, seed=0)


def test_measures_against_a_state_are_those_of_a_report() -> None:
    rbm = replace(random_rbm(4, 2), provenance={"training_shots": 1000})
    reference = reference_of(pp.ground_state(pp.TFIM(sites=4)))
    report = pp.evaluate(rbm, reference, draws=100, seed=3)
    for name in STATE_METRICS:
        found = state_metric(name, reference, draws=100, seed=3)(rbm)
        if name == "infidelity":
            found = replace(found, value=1 - found.value, floor=1 - found.floor)
        wanted = getattr(report, "fidelity" if name == "infidelity" else name)
        assert found == replace(wanted, value=abs(wanted.value))
    with refuses("rbm", 3, 4):
        state_metric("kl", reference, draws=100, seed=3)(random_rbm(3, 2))
    with refuses("until", "energy", *STATE_METRICS, "--observable"):
        state_metric("energy", reference, draws=100, seed=3)


def test_measures_against_shots_are_those_of_a_report() -> None:
    rbm = random_rbm(4, 2)
    shots = pp.Shots(rbm.sample_exact(50, seed=0))
    name = "abs_magnetization_roe"
    found = shots_metric(name, rbm, shots, draws=100, seed=3)(rbm)
    assert found == pp.evaluate(rbm, shots, draws=100, seed=3).abs_magnetization_roe
    with refuses("until", "kl", "--state", "--observable", *SHOTS_METRICS):
        shots_metric("kl", rbm, shots, draws=100, seed=3)


@pytest.mark.parametrize(("visible", "hidden", "least"), [(4, 2, 14), (1, 1, 2)])
def test_a_loss_of_likelihood_needs_as_many_shots_as_parameters(
    visible: int, hidden: int, least: int
) -> None:
    """4 + 2 biases and 8 weights; of one site two parameters matter. Four times as many do well."""
    rbm = random_rbm(visible, hidden)
    bits = rbm.sample_exact(4 * least, seed=0)
    for shots, warned in ((least, True), (4 * least - 1, True), (4 * least, False)):
        metric = shots_metric("log_likelihood_loss", rbm, pp.Shots(bits[:shots]), draws=9, seed=0)
        assert bool(metric(rbm).warning) == warned
    with refuses("shots", least, least - 1, "--state"):
        shots_metric("log_likelihood_loss", rbm, pp.Shots(bits[: least - 1]), draws=9, seed=0)


@pytest.mark.parametrize("limit", [(), ("--limit=0.1",)])
def test_the_command_says_so_at_once(tmp_path: Path, limit: tuple[str, ...]) -> None:
    state = mps_from_vector(np.ones(16))
    shots = pp.sample(state, shots=100, seed=0)
    rbm = pp.train(shots, hidden=2, method=pp.CD(epochs=1))
    files = rbm.save(tmp_path / "rbm.nc"), shots.save(tmp_path / "shots.nc")
    until = ("--until=energy_bias", "--state", state.save(tmp_path / "state.nc"), *limit)
    line = tiny.refusal(tiny.call("prune", *files, *until, "-o", tmp_path / "out"))
    check_refusal(line, "--until", "energy_bias", "Hamiltonian", "psiprune ground-state")
    assert not (tmp_path / "out").exists()
