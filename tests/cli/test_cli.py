"""The command line: every stage on files, one line for every bad input, help from one source."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.figure import Figure

import psiprune as pp
import tiny
from psiprune.cli.app import show
from psiprune.core.settings import Settings
from psiprune.experiments.settings import (
    AblationSettings,
    FrontierSettings,
    SparseSettings,
    StudySettings,
)
from psiprune.io.netcdf import read_dataset
from psiprune.io.provenance import describe_machine
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.settings import PruneSettings, RewireSettings
from psiprune.rbm.clusters import find_clusters
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import break_clusters, cluster_mask, random_mask, read_mask, write_mask
from psiprune.reconstruction.settings import ReconstructSettings
from psiprune.states.tfim import TFIM
from psiprune.training.method import Method
from psiprune.training.methods import METHOD_FIELDS, METHODS
from psiprune.training.train import TrainingProgress
from refusals import check_facts, check_refusal

FIXTURES = Path(__file__).parents[1] / "data" / "formats" / "fixtures"
DIVERGENT = ("--learning-rate=1000", "--weight-decay=1e30")
SHORT = ("--method=cd", "--epochs=2", "--batch-size=50")
STAGES = ("ground-state", "sample", "train", "prune", "rewire", "evaluate")
EXPERIMENTS = ("study", "sparse", "ablation", "frontier", "paper", "sweep")
COMMANDS = (*STAGES, "clusters", *EXPERIMENTS, "reconstruct", "import", "export", "info")


def numbers(outcome: tiny.Outcome) -> dict[str, Any]:
    """The one JSON object on standard output."""
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []
    assert outcome.out.count("\n") == 1
    found = json.loads(outcome.out)
    assert isinstance(found, dict)
    return found


def text(outcome: tiny.Outcome) -> str:
    assert outcome.status == 0, outcome
    assert tiny.errors(outcome) == []
    return outcome.out


# ---- every command on files


def test_ground_state(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    found = numbers(tiny.call("ground-state", "--sites=5", "--field=0.7", "-o", file, "--json"))
    assert found["file"] == str(file)
    assert found["sites"] == 5
    exact = TFIM(sites=5, field=0.7).ground_energy()
    assert found["exact_energy"] == exact
    assert found["energy"] == pytest.approx(exact, rel=1e-9)
    state = pp.load_mps(file)
    assert state.model == TFIM(sites=5, field=0.7)
    assert state.energy == found["energy"]
    assert found["largest_bond"] == max(state.bond_dimensions)
    line = text(tiny.call("ground-state", "--sites", "2", "--out", tmp_path / "two.nc"))
    assert line.count("\n") == 1
    assert "2 sites, E = -2.2360679775" in line


def test_sample(stages: Path, tmp_path: Path) -> None:
    command = ("sample", stages / "state.nc", "--shots=300", "--seed=1")
    found = numbers(tiny.call(*command, "--out", tmp_path / "a.nc", "--json"))
    assert found == {"file": str(tmp_path / "a.nc"), "shots": 300, "sites": 4, "seed": 1}
    np.testing.assert_array_equal(
        pp.read_shots(tmp_path / "a.nc").bits, pp.read_shots(stages / "shots.nc").bits
    )
    assert "300 shots of 4 sites" in text(tiny.call(*command, "-o", tmp_path / "b.nc"))
    tiny.call("sample", stages / "state.nc", "--shots=300", "--seed=2", "-o", tmp_path / "c.nc")
    other = pp.read_shots(tmp_path / "c.nc").bits
    assert (other != pp.read_shots(stages / "shots.nc").bits).any()


@pytest.mark.parametrize("shots", ["shots.nc", "shots.txt"])
def test_train(stages: Path, tmp_path: Path, shots: str) -> None:
    command = ("train", stages / shots, "--hidden=3", "--seed=2", *SHORT)
    found = numbers(tiny.call(*command, "--out", tmp_path / "a.nc", "--json"))
    data = pp.read_shots(stages / shots)
    expected = pp.train(data, hidden=3, seed=2, method=pp.CD(epochs=2, batch_size=50))
    rbm = pp.load_rbm(tmp_path / "a.nc")
    np.testing.assert_array_equal(rbm.weights, expected.weights)
    np.testing.assert_array_equal(rbm.visible_bias, expected.visible_bias)
    assert [found[key] for key in ("visible", "hidden", "weights", "epochs")] == [4, 3, 12, 2]
    line = text(tiny.call(*command, "--out", tmp_path / "b.nc"))
    for fact in ("4 visible", "3 hidden", "12 weights", "2 epochs", "300 shots"):
        assert fact in line


@pytest.mark.parametrize("name", ["mask.npy", "mask.txt"])
def test_train_with_a_mask(stages: Path, tmp_path: Path, name: str) -> None:
    size = ("--hidden=3", "--sites=4", "--count=7")
    found = numbers(tiny.call("mask", "random", *size, "--seed=5", "-o", tmp_path / name, "--json"))
    assert [found[key] for key in ("hidden", "sites", "weights")] == [3, 4, 7]
    mask = random_mask(3, 4, 7, seed=5)
    command = ("train", stages / "shots.nc", "--seed=2", *SHORT)
    found = numbers(
        tiny.call(*command, "--mask", tmp_path / name, "--out", tmp_path / "a.nc", "--json")
    )
    assert (found["hidden"], found["weights"]) == (3, 7)  # hidden units are those of the mask
    data = pp.read_shots(stages / "shots.nc")
    expected = pp.train(data, hidden=3, seed=2, mask=mask, method=pp.CD(epochs=2, batch_size=50))
    rbm = pp.load_rbm(tmp_path / "a.nc")
    np.testing.assert_array_equal(rbm.mask, mask)
    np.testing.assert_array_equal(rbm.weights, expected.weights)
    # An RBM lends its mask.
    tiny.call(*command, "--mask", tmp_path / "a.nc", "--out", tmp_path / "b.nc")
    np.testing.assert_array_equal(pp.load_rbm(tmp_path / "b.nc").weights, expected.weights)


def test_a_mask_made_by_numpy_is_read(stages: Path, tmp_path: Path) -> None:
    mask = cluster_mask(2, 4, 7)
    np.save(tmp_path / "bool.npy", mask)
    np.savetxt(tmp_path / "spaced.txt", mask, fmt="%d")
    write_mask(mask, tmp_path / "dense.txt")
    assert (tmp_path / "dense.txt").read_text() == "1110\n1111\n"
    for name in ("bool.npy", "spaced.txt", "dense.txt"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), mask)


def test_train_keeps_early_epochs(stages: Path, tmp_path: Path) -> None:
    early = {0: initial_rbm(4, 3, seed=2)}

    def callback(state: TrainingProgress) -> None:
        early[state.epoch] = state.rbm

    data = pp.read_shots(stages / "shots.nc")
    dense = pp.train(
        data, hidden=3, seed=2, callback=callback, method=pp.CD(epochs=3, batch_size=50)
    )
    command = ("train", stages / "shots.nc", "--hidden=3", "--seed=2", "--epochs=3")
    options = (
        "--method=cd",
        "--batch-size=50",
        "--keep-epochs",
        "0",
        "2",
        "--out",
        tmp_path / "rbm.nc",
    )
    kept = numbers(tiny.call(*command, *options, "--json"))["saved_epochs"]
    assert kept == {str(k): str(tmp_path / f"rbm-epoch-000{k}.nc") for k in (0, 2)}
    for epoch, file in kept.items():
        np.testing.assert_array_equal(pp.load_rbm(file).weights, early[int(epoch)].weights)
    np.testing.assert_array_equal(pp.load_rbm(tmp_path / "rbm.nc").weights, dense.weights)
    line = tiny.refusal(tiny.call(*command, "--keep-epochs=2", "-o", tmp_path / "rbm.nc"))
    check_refusal(line, "rbm.nc", "exists already")
    (tmp_path / "rbm.nc").unlink()
    line = tiny.refusal(tiny.call(*command, "--keep-epochs=2", "-o", tmp_path / "rbm.nc"))
    check_refusal(line, "rbm-epoch-0002.nc", "exists already")


def test_an_epoch_after_convergence_is_the_last(stages: Path, tmp_path: Path) -> None:
    command = ("train", stages / "shots.nc", "--hidden=1", "--method=exact", "--epochs=300")
    found = numbers(
        tiny.call(*command, "--keep-epochs=300", "--out", tmp_path / "rbm.nc", "--json")
    )
    assert found["converged"]
    last, kept = (pp.load_rbm(tmp_path / f"{name}.nc") for name in ("rbm", "rbm-epoch-0300"))
    np.testing.assert_array_equal(kept.weights, last.weights)


def test_masks(stages: Path, tmp_path: Path) -> None:
    def made(*command: object) -> np.ndarray[Any, Any]:
        file = tmp_path / "mask.txt"
        file.unlink(missing_ok=True)
        assert str(file) in text(tiny.call("mask", *command, "--out", file))
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
    found = numbers(tiny.call(*command, "--json"))
    expected = find_clusters(rbm, permutations=500)
    assert [unit["p_value"] for unit in found["units"]] == expected["p_value"].values.tolist()
    assert [unit["found"] for unit in found["units"]] == expected["found"].values.tolist()
    lines = text(tiny.call(*command, "--pruned", "--out", tmp_path / "figure.svg")).splitlines()
    assert lines[2].split() == ["1", "4", "to", "6", *lines[2].split()[4:6], "yes"]
    assert lines[3] == "1 of 2 units with a cluster of 3 sites (p <= 0.05)"
    assert lines[4:] == [str(tmp_path / f"figure.{kind}") for kind in ("png", "svg")]
    assert all(Path(line).stat().st_size > 1000 for line in lines[4:])


def test_train_takes_half_as_many_hidden_units_as_sites(stages: Path, tmp_path: Path) -> None:
    tiny.call("train", stages / "shots.nc", "--epochs=0", "--out", tmp_path / "a.nc")
    assert pp.load_rbm(tmp_path / "a.nc").hidden == 2


def test_prune(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc")
    options = ("--levels=2", "--fraction=0.3", "--seed=4")
    tuning = ("--fine-tune.method=cd", "--fine-tune.epochs=2")
    command = ("prune", *files, *options, *tuning, "--out", tmp_path / "path")
    found = numbers(tiny.call(*command, "--json"))
    assert found["folder"] == str(tmp_path / "path")
    assert [level["weights"] for level in found["levels"]] == [8, 6, 4]
    levels = pp.prune(
        pp.load_rbm(files[0]),
        pp.read_shots(files[1]),
        levels=2,
        fraction=0.3,
        seed=4,
        fine_tune=pp.CD.for_fine_tuning(epochs=2),
    )
    assert tiny.names(tmp_path / "path") == {
        *("config.toml", "provenance.json", "level-00.nc", "level-01.nc", "level-02.nc"),
    }
    for step, level in enumerate(levels):
        saved = pp.load_rbm(tmp_path / "path" / f"level-0{step}.nc")
        np.testing.assert_array_equal(saved.weights, level.rbm.weights)
        np.testing.assert_array_equal(saved.mask, level.rbm.mask)
        assert found["levels"][step]["components"] == level.rbm.components
    # A rerun reads the levels and resumes from the last.
    before = tiny.contents(tmp_path / "path", but=(".lock", "provenance.json"))
    (tmp_path / "path/level-02.nc").unlink()
    assert numbers(tiny.call(*command, "--json")) == found
    after = tiny.contents(tmp_path / "path", but=(".lock", "provenance.json"))
    assert {k: v[0] for k, v in after.items()} == {k: v[0] for k, v in before.items()}
    assert "3 levels, 8 to 4 weights" in text(tiny.call(*command))


def test_prune_with_a_state_prints_the_metrics_of_each_level(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--state", stages / "state.nc")
    command = ("prune", *files, "--levels=1", "--no-fine-tune", "--out", tmp_path / "path")
    levels = numbers(tiny.call(*command, "--json"))["levels"]
    lines = text(tiny.call(*command)).splitlines()
    assert lines[0].split() == [
        *("level", "weights", "parts", "KL", "(nat)", "1", "-", "F", "eROE", "mROE", "C_MSE")
    ]
    for step, level in enumerate(levels):
        saved = read_dataset(tmp_path / f"path/level-0{step}.nc", "rbm")
        for name in ("kl", "infidelity", "energy_roe", "kl_exact", "abs_magnetization_error"):
            assert level[name] == float(saved[name])
        assert lines[1 + step].split() == [
            *(str(level[name]) for name in ("level", "weights", "components")),
            *(f"{level[name]:.2g}" for name in ("kl", "infidelity", "energy_roe")),
            *(f"{level[name]:.2g}" for name in ("abs_magnetization_roe", "correlation_mse")),
        ]
    assert lines[3] == ""
    assert "2 levels" in lines[4]


def test_prune_by_every_criterion(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--fine-tune.epochs", 1)
    for criterion in ("magnitude-by-unit", "random", "damage", "surgeon"):
        out = tmp_path / criterion
        options = ("--criterion", criterion, "--first-fraction=0.4", "--density=0.4", "--out", out)
        found = numbers(tiny.call("prune", *files, *options, "--json"))
        # round(8 * 0.6 * 0.9^n), but 3 at the end
        assert [level["weights"] for level in found["levels"]] == [8, 5, 4, 4, 3, 3]
    before = tiny.contents(out)
    (out / "level-04.nc").unlink()
    assert numbers(tiny.call("prune", *files, *options, "--json")) == found
    assert {k: v[0] for k, v in tiny.contents(out).items()} == {k: v[0] for k, v in before.items()}


def test_prune_with_rewinding(stages: Path, tmp_path: Path) -> None:
    train = ("train", stages / "shots.nc", "--hidden", 2, "--seed", 3, "--method", "cd")
    text(tiny.call(*train, "--epochs", 0, "--out", tmp_path / "early.nc"))
    text(tiny.call(*train, "--epochs", 5, "--out", tmp_path / "rbm.nc"))
    prune = ("prune", tmp_path / "rbm.nc", stages / "shots.nc", "--rewind", tmp_path / "early.nc")
    tuning = ("--fine-tune.method=cd", "--fine-tune.epochs=4")
    text(tiny.call(*prune, *tuning, "--levels", 2, "--out", tmp_path / "path"))
    dense, early = (pp.load_rbm(tmp_path / f"{name}.nc") for name in ("rbm", "early"))
    expected = pp.prune(
        dense,
        pp.read_shots(stages / "shots.nc"),
        levels=2,
        rewind=early,
        fine_tune=pp.CD(epochs=4),  # after a rewind with the defaults of training
    )
    for step, level in enumerate(expected):
        saved = pp.load_rbm(tmp_path / f"path/level-0{step}.nc")
        np.testing.assert_array_equal(saved.weights, level.rbm.weights)
    text(tiny.call(*train, "--epochs", 1, "--out", tmp_path / "other.nc"))
    (tmp_path / "early.nc").unlink()
    (tmp_path / "other.nc").rename(tmp_path / "early.nc")
    line = tiny.refusal(tiny.call(*prune, *tuning, "--levels", 2, "--out", tmp_path / "path"))
    check_refusal(line, "config.toml", "rewind")


def test_prune_until_it_hurts(stages: Path, tmp_path: Path) -> None:
    files = (tmp_path / "rbm.nc", stages / "shots.nc")
    text(tiny.call("train", files[1], "--method", "exact", "--out", files[0]))
    options = ("--criterion=surgeon", "--no-fine-tune", "--until=log_likelihood_loss")
    command = ("prune", *files, *options, "--limit=0.02", "--out", tmp_path / "path")
    found = numbers(tiny.call(*command, "--json"))
    assert 1 < found["weights"] < 8
    assert found["fewer"] == found["weights"] - 1
    assert found["value"] <= 0.02 < found["trials"][-1]["value"] or len(found["trials"]) > 2
    rbm = pp.load_rbm(tmp_path / "path/smallest.nc")
    assert rbm.number_of_weights == found["weights"]
    shots = pp.read_shots(files[1])
    dense = pp.load_rbm(files[0])
    loss = dense.log_prob(shots) - rbm.log_prob(shots)
    fewer = dense.number_of_parameters - rbm.compact().number_of_parameters
    assert found["value"] == pytest.approx(loss.mean() - fewer / (2 * len(shots)))
    before = tiny.contents(tmp_path / "path", but=(".lock", "smallest.nc"))
    line = text(tiny.call(*command))
    assert line.startswith(f"{found['weights']} of 8 weights (density ")
    assert "log_likelihood_loss" in line
    assert "limit 0.02" in line
    assert tiny.contents(tmp_path / "path", but=(".lock", "smallest.nc")) == before


def test_prune_within_the_band_of_a_dense_ensemble(stages: Path, tmp_path: Path) -> None:
    shots, state = stages / "shots.nc", stages / "state.nc"
    text(tiny.call("train", shots, "--method", "exact", "--out", tmp_path / "rbm.nc"))
    files = (tmp_path / "rbm.nc", shots, "--state", state, "--fine-tune.method=exact")
    options = ("--until=kl", "--others=2", "--no-bisect", "--out", tmp_path / "path")
    found = numbers(tiny.call("prune", *files, *options, "--json"))
    others = [pp.load_rbm(tmp_path / f"path/other-{k}.nc") for k in (1, 2)]
    kls = [pp.evaluate(rbm, pp.load_mps(state)).kl.value for rbm in others]
    dense = pp.evaluate(pp.load_rbm(tmp_path / "rbm.nc"), pp.load_mps(state)).kl.value
    assert found["limit"] == max(*kls, dense)
    assert found["value"] <= found["limit"]
    assert all(trial["name"].startswith("level-") for trial in found["trials"])


def test_prune_refuses_other_files_or_settings_in_its_folder(stages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "path"
    files = (stages / "rbm.nc", stages / "shots.nc")
    options = ("--levels=1", "--no-fine-tune", "--out", folder)
    text(tiny.call("prune", *files, *options))
    before = tiny.contents(folder)
    line = tiny.refusal(tiny.call("prune", *files, *options, "--seed=5"))
    check_refusal(line, folder / "config.toml", "seed", 0, 5)
    line = tiny.refusal(tiny.call("prune", *files, "--levels=1", "--out", folder))
    check_refusal(line, "config.toml", "fine_tune", "(none)", "'exact'")
    pp.sample(pp.load_mps(stages / "state.nc"), 300, seed=9).save(tmp_path / "new.nc")
    line = tiny.refusal(tiny.call("prune", files[0], tmp_path / "new.nc", *options))
    check_refusal(line, "config.toml", "shots")
    assert tiny.contents(folder) == before


def test_train_with_a_history(stages: Path, tmp_path: Path) -> None:
    files = ("--out", tmp_path / "rbm.nc", "--history", tmp_path / "history.nc")
    settings = ("--hidden", 3, "--seed", 2, "--method", "cd", "--epochs", 12)
    tiny.call("train", stages / "shots.nc", *files, *settings, "--state", stages / "state.nc")
    history = read_dataset(tmp_path / "history.nc", "history")
    assert history["epoch"].values.tolist() == [0, 10, 12]
    rbm = pp.load_rbm(tmp_path / "rbm.nc")
    report = pp.evaluate(rbm, pp.load_mps(stages / "state.nc"), draws=100)
    assert float(history["history_kl"][-1]) == report.kl.value
    plain = pp.train(pp.read_shots(stages / "shots.nc"), hidden=3, seed=2, method=pp.CD(epochs=12))
    np.testing.assert_array_equal(rbm.weights, plain.weights)


def test_exact_training_says_whether_it_converged(stages: Path, tmp_path: Path) -> None:
    command = ("train", stages / "shots.nc", "--hidden", 2, "--method", "exact", "--json")
    full = numbers(tiny.call(*command, "--out", tmp_path / "full.nc"))
    cut = numbers(tiny.call(*command, "--epochs", 1, "--out", tmp_path / "cut.nc"))
    assert (full["converged"], cut["converged"], cut["epochs"]) == (True, False, 1)
    assert 1 < full["epochs"] < 500


def test_prune_against_a_state_keeps_measures(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--state", stages / "state.nc")
    tiny.call("prune", *files, "--out", tmp_path / "path", "--levels", 1, "--fine-tune.epochs", 1)
    level = read_dataset(tmp_path / "path/level-01.nc", "rbm")
    report = pp.evaluate(
        pp.load_rbm(tmp_path / "path/level-01.nc"), pp.load_mps(stages / "state.nc"), draws=100
    )
    assert float(level["kl"]) == report.kl.value
    assert level["kl"].attrs["units"] == "nat"


def test_evaluate(stages: Path) -> None:
    command = ("evaluate", stages / "rbm.nc", stages / "state.nc", "--draws=300", "--seed=7")
    found = numbers(tiny.call(*command, "--json"))
    rbm, state = pp.load_rbm(stages / "rbm.nc"), pp.load_mps(stages / "state.nc")
    report = pp.evaluate(rbm, state, draws=300, seed=7)
    # The RBM's number of training shots is not known, so neither are two floors.
    unknown = {"kl", "fidelity"}
    assert found == {
        name: vars(measure) | ({"floor": None} if name in unknown else {})
        for name, measure in report
    }
    lines = text(tiny.call(*command)).splitlines()
    assert [line.split()[0] for line in lines] == ["measure", *found]


@pytest.mark.parametrize("kind", ["nc", "txt", "npy"])
def test_evaluate_on_shots(stages: Path, tmp_path: Path, kind: str) -> None:
    shots = pp.read_shots(stages / "shots.nc")
    np.save(tmp_path / "shots.npy", shots.bits)
    file = tmp_path / "shots.npy" if kind == "npy" else stages / f"shots.{kind}"
    command = ("evaluate", stages / "rbm.nc", file, "--draws=300", "--seed=7")
    found = numbers(tiny.call(*command, "--json"))
    rbm = pp.load_rbm(stages / "rbm.nc")
    report = pp.evaluate_on_shots(rbm, shots, draws=300, seed=7)
    assert found["shots"] == 300
    for name, each in report:
        assert found[name]["value"] == np.asarray(each.value).tolist()
        assert found[name]["error"] == np.asarray(each.error).tolist()
    assert found["log_likelihood"]["floor"] is None
    assert found["training_excess"] == (8 + 4 + 2) / 300
    assert "not trained on" in found["note"]
    lines = text(tiny.call(*command)).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["measure", *list(found)[1:5]]
    assert any(line.startswith("note: ") for line in lines)
    sentence = pp.readout_sensitivity(rbm).sentence
    assert found["assumed"]["readout"]["sentence"] == sentence
    assert lines[-1] == sentence


def test_study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    command = ("study", *tiny.options(), "--fields", "1", "2", "--out", folder)
    found = numbers(tiny.call(*command, "--json"))
    assert found["folder"] == str(folder)
    assert {key: len(levels) for key, levels in found["levels"].items()} == {"h=1": 4, "h=2": 4}
    api = read_dataset(finished / "study.nc", "study")
    assert tiny.raw(read_dataset(folder / "study.nc", "study")) == tiny.raw(api)
    assert found["levels"]["h=2"][3]["kl"] == float(api["kl"].sel(field=2.0)[0, 3])
    assert tiny.names(folder) == tiny.names(finished) | {"figure.png", "figure.svg"}
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    # Started again, from its own configuration: nothing is left to do, the table is the same.
    before = tiny.contents(folder)
    monkeypatch.setattr("psiprune.experiments.figures.study.plot_study", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [Path("figure.png")])
    out = text(tiny.call("study", "--config", folder / "config.toml", "--out", folder))
    assert out.startswith("h/J = 1\npruned  weights")
    assert out.endswith(f"{folder}: study.nc, figure.png\n")
    after = tiny.contents(folder)
    made = [file for file in before if "h=" in file]
    assert {name: after[name] for name in made} == {name: before[name] for name in made}
    assert after["study.nc"][0] == before["study.nc"][0]


def test_study_goes_to_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "psiprune.experiments.study.run_study", lambda *_: read_dataset(finished / "study.nc")
    )
    monkeypatch.setattr("psiprune.experiments.figures.study.plot_study", lambda _: None)
    monkeypatch.setattr("psiprune.reporting.figures.save_figure", lambda *_: [])
    first, again, other = (
        numbers(tiny.call("study", "--seed", seed, "--json"))["folder"] for seed in (0, 0, 1)
    )
    assert first == again != other
    assert re.fullmatch(r"runs/study-[0-9a-f]{8}", first)


@pytest.mark.parametrize(
    ("command", "figures", "key"),
    [
        ("sparse", ["figure"], "variants"),
        pytest.param("ablation", ["broken", "forbidden"], "ablation", marks=pytest.mark.slow),
    ],
)
def test_sparse_and_ablation(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    figures: list[str],
    key: str,
) -> None:
    drawn: list[Path] = []

    def save(figure: Figure, stem: Path) -> list[Path]:
        assert figure.get_axes()
        drawn.append(stem)
        return [Path(f"{stem}.png")]

    monkeypatch.setattr("psiprune.reporting.figures.save_figure", save)
    done: Path = request.getfixturevalue(f"{command}_run")
    folder = Path(shutil.copytree(done, tmp_path / "run"))
    # From its own configuration: nothing is left to do but figures, JSON and table.
    again = (command, "--config", folder / "config.toml", "--out", folder)
    found = numbers(tiny.call(*again, "--json"))
    assert found["folder"] == str(folder)
    assert "h=1" in found[key]
    assert drawn == [folder / name for name in figures]
    assert tiny.names(folder) == tiny.names(done)
    assert (folder / f"{command}.nc").read_bytes() == (done / f"{command}.nc").read_bytes()
    module = f"psiprune.experiments.{command}.run_{command}"
    monkeypatch.setattr(module, lambda *_: read_dataset(folder / f"{command}.nc"))
    out = text(tiny.call(*again))
    assert out.startswith("h/J = 1")
    names = ", ".join(f"{name}.png" for name in figures)
    assert out.splitlines()[-1] == f"{folder}: {command}.nc, {names}"


def apart(*arguments: object) -> tiny.Outcome:
    """The same in a process of its own, where no library can hide what it prints."""
    command = [*tiny.PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return tiny.Outcome(done.returncode, done.stdout, done.stderr)


def test_only_the_result_is_on_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "state.nc"
    found = numbers(apart("ground-state", "--sites=5", "--out", file, "--json"))
    assert found["file"] == str(file)
    assert file.exists()
    line = tiny.refusal(apart("train", file, "--out", tmp_path / "rbm.nc", "--json"))
    check_refusal(line, file, "'shots'", "'mps'")


# ---- configuration files


def chosen(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> StudySettings:
    """The settings with which `psiprune study` would run."""
    seen: list[StudySettings] = []

    def stop(settings: StudySettings, _: Path) -> None:
        seen.append(settings)
        raise RuntimeError("enough")

    monkeypatch.setattr("psiprune.experiments.study.run_study", stop)
    assert tiny.refusal(tiny.call("study", *arguments), status=1) == "enough"
    return seen[0]


def test_options_stand_on_top_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("sites = 6\nfields = [0.5]\n[train]\nepochs = 7\nmomentum = 0.5\n")
    assert chosen(monkeypatch) == StudySettings()
    found = chosen(monkeypatch, "--config", file)
    train = pp.CD(epochs=7, momentum=0.5)
    assert found == StudySettings(sites=6, fields=(0.5,), train=train)
    found = chosen(
        monkeypatch, "--config", file, "--train.epochs=8", "--prune.levels=3", "--fields=1"
    )
    train = pp.CD(epochs=8, momentum=0.5)
    prune = PruneSettings(levels=3)
    assert found == StudySettings(sites=6, fields=(1.0,), train=train, prune=prune)
    # An option that says the default still wins over the file.
    assert chosen(monkeypatch, "--config", file, "--sites=18").sites == 18


def test_options_need_only_go_together_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ("--rewind-epoch", "900")
    line = tiny.refusal(tiny.call("study", *alone))
    check_refusal(line, "rewind_epoch", "train.epochs", 500, 900)
    file = tmp_path / "long.toml"
    file.write_text("[train]\nepochs = 1000\n")
    assert chosen(monkeypatch, "--config", file, *alone).rewind_epoch == 900
    line = tiny.refusal(tiny.call("study", "--config", file, "--rewind-epoch", "1001"))
    check_refusal(line, "rewind_epoch", "train.epochs", 1000, 1001)


def test_train_reads_a_file_too(stages: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('method = "cd"\nepochs = 1\nbatch_size = 60\nsteps = 2\n')
    command = ("train", stages / "shots.nc", "--config", file, "--steps=1")
    text(tiny.call(*command, "--out", tmp_path / "a.nc"))
    made = pp.load_rbm(tmp_path / "a.nc").provenance
    assert (made["epochs"], made["batch_size"], made["steps"]) == (1, 60, 1)


@pytest.mark.parametrize(
    "spelling", [["--fields", "0.5", "1.5"], ["--fields", "0.5", "--fields", "1.5"]]
)
def test_several_fields(monkeypatch: pytest.MonkeyPatch, spelling: list[str]) -> None:
    assert chosen(monkeypatch, *spelling, "--seed", "3").fields == (0.5, 1.5)


def test_what_the_command_line_gives_is_what_toml_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*tiny.options(), "--fields", "1", "2"]
    assert chosen(monkeypatch, *arguments) == tiny.settings()


# ---- bad input

BAD_FILES = {
    "empty.txt": b"",
    "comments.txt": b"# nothing\n",
    "ragged.txt": b"0 1 1 0\n0 1 1\n",
    "two.txt": b"0 1 1 0\n0 2 1 1\n",
    "signs.txt": b"1 -1 1 1\n",
    "nan.txt": b"0 nan 1 0\n",
    "header.csv": b"q0,q1,q2\n0,1,1,0\n",
    "one.txt": b"0 1 1 0\n",
    "packed.json.gz": b"\x1f\x8b\x08\0\0\0\0\0",
    "counts.csv": b"bitstring,count\n0110,12\n",
    "index.csv": b"shot,q0,q1\n0,1,1\n1,0,0\n",
    "rubbish.dat": b"\x80\x81\xff\x00",
    "rubbish.nc": b"\x89HDF\r\n\x1a\nrubbish",
    ".begun.nc.1.checkpoint": b"\x89HDF\r\n\x1a\nrubbish",
    "broken.toml": b"epochs = \n",
    "unknown.toml": b"epoch = 3\n",
    "nested.toml": b"[train]\nepoch = 3\n",
    "wrong.toml": b"epochs = -3\n",
    "type.toml": b'epochs = "many"\n',
    "latin.toml": b'method = "\xe9"\n',
    "table.toml": b"[epochs]\na = 1\n",
    "sites.toml": b"sites = 4.5\n",
    "bad.py": b"def fails(bits):\n    return {}['walls']\n",
    "sweep.toml": b"[study]\nsites = 4\n",
    "sweep-key.toml": b"[[grid]]\nproduct.prune.criterium = ['magnitude']\n",
    "sweep-train.toml": b"[study.train]\nepoch = 3\n",
    "sweep-table.toml": b"[studdy]\n",
    "sweep-block.toml": b"[[grid]]\nprodukt.sites = [4]\n",
    "sweep-type.toml": b"[[grid]]\nproduct.sites = [4, 'ten']\n",
    "sweep-value.toml": b"[[grid]]\nproduct.fields = [1.0, -1]\n",
    "sweep-point.toml": b"[[grid]]\npoints = [{sites = 4}, {sites = 1}]\n",
    "sweep-scalar.toml": b"[[grid]]\nproduct.sites = 4\n",
    "sweep-empty.toml": b"grid = []\n",
    "sweep-bare.toml": b"[[grid]]\n",
    "sweep-none.toml": b"[[grid]]\nproduct.sites = []\n",
    "sweep-points.toml": b"[[grid]]\npoints = []\n",
    "sweep-zip.toml": b"[[grid]]\nzip = {sites = [4, 6], hidden = [2]}\n",
    "sweep-twice.toml": b"[[grid]]\nzip.sites = [4]\nproduct.sites = [6]\n",
    "sweep-together.toml": b"[[grid]]\npoints = [{prune = {criterion = 'surgeon', "
    b"compensate = true}}]\n",
}

#: Command, and the facts in its line. {in} holds the stage and bad files, {out} does not exist, and
#: {formats} is the folder of other programs' files.
BAD_INPUT: list[tuple[Any, ...]] = [
    ("grund-state", "Unknown command", '"grund-state"', '"ground-state"'),
    ("--verbose", "Unknown"),
    ("completion", "completion: ", "--shell"),
    ("completion tcsh", "Choose from"),
    # ground-state
    ("ground-state --out {out}", "ground-state: ", "--sites"),
    ("ground-state --sites 4", "ground-state: ", "--out"),
    ("ground-state --out {out} --sites 1", "sites: ", 2, "'1'"),
    ("ground-state --out {out} --sites 4.5", "sites: ", "'4.5'"),
    ("ground-state --out {out} --sites four", "sites: ", "'four'"),
    ("ground-state --out {out} --sites 5000", "sites: ", 4096, "'5000'"),
    ("ground-state --out {out} --sites 4 --field 0", "field: ", 0, "'0'"),
    ("ground-state --out {out} --sites 4 --field -1", "field: ", 0, "'-1'"),
    ("ground-state --out {out} --sites 4 --field nan", "field: ", "'nan'"),
    ("ground-state --out {out} --sites 4 --coupling inf", "coupling: ", "'inf'"),
    ("ground-state --out {out} --sites 4 --hight 2", "Unknown option: --hight"),
    ("ground-state --out {in}/state.nc --sites 4", "state.nc: ", "exists already"),
    ("ground-state --out {in} --sites 4", "exists already"),
    ("ground-state --out {out}/a.nc --sites 4", "does not exist"),
    ("ground-state --out {out}.npz --sites 4", "out.npz: ", "NetCDF", "ends in .nc"),
    # sample
    ("sample --out {out}", "sample: ", "--state"),
    ("sample {in}/none.nc --out {out}", "none.nc: ", "No such file"),
    ("sample {in} --out {out}", "Is a directory"),
    ("sample {in}/shots.nc --out {out}", "shots.nc: ", "'mps'", "'shots'"),
    ("sample {in}/shots.txt --out {out}", "shots.txt: ", "not a NetCDF file"),
    ("sample {in}/rubbish.nc --out {out}", "rubbish.nc: ", "damaged"),
    ("sample {in}/cut-state.nc --out {out}", "cut-state.nc: ", "damaged"),
    ("sample {in}/state.nc --out {out} --shots 0", "shots: ", 1, 0),
    ("sample {in}/state.nc --out {out} --shots 2.5", "--shots", "'2.5'"),
    (
        "sample {in}/state.nc --out {out} --shots 100000000000000",
        "--shots: ",
        100000000000000,
        4,
        1073741824,
    ),
    ("sample {in}/state.nc --out {out} --seed -1", "seed: ", 0, "2^63 - 1", -1),
    ("sample {in}/state.nc --out {in}/shots.nc", "shots.nc: ", "exists already"),
    (
        "sample {in}/state.nc --out {out}.txt",
        "ends in .nc",
    ),
    # train
    ("train {in}/none.txt --out {out}", "none.txt: ", "No such file"),
    ("train {in}/empty.txt --out {out}", "empty.txt: ", "is empty"),
    ("train {in}/comments.txt --out {out}", "comments.txt: ", "only comments"),
    ("train {in}/ragged.txt --out {out}", "ragged.txt: ", "line 2", 3, "line 1", 4),
    ("train {in}/two.txt --out {out}", "two.txt: ", "line 2", "column 2", "0 or 1", "'2'"),
    ("train {in}/signs.txt --out {out}", "signs.txt: ", "line 1", "column 2", "0 or 1", "'-1'"),
    ("train {in}/nan.txt --out {out}", "nan.txt: ", "line 1", "column 2", "0 or 1", "'nan'"),
    ("train {in}/nan.npy --out {out}", "nan.npy: ", "row 0", "column 1", "0 or 1", "found nan"),
    ("train {in}/header.csv --out {out}", "header.csv: ", 3, 4),
    ("train {in}/rubbish.dat --out {out}", "rubbish.dat: ", "neither", "NetCDF", ".npy", ".npz"),
    ("train {in}/cut-shots.nc --out {out}", "cut-shots.nc: ", "damaged"),
    ("train {in}/state.nc --out {out}", "state.nc: ", "'shots'", "'mps'"),
    ("train {in}/shots.nc --out {out} --hidden 0", "--hidden: ", 1, 0),
    ("train {in}/shots.nc --out {out} --hidden 2.5", "--hidden", "'2.5'"),
    ("train {in}/shots.nc --out {out} --epochs -1", "epochs: ", 0, -1),
    ("train {in}/shots.nc --out {out} --method cd --batch-size 0", "batch_size: ", 1, 0),
    (
        "train {in}/shots.nc --out {out} --method sgd",
        "method: ",
    ),
    ("train {in}/shots.nc --out {out} --method cd --learning-rate 0", "learning_rate: ", 0, 0.0),
    ("train {in}/shots.nc --out {out} --method cd --momentum 1", "momentum: ", 1, 1.0),
    ("train {in}/shots.nc --out {out} --seed -1", "seed: ", 0, -1),
    ("train {in}/shots.nc --out {in}/rbm.nc", "rbm.nc: ", "exists already"),
    ("train {in}/shots.nc --out {out}/a.nc", "does not exist"),
    ("train {in}/shots.nc --out {out}.pt", "out.pt: ", "NetCDF", "ends in .nc"),
    ("train {in}/shots.nc --out {out} --mask {in}/none.txt", "none.txt: ", "No such file"),
    ("train {in}/shots.nc --out {out} --mask {in}/two.txt", "two.txt: ", "0 or 1", "'2'"),
    ("train {in}/shots.nc --out {out} --mask {in}/state.nc", "state.nc: ", "'rbm'", "'mps'"),
    (
        "train {in}/shots.nc --out {out} --mask {in}/three-rbm.nc",
        "found 2 and 3",
    ),
    (
        "train {in}/shots.nc --out {out} --hidden 3 --mask {in}/rbm.nc",
        "found 2 and 4",
    ),
    ("train {in}/shots.nc --out {out} --keep-epochs 501", "--keep-epochs: ", "--epochs", 500, 501),
    ("train {in}/shots.nc --out {out} --keep-epochs 0 -1", "--keep-epochs: ", 0, -1),
    ("train {in}/shots.nc --out {out} --keep-epochs 1.5", "--keep-epochs", '"1.5"'),
    # mask
    ("mask random --out {out} --hidden 2 --sites 4 --count 9", "count: ", 2, 4, 8, 9),
    ("mask random --out {out} --hidden 2 --sites 4", "mask random: ", "--count"),
    ("mask random --out {in}/rbm.nc --hidden 2 --sites 4 --count 3", "rbm.nc: ", "exists already"),
    ("mask cluster --out {out} --hidden 2 --sites 4 --count 9", "count: ", 6, 8, 9),
    ("mask cluster --out {out} --hidden 2 --sites 2 --count 4", "visible: ", 3, 2),
    ("mask break {in}/rbm.nc --out {out} --share 1.1", "share: ", 0, 1, 1.1),
    ("mask break {in}/shots.nc --out {out} --share 1", "shots.nc: ", "'rbm'", "'shots'"),
    ("mask forbid {in}/rbm.nc --out {out} --width 5", "width: ", 4, 5),
    # clusters
    ("clusters {in}/shots.nc", "shots.nc: ", "'rbm'", "'shots'"),
    ("clusters {in}/rbm.nc", "--threshold: ", 4, 3, 0.5),
    ("mask forbid {in}/rbm.nc --out {out}", "--threshold: ", 4, 3),
    ("clusters {in}/rbm.nc --width 1", "width: ", 2, 1),
    ("clusters {in}/rbm.nc --width 5", "width: ", 4, 5),
    ("clusters {in}/rbm.nc --threshold 0", "threshold: ", 0, 1, 0.0),
    ("clusters {in}/rbm.nc --threshold x", "threshold"),
    ("clusters {in}/rbm.nc --permutations 0", "permutations: ", 1, 0),
    ("clusters {in}/rbm.nc --seed -1", "seed: ", 0, -1),
    ("clusters {in}/rbm.nc --out {out}/a", "does not exist"),
    ("train {in}/shots.nc --out {out} --config {in}/none.toml", "none.toml: ", "TOML"),
    ("train {in}/shots.nc --out {out} --config {in}/broken.toml", "broken.toml: ", "TOML"),
    ("train {in}/shots.nc --out {out} --config {in}/latin.toml", "latin.toml: ", "TOML"),
    (
        "train {in}/shots.nc --out {out} --config {in}/unknown.toml",
        "epoch: ",
        "did you mean epochs",
    ),
    ("train {in}/shots.nc --out {out} --config {in}/wrong.toml", "epochs: ", 0, -3),
    ("train {in}/shots.nc --out {out} --config {in}/type.toml", "epochs: ", "'many'"),
    ("train {in}/shots.nc --out {out} --config {in}/table.toml", "epochs: ", "{'a': 1}"),
    ("train {in}/shots.nc --out {in}/begun.nc", ".begun.nc.1.checkpoint: ", "damaged"),
    # prune
    ("prune {in}/rbm.nc --out {out}", "prune: ", "--shots"),
    ("prune {in}/none.nc {in}/shots.nc --out {out}", "none.nc: ", "No such file"),
    ("prune {in}/shots.nc {in}/rbm.nc --out {out}", "shots.nc: ", "'rbm'", "'shots'"),
    ("prune {in}/cut-rbm.nc {in}/shots.nc --out {out}", "cut-rbm.nc: ", "damaged"),
    ("prune {in}/rbm.nc {in}/three-shots.nc --out {out}", "three-shots.nc: ", 3, 4),
    ("prune {in}/rbm.nc {in}/three-shots.txt --out {out}", "three-shots.txt: ", 4),
    ("prune {in}/rbm.nc {in}/ragged.txt --out {out}", "ragged.txt: ", "line 2", 3, "line 1", 4),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --fraction 0", "fraction: ", 0, "'0'"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --fraction 1", "fraction: ", 1, "'1'"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --levels 0", "levels: ", 1, "'0'"),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --criterion size",
        "criterion: ",
        "'magnitude'",
        "'size'",
    ),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --fine-tune.epochs -1", "epochs: ", 0, -1),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --seed -1", "seed: ", 0, -1),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --no-fine-tune --fine-tune.epochs 2",
        "--no-fine-tune: ",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --criterion surgeon --compensate",
        "compensate: ",
    ),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --density 2", "density: ", 1, "'2'"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --limit 1", "--limit: requires --until"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --others 1", "--others: requires --until"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --no-bisect", "--no-bisect: ", "--until"),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --until kl",
        "until: ",
        "--state",
        "'kl'",
        "one of abs_magnetization_roe, log_likelihood_loss",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --until log_likelihood_loss",
        "limit: ",
        "no complete record",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --until luck --state {in}/state.nc",
        "until: ",
        "energy_roe",
        "one of kl, infidelity",
        "'luck'",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --until kl --others 0 --state {in}/state.nc",
        "others: ",
        1,
        0,
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --until kl --limit 1 --others 2 "
        "--state {in}/state.nc",
        "--others: ",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --rewind {in}/three-rbm.nc",
        "[hidden, visible] = [2, 4]",
    ),
    (
        "prune {in}/rbm.nc {in}/shots.nc --out {out} --rewind {in}/rbm.nc --no-fine-tune",
        "rewind: ",
    ),
    ("prune {in}/rbm.nc {in}/shots.nc --out {in}", "no run", "config.toml"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {in}/rbm.nc", "rbm.nc: ", "is a file"),
    # evaluate
    ("evaluate {in}/rbm.nc", "evaluate: ", "--reference"),
    ("evaluate {in}/rbm.nc {in}/none.nc", "none.nc: ", "No such file"),
    ("evaluate {in}/rbm.nc {in}", "Is a directory"),
    ("evaluate {in}/rbm.nc {in}/rbm.nc", "rbm.nc: ", "'rbm'"),
    ("evaluate {in}/rbm.nc {in}/three-shots.nc", "three-shots.nc: ", 3, 4),
    ("evaluate {in}/rbm.nc {in}/three-shots.txt", "three-shots.txt: ", 3, 4),
    ("evaluate {in}/rbm.nc {in}/cut-shots.nc", "cut-shots.nc: ", "damaged"),
    ("evaluate {in}/rbm.nc {in}/empty.txt", "empty.txt: ", "is empty"),
    ("evaluate {in}/rbm.nc {in}/ragged.txt", "ragged.txt: ", "line 2", 3, "line 1", 4),
    ("evaluate {in}/rbm.nc {in}/rubbish.dat", "rubbish.dat: ", "neither", "NetCDF", ".npy", ".npz"),
    ("evaluate {in}/rbm.nc {in}/rubbish.nc", "rubbish.nc: ", "damaged"),
    ("evaluate {in}/rbm.nc {in}/one.txt", "one.txt: ", 2, 1),
    ("evaluate {in}/rbm.nc {in}/in-x.nc", "in-x.nc: ", "basis X"),
    ("evaluate {in}/rbm.nc {in}/shots.nc --draws 99", "draws: ", 100, "'99'"),
    ("evaluate {in}/rbm.nc {in}/shots.nc --seed -1", "seed: ", 0, -1),
    ("evaluate {in}/state.nc {in}/rbm.nc", "state.nc: ", "'rbm'", "'mps'"),
    ("evaluate {in}/rbm.nc {in}/three-state.nc", "rbm: ", 4, 3),
    ("evaluate {in}/rbm.nc {in}/cut-state.nc", "cut-state.nc: ", "damaged"),
    ("evaluate {in}/rbm.nc {in}/signs.nc", "state: ", "both signs"),
    ("train {in}/shots.nc --out {out} --history {in}/h.nc", "--history: requires --state"),
    ("train {in}/shots.nc --out {out} --state {in}/state.nc", "--state: requires --history"),
    ("prune {in}/rbm.nc {in}/shots.nc --out {out} --state {in}/three-state.nc", "has 3 sites"),
    ("evaluate {in}/rbm.nc {in}/state.nc --draws 99", "draws: ", 100, "'99'"),
    ("evaluate {in}/rbm.nc {in}/state.nc --seed x", "--seed", "'x'"),
    ("evaluate {in}/rbm.nc {in}/state.nc --out {out}", "Unknown option: --out"),
    # study
    ("study --out {out} --sites 5000", "sites: ", 4096, "'5000'"),
    ("study --out {out} --hidden 0", "hidden: ", 1, "'0'"),
    ("study --out {out} --shots 0", "shots: ", 1, "'0'"),
    ("study --out {out} --coupling -1", "coupling: ", 0, "'-1'"),
    ("study --out {out} --fields", "fields: "),
    ("study --out {out} --fields a", "fields.0: ", "'a'"),
    ("study --out {out} --fields 1 -1", "fields.1: ", 0, "'-1'"),
    ("study --out {out} --fields 1 1", "fields: "),
    ("study --out {out} --train.epochs -1", "train.epochs: ", 0, -1),
    ("study --out {out} --prune.fraction 1.5", "prune.fraction: ", 1, "'1.5'"),
    ("study --out {out} --prune.fractoin 0.5", "Unknown option", "--prune.fractoin"),
    ("study --out {out} --train 3", "train: "),
    ("study --out {out} stray", "Unused"),
    (
        "study --out {out} --config {in}/nested.toml",
        "train.epoch: ",
    ),
    ("study --out {out} --config {in}/unknown.toml", "epoch: ", "StudySettings"),
    ("study --out {out} --config {in}/sites.toml", "sites: ", 4.5),
    ("study --out {out} --config {in}/broken.toml", "broken.toml: ", "TOML"),
    ("study --out {in}", "no run", "config.toml"),
    ("study --out {in}/state.nc", "state.nc: ", "is a file"),
    ("study --out {out} --rewind-epoch -1", "rewind_epoch: ", 0, "'-1'"),
    ("study --out {out} --rewind-epoch 501", "rewind_epoch: ", "train.epochs", 500, 501),
    (
        "study --out {out} --rewind-epoch 0 --fine-tune.epochs 5",
        "fine_tune: ",
    ),
    ("study --out {out} --until.measure size", "until: ", "one of kl, infidelity", "'size'"),
    ("study --out {out} --until.limit 1", "measure"),
    (
        "study --out {out} --until.measure kl --until.others 3",
        "until.others: ",
    ),
    # sparse
    ("sparse --out {out} --sites 2", "density: ", 3, 2),
    ("sparse --out {out} --density 0.1", "density: ", 16),
    ("sparse --out {out} --density 1", "density: ", 1, "'1'"),
    ("sparse --out {out} --density 0", "density: ", 0, "'0'"),
    ("sparse --out {out} --levels 0", "levels: ", 1, "'0'"),
    ("sparse --out {out} --seeds 10001", "seeds: ", 10000, "'10001'"),
    ("study --out {out} --seeds 1000000000000", "seeds: ", 10000, "'1000000000000'"),
    ("sparse --out {out} --seeds 1", "seeds: ", 2, "'1'"),
    ("sparse --out {out} --fields 2 2", "fields: "),
    ("sparse --out {out} --prune.levels 3", "Unknown option", "--prune.levels"),
    ("sparse --out {out} --config {in}/unknown.toml", "epoch: ", "SparseSettings"),
    ("sparse --out {in}", "no run", "config.toml"),
    # ablation
    ("ablation --out {out} --width 1", "width: ", 2, "'1'"),
    ("ablation --out {out} --width 19", "width: ", 18, 19),
    ("ablation --out {out} --threshold 0", "threshold: ", 0, "'0'"),
    ("ablation --out {out} --shares 0.5 1.5", "shares.1: ", 1, "'1.5'"),
    ("ablation --out {out} --shares 0.5 0.2", "shares: must increase"),
    ("ablation --out {out} --shares a", "shares.0: ", "'a'"),
    ("ablation --out {out} --seeds 10001", "seeds: ", 10000, "'10001'"),
    ("ablation --out {out} --seeds 0", "seeds: ", 1, "'0'"),
    ("ablation --out {in}/state.nc", "state.nc: ", "is a file"),
    # rewire
    ("rewire {in}/rbm.nc {in}/shots.nc", "rewire: ", "--out", "--help"),
    ("rewire {in}/rbm.nc {in}/shots.nc --out {out}", "rbm: "),
    ("rewire {in}/none.nc {in}/shots.nc --out {out}", "none.nc: ", "No such file"),
    ("rewire {in}/cut-rbm.nc {in}/shots.nc --out {out}", "truncated or damaged"),
    ("rewire {in}/rbm.nc {in}/three-shots.nc --out {out}", "3 sites"),
    ("rewire {in}/rbm.nc {in}/shots.nc --out {out} --rounds 0", "rounds: ", 1, "'0'"),
    ("rewire {in}/rbm.nc {in}/shots.nc --out {out} --share 1", "share: ", 1, "'1'"),
    ("rewire {in}/rbm.nc {in}/shots.nc --out {out} --seed 1.5", "--seed", "'1.5'"),
    # frontier
    ("frontier --out {out} --sites 2", "sites: ", 3, 18, 2),
    ("frontier --out {out} --sites 19", "sites: ", 3, 18, 19),
    ("frontier --out {out} --rewired 22", "rewired: ", 21, "(22,)"),
    ("frontier --out {out} --bonds 0", "bonds.0: ", 1, "'0'"),
    ("frontier --out {out} --limit 0", "limit: ", 0, "'0'"),
    ("frontier --out {out} --seeds 10001", "seeds: ", 10000, "'10001'"),
    ("frontier --out {out} --costly-seeds 10001", "costly_seeds: ", 10000, "'10001'"),
    ("frontier --out {out} --costly-seeds 0", "costly_seeds: ", 1, "'0'"),
    ("frontier --out {out} --rewire.share 0", "rewire.share: ", 0, "'0'"),
    ("frontier --out {in}", "no run", "config.toml"),
    # paper
    ("paper --out {out} --sites 5", "sites: ", 6, "'5'"),
    ("paper --out {out} --seeds 10001", "seeds: ", 10000, "'10001'"),
    ("paper --out {out} --other-seeds 10001", "other_seeds: ", 10000, "'10001'"),
    ("paper --out {out} --seeds 1", "seeds: ", 2, "'1'"),
    ("paper --out {out} --other-sites 18", "other_sites: ", 18, "(18,)"),
    ("paper --out {out} --first-fractions 0.1 1", "first_fractions.1: ", 1, "'1'"),
    ("paper --out {out} --only fig9", "--only"),
    ("paper --out {out} --quick --config {in}/sites.toml", "--quick: ", "--config"),
    ("paper --out {out} --config {in}/unknown.toml", "epoch: ", "PaperSettings"),
    ("paper --out {in}", "no run", "config.toml"),
    # import
    ("import qiskit --out {out}", "files: ", "found none"),
    ("import text {in}/shots.txt --out", '"import"', "--out"),
    ("import text {in}/shots.txt", "import: ", "--out"),
    (
        "import word {formats}/stim.01 --out {out}",
        "format: ",
        "stim-b8",
        "one of text, qucumber",
        "'word'",
    ),
    ("import stim-01 {formats}/stim.01 {in}/none.01 --out {out}", "none.01: ", "No such file"),
    ("import stim-01 {formats} --out {out}", "fixtures: ", "Is a directory"),
    ("import stim-b8 {formats}/stim.b8 --out {out}", "give --qubits N"),
    ("import stim-b8 {formats}/stim.b8 --out {out} --qubits 0", "qubits: ", 1, "'0'"),
    ("import stim-b8 {formats}/stim.b8 --out {out} --qubits two", "qubits: ", "'two'"),
    ("import stim-b8 {formats}/stim.b8 --out {out} --spin", "spin: ", "stim-b8", "order, qubits"),
    (
        "import quera {formats}/quera_braket.json --out {out} --on-missing refuse",
        "quera_braket.json: ",
        1,
        2,
        "missing atoms",
        24,
    ),
    (
        "import quera {formats}/quera_braket.json --out {out} --on-missing maybe",
        "on_missing: ",
        "'drop'",
        "'maybe'",
    ),
    (
        "import qucumber {formats}/stim.01 --out {out} --bases none.txt",
        "none.txt: ",
        "No such file",
    ),
    (
        "import auto {formats}/quera_braket.json {formats}/quera_bloqade.json --out {out}",
        "sites 3, but ",
    ),
    (
        "import auto {formats}/pulser_counter.json --out {out}",
        "pulser_counter.json: ",
        "site 0",
        "qiskit",
    ),
    (
        "import text {in}/shots.txt {in}/one.txt {in}/shots.txt --out {out}",
        "files: ",
        "shots.txt",
        "same bytes",
        "twice",
    ),
    ("import text {in}/ragged.txt --out {out}", "ragged.txt: ", "line 2", 3, "line 1", 4),
    ("import auto {in}/packed.json.gz --out {out}", "packed.json.gz: ", "gzip"),
    (
        "import auto {in}/counts.csv --out {out}",
        "--order listed",
    ),
    ("import auto {in}/index.csv --out {out}", "index.csv: ", "'shot'"),
    (
        "import text {in}/signs.txt --out {out}",
        "signs.txt: ",
        "line 1",
        "column 2",
        "0 or 1",
        "'-1'",
    ),
    ("import text {in}/shots.txt --out {out} --spin", "shots.txt: ", "+1 or -1", "'0'"),
    ("import text {in}/shots.txt --out {out} --skip -1", "skip: ", 0, "'-1'"),
    ("import text {in}/shots.txt --out {out} --order numbered", "order: ", "'numbered'"),
    (
        "import cirq {formats}/qiskit_result.json --out {out}",
        "qiskit_result.json: ",
        "cirq.to_json",
    ),
    ("import cirq {formats}/cirq_keys.json --out {out}", "cirq_keys.json: ", "--key"),
    ("import netcdf {in}/cut-shots.nc --out {out}", "cut-shots.nc: ", "damaged"),
    ("import auto {in}/state.nc --out {out}", "state.nc: ", "'shots'", "'mps'"),
    ("import text {in}/shots.txt --out {in}/shots.nc", "shots.nc: ", "exists already"),
    ("import text {in}/shots.txt --out {out}.csv", "out.csv: ", "NetCDF", "ends in .nc"),
    # export
    ("export text {in}/shots.nc", "export: ", "--out"),
    ("export qiskit {in}/rbm.nc --out {out}", "numpy, qucumber, netket"),
    ("export netket {in}/shots.nc --out {out}", "format: ", "text, numpy, qiskit", "'netket'"),
    (
        "export word {in}/shots.nc --out {out}",
        "format: ",
        "stim-b8",
        "one of text, numpy",
        "'word'",
    ),
    ("export text {in}/none.nc --out {out}", "none.nc: ", "No such file"),
    ("export text {in} --out {out}", "Is a directory"),
    ("export text {in}/state.nc --out {out}", "state.nc: ", "'shots'", "'mps'"),
    ("export numpy {in}/cut-rbm.nc --out {out}", "cut-rbm.nc: ", "damaged"),
    ("export text {in}/in-x.nc --out {out}", "basis X"),
    ("export text {in}/shots.nc --out {in}/shots.txt", "shots.txt: ", "exists already"),
    ("export numpy {in}/shots.nc --out {out}.npy", "out.npy: ", "ends in .npz"),
    ("export text {in}/shots.nc --out {out}.csv", "out.csv: ", "ends in .txt"),
    ("export stim-b8 {in}/shots.nc --out {out}.01", "out.01: ", "ends in .b8"),
    ("export qucumber {in}/rbm.nc --out {out}.npy", "out.npy: ", "torch", "ends in .pt"),
    ("export netket {in}/rbm.nc --out {out}.nc", "out.nc: ", "ends in .npz"),
    # info
    ("info", "info: ", "--help"),
    ("info {in}/none.nc", "none.nc: ", "No such file"),
    ("info {in}", "no config.toml"),
    ("info {in} --format text", "Is a directory"),
    ("info {in}/empty.txt", "empty.txt: ", "is empty"),
    ("info {in}/rubbish.dat", "rubbish.dat: ", "neither", "NetCDF", ".npy", ".npz"),
    ("info {in}/rubbish.nc", "rubbish.nc: ", "damaged"),
    ("info {in}/cut-rbm.nc", "cut-rbm.nc: ", "damaged"),
    ("info {in}/cut-shots.nc", "cut-shots.nc: ", "damaged"),
    ("info {in}/two.txt", "two.txt: ", "line 2", "column 2", "0 or 1", "'2'"),
    ("info {in}/nan.npy", "nan.npy: ", "row 0", "column 1", "0 or 1", "found nan"),
    ("info {in}/rbm.nc --spin", "spin: ", "self-describing"),
    ("info {in}/shots.txt --format word", "format: ", "stim-b8", "one of text, qucumber", "'word'"),
    ("info {in}/shots.txt --format stim-b8", "give --qubits N"),
    ("info {in}/shots.txt --out {out}", "Unknown option: --out"),
    # reconstruct
    ("reconstruct --out {out}", "reconstruct: ", "--shots"),
    ("reconstruct {in}/none.txt --out {out}", "none.txt: ", "No such file"),
    ("reconstruct {in}/ragged.txt --out {out}", "ragged.txt: ", "line 2", 3, "line 1", 4),
    ("reconstruct {in}/state.nc --out {out}", "state.nc: ", "'shots'", "'mps'"),
    ("reconstruct {in}/in-x.nc --out {out}", "in-x.nc: ", "basis X"),
    ("reconstruct {in}/one.txt --out {out}", "one.txt: ", 1, "held_out", 0.5),
    (
        "reconstruct {in}/shots.nc --out {out} --held-out 0.1",
        "shots.nc: ",
        300,
        12,
        "held_out",
        0.1,
    ),
    ("reconstruct {in}/shots.nc --out {out} --held-out 1", "held_out: ", 1, "'1'"),
    (
        "reconstruct {in}/shots.nc --out {out} --seeds 1000000000000",
        "seeds: ",
        10000,
        "'1000000000000'",
    ),
    ("reconstruct {in}/shots.nc --out {out} --qubits 4", "qubits: ", "self-describing"),
    ("reconstruct {in}/shots.nc --out {out} --seeds 1", "seeds: ", 2, "'1'"),
    ("reconstruct {in}/shots.nc --out {out} --hidden 0", "hidden.0: ", 1, "'0'"),
    ("reconstruct {in}/shots.nc --out {out} --hidden 2 2", "hidden: ", "(2, 2)"),
    ("reconstruct {in}/shots.nc --out {out} --learning-rates -1", "learning_rates.0: ", 0, "'-1'"),
    ("reconstruct {in}/shots.nc --out {out} --significance 0", "significance: ", 0, "'0'"),
    (
        "reconstruct {in}/shots.nc --out {out} --measure luck",
        "measure: ",
        "abs_magnetization",
        "'luck'",
        "one of log_likelihood, magnetization",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --observable walls",
        "observable: ",
        "FILE.py:function",
        "'walls'",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --observable {in}/none.py:walls",
        "observable: ",
        "none.py",
        "FILE.py",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --observable {in}/bad.py:nothing",
        "observable: ",
        "bad.py",
        "'nothing'",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --observable {in}/bad.py:fails",
        "'fails'",
        "KeyError",
        "'walls'",
        "bad.py",
        "line 2",
        "[60, 4]",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --observable {in}/bad.py:fails "
        "--observable {in}/bad.py:fails",
        "observable: ",
        "'fails'",
        "twice",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --shots-sha256 0",
        "shots.nc: ",
        "shots_sha256",
        "0...",
    ),
    ("reconstruct {in}/shots.nc --out {out} --format cirq", "shots.nc"),
    (
        "reconstruct {in}/shots.nc --out {out} --prune.compensate",
        "compensate: ",
    ),
    (
        "reconstruct {in}/shots.nc --out {out} --config {in}/unknown.toml",
        "epoch: ",
        "ReconstructSettings",
    ),
    ("reconstruct {in}/shots.nc --out {in}", "no run", "config.toml"),
    # sweep
    ("sweep --out {out}", "sweep: ", "--config"),
    ("sweep {in}/none.toml --out {out}", "none.toml: ", "TOML"),
    ("sweep {in}/broken.toml --out {out}", "broken.toml: ", "TOML"),
    (
        "sweep {in}/sweep-key.toml --out {out}",
        "grid.0.product.prune.criterium: ",
        "did you mean prune.criterion",
    ),
    ("sweep {in}/sweep-train.toml --out {out}", "study.train.epoch: ", "did you mean train.epochs"),
    ("sweep {in}/sweep-table.toml --out {out}", "studdy: ", "SweepSettings", "did you mean study"),
    (
        "sweep {in}/sweep-block.toml --out {out}",
        "grid.0.produkt: ",
        "GridSettings",
        "did you mean product",
    ),
    ("sweep {in}/sweep-type.toml --out {out}", "grid.0.product.sites.1: ", "'ten'"),
    ("sweep {in}/sweep-value.toml --out {out}", "grid.0.product.fields.1: ", 0, -1),
    ("sweep {in}/sweep-point.toml --out {out}", "grid.0.points.1.sites: ", 2, 1),
    ("sweep {in}/sweep-scalar.toml --out {out}", "grid.0.product.sites: ", "list", 4),
    ("sweep {in}/sweep-empty.toml --out {out}", "grid: ", "found none"),
    ("sweep {in}/sweep-bare.toml --out {out}", "grid.0.product: ", "is missing", "zip and points"),
    ("sweep {in}/sweep-none.toml --out {out}", "grid.0.product.sites: ", "empty"),
    ("sweep {in}/sweep-points.toml --out {out}", "grid.0.points: ", "list", "[]"),
    ("sweep {in}/sweep-zip.toml --out {out}", "grid.0.zip: ", 2, 1),
    ("sweep {in}/sweep-twice.toml --out {out}", "grid.0.sites: ", "product", "zip"),
    (
        "sweep {in}/sweep-together.toml --out {out}",
        "prune.compensate: ",
    ),
    ("sweep {in}/sweep.toml --out {in}", "no run", "config.toml"),
    ("sweep {in}/sweep.toml --out {in}/state.nc", "state.nc: ", "is a file"),
    ("sweep {in}/sweep.toml --out {out} --slurm --pbs", "--scheduler, --slurm, --pbs: "),
    # query and report
    ("query select", "query: ", "--folder"),
    ("query select {in}", "sweep.parquet: ", "`psiprune sweep`"),
    ("report {in}", "readable sweep"),
    ("report {out}", "readable sweep"),
]


@pytest.fixture(scope="module")
def inputs(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs") / "in"
    shutil.copytree(stages, folder)
    for name, content in BAD_FILES.items():
        (folder / name).write_bytes(content)
    for name in ("state.nc", "shots.nc", "rbm.nc"):
        (folder / f"cut-{name}").write_bytes((folder / name).read_bytes()[:-100])
    np.save(folder / "nan.npy", np.array([[0.0, np.nan, 1.0, 0.0]]))
    state = pp.load_mps(folder / "state.nc")
    signs = [tensor * [[[1.0], [-1.0]]] for tensor in state.tensors]
    pp.mps_from_tensors(signs).save(folder / "signs.nc")
    pp.Shots(pp.read_shots(folder / "shots.nc").bits, basis="X").save(folder / "in-x.nc")
    return folder


@pytest.mark.parametrize("case", BAD_INPUT, ids=[case[0] for case in BAD_INPUT])
def test_bad_input_is_one_line(inputs: Path, tmp_path: Path, case: tuple[Any, ...]) -> None:
    command, *facts = case
    before = tiny.contents(inputs)
    out = tmp_path / "out"
    places = {"in": inputs, "out": out, "formats": FIXTURES}
    arguments = [part.format(**places) for part in command.split()]
    check_facts(tiny.refusal(tiny.call(*arguments)), *facts)
    assert tiny.contents(inputs, but=()) == before
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_bad_input() -> None:
    counts = {name: sum(case[0].startswith(name) for case in BAD_INPUT) for name in COMMANDS}
    assert min(counts.values()) >= 7
    assert len(BAD_INPUT) >= 200


# ---- folders that cannot be written, disks that are full

WRITING = {
    "ground-state": "ground-state --sites 2 --out {out}",
    "sample": "sample {in}/state.nc --shots 4000 --out {out}",
    "train": "train {in}/shots.nc --epochs 1 --out {out}",
    "prune": "prune {in}/rbm.nc {in}/shots.nc --levels 1 --no-fine-tune --out {out}",
}


@pytest.mark.parametrize("command", WRITING.values(), ids=WRITING.keys())
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (tiny.read_only, "Permission denied"),
        (lambda _: tiny.full_disk(100), "free some space, then "),
    ],
    ids=["read-only", "full"],
)
def test_what_cannot_be_written(
    stages: Path,
    command: str,
    trouble: Callable[[Path], AbstractContextManager[None]],
    words: str,
) -> None:
    # Not in `tmp_path`: only its owner may enter it, and `read_only` is somebody else.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("state.nc", "shots.nc", "rbm.nc"):
            shutil.copy(stages / file, folder / file)
        arguments = [part.format(out=folder / "out", **{"in": folder}) for part in command.split()]
        before = tiny.contents(folder)
        with trouble(folder):
            line = tiny.refusal(tiny.call(*arguments), status=1)
        assert line.startswith(str(folder / "out"))
        if words.endswith("then "):
            kept = command.startswith(("train", "prune"))
            words += "rerun the same command to resume" if kept else "run the command again"
        assert line.endswith(words)
        assert tiny.contents(folder) == before
        assert tiny.call(*arguments).status == 0  # nothing is left in the way


def test_a_run_beneath_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = tiny.refusal(tiny.call("study", "--out", tmp_path / "file" / "run"), status=1)
    assert line == f"{tmp_path / 'file' / 'run'}: Not a directory"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (RuntimeError("no luck"), 1, "no luck"),
        (MemoryError(), 1, "MemoryError"),
        (ValueError("zero-size\narray"), 1, "zero-size array"),
        (np.linalg.LinAlgError("SVD did not converge"), 1, "SVD did not converge"),
        (BrokenPipeError(32, "Broken pipe"), 1, "output: Broken pipe"),  # of a worker, say
        (OverflowError(34, "Numerical result out of range"), 1, "(34, 'Numerical result"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
        (pp.DivergenceError("in\n epoch 3"), 1, "in epoch 3"),
        (pp.InputError("bits: are\nbad"), 2, "bits: are bad"),
        (OSError(28, "No space left on device"), 1, "output: No space left on device; free"),
        (OSError(28, "No space left on device", "a.nc"), 1, "a.nc: No space left on device; nothi"),
        (KeyboardInterrupt(), 130, tiny.LOST),
    ],
    ids=repr,
)
def test_exit_statuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, status: int, line: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("psiprune.states.dmrg.ground_state", fail)
    found = tiny.refusal(tiny.call("ground-state", "--sites=2", "--out", tmp_path / "a"), status)
    assert found.startswith(line)


def test_interrupted_with_something_kept(
    monkeypatch: pytest.MonkeyPatch, stages: Path, tmp_path: Path
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("psiprune.training.train.train", stop)
    outcome = tiny.call("train", stages / "shots.nc", "--epochs=1", "--out", tmp_path / "a.nc")
    line = tiny.refusal(outcome, status=130)
    assert line == tiny.KEPT
    monkeypatch.setattr("psiprune.inspect.describe.describe", stop)  # no longer: another command
    line = tiny.refusal(tiny.call("info", stages / "shots.nc"), status=130)
    assert line == tiny.NOT_BEGUN


def test_nobody_reads_the_output(stages: Path) -> None:
    info = subprocess.Popen(
        [*tiny.PROGRAM, "info", str(stages / "shots.nc")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert info.stdout is not None
    info.stdout.close()
    assert info.stderr is not None
    assert info.stderr.read() == b""
    assert info.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_to_a_full_disk(stages: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*tiny.PROGRAM, "info", str(stages / "shots.nc")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    line = tiny.refusal(tiny.Outcome(done.returncode, "", done.stderr), status=1)
    assert line.startswith("output: No space left on device; ")


def test_divergence_is_told(stages: Path, tmp_path: Path) -> None:
    command = ("train", stages / "shots.nc", "--method=cd", *DIVERGENT)
    line = tiny.refusal(tiny.call(*command, "--out", tmp_path / "a.nc"), status=1)
    check_facts(line, "epoch 1", "learning_rate = 1000.0")
    assert list(tmp_path.iterdir()) == []


def test_json_has_null_for_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    nan, inf = float("nan"), float("inf")
    found: dict[str, Any] = {
        "a": nan,
        "b": [1.5, inf, {"c": -inf, "d": (np.float64(nan), 2, True, None, "NaN")}],
    }
    show(found, "", True)

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    printed = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert printed == {"a": None, "b": [1.5, None, {"c": None, "d": [None, 2, True, None, "NaN"]}]}


# ---- help, version, names


def options_of(model: type[Settings], prefix: str = "") -> Iterable[tuple[str, str]]:
    """(option, description) of every setting."""
    for name, field in model.model_fields.items():
        option = f"{prefix}{name.replace('_', '-')}"
        default = field.get_default(call_default_factory=True)
        kinds = [type(default), *get_args(field.annotation)]  # one that is None may be another
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)]
        if Method in inner:
            yield from ((f"--{option}.{key.replace('_', '-')}", "") for key in METHOD_FIELDS)
        elif inner:
            yield from options_of(inner[0], f"{option}.")
        else:
            assert field.description
            yield f"--{option}", field.description


@pytest.mark.parametrize(
    ("command", "model", "prefix"),
    [
        ("ground-state", TFIM, ""),
        ("prune", PruneSettings, ""),
        ("evaluate", MeasureSettings, ""),
        ("study", StudySettings, ""),
        ("sparse", SparseSettings, ""),
        ("ablation", AblationSettings, ""),
        ("frontier", FrontierSettings, ""),
        ("rewire", RewireSettings, ""),
        ("reconstruct", ReconstructSettings, ""),
    ],
)
def test_help_comes_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch, command: str, model: type[Settings], prefix: str
) -> None:
    lines = tiny.help_of(monkeypatch, command).splitlines()
    options = list(options_of(model, prefix))
    assert len(options) >= 1
    for option, description in options:
        # A type, or for a flag nothing, stands behind the option.
        form = rf"│[ *]*{re.escape(option)} [A-Z ]"
        (line,) = [line for line in lines if re.match(form, line)]
        assert description in line


@pytest.mark.parametrize(
    ("command", "prefix", "epochs"),
    [
        ("train", "", "(exact, pcd, cd: 500; natural: 150)"),
        ("prune", "fine-tune.", "(exact, pcd, cd: 30; natural: 20)"),
        ("study", "train.", "(exact, pcd, cd: 500; natural: 150)"),
        ("study", "fine-tune.", "(exact, pcd, cd: 30; natural: 20)"),
        ("frontier", "train.", "(default: 100; exact, pcd, cd: 500; natural: 150)"),
        ("frontier", "fine-tune.", "(default, natural: 20; exact, pcd, cd: 30)"),
        ("frontier", "paper-train.", "(exact, pcd, cd: 500; natural: 150)"),
    ],
)
def test_help_names_each_field_of_each_method_with_its_defaults(
    monkeypatch: pytest.MonkeyPatch, command: str, prefix: str, epochs: str
) -> None:
    lines = tiny.help_of(monkeypatch, command).splitlines()
    for name in METHOD_FIELDS:
        option = re.escape(f"--{prefix}{name.replace('_', '-')}")
        (line,) = [line for line in lines if re.match(rf"│[ *]*{option} [A-Z]", line)]
        if name == "epochs":
            assert epochs in line
        elif name == "method":
            for method, kind in METHODS.items():
                assert f"{method}: {kind.SUMMARY}" in line
        else:
            kinds = [kind for kind in METHODS.values() if name in kind.model_fields]
            assert any(str(kind.model_fields[name].description) in line for kind in kinds)


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tiny.help_of(monkeypatch)
    for name in (*COMMANDS, "query", "report"):
        assert re.search(rf"^│ {name} ", listed, re.MULTILINE)
        own = tiny.help_of(monkeypatch, name)
        assert "--json" in own
        assert "--no-json" not in own
    masks = tiny.help_of(monkeypatch, "mask")
    for name in ("random", "cluster", "break", "forbid"):
        assert re.search(rf"^│ {name} ", masks, re.MULTILINE)
        assert "--json" in tiny.help_of(monkeypatch, "mask", name)


def test_version_tells_where_numbers_come_from() -> None:
    lines = text(tiny.call("--version")).splitlines()
    assert lines[0] == f"psiprune {version('psiprune')}"
    assert lines == [f"{name} {value}" for name, value in describe_machine().items()]


def test_the_command_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["psiprune"] == "psiprune.cli:run"
    command = [sys.executable, "-m", "psiprune", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"psiprune {version('psiprune')}\n")


def test_importing_the_command_line_is_light() -> None:
    code = "import psiprune.cli.main, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "psiprune" in loaded
    assert not loaded & {"numba", "xarray", "tenpy", "matplotlib", "scipy", "h5py", "tqdm", "emcee"}


def test_public_names() -> None:
    assert "RBM" in pp.__all__
    assert set(pp.__all__) <= set(dir(pp))
    for name in pp.__all__:
        found = getattr(pp, name)
        assert found.__doc__, name
        assert not found.__doc__.startswith(f"{name}("), name  # what dataclass writes itself
        if inspect.isclass(found):
            for key, member in vars(found).items():
                public = inspect.isfunction(member) or isinstance(member, property)
                if public and not key.startswith("_"):
                    assert member.__doc__, f"{name}.{key}"
