"""A run of the reconstruction: its files, its numbers, and how it is resumed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psiprune as pp
import tiny
from machines import distribution
from psiprune.io.netcdf import read_dataset
from psiprune.metrics.equivalence import losses_from
from psiprune.pruning.settings import SearchSettings
from psiprune.reconstruction.inputs import split_shots
from psiprune.reconstruction.pipeline import run_reconstruct
from refusals import refuses


def test_what_a_run_holds(done: tuple[Path, pp.Reconstruction], shots: pp.Shots) -> None:
    folder, found = done
    names = tiny.names(folder / "run")
    trials = found.dataset["trial_name"].values.tolist()
    assert trials[0] == "level-00"
    assert f"{found.dataset.attrs['weights']} of 8 weights" in repr(found)
    assert "\n" not in repr(found)
    figures = ("choice", "graph", "search", "observables")
    observed = ("seed-0-test", "seed-1-test", "smallest-test", "details", "training-loss")
    assert names == {
        *("config.toml", "provenance.json", "split.nc", "smallest.nc", "reconstruct.nc"),
        *("report.html", "estimate.json", "observables/1-mine.py", "choice/hidden-2-rate-0.5.nc"),
        *("ensemble/seed-0.nc", "ensemble/seed-1.nc"),
        *(f"path/{name}.nc" for name in trials),
        *(f"observed/{name}.nc" for name in observed),
        *(f"figures/{name}.{suffix}" for name in figures for suffix in ("svg", "png")),
    }
    parts = split_shots(shots, 0.4, 0)
    training = pp.CD(epochs=3, batch_size=20, learning_rate=0.5)
    expected = pp.train(parts.training, hidden=2, seed=0, method=training)
    dense = pp.load_rbm(folder / "run/ensemble/seed-0.nc")
    np.testing.assert_array_equal(dense.weights, expected.weights)
    np.testing.assert_array_equal(found.levels[0].rbm.weights, expected.weights)


def test_the_numbers_are_those_of_the_test_shots(
    done: tuple[Path, pp.Reconstruction], shots: pp.Shots
) -> None:
    folder, found = done
    dataset = found.dataset
    parts = split_shots(shots, 0.4, 0)
    members = [pp.load_rbm(folder / f"run/ensemble/seed-{seed}.nc") for seed in (0, 1)]
    smallest = {"trial": int(dataset["trial_smallest"].values.argmax())}
    for part, kind, where in ((parts.test, "test", {}), (parts.not_test, "trial", smallest)):
        losses = losses_from(members[0], part, draws=200, seed=0)(found.rbm).values
        if kind == "trial":  # the training shots flatter the RBM of more parameters
            sizes = [rbm.compact().number_of_parameters for rbm in (found.rbm, members[0])]
            losses[: len(parts.training)] += (sizes[0] - sizes[1]) / len(parts.training)
        loss, error = (float(dataset[f"{kind}_{x}"].isel(where)) for x in ("loss", "error"))
        assert loss == pytest.approx(losses.mean(), abs=1e-12)
        assert error == pytest.approx(losses.std() / len(losses) ** 0.5, rel=0.2)
    report = pp.evaluate_on_shots(found.rbm, parts.test, draws=200)
    assert float(dataset["abs_magnetization"]) == report.abs_magnetization.value
    assert float(dataset["abs_magnetization_shots"]) == report.abs_magnetization.shots_value
    walls = (parts.test.bits[:, 1:] != parts.test.bits[:, :-1]).sum(axis=1)
    assert float(dataset["walls_shots"]) == pytest.approx(walls.mean())
    assert dataset["walls_dense"].dims == ("seed",)


def test_the_smallest_is_within_the_band_and_one_less_is_not(
    done: tuple[Path, pp.Reconstruction],
) -> None:
    dataset = done[1].dataset
    share = dict(zip(dataset["trial_weights"].values, dataset["trial_share"].values, strict=True))
    assert share[dataset.attrs["weights"]] <= 1
    assert done[1].rbm.number_of_weights == dataset.attrs["weights"]
    if dataset.attrs["fewer"] >= 0:
        assert dataset.attrs["fewer"] == dataset.attrs["weights"] - 1
        assert share[dataset.attrs["fewer"]] > 1
    kept = read_dataset(done[0] / "run/smallest.nc", "rbm")
    assert float(kept["test_loss"]) == float(done[1].dataset["test_loss"])
    assert pp.load_rbm(done[0] / "run/smallest.nc").number_of_weights == kept["mask"].values.sum()


@pytest.mark.parametrize(
    "gone",
    [
        ("ensemble", "path", "smallest.nc", "report.html", "figures"),
        ("choice", "ensemble", "path", "observed", "split.nc", "reconstruct.nc"),
    ],
)
def test_a_resumed_run_gives_the_same_bits(
    done: tuple[Path, pp.Reconstruction], run: Path, shots: pp.Shots, gone: tuple[str, ...]
) -> None:
    before = {name: data for name, (data, _) in tiny.contents(run).items()}
    for name in gone:
        (shutil.rmtree if (run / name).is_dir() else Path.unlink)(run / name)
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    again: Any = pp.reconstruct if "figures" in gone else run_reconstruct
    again(**{"shots": shots, "folder": run, "settings": settings})
    assert {name: data for name, (data, _) in tiny.contents(run).items()} == before


def test_a_folder_of_other_shots_or_settings_is_refused(
    done: tuple[Path, pp.Reconstruction], run: Path, shots: pp.Shots
) -> None:
    place = f"{done[0] / 'mine.py'}:walls"
    settings = tiny.reconstruct_settings(observable=(place,))
    before = tiny.contents(run)
    with refuses(run / "config.toml", "shots_sha256"):
        run_reconstruct(settings, shots.bits[::-1], run)
    with refuses(run / "config.toml", "seeds = 2", 3):
        run_reconstruct(settings.model_copy(update={"seeds": 3}), shots, run)
    with refuses("shots.nc", "shots_sha256", "000000000000..."):
        run_reconstruct(settings.model_copy(update={"shots_sha256": "0" * 64}), shots, run)
    assert tiny.contents(run) == before
    (run / "path/level-00.nc").write_bytes(b"")
    with refuses("level-00.nc", "empty"):
        run_reconstruct(settings, shots, run)


def test_diverging_learning_rates_are_skipped(shots: pp.Shots, tmp_path: Path) -> None:
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e30)
    with pytest.raises(pp.DivergenceError, match=r"learning_rate = 0\.5 "):
        run_reconstruct(tiny.reconstruct_settings(train=train), shots, tmp_path / "all")
    train = pp.CD(epochs=3, batch_size=20, weight_decay=1e4)
    settings = tiny.reconstruct_settings(train=train, learning_rates=(1e-6, 1000.0))
    found = run_reconstruct(settings, shots, tmp_path / "one")
    assert found["candidate_learning_rate"].values.tolist() == [1e-6]


@pytest.mark.slow
def test_a_sparse_truth_is_found_and_trusted(tmp_path: Path) -> None:
    """Shots of an RBM of 8 weights: at most a few more are kept, and 1 of 4 may fail a check."""
    mask = np.zeros((3, 6), bool)
    mask[[0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 2, 3, 4, 4, 5]] = True
    truth = pp.RBM(6.0 * mask, -4 * np.ones(6), -7 * np.ones(3), mask)
    trusted = 0
    for seed in range(8):
        shots = pp.Shots(truth.sample_exact(20_000, seed=seed))
        found = pp.reconstruct(
            shots,
            tmp_path / f"{seed}",
            hidden=(3,),
            draws=20_000,
            train=pp.ExactNaturalGradient(),
            fine_tune=pp.ExactNaturalGradient.for_fine_tuning(),
            prune=SearchSettings(),
        )
        trusted += found.verdict == "trusted"
        assert found.rbm.number_of_weights <= 14
        p, q = distribution(truth), distribution(found.rbm)
        assert p @ np.log(p / q) < found.checks[0].at_most
    assert trusted >= 6
