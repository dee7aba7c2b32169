"""Train and prune on files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
from invented import markov_chain
from outcomes import json_of, text_of
from psiprune.io.netcdf import read_dataset
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import cluster_mask, random_mask, read_mask, write_mask
from psiprune.training.method import Method
from psiprune.training.train import TrainingProgress
from refusals import check_refusal

SHORT = ("--method=cd", "--epochs=2", "--batch-size=50")
KINDS: dict[str, Method] = {
    "cd": pp.CD(epochs=2, steps=1, batch_size=50, momentum=0.5),
    "pcd": pp.PCD(epochs=2, steps=1, batch_size=50),
    "natural": pp.NaturalGradient(epochs=2, steps=1, chains=60, symmetry="flip-mirror"),
    "exact": pp.ExactNaturalGradient(epochs=2, weight_decay=1e-4, symmetry="flip"),
}


@pytest.mark.parametrize("name", KINDS)
def test_train_by_each_method(stages: Path, tmp_path: Path, name: str) -> None:
    """With every field of the method as an option; half as many hidden units as sites."""
    method, shots = KINDS[name], stages / ("shots.txt" if name == "cd" else "shots.nc")
    options = [f"--{key.replace('_', '-')}={value}" for key, value in method.model_dump().items()]
    command = ("train", shots, "--seed=3", *options)
    found = json_of(tiny.call(*command, "--out", tmp_path / "a.nc", "--json"))
    expected = pp.train(pp.read_shots(shots), hidden=2, seed=3, method=method)
    made = pp.load_rbm(tmp_path / "a.nc")
    np.testing.assert_array_equal(made.weights, expected.weights)
    np.testing.assert_array_equal(made.visible_bias, expected.visible_bias)
    assert dict(made.provenance) == dict(expected.provenance)
    assert found["method"] == method.model_dump()
    assert found["initial"] == expected.provenance["initial"]
    assert [found[key] for key in ("visible", "hidden", "weights", "epochs")] == [4, 2, 8, 2]
    first, *lines = text_of(tiny.call(*command, "--out", tmp_path / "b.nc")).splitlines()
    for fact in ("4 visible", "2 hidden", "8 weights", "2 epochs", "300 shots"):
        assert fact in first
    (line,) = (line for line in lines if line.startswith("method: "))
    check_refusal(line, "method", str(method), found["initial"])


def test_train_takes_scale_free_links_for_a_long_chain(tmp_path: Path) -> None:
    for sites, options, taken in ((21, (), True), (20, (), False), (21, ("--hidden=2",), False)):
        file = tmp_path / f"{sites}.nc"
        shots = pp.Shots(markov_chain(3.0, sites, 400))
        shots.save(file)
        out = tmp_path / f"{sites}-{len(options)}-rbm.nc"
        made = tiny.call("train", file, *options, "--epochs=0", "-o", out)
        assert (f"psiprune mask scale-free {file}" in made.err) == taken
        assert ("--hidden 10" in made.err) == taken
        mask = pp.mask_for_shots(shots)
        assert np.array_equal(pp.load_rbm(out).mask, mask) == taken


def test_train_says_that_it_took_more_hidden_units(tmp_path: Path) -> None:
    """As many 0 as 1 in each shot of 6 sites: more than 3 hidden units are needed."""
    balanced = [[k >> i & 1 for i in range(6)] for k in range(64) if k.bit_count() == 3]
    pp.Shots(np.tile(np.array(balanced, np.uint8), (50, 1))).save(tmp_path / "shots.nc")
    for options, hidden in (((), 6), (("--hidden=3",), 3)):
        out = tmp_path / f"{hidden}.nc"
        made = tiny.call("train", tmp_path / "shots.nc", *options, "--epochs=60", "-o", out)
        assert ("6 hidden units, as 3 miss structure" in made.err) == (hidden == 6)
        assert pp.load_rbm(out).hidden == hidden


def test_train_reads_its_method_from_a_file(stages: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("method = 'natural'\nchains = 60\nepochs = 2\nsteps = 2\n")
    command = ("train", stages / "shots.nc", "--config", file, "--hidden=2", "--json")
    found = json_of(tiny.call(*command, "--steps=1", "-o", tmp_path / "a.nc"))
    assert found["method"] == pp.NaturalGradient(chains=60, epochs=2, steps=1).model_dump()
    found = json_of(tiny.call(*command, "--method=exact", "--epochs=1", "-o", tmp_path / "b.nc"))
    assert found["method"] == pp.ExactNaturalGradient(epochs=1).model_dump()


def test_exact_training_ends_when_it_converges(stages: Path, tmp_path: Path) -> None:
    command = ("train", stages / "shots.nc", "--hidden", 1, "--method", "exact", "--json")
    kept = ("--keep-epochs=300", "--epochs=300", "--out", tmp_path / "rbm.nc")
    full = json_of(tiny.call(*command, *kept))
    cut = json_of(tiny.call(*command, "--epochs", 1, "--out", tmp_path / "cut.nc"))
    assert (full["converged"], cut["converged"], cut["epochs"]) == (True, False, 1)
    assert 1 < full["epochs"] < 300
    last, kept_rbm = (pp.load_rbm(tmp_path / f"{name}.nc") for name in ("rbm", "rbm-epoch-0300"))
    np.testing.assert_array_equal(kept_rbm.weights, last.weights)


@pytest.mark.parametrize("name", ["mask.npy", "mask.txt"])
def test_train_with_a_mask(stages: Path, tmp_path: Path, name: str) -> None:
    size = ("--hidden=3", "--sites=4", "--count=7")
    found = json_of(tiny.call("mask", "random", *size, "--seed=5", "-o", tmp_path / name, "--json"))
    assert [found[key] for key in ("hidden", "sites", "weights")] == [3, 4, 7]
    mask = random_mask(3, 4, 7, seed=5)
    command = ("train", stages / "shots.nc", "--seed=2", *SHORT)
    found = json_of(
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


def test_a_mask_made_by_numpy_is_read(tmp_path: Path) -> None:
    mask = cluster_mask(2, 4, 7)
    np.save(tmp_path / "bool.npy", mask)
    np.savetxt(tmp_path / "spaced.txt", mask, fmt="%d")
    assert write_mask(mask, tmp_path / "dense.txt").read_text() == "1110\n1111\n"
    for name in ("bool.npy", "spaced.txt"):
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
        *("--method=cd", "--batch-size=50", "--keep-epochs", "0", "2", "--out"),
        tmp_path / "rbm.nc",
    )
    kept = json_of(tiny.call(*command, *options, "--json"))["saved_epochs"]
    assert kept == {str(k): str(tmp_path / f"rbm-epoch-000{k}.nc") for k in (0, 2)}
    for epoch, file in kept.items():
        np.testing.assert_array_equal(pp.load_rbm(file).weights, early[int(epoch)].weights)
    np.testing.assert_array_equal(pp.load_rbm(tmp_path / "rbm.nc").weights, dense.weights)
    (tmp_path / "rbm.nc").unlink()
    line = tiny.refusal(tiny.call(*command, "--keep-epochs=2", "-o", tmp_path / "rbm.nc"))
    check_refusal(line, "rbm-epoch-0002.nc", "exists already")


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


# ---- prune: levels, criteria, rewinding, searches, and what a folder refuses


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
    head, tuning, empty, *lines = text_of(tiny.call(*command)).splitlines()
    assert head.startswith("2 levels, 8 to ")
    assert (tuning, empty) == ("fine-tuning: none", "")
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
    path = tmp_path / "path"
    written = f"{path}: level-00.nc to level-01.nc"
    following = f"next: psiprune evaluate {path}/level-01.nc HELD_OUT_SHOTS"
    assert lines[3:] == ["", written, following]
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
    (out / "level-04.nc").unlink()
    assert json_of(tiny.call("prune", *files, *options, "--json")) == found


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


def test_train_names_the_symmetry_that_it_finds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for mean, found in ((0.5, "symmetry flip-mirror"), (0.3, "symmetry mirror")):
        shots = (generator.random((2000, 4)) < mean).astype(np.uint8)
        pp.Shots(shots).save(tmp_path / f"{mean}.nc")
        out = tmp_path / f"rbm-{mean}.nc"
        made = tiny.call("train", tmp_path / f"{mean}.nc", "--symmetry=found", "-o", out)
        assert f"the shots support {found}\n" in made.err
        assert pp.load_rbm(out).provenance["symmetry"] == found.split()[1]
