"""The ablations end to end, small: which RBM has which mask and start, and where clusters went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import psiprune as pp
import tiny
from psiprune.experiments.ablation import run_ablation
from psiprune.experiments.figures.ablation import plot_broken
from psiprune.metrics.against_state import exact_metrics
from psiprune.metrics.reference import reference_of
from psiprune.rbm.clusters import find_clusters, strongest_windows
from psiprune.rbm.init import initial_rbm
from psiprune.rbm.masks import break_clusters, exclude_clusters, exclude_matched_control
from psiprune.rbm.model import RBM
from undefined import check_figure

SHARES = (0.0, 0.5, 1.0)
FILES = [
    *(f"level-0{step}" for step in range(3)),
    *(f"broken-{start}-{share:g}" for start in ("initial", "dense") for share in SHARES),
    "forbidden",
    "control",
]


@pytest.fixture(scope="module")
def saved(ablation_run: Path) -> dict[str, RBM]:
    """The RBMs of seed 1."""
    return {name: pp.load_rbm(ablation_run / f"h=1/seed-1/{name}.nc") for name in FILES}


def test_the_dataset_is_labelled(ablation: xr.Dataset) -> None:
    sizes = {"field": 1, "seed": 2, "start": 2, "share": 3, "model": 3, "hidden": 3, "visible": 6}
    assert dict(ablation.sizes) == sizes
    assert ablation["start"].values.tolist() == ["initial", "dense"]
    assert ablation["share"].values.tolist() == list(SHARES)
    assert ablation["model"].values.tolist() == ["dense", "forbidden", "control"]
    assert ablation["broken_kl"].dims == ("field", "seed", "start", "share")
    assert ablation["forbidden_kl"].dims == ("field", "seed", "model")
    assert ablation["broken_kl"].attrs["units"] == ablation["forbidden_kl"].attrs["units"] == "nat"
    assert (ablation.attrs["width"], ablation.attrs["threshold"]) == (3, 1.0)


def test_broken_masks_and_their_starts(ablation_run: Path, saved: dict[str, RBM]) -> None:
    settings = tiny.ablation_settings()
    shots = pp.read_shots(ablation_run / "h=1/shots.nc")
    pruned, dense = saved["level-02"], saved["level-00"]
    for share in SHARES:
        mask = break_clusters(pruned.mask, share, 1)
        for start, training in (
            (initial_rbm(6, 3, seed=1), settings.train),
            (dense, settings.fine_tune.model_copy(update={"epochs": 4})),
        ):
            name = "dense" if start is dense else "initial"
            found = saved[f"broken-{name}-{share:g}"]
            np.testing.assert_array_equal(found.mask, mask)
            expected = pp.train(shots, start=start, mask=mask, seed=1, method=training)
            np.testing.assert_array_equal(found.weights, expected.weights)


def test_what_is_told_of_broken_masks(
    ablation: xr.Dataset, ablation_run: Path, saved: dict[str, RBM]
) -> None:
    reference = reference_of(pp.load_mps(ablation_run / "h=1/state.nc"))
    for share in SHARES:
        rbm = saved[f"broken-dense-{share:g}"]
        here = ablation.sel(field=1.0, seed=1, start="dense", share=share)
        found = exact_metrics(rbm, reference)
        assert float(here["broken_kl"]) == found.kl
        assert float(here["broken_abs_magnetization_bias"]) == found.abs_magnetization_bias
        assert int(here["broken_components"]) == rbm.components
        pairs = sum(row[i] and row[i + 1] for row in rbm.mask for i in range(5))
        roomy = sum(any(row[i : i + 3].all() for i in range(4)) for row in rbm.mask)
        assert int(here["broken_adjacent"]) == pairs
        assert int(here["broken_roomy"]) == roomy
        shares = strongest_windows(rbm.weights, 3)[2]
        assert float(here["broken_share"]) == pytest.approx(shares.mean())


def test_forbidden_positions(
    ablation: xr.Dataset, ablation_run: Path, saved: dict[str, RBM]
) -> None:
    shots = pp.read_shots(ablation_run / "h=1/shots.nc")
    clusters = find_clusters(saved["level-00"], threshold=1.0)
    inside = clusters["inside"].values
    assert inside.sum() == 9
    masks = {"forbidden": exclude_clusters(inside), "control": exclude_matched_control(inside, 1)}
    for name, mask in masks.items():
        np.testing.assert_array_equal(saved[name].mask, mask)
        start, settings = initial_rbm(6, 3, seed=1), tiny.ablation_settings().train
        expected = pp.train(shots, start=start, mask=mask, seed=1, method=settings)
        np.testing.assert_array_equal(saved[name].weights, expected.weights)
        here = ablation.sel(field=1.0, seed=1, model=name)
        np.testing.assert_array_equal(here["weights"], expected.weights)
        np.testing.assert_array_equal(here["mask"].values.astype(bool), mask)
        assert int(here["forbidden_weights_kept"]) == 9


def test_where_the_clusters_are_now(ablation: xr.Dataset, saved: dict[str, RBM]) -> None:
    files = {"dense": "level-00", "forbidden": "forbidden", "control": "control"}
    sites = {
        model: [
            set(range(first, first + 3))
            for first in find_clusters(saved[file], threshold=1.0)["first_site"].values
        ]
        for model, file in files.items()
    }
    for model, windows in sites.items():
        here = ablation.sel(field=1.0, seed=1, model=model)
        assert here["first_site"].values.tolist() == [min(window) for window in windows]
        for j, was in enumerate(sites["dense"]):
            assert int(here["shift"][j]) == min(windows[j]) - min(was)
            assert int(here["overlap"][j]) == len(windows[j] & was)
            others = [len(windows[k] & was) for k in range(3) if k != j]
            assert int(here["taken"][j]) == max(others)
        assert here["found"].values.all()


def test_where_no_cluster_counts_nothing_is_forbidden(tmp_path: Path) -> None:
    # After three epochs weights are still in random order: a unit passes in one of twenty cases.
    settings = tiny.ablation_settings(
        seeds=1, sites=12, threshold=0.046, shares=(0.3,), levels=1, hidden=3
    )
    found = run_ablation(settings, tmp_path / "run").isel(field=0, seed=0)
    assert not found["found"].values.any()
    assert found["forbidden_weights_kept"].values.tolist() == [36, 36, 36]
    kl = found["forbidden_kl"].values
    assert kl[0] == kl[1] == kl[2]
    assert (found["shift"] == 0).all()


def test_without_a_bias_all_else_is_shown(ablation: xr.Dataset) -> None:
    check_figure(plot_broken, ablation)
