"""A measure that its reference cannot have is refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from psiprune.metrics.against_state import reference_of
from psiprune.metrics.selectors import state_metric
from psiprune.states.mps import mps_from_vector
from refusals import check_refusal, refuses


@pytest.mark.parametrize("name", ["energy_bias", "energy_roe"])
def test_energy_needs_a_hamiltonian(name: str) -> None:
    reference = reference_of(mps_from_vector(np.ones(16)))
    with refuses("until", name, "Hamiltonian"):
        state_metric(name, reference, draws=100, seed=0)
    state_metric("kl", reference, draws=100, seed=0)


@pytest.mark.parametrize("limit", [(), ("--limit=0.1",)])
def test_the_command_says_so_at_once(tmp_path: Path, limit: tuple[str, ...]) -> None:
    state = mps_from_vector(np.ones(16))
    shots = pp.sample(state, shots=100, seed=0)
    rbm = pp.train(shots, hidden=2, method=pp.CD(epochs=1))
    files = rbm.save(tmp_path / "rbm.nc"), shots.save(tmp_path / "shots.nc")
    until = ("--until=energy_bias", "--state", state.save(tmp_path / "state.nc"), *limit)
    line = tiny.refusal(tiny.call("prune", *files, *until, "-o", tmp_path / "out"))
    check_refusal(line, "until", "energy_bias", "Hamiltonian", "psiprune ground-state")
    assert not (tmp_path / "out").exists()
