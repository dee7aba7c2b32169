"""Train on files: masks, methods, early epochs, a history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import psiprune as pp
import tiny
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
    "natural": pp.NaturalGradient(epochs=2, steps=1, chains=60),
    "exact": pp.ExactNaturalGradient(epochs=2, weight_decay=1e-4),
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
        *("--method=cd", "--batch-size=50", "--keep-epochs", "0", "2", "--out"),
        tmp_path / "rbm.nc",
    )
    kept = json_of(tiny.call(*command, *options, "--json"))["saved_epochs"]
    assert kept == {str(k): str(tmp_path / f"rbm-epoch-000{k}.nc") for k in (0, 2)}
    for epoch, file in kept.items():
        np.testing.assert_array_equal(pp.load_rbm(file).weights, early[int(epoch)].weights)
    np.testing.assert_array_equal(pp.load_rbm(tmp_path / "rbm.nc").weights, dense.weights)
    line = tiny.refusal(tiny.call(*command, "--keep-epochs=2", "-o", tmp_path / "rbm.nc"))
    check_refusal(line, "rbm.nc", "exists already")
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
