"""States, shots, masks, clusters and measures on files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.rbm.clusters import find_clusters
from psiprune.rbm.masks import break_clusters, cluster_mask, read_mask
from psiprune.states.tfim import TFIM
from refusals import check_refusal


def test_ground_state(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    found = json_of(tiny.call("ground-state", "--sites=5", "--field=0.7", "-o", file, "--json"))
    assert found["file"] == str(file)
    assert found["sites"] == 5
    exact = TFIM(sites=5, field=0.7).ground_energy()
    assert found["exact_energy"] == exact
    assert found["energy"] == pytest.approx(exact, rel=1e-9)
    state = pp.load_mps(file)
    assert state.model == TFIM(sites=5, field=0.7)
    assert state.energy == found["energy"]
    assert found["largest_bond"] == max(state.bond_dimensions)
    line = text_of(tiny.call("ground-state", "--sites", "2", "--out", tmp_path / "two.nc"))
    assert line.count("\n") == 1
    assert "2 sites, E = -2.2360679775" in line


def test_sample(stages: Path, tmp_path: Path) -> None:
    command = ("sample", stages / "state.nc", "--shots=300", "--seed=1")
    found = json_of(tiny.call(*command, "--out", tmp_path / "a.nc", "--json"))
    assert found == {"file": str(tmp_path / "a.nc"), "shots": 300, "sites": 4, "seed": 1}
    np.testing.assert_array_equal(
        pp.read_shots(tmp_path / "a.nc").bits, pp.read_shots(stages / "shots.nc").bits
    )
    assert "300 shots of 4 sites" in text_of(tiny.call(*command, "-o", tmp_path / "b.nc"))
    tiny.call("sample", stages / "state.nc", "--shots=300", "--seed=2", "-o", tmp_path / "c.nc")
    other = pp.read_shots(tmp_path / "c.nc").bits
    assert (other != pp.read_shots(stages / "shots.nc").bits).any()


def test_masks(stages: Path, tmp_path: Path) -> None:
    def made(*command: object) -> np.ndarray[Any, Any]:
        file = tmp_path / "mask.txt"
        file.unlink(missing_ok=True)
        assert str(file) in text_of(tiny.call("mask", *command, "--out", file))
        return read_mask(file)

    clusters = made("cluster", "--hidden=3", "--sites=6", "--count=11")
    np.testing.assert_array_equal(clusters, cluster_mask(3, 6, 11))
    shutil.copy(tmp_path / "mask.txt", tmp_path / "clusters.txt")
    broken = made("break", tmp_path / "clusters.txt", "--share=0.5", "--seed=3")
    np.testing.assert_array_equal(broken, break_clusters(clusters, 0.5, seed=3))
    inside = find_clusters(pp.load_rbm(stages / "rbm.nc"), threshold=1.0)["inside"].values
    forbidden = made("forbid", stages / "rbm.nc", "--threshold=1")
    np.testing.assert_array_equal(forbidden, ~inside)
    control = made("forbid", stages / "rbm.nc", "--threshold=1", "--others", "--seed=3")
    np.testing.assert_array_equal(control, pp.exclude_matched_control(inside, 3))


def test_clusters(tmp_path: Path) -> None:
    weights = np.full((2, 18), 0.1)
    weights[1, 4:7] = -2.0
    mask = np.ones((2, 18), bool)
    mask[1, 7:] = False
    rbm = pp.RBM(weights, np.zeros(18), np.zeros(2), mask)
    rbm.save(tmp_path / "rbm.nc")
    command = ("clusters", tmp_path / "rbm.nc", "--permutations=500")
    found = json_of(tiny.call(*command, "--json"))
    expected = find_clusters(rbm, permutations=500)
    assert [unit["p_value"] for unit in found["units"]] == expected["p_value"].values.tolist()
    assert [unit["found"] for unit in found["units"]] == expected["found"].values.tolist()
    lines = text_of(tiny.call(*command, "--pruned", "--out", tmp_path / "figure.svg")).splitlines()
    assert lines[2].split() == ["1", "4", "to", "6", *lines[2].split()[4:6], "yes"]
    assert lines[3] == "1 of 2 units with a cluster of 3 sites (p <= 0.05)"
    assert lines[4:] == [str(tmp_path / f"figure.{kind}") for kind in ("png", "svg")]
    assert all(Path(line).stat().st_size > 1000 for line in lines[4:])


def test_evaluate(stages: Path) -> None:
    command = ("evaluate", stages / "rbm.nc", stages / "state.nc", "--draws=300", "--seed=7")
    found = json_of(tiny.call(*command, "--json"))
    rbm, state = pp.load_rbm(stages / "rbm.nc"), pp.load_mps(stages / "state.nc")
    report = pp.evaluate(rbm, state, draws=300, seed=7)
    # The RBM's number of training shots is not known, so neither are two floors.
    unknown = {"kl", "fidelity"}
    assert found == {
        name: vars(measure) | ({"floor": None} if name in unknown else {})
        for name, measure in report
    }
    lines = text_of(tiny.call(*command)).splitlines()
    assert [line.split()[0] for line in lines] == ["measure", *found]


@pytest.mark.parametrize("kind", ["nc", "txt", "npy"])
def test_evaluate_on_shots(stages: Path, tmp_path: Path, kind: str) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    np.save(tmp_path / "shots.npy", shots.bits)
    file = tmp_path / "shots.npy" if kind == "npy" else stages / f"shots.{kind}"
    command = ("evaluate", stages / "rbm.nc", file, "--draws=300", "--seed=7")
    found = json_of(tiny.call(*command, "--json"))
    rbm = pp.load_rbm(stages / "rbm.nc")
    report = pp.evaluate_on_shots(rbm, shots, draws=300, seed=7)
    assert found["shots"] == 300
    for name, each in report:
        assert found[name]["value"] == np.asarray(each.value).tolist()
        assert found[name]["error"] == np.asarray(each.error).tolist()
    assert found["log_likelihood"]["floor"] is None
    assert found["training_excess"] == (8 + 4 + 2) / 300
    assert "not trained on" in found["note"]
    lines = text_of(tiny.call(*command)).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["measure", *list(found)[1:5]]
    assert any(line.startswith("note: ") for line in lines)
    sentence = pp.readout_sensitivity(rbm).sentence
    assert found["assumed"]["readout"]["sentence"] == sentence
    assert lines[-1] == sentence


def apart(*arguments: object) -> tiny.Outcome:
    """The same in a process of its own, where no library can hide what it prints."""
    command = [*tiny.PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return tiny.Outcome(done.returncode, done.stdout, done.stderr)


def test_only_the_result_is_on_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    found = json_of(apart("ground-state", "--sites=5", "--out", file, "--json"))
    assert found["file"] == str(file)
    assert file.exists()
    line = tiny.refusal(apart("train", file, "--out", tmp_path / "rbm.nc", "--json"))
    check_refusal(line, file, "'shots'", "'mps'")
