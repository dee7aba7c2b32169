"""Further observables in studies, sweeps, pruning paths and reconstructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exact
import psiprune as pp
import tiny
from psiprune.experiments.figures.study import study_figure
from psiprune.experiments.settings import StudySettings
from psiprune.experiments.study import run_study
from psiprune.experiments.tables import table_text
from psiprune.io.netcdf import read_dataset
from psiprune.pruning.settings import PruneSettings
from psiprune.rbm.serialization import load_rbm
from psiprune.reconstruction.command import Request
from psiprune.reconstruction.pipeline import run_reconstruct
from psiprune.reconstruction.text import reconstruct_text
from psiprune.sweeps.tasks import Point

pytestmark = pytest.mark.usefixtures("undrawn")
TEXTS = ("xx=X0 X3", "g2")


def settings(**changes: Any) -> StudySettings:
    chosen: dict[str, Any] = {
        "sites": 4,
        "hidden": 2,
        "fields": (1.0,),
        "shots": 200,
        "seeds": 1,
        "train": pp.CD(epochs=2),
        "fine_tune": pp.CD.for_fine_tuning(epochs=1),
        "prune": PruneSettings(levels=1),
        "measure": {"draws": 200},
    }
    return StudySettings(**(chosen | changes))


def test_a_study_measures_observables_at_each_level(tmp_path: Path) -> None:
    study = run_study(settings(observable=TEXTS), tmp_path / "run", progress=False)
    xx = exact.pauli_sum(4, [(1.0, {0: "X", 3: "X"})]).real
    ground = np.linalg.eigh(exact.tfim_hamiltonian(4, 1.0, 1.0))[1][:, 0]
    reference = float(study["observable_xx_reference"].item())
    assert reference == pytest.approx(ground @ xx @ ground, abs=1e-9)
    rbm = load_rbm(tmp_path / "run/h=1/seed-0/level-01.nc")
    psi = np.sqrt(exact.rbm_distribution(rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    found = study.sel(seed=0, level=1, field=1.0)
    assert float(found["observable_xx_exact"]) == pytest.approx(psi @ xx @ psi, abs=1e-9)
    assert abs(float(found["observable_xx"] - found["observable_xx_exact"])) < (
        5 * float(found["observable_xx_error"])
    )
    assert float(found["observable_xx_loss"]) == pytest.approx(
        abs(float(found["observable_xx"]) - reference)
    )
    assert study["observable_g2"].dims == ("field", "seed", "level", "g2_d")
    assert study["g2_d"].values.tolist() == [1, 2]
    assert study["observable_g2_reference"].dims == ("field", "g2_d")
    text = table_text("study", study)
    assert "|d xx|" in text
    assert "|d g2|" in text
    labels = [ax.get_ylabel() for ax in study_figure(study).axes]
    assert labels[-2:] == ["|Δ xx|", "|Δ g2|"]


def test_a_sweep_measures_a_point_again_for_other_observables() -> None:
    plain, measured = (Point(settings(observable=each), 0) for each in (None, TEXTS))
    for kind in ("state", "shots", "dense"):
        assert plain.stage(kind).key == measured.stage(kind).key
    assert plain.stage("point").key != measured.stage("point").key
    assert "observable" not in plain.config


def test_a_search_ends_by_an_observable(stages: Path, tmp_path: Path) -> None:
    """With a state and without; the limit is that of the smallest RBM."""
    rbm, shots = stages / "rbm.nc", stages / "shots.nc"
    common = ["prune", rbm, shots, "--levels", 1, "--no-fine-tune", "--no-bisect", "--json"]
    common += ["--until", "a", "--limit", 2]
    for name, more in (
        ("state", ("--state", stages / "state.nc", "--observable", "a=X0 X1")),
        ("shots", ("--observable", "a=Z0 Z1")),
    ):
        outcome = tiny.call(*common, "--out", tmp_path / name, *more)
        assert outcome.status == 0, outcome.err
        numbers = json.loads(outcome.out)
        assert numbers["measure"] == "a"
        assert 0 < numbers["value"] <= 2
        stored = read_dataset(tmp_path / name / "smallest.nc", "rbm")
        assert float(stored["a"]) == numbers["value"]


def test_evaluate_and_info_print_observables(stages: Path) -> None:
    given = ("--observable", "X0 X3", "s=structure_factor(pi)")
    outcome = tiny.call("evaluate", stages / "rbm.nc", stages / "state.nc", "--draws", 200, *given)
    assert [line.split()[0] for line in outcome.out.splitlines()[-4:]] == [
        "observable",
        "X0_X3",
        "s",
        "next:",
    ]
    outcome = tiny.call("info", stages / "state.nc", "--json", *given)
    found = json.loads(outcome.out)["observables"]
    ground = np.linalg.eigh(exact.tfim_hamiltonian(4, 1.0, 1.0))[1][:, 0]
    xx = exact.pauli_sum(4, [(1.0, {0: "X", 3: "X"})]).real
    assert found["X0_X3"]["value"] == pytest.approx(ground @ xx @ ground, abs=1e-9)
    outcome = tiny.call("info", stages / "shots.nc", "--json", "--observable", "Z0 Z1")
    bits = pp.read_shots(stages / "shots.nc").bits
    value = json.loads(outcome.out)["observables"]["Z0_Z1"]["value"]
    assert value == pytest.approx(1 - 2 * (bits[:, 0] ^ bits[:, 1]).mean())


@pytest.mark.slow
def test_a_reconstruction_with_observables(shots: pp.Shots, tmp_path: Path) -> None:
    """X X is of the RBMs alone; arrays have labels; the search may end by an array."""
    texts = ("xx=X0 X1", "g2", "Z0 Z1")
    given = tiny.reconstruct_settings(observable=texts, measure="g2")
    dataset = run_reconstruct(given, shots, tmp_path / "run")
    assert np.isnan(dataset["xx_shots"])
    assert float(dataset["xx_error"]) > 0
    assert dataset["g2"].dims == ("g2_d",)
    text = reconstruct_text(dataset, Request(given, shots.sites, len(shots), "shots"))
    table, alone = text.split("Observables that shots do not determine")
    assert "g2 at d = 1" in table
    assert "Z0_Z1" in table
    assert alone.splitlines()[-1].split()[0] == "xx"
