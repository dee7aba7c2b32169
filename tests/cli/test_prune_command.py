"""Prune on files: levels, criteria, rewinding, searches, and what a folder refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from outcomes import json_of, text_of
from psiprune.io.netcdf import read_dataset
from refusals import check_refusal


def test_prune(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc")
    options = ("--levels=2", "--fraction=0.3", "--seed=4")
    tuning = ("--fine-tune.method=cd", "--fine-tune.epochs=2")
    command = ("prune", *files, *options, *tuning, "--out", tmp_path / "path")
    found = json_of(tiny.call(*command, "--json"))
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
        *("config.toml", "provenance.json", "level-00.nc", "level-01.nc", "level-02.nc")
    }
    for step, level in enumerate(levels):
        saved = pp.load_rbm(tmp_path / "path" / f"level-0{step}.nc")
        np.testing.assert_array_equal(saved.weights, level.rbm.weights)
        np.testing.assert_array_equal(saved.mask, level.rbm.mask)
        assert found["levels"][step]["components"] == level.rbm.components
    # A rerun reads the levels and resumes from the last.
    before = tiny.contents(tmp_path / "path", but=(".lock", "provenance.json"))
    (tmp_path / "path/level-02.nc").unlink()
    assert json_of(tiny.call(*command, "--json")) == found
    after = tiny.contents(tmp_path / "path", but=(".lock", "provenance.json"))
    assert {k: v[0] for k, v in after.items()} == {k: v[0] for k, v in before.items()}
    assert "3 levels, 8 to 4 weights" in text_of(tiny.call(*command))


def test_prune_with_a_state_prints_the_metrics_of_each_level(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--state", stages / "state.nc")
    command = ("prune", *files, "--levels=1", "--no-fine-tune", "--out", tmp_path / "path")
    levels = json_of(tiny.call(*command, "--json"))["levels"]
    lines = text_of(tiny.call(*command)).splitlines()
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
    state = pp.load_mps(stages / "state.nc")
    report = pp.evaluate(pp.load_rbm(tmp_path / "path/level-01.nc"), state, draws=100)
    assert levels[1]["kl"] == report.kl.value
    assert saved["kl"].attrs["units"] == "nat"


def test_prune_by_every_criterion(stages: Path, tmp_path: Path) -> None:
    files = (stages / "rbm.nc", stages / "shots.nc", "--fine-tune.epochs", 1)
    for criterion in ("magnitude-by-unit", "random", "damage", "surgeon"):
        out = tmp_path / criterion
        options = ("--criterion", criterion, "--first-fraction=0.4", "--density=0.4", "--out", out)
        found = json_of(tiny.call("prune", *files, *options, "--json"))
        # round(8 * 0.6 * 0.9^n), but 3 at the end
        assert [level["weights"] for level in found["levels"]] == [8, 5, 4, 4, 3, 3]
    before = tiny.contents(out)
    (out / "level-04.nc").unlink()
    assert json_of(tiny.call("prune", *files, *options, "--json")) == found
    assert {k: v[0] for k, v in tiny.contents(out).items()} == {k: v[0] for k, v in before.items()}


def test_prune_with_rewinding(stages: Path, tmp_path: Path) -> None:
    train = ("train", stages / "shots.nc", "--hidden", 2, "--seed", 3, "--method", "cd")
    text_of(tiny.call(*train, "--epochs", 0, "--out", tmp_path / "early.nc"))
    text_of(tiny.call(*train, "--epochs", 5, "--out", tmp_path / "rbm.nc"))
    prune = ("prune", tmp_path / "rbm.nc", stages / "shots.nc", "--rewind", tmp_path / "early.nc")
    tuning = ("--fine-tune.method=cd", "--fine-tune.epochs=4")
    text_of(tiny.call(*prune, *tuning, "--levels", 2, "--out", tmp_path / "path"))
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
    text_of(tiny.call(*train, "--epochs", 1, "--out", tmp_path / "other.nc"))
    (tmp_path / "early.nc").unlink()
    (tmp_path / "other.nc").rename(tmp_path / "early.nc")
    line = tiny.refusal(tiny.call(*prune, *tuning, "--levels", 2, "--out", tmp_path / "path"))
    check_refusal(line, "config.toml", "rewind")


def test_prune_until_it_hurts(stages: Path, tmp_path: Path) -> None:
    files = (tmp_path / "rbm.nc", stages / "shots.nc")
    text_of(tiny.call("train", files[1], "--method", "exact", "--out", files[0]))
    options = ("--criterion=surgeon", "--no-fine-tune", "--until=log_likelihood_loss")
    command = ("prune", *files, *options, "--limit=0.02", "--out", tmp_path / "path")
    found = json_of(tiny.call(*command, "--json"))
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
    line = text_of(tiny.call(*command))
    assert line.startswith(f"{found['weights']} of 8 weights (density ")
    assert "log_likelihood_loss" in line
    assert "limit 0.02" in line
    assert tiny.contents(tmp_path / "path", but=(".lock", "smallest.nc")) == before


def test_prune_within_the_band_of_a_dense_ensemble(stages: Path, tmp_path: Path) -> None:
    shots, state = stages / "shots.nc", stages / "state.nc"
    text_of(tiny.call("train", shots, "--method", "exact", "--out", tmp_path / "rbm.nc"))
    files = (tmp_path / "rbm.nc", shots, "--state", state, "--fine-tune.method=exact")
    options = ("--until=kl", "--others=2", "--no-bisect", "--out", tmp_path / "path")
    found = json_of(tiny.call("prune", *files, *options, "--json"))
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
    text_of(tiny.call("prune", *files, *options))
    before = tiny.contents(folder)
    line = tiny.refusal(tiny.call("prune", *files, *options, "--seed=5"))
    check_refusal(line, folder / "config.toml", "seed", 0, 5)
    line = tiny.refusal(tiny.call("prune", *files, "--levels=1", "--out", folder))
    check_refusal(line, "config.toml", "fine_tune", "(none)", "'exact'")
    pp.sample(pp.load_mps(stages / "state.nc"), 300, seed=9).save(tmp_path / "new.nc")
    line = tiny.refusal(tiny.call("prune", files[0], tmp_path / "new.nc", *options))
    check_refusal(line, "config.toml", "shots")
    assert tiny.contents(folder) == before
