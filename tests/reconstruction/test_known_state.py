"""`psiprune reconstruct --state`: the comparison with a known state."""

from __future__ import annotations

from pathlib import Path

import pytest

import psiprune as pp
import tiny
from outcomes import json_of


@pytest.mark.slow
def test_a_known_state_does_not_affect_the_run(tmp_path: Path) -> None:
    state = pp.ground_state(pp.TFIM(sites=4), progress=False)
    state.save(tmp_path / "state.nc")
    pp.sample(state, 2000, seed=0, progress=False).save(tmp_path / "shots.nc")
    command = ("reconstruct", tmp_path / "shots.nc", "--hidden=2", "--seeds=2", "--out")
    with_state = (*command, tmp_path / "run", "--state", tmp_path / "state.nc", "--json")
    found = json_of(tiny.call(*with_state))
    report = pp.evaluate(pp.load_rbm(tmp_path / "run/smallest.nc"), state, progress=False)
    assert found["against_state"]["kl"]["value"] == pytest.approx(report.kl.value)
    assert "against_state" not in json_of(tiny.call(*command, tmp_path / "run", "--json"))
    pp.ground_state(pp.TFIM(sites=5), progress=False).save(tmp_path / "five.nc")
    refused = (*command, tmp_path / "new", "--state", tmp_path / "five.nc")
    assert "five.nc: has 5 sites" in tiny.refusal(tiny.call(*refused))
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_observables_are_in_the_frame_of_the_state(tmp_path: Path) -> None:
    """<X0 X3> of an XXZ chain is negative; in the frame where psi >= 0 it is positive."""
    state = pp.ground_state(pp.XXZ(sites=4, delta=0.5), progress=False)
    state.save(tmp_path / "state.nc")
    pp.sample(state, 2000, seed=0, progress=False).save(tmp_path / "shots.nc")
    given = ("--observable", "xx=X0 X3", "--state", tmp_path / "state.nc", "--hidden=2")
    command = ("reconstruct", tmp_path / "shots.nc", *given, "--seeds=2", "--out", tmp_path / "run")
    text = tiny.call(*command).out
    assert "in the frame where psi is not negative" in " ".join(text.split())
    rows = [line.split() for line in text.splitlines() if line.startswith("xx ")]
    found = json_of(tiny.call(*command, "--json"))["against_state"]["observables"]["xx"]
    xx = pp.Hamiltonian([(1.0, {0: "X", 3: "X"})])
    assert found["reference"] == pytest.approx(state.expectation(xx))
    assert float(rows[1][1]) == pytest.approx(found["value"], abs=1e-5)
    assert found["exact"] < -0.1
    assert float(rows[0][2]) == pytest.approx(-found["exact"], abs=0.03)
