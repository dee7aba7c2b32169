"""The study end to end, small: what it writes, that it says the truth, and that it can be broken
off anywhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import exact
import psiprune as pp
import tiny
from psiprune.core.random import Stream, derive_seed
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.metrics.settings import MeasureSettings
from psiprune.rbm.init import initial_rbm
from psiprune.training.method import Method
from psiprune.training.train import TrainingProgress
from refusals import check_refusal, refuses

FIELDS = ("h=1", "h=2")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_dataset_is_labelled(study: xr.Dataset) -> None:
    sizes = {"field": 2, "seed": 1, "level": 4, "distance": 3, "ones": 5, "epoch": 3}
    assert dict(study.sizes) == sizes
    labels = {"ones": [0, 1, 2, 3, 4], "distance": [0, 1, 2], "field": [1.0, 2.0], "seed": [0]}
    labels |= {"level": [0, 1, 2, 3], "epoch": [0, 2, 3]}
    assert {name: study[name].values.tolist() for name in labels} == labels
    for name in ("kl", "fidelity", "energy_roe", "abs_magnetization_roe", "correlation_mse"):
        for suffix in ("", "_error", "_floor"):
            assert study[name + suffix].dims == ("field", "seed", "level"), name + suffix
    assert study["correlation"].dims == ("field", "seed", "level", "distance")
    assert study["correlation_reference"].dims == ("field", "distance")
    assert study["history_kl"].dims == ("field", "seed", "epoch")
    for name in ("kl", "kl_error", "kl_floor", "kl_exact", "history_kl"):
        assert study[name].attrs["units"] == "nat"
    for name in ("field", "energy_reference"):
        assert study[name].attrs["units"] == "energy"
    assert study["distance"].attrs["units"] == "sites"
    assert (study.attrs["sites"], study.attrs["hidden"], study.attrs["coupling"]) == (4, 3, 1.0)
    for key, variable in study.variables.items():
        assert np.isfinite(variable.values).all(), key


def test_counts_of_weights(study: xr.Dataset, finished: Path) -> None:
    for field, h in zip(FIELDS, (1.0, 2.0), strict=True):
        here = study.sel(field=h, seed=0)
        assert here["weights_kept"].values.tolist() == [12, 8, 6, 4]
        np.testing.assert_allclose(here["fraction_pruned"], [0, 4 / 12, 6 / 12, 8 / 12])
        for level in range(4):
            mask = pp.load_rbm(finished / field / f"seed-0/level-0{level}.nc").mask
            assert int(here["components"][level]) == exact.components(mask)
            assert mask.sum() == here["weights_kept"][level]


def test_measures_are_those_of_the_saved_rbms(study: xr.Dataset, finished: Path) -> None:
    for field, h in zip(FIELDS, (1.0, 2.0), strict=True):
        reference = reference_of(pp.load_mps(finished / field / "state.nc"))
        for level in (0, 3):
            here = study.sel(field=h, seed=0, level=level)
            rbm = pp.load_rbm(finished / field / f"seed-0/level-0{level}.nc")
            for name, value in exact_metrics(rbm, reference)._asdict().items():
                assert float(here[f"{name}_exact"]) == value, name
            own = derive_seed(0, Stream.LEVEL_METRICS, level)
            report = pp.evaluate(rbm, reference, draws=200, seed=own)
            for name, measure in report:
                found = [float(here[f"{name}{suffix}"]) for suffix in ("", "_error", "_floor")]
                assert found == [measure.value, measure.error, measure.floor], name
            correlation = report.observables.correlation
            np.testing.assert_array_equal(here["correlation"], correlation.value)
            np.testing.assert_array_equal(here["correlation_error"], correlation.error)


def test_references_against_brute_force(study: xr.Dataset, finished: Path) -> None:
    for field, h in zip(FIELDS, (1.0, 2.0), strict=True):
        energies, vectors = np.linalg.eigh(exact.tfim_hamiltonian(4, h, 1.0))
        q = vectors[:, 0] ** 2
        m = np.abs((1.0 - 2.0 * exact.basis(4)).mean(axis=1))
        assert float(study["energy_reference"].sel(field=h)) == pytest.approx(energies[0])
        assert float(study["abs_magnetization_reference"].sel(field=h)) == pytest.approx(q @ m)
        shots = pp.read_shots(finished / field / "shots.nc")
        assert len(shots) == 300
        data = exact.empirical(shots.bits)
        assert float(study["abs_magnetization_data"].sel(field=h)) == pytest.approx(data @ m)


def test_the_history_runs_from_the_untrained_rbm_to_level_0(
    study: xr.Dataset, finished: Path
) -> None:
    reference = reference_of(pp.load_mps(finished / "h=2/state.nc"))
    start = exact_metrics(initial_rbm(4, 3, seed=0), reference)
    here = study.sel(field=2.0, seed=0)
    for name, value in start._asdict().items():
        assert float(here[f"history_{name}"][0]) == value
        assert float(here[f"history_{name}"][-1]) == float(here[f"{name}_exact"][0])


def test_numbers_do_not_depend_on_folder_or_threads(
    study: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert tiny.raw(pp.run_study(tiny.settings(), tmp_path / "one")) == tiny.raw(study)


def test_seeds_are_axes_and_change_the_numbers(study: xr.Dataset, tmp_path: Path) -> None:
    short = pp.PruneSettings(levels=1, fraction=0.3)
    both = pp.run_study(tiny.settings(seeds=2, prune=short, fields=(2.0,)), tmp_path / "both")
    assert both["seed"].values.tolist() == [0, 1]
    assert (
        both["kl_exact"].sel(seed=0).values.tolist() != both["kl_exact"].sel(seed=1).values.tolist()
    )
    # Seed 0 is as in the study of that seed alone, of two fields and more levels.
    for name in ("kl_exact", "energy_roe", "history_kl"):
        alone = study[name].sel(field=2.0, seed=0)
        if "level" in alone.dims:
            alone = alone.isel(level=slice(2))
        np.testing.assert_array_equal(both[name].sel(field=2.0, seed=0), alone)
    other = pp.run_study(tiny.settings(seed=1, prune=short, fields=(2.0,)), tmp_path / "other")
    assert float(other["kl_exact"][0, 0, 0]) != float(study["kl_exact"].sel(field=2.0)[0, 0])
    data = study["abs_magnetization_data"].sel(field=2.0)
    assert float(other["abs_magnetization_data"][0]) != float(data)


@pytest.mark.parametrize("criterion", ["damage", "surgeon"])
def test_other_criteria_and_schedules_are_taken_up_too(criterion: Any, tmp_path: Path) -> None:
    prune = pp.PruneSettings(criterion=criterion, first_fraction=0.25, fraction=0.1, density=0.5)
    settings = tiny.settings(
        prune=prune, fields=(1.0,), fine_tune=pp.ExactNaturalGradient.for_fine_tuning(epochs=2)
    )
    study = pp.run_study(settings, tmp_path)
    # round(12 * 0.75 * 0.9^n), but 6 at the end
    assert study["weights_kept"].sel(field=1.0, seed=0).values.tolist() == [12, 9, 8, 7, 7, 6]
    for step in (3, 5):
        (tmp_path / f"h=1/seed-0/level-0{step}.nc").unlink()
    assert tiny.raw(pp.run_study(settings, tmp_path)) == tiny.raw(study)


@pytest.mark.parametrize("epoch", [0, 2])
def test_rewinding(epoch: int, tmp_path: Path) -> None:
    settings = tiny.settings(fields=(1.0,), rewind_epoch=epoch, fine_tune=pp.CD.for_fine_tuning())
    pp.run_study(settings, tmp_path)
    folder, shots = tmp_path / "h=1/seed-0", pp.read_shots(tmp_path / "h=1/shots.nc")
    early = {0: initial_rbm(4, 3, seed=0)}
    training = pp.CD(epochs=3, batch_size=50)

    def callback(state: TrainingProgress) -> None:
        early[state.epoch] = state.rbm

    dense = pp.train(shots, hidden=3, seed=0, callback=callback, method=training)
    levels = pp.prune(
        dense, shots, fraction=0.3, levels=3, rewind=early[epoch], seed=0, fine_tune=training
    )
    for level in levels:
        kept = pp.load_rbm(folder / f"level-0{level.step}.nc")
        np.testing.assert_array_equal(kept.weights, level.rbm.weights)
        np.testing.assert_array_equal(kept.visible_bias, level.rbm.visible_bias)
    files = {file.name for file in folder.glob("epoch-*")}
    name = f"epoch-000{epoch}.nc"
    assert files == {name}
    np.testing.assert_array_equal(pp.load_rbm(folder / name).weights, early[epoch].weights)
    (folder / name).unlink()
    (folder / "level-03.nc").unlink()
    with refuses(name, "No such file"):
        pp.run_study(settings, tmp_path)


def test_training_that_converged_early_is_rewound_to_its_end(tmp_path: Path) -> None:
    train = pp.ExactNaturalGradient(epochs=300)
    settings = tiny.settings(
        fields=(2.0,), rewind_epoch=300, train=train, fine_tune=pp.CD.for_fine_tuning()
    )
    pp.run_study(settings, tmp_path)
    early, dense = (
        pp.load_rbm(tmp_path / f"h=2/seed-0/{name}.nc") for name in ("epoch-0300", "level-00")
    )
    assert dense.provenance["converged"] == 1
    np.testing.assert_array_equal(early.weights, dense.weights)


@pytest.mark.slow
def test_no_epochs_of_fine_tuning_are_none(tmp_path: Path) -> None:
    methods: tuple[Method, ...] = (pp.CD(epochs=0), pp.ExactNaturalGradient(epochs=0))
    for method in methods:
        settings = tiny.settings(fields=(1.0,), fine_tune=method)
        pp.run_study(settings, tmp_path / method.method)
        folder = tmp_path / method.method / "h=1"
        dense, shots = (
            pp.load_rbm(folder / "seed-0/level-00.nc"),
            pp.read_shots(folder / "shots.nc"),
        )
        for level in pp.prune(dense, shots, fraction=0.3, levels=3, fine_tune=None):
            kept = pp.load_rbm(folder / f"seed-0/level-0{level.step}.nc")
            np.testing.assert_array_equal(kept.weights, level.rbm.weights)
            np.testing.assert_array_equal(kept.hidden_bias, level.rbm.hidden_bias)


def test_a_state_or_shots_of_another_run_are_refused(copy: Path) -> None:
    shutil.copy(copy / "h=1/state.nc", copy / "h=2/state.nc")
    with refuses("h=2/state.nc", "state of this run"):
        pp.run_study(tiny.settings(), copy)
    (copy / "h=2/state.nc").unlink()
    pp.Shots(exact.basis(3)).save(copy / "h=2/shots.nc")
    with refuses("h=2/shots.nc", 3, "the state", 4):
        pp.run_study(tiny.settings(), copy)


def test_a_full_disk_leaves_the_old_dataset(study: xr.Dataset, copy: Path) -> None:
    before = tiny.contents(copy)
    with tiny.full_disk():
        line = tiny.refusal(tiny.call("study", *tiny.options(), "--out", copy), status=1)
    check_refusal(line, copy / "study.nc", "File too large", "rerun the same command to resume")
    after = tiny.contents(copy)
    assert after.pop("provenance.json")
    del before["provenance.json"]
    assert after == before


@pytest.mark.slow
def test_above_20_sites_measures_are_sampled(tmp_path: Path) -> None:
    settings = tiny.settings(sites=22, hidden=2, fields=(2.0,), measure=MeasureSettings(draws=1000))
    study = pp.run_study(settings, tmp_path / "run")
    assert not [name for name in study if str(name).endswith("_exact")]
    assert (study["kl_error"] > 0).all()
    level = pp.load_rbm(tmp_path / "run/h=2/seed-0/level-01.nc")
    state = pp.load_mps(tmp_path / "run/h=2/state.nc")
    report = pp.evaluate(level, state, draws=100_000, seed=5)
    gap = abs(float(study["kl"][0, 0, 1]) - report.kl.value)
    assert gap < 5 * float(study["kl_error"][0, 0, 1])
