"""Figures of sparse training, ablations and clusters show the dataset they are given."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from psiprune.experiments.figures.ablation import plot_broken, plot_forbidden
from psiprune.experiments.figures.sparse import plot_sparse
from psiprune.experiments.sparse import VARIANTS
from psiprune.rbm.clusters import find_clusters
from psiprune.rbm.init import initial_rbm
from psiprune.reporting.weights_figure import plot_clusters

MEASURES = ["kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse"]


def drawn(ax: Axes) -> list[list[list[float]]]:
    return [np.asarray(line.get_xydata()).tolist() for line in ax.lines]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_sparse_lines_are_medians_by_epoch(sparse: xr.Dataset) -> None:
    figure = plot_sparse(sparse)
    axes = figure.get_axes()
    assert len(axes) == 5
    assert axes[0].get_title() == "h/J = 1"
    assert axes[-1].get_xlabel() == "epochs"
    for row, name in enumerate(MEASURES):
        ax = axes[row]
        assert ax.get_yscale() == "log"
        history = sparse[f"history_{name}"].sel(field=1.0).median("seed", skipna=False)
        for variant in VARIANTS:
            epochs = [3, 5] if variant == "pruned" else [2, 3]
            values = history.sel(variant=variant, epoch=epochs).values
            assert np.column_stack([epochs, values]).tolist() in drawn(ax), (name, variant)
        level = float(sparse[name].sel(field=1.0, variant="pruned").median())
        assert any(set(np.asarray(line.get_ydata()).tolist()) == {level} for line in ax.lines)
    assert [text.split(":")[0] for text in legend(figure)] == [*VARIANTS[:-1], "random mask"]


def test_sparse_lines_differ_in_more_than_colour(sparse: xr.Dataset) -> None:
    lines = [line for line in plot_sparse(sparse).get_axes()[0].lines if len(line.get_xdata()) > 1]  # type: ignore[arg-type]
    named = [line for line in lines if not str(line.get_label()).startswith("_")]
    assert len({line.get_color() for line in named}) == 6
    assert len({line.get_linestyle() for line in named}) >= 4


def test_variants_without_an_epoch_stand_in_the_legend_alone(sparse: xr.Dataset) -> None:
    figure = plot_sparse(sparse.sel(epoch=slice(0, 0)).assign_attrs(train_epochs=0))
    assert len(legend(figure)) == len(VARIANTS)
    # What is drawn is the level of "pruned" alone.
    assert [len(points) for points in drawn(figure.get_axes()[0]) if points] == [2]


def test_broken_lines_are_medians_by_share(ablation: xr.Dataset) -> None:
    figure = plot_broken(ablation)
    axes = figure.get_axes()
    assert len(axes) == 5
    assert axes[-1].get_xlabel() == "clusters broken (%)"
    for ax, name in zip(axes, MEASURES, strict=True):
        for start in ("initial", "dense"):
            values = ablation[f"broken_{name}"].sel(field=1.0, start=start).median("seed").values
            assert np.column_stack([[0, 50, 100], values]).tolist() in drawn(ax)
        dense = float(ablation[f"forbidden_{name}"].sel(field=1.0, model="dense").median())
        assert any(set(np.asarray(line.get_ydata()).tolist()) == {dense} for line in ax.lines)


def test_forbidden_shows_weights_shifts_and_seeds(ablation: xr.Dataset) -> None:
    axes = plot_forbidden(ablation).get_axes()
    here = ablation.isel(field=0)
    for ax, model in zip(axes[:2], ("dense", "forbidden"), strict=True):
        one = here.sel(model=model, seed=0)
        np.testing.assert_array_equal(ax.images[0].get_array(), one["weights"].values)
        boxes = [box for box in ax.patches if isinstance(box, Rectangle)]
        assert [box.get_x() + 0.5 for box in boxes] == one["first_site"].values.tolist()
        assert {box.get_width() for box in boxes} == {3}
        crosses = np.asarray(ax.lines[0].get_xydata()).tolist()
        missing = np.argwhere(one["mask"].values == 0)[:, ::-1].astype(float).tolist()
        assert crosses == missing
    by_seed = [np.asarray(line.get_ydata()).tolist() for line in axes[3].lines]
    for seed in (0, 1):
        assert here["forbidden_kl"].sel(seed=seed).values.tolist() in by_seed


def test_clusters_are_outlined() -> None:
    rbm = initial_rbm(8, 3, seed=1)
    clusters = find_clusters(rbm, threshold=0.3)
    found = clusters["found"].values
    assert 0 < found.sum() < 3
    figure = plot_clusters(rbm, clusters)
    ax = figure.get_axes()[0]
    boxes = [box for box in ax.patches if isinstance(box, Rectangle)]
    assert [(box.get_x() + 0.5, box.get_y() + 0.5) for box in boxes] == [
        (float(first), float(unit)) for unit, first in enumerate(clusters["first_site"].values)
    ]
    assert [box.get_linestyle() in ("-", "solid") for box in boxes] == found.tolist()
    assert ax.get_title() == f"{found.sum()} of 3 units with a cluster of 3 sites"
