"""Sparse training end to end, small: which RBM has which mask and start, and what breaks it off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import exact
import psiprune as pp
import tiny
from psiprune.experiments.figures.sparse import plot_sparse
from psiprune.experiments.sparse import VARIANTS, run_sparse
from psiprune.experiments.tables import table_text
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.metrics.settings import MeasureSettings
from psiprune.pruning.schedule import weights_kept
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import Mask, cluster_mask, random_mask
from psiprune.rbm.scale_free import scale_free_mask
from undefined import check_figure, without_bias

SEEDS = (0, 1, 2)


def kept(run: Path, seed: int, variant: str) -> pp.RBM:
    file = {"dense": "level-00", "pruned": "level-01"}.get(variant, variant.replace("/", "-"))
    return pp.load_rbm(run / f"h=1/seed-{seed}/{file}.nc")


def test_the_dataset_is_labelled(sparse: xr.Dataset) -> None:
    sizes = {"field": 1, "seed": 3, "variant": 7, "hidden": 2, "visible": 4, "epoch": 4}
    assert dict(sparse.sizes) == sizes
    assert sparse["variant"].values.tolist() == list(VARIANTS)
    assert sparse["field"].values.tolist() == [1.0]
    assert sparse["seed"].values.tolist() == list(SEEDS)
    # 0, 2, 3 of training and 2 more of fine-tuning.
    assert sparse["epoch"].values.tolist() == [0, 2, 3, 5]
    assert sparse["kl"].dims == ("field", "seed", "variant")
    assert sparse["history_kl"].dims == ("field", "seed", "variant", "epoch")
    assert sparse["kl"].attrs["units"] == sparse["history_kl"].attrs["units"] == "nat"
    assert (sparse.attrs["sites"], sparse.attrs["hidden"], sparse.attrs["train_epochs"]) == (
        4,
        2,
        3,
    )


def test_masks_counts_and_parts(sparse: xr.Dataset, sparse_run: Path) -> None:
    for place, parts in np.ndenumerate(sparse["components"].values):
        field, seed, variant = place
        mask = sparse["mask"].values[field, seed, variant].astype(bool)
        assert int(sparse["weights_kept"][place]) == mask.sum() == (8 if variant == 0 else 6)
        assert parts == exact.components(mask)
    for variant in VARIANTS:
        mask = sparse["mask"].sel(field=1.0, seed=2, variant=variant).values.astype(bool)
        np.testing.assert_array_equal(kept(sparse_run, 2, variant).mask, mask)
    check_masks(sparse, cluster_mask(2, 4, 6), [0, 1, 2])


def check_masks(sparse: xr.Dataset, constructed: Mask, seeds: list[int]) -> None:
    """Each variant's mask is what its name says, for every field and seed."""
    hidden, sites = constructed.shape
    for field in sparse["field"].values:
        masks = sparse["mask"].sel(field=field).astype(bool)
        for seed, other in zip(seeds, [*seeds[1:], seeds[0]], strict=True):
            expected = {
                "dense": np.ones((hidden, sites), bool),
                "sp/ss": masks.sel(seed=seed, variant="pruned").values,
                "sp/os": masks.sel(seed=other, variant="pruned").values,
                "sc": constructed,
                "random": random_mask(hidden, sites, int(constructed.sum()), seed),
                "scale-free": scale_free_mask(sites, hidden, weights=int(constructed.sum())),
            }
            for variant, mask in expected.items():
                np.testing.assert_array_equal(masks.sel(seed=seed, variant=variant), mask)
    # So that this can tell the seeds and fields apart.
    pruned = sparse["mask"].sel(variant="pruned").values
    assert len({mask.tobytes() for field in pruned for mask in field}) == pruned[..., 0, 0].size


def test_each_is_trained_from_its_seeds_own_start(sparse_run: Path) -> None:
    train = tiny.sparse_settings().train
    shots = pp.read_shots(sparse_run / "h=1/shots.nc")
    for variant in ("dense", "sp/ss", "sp/os", "sc", "random", "scale-free"):
        found = kept(sparse_run, 1, variant)
        start = initial_rbm(4, 2, seed=1, mask=found.mask)
        expected = pp.train(shots, start=start, seed=1, method=train)
        np.testing.assert_array_equal(found.weights, expected.weights)
        np.testing.assert_array_equal(found.visible_bias, expected.visible_bias)


def test_pruned_is_the_usual_path(sparse_run: Path) -> None:
    shots = pp.read_shots(sparse_run / "h=1/shots.nc")
    dense = kept(sparse_run, 2, "dense")
    path = pp.prune(
        dense, shots, fraction=0.25, levels=1, seed=2, fine_tune=pp.CD.for_fine_tuning(epochs=2)
    )
    np.testing.assert_array_equal(kept(sparse_run, 2, "pruned").weights, path[-1].rbm.weights)


def test_measures_are_those_of_the_saved_rbms(sparse: xr.Dataset, sparse_run: Path) -> None:
    reference = reference_of(pp.load_mps(sparse_run / "h=1/state.nc"))
    for variant in VARIANTS:
        here = sparse.sel(field=1.0, seed=1, variant=variant)
        found = exact_metrics(kept(sparse_run, 1, variant), reference)._asdict()
        last = here.dropna("epoch")["epoch"].values[-1]
        assert last == (5 if variant == "pruned" else 3)
        for name, value in found.items():
            assert float(here[name]) == value
            assert float(here[f"history_{name}"].sel(epoch=last)) == value
        start = exact_metrics(initial_rbm(4, 2, 1, here["mask"].values.astype(bool)), reference)
        if variant != "pruned":
            assert float(here["history_kl"].sel(epoch=0)) == start.kl


def test_pruned_goes_on_from_dense(sparse: xr.Dataset) -> None:
    dense, pruned = (sparse["history_kl"].sel(variant=name) for name in ("dense", "pruned"))
    trained = slice(0, 3)
    np.testing.assert_array_equal(dense.sel(epoch=trained), pruned.sel(epoch=trained))
    assert np.isfinite(pruned.values).all()


@pytest.mark.slow
def test_several_levels_and_fields_and_uneven_ends(tmp_path: Path) -> None:
    settings = tiny.sparse_settings(
        sites=6,
        hidden=2,
        fields=(0.5, 2.0),
        seed=3,
        seeds=2,
        levels=2,
        density=0.7,
        train=pp.CD(epochs=5, batch_size=20, learning_rate=0.5),
        fine_tune=pp.CD.for_fine_tuning(epochs=3),
    )
    found = run_sparse(settings, tmp_path / "run")
    assert found["epoch"].values.tolist() == [0, 2, 4, 5, 7, 8, 10, 11]
    assert np.isfinite(found["kl"].values).all()
    assert np.isfinite(found["history_kl"].sel(variant="pruned").values).all()
    last = found["history_kl"].sel(variant="pruned", epoch=11)
    np.testing.assert_array_equal(last, found["kl"].sel(variant="pruned"))
    check_masks(found, cluster_mask(2, 6, 8), [3, 4])


def test_without_fine_tuning_and_when_training_converges_early(tmp_path: Path) -> None:
    settings = tiny.sparse_settings(
        seeds=2,
        train=pp.ExactNaturalGradient(epochs=2000),
        history_every=1000,
        fine_tune=pp.CD.for_fine_tuning(epochs=0),
    )
    found = run_sparse(settings, tmp_path / "run")
    # Each has ended long before; its history then stays as it was.
    assert found["epoch"].values.tolist() == [0, 1000, 2000]
    history = found["history_kl"]
    np.testing.assert_array_equal(history.sel(epoch=2000), history.sel(epoch=1000))
    trained = [name for name in VARIANTS if name != "pruned"]
    last = found["kl"].sel(variant=trained)
    np.testing.assert_array_equal(history.sel(epoch=2000, variant=trained), last)
    assert (found["kl"].sel(variant="pruned") > found["kl"].sel(variant="dense")).all()


@pytest.mark.slow
def test_above_20_sites_measures_are_sampled(tmp_path: Path) -> None:
    settings = tiny.sparse_settings(
        sites=22,
        hidden=2,
        seeds=2,
        density=0.8,
        history_every=9,
        train=pp.CD(epochs=1, batch_size=50),
        fine_tune=pp.CD.for_fine_tuning(epochs=0),
        measure=MeasureSettings(draws=100),
    )
    found = run_sparse(settings, tmp_path / "run")
    assert np.isfinite(found["kl"].values).all()
    assert (found["weights_kept"].sel(variant=["pruned", "sc"]) == 35).all()


@pytest.mark.parametrize(("sites", "hidden", "count"), [(18, 9, 96), (10, 5, 30), (7, 3, 12)])
def test_the_default_count_is_that_of_the_papers_fifth_step(
    sites: int, hidden: int, count: int
) -> None:
    settings = pp.SparseSettings(sites=sites)
    total = sites * hidden
    assert settings.hidden_units == hidden
    counts = [
        weights_kept(total, settings.prune.fraction, step) for step in range(settings.levels + 1)
    ]
    assert counts == [round(total * 0.9**step) for step in range(6)]
    assert counts[-1] == count


@pytest.mark.slow
def test_without_a_training_epoch(tmp_path: Path) -> None:
    small = ("--sites=4", "--shots=200", "--seeds=2", "--fields=1", "--levels=1", "--density=0.8")
    none = ("--train.epochs=0", "--fine-tune.epochs=0")
    outcome = tiny.call("sparse", *small, *none, "-o", tmp_path / "run")
    assert (outcome.status, tiny.errors(outcome)) == (0, [])
    assert (tmp_path / "run/figure.svg").exists()


def test_without_a_bias_all_else_is_shown(sparse: xr.Dataset) -> None:
    check_figure(plot_sparse, sparse)
    words = table_text("sparse", without_bias(sparse)).replace("1 - F", "").split()
    assert words.count("-") == 2 * len(VARIANTS) - 1  # medians, and ratios to dense
