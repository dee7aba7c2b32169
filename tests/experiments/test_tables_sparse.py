"""Tables, JSON and figures of sparse training, ablations and clusters show what datasets hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import psiprune as pp
from psiprune.core.statistics import paired
from psiprune.experiments.figures.ablation import plot_broken, plot_forbidden
from psiprune.experiments.figures.sparse import plot_sparse
from psiprune.experiments.sparse import VARIANTS
from psiprune.experiments.tables import table_numbers, table_text
from psiprune.rbm.init import initial_rbm

MEASURES = ["kl", "infidelity", "energy_bias", "abs_magnetization_bias", "correlation_mse"]


def test_sparse_numbers(sparse: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(table_numbers("sparse", sparse)["variants"]))
    assert list(numbers) == ["h=1"]
    assert list(numbers["h=1"]) == list(VARIANTS)
    dense = sparse.sel(field=1.0, variant="dense")
    for variant, entry in numbers["h=1"].items():
        own = sparse.sel(field=1.0, variant=variant)
        assert entry["weights_kept"] == (8 if variant == "dense" else 6)
        assert entry["components"] == float(own["components"].median())
        for name in MEASURES:
            low, middle, high = np.quantile(own[name], (0.16, 0.5, 0.84))
            against = paired(own[name].values, dense[name].values)._asdict()
            assert entry[name].pop("against_dense") == against
            assert entry[name] == pytest.approx({"low": low, "median": middle, "high": high})


def test_sparse_as_text(sparse: xr.Dataset) -> None:
    text = table_text("sparse", sparse)
    assert max(map(len, text.splitlines())) <= 100
    # The values take more than 100 columns and continue below themselves.
    (title, *values), (head, *more), (other, *ratios) = (
        block.splitlines() for block in text.split("\n\n")
    )
    assert title == "h/J = 1: median (16 to 84 %) of 3 seeds"
    assert other == "h/J = 1: ratio to dense, median over seeds (Wilcoxon p)"
    assert head.split()[:2] == values[0].split()[:2] == ["variant", "weights"]
    assert [line.split()[:2] for line in more] == [line.split()[:2] for line in values[1:]]
    assert [line.split()[0] for line in values] == ["variant", *VARIANTS]
    assert [line.split()[0] for line in ratios] == ["variant", *VARIANTS[1:]]
    sc = sparse.sel(field=1.0, variant="sc")["kl"].values
    low, middle, high = np.quantile(sc, (0.16, 0.5, 0.84))
    assert values[5].split()[1] == "6"
    assert f"{middle:.2g} ({low:.2g} to {high:.2g})" in values[5]
    against = paired(sc, sparse.sel(field=1.0, variant="dense")["kl"].values)
    assert f"{against.ratio:.2f} ({against.p:.2g})" in ratios[4]


def test_no_ratio_of_estimates_below_zero(sparse: xr.Dataset) -> None:
    text = table_text("sparse", sparse.assign(kl=sparse["kl"] - 10.0))
    line = next(line for line in text.splitlines() if line.startswith("pruned") and "- (" in line)
    assert line.split()[1] == "-"


def test_ablation_numbers(ablation: xr.Dataset) -> None:
    numbers = json.loads(json.dumps(table_numbers("ablation", ablation)["ablation"]))
    assert list(numbers) == ["h=1"]
    here = ablation.sel(field=1.0)
    for start, entries in numbers["h=1"]["broken"].items():
        assert [entry["share"] for entry in entries] == [0.0, 0.5, 1.0]
        for entry in entries:
            own = here.sel(start=start, share=entry["share"])
            for name in ("adjacent", "roomy", "components"):
                assert entry[name] == float(own[f"broken_{name}"].median())
            for name in MEASURES:
                assert entry[name]["median"] == float(own[f"broken_{name}"].median())
    forbidden = numbers["h=1"]["forbidden"]
    assert forbidden["dense"]["moved"] == forbidden["dense"]["shift"] == 0
    for model, entry in forbidden.items():
        own = here.sel(model=model)
        assert entry["units"] == entry["clusters"] == 6
        assert entry["moved"] == int((own["overlap"] == 0).sum())
        assert entry["shift"] == float(np.median(np.abs(own["shift"].values)))
        assert entry["taken"] == int((own["taken"] >= 2).sum())
        assert entry["kl"]["median"] == float(own["forbidden_kl"].median())


def test_ablation_as_text(ablation: xr.Dataset) -> None:
    text = table_text("ablation", ablation)
    assert max(map(len, text.splitlines())) <= 100
    broken, more, forbidden = (block.splitlines() for block in text.split("\n\n"))
    assert broken[0] == "h/J = 1, clusters broken: median (16 to 84 %) of 2 seeds"
    assert [line.split()[:2] for line in more] == [line.split()[:2] for line in broken[1:]]
    assert [line.split()[:2] for line in broken[2:]] == [
        [start, share] for start in ("initial", "dense") for share in ("0%", "50%", "100%")
    ]
    assert forbidden[0].startswith("h/J = 1, clusters forbidden: 2 seeds of 3 units")
    assert [line.split()[:4] for line in forbidden[2:]] == [
        ["dense", "18", "6", "6"],
        ["forbidden", "9", "6", "6"],
        ["control", "9", "6", "6"],
    ]


# ---- figures


def drawn(ax: Axes) -> list[list[list[float]]]:
    return [np.asarray(line.get_xydata()).tolist() for line in ax.lines]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def test_sparse_lines_are_medians_by_epoch(sparse: xr.Dataset) -> None:
    figure = plot_sparse(sparse)
    axes = figure.get_axes()
    assert len(axes) == 5
    assert axes[0].get_title() == "h/J = 1"
    assert axes[-1].get_xlabel() == "epochs | trained"
    for row, name in enumerate(MEASURES):
        ax = axes[row]
        assert ax.get_yscale() == "log"
        history = sparse[f"history_{name}"].sel(field=1.0).median("seed", skipna=False)
        for variant in set(VARIANTS) - {"pruned"}:
            values = history.sel(variant=variant, epoch=[2, 3]).values
            assert np.column_stack([[2, 3], values]).tolist() in drawn(ax), (name, variant)
        bars = [np.asarray(bar[0].get_xydata())[0] for bar in ax.containers]
        final = sparse[name].sel(field=1.0).median("seed")
        assert {float(bar[1]) for bar in bars} == set(final.values.tolist())
        assert min(bar[0] for bar in bars) > 3  # to the right of the last epoch
        level = float(sparse[name].sel(field=1.0, variant="pruned").median())
        assert any(set(np.asarray(line.get_ydata()).tolist()) == {level} for line in ax.lines)
    assert [text.split(":")[0] for text in legend(figure)] == [
        *("dense", "sp/ss", "sp/os", "sc", "random mask", "scale-free mask", "pruned"),
    ]
    # They differ in more than colour.
    lines = [line for line in plot_sparse(sparse).get_axes()[0].lines if len(line.get_xdata()) > 1]  # type: ignore[arg-type]
    named = [line for line in lines if not str(line.get_label()).startswith("_")]
    assert len({line.get_color() for line in named}) == len(VARIANTS)
    assert len({line.get_linestyle() for line in named}) >= 4


def test_variants_without_an_epoch_stand_in_the_legend_alone(sparse: xr.Dataset) -> None:
    figure = plot_sparse(sparse.sel(epoch=slice(0, 0)).assign_attrs(train_epochs=0))
    assert len(legend(figure)) == len(VARIANTS)
    # What is drawn is the level of "pruned" alone.
    curves = [points for points in drawn(figure.get_axes()[0]) if len(points) > 1]
    assert len(curves) == 2  # and the line before the bars


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
    clusters = pp.find_clusters(rbm, threshold=0.3)
    found = clusters["found"].values
    assert 0 < found.sum() < 3
    ax = pp.plot_clusters(rbm, clusters)
    boxes = [box for box in ax.patches if isinstance(box, Rectangle)]
    assert [(box.get_x() + 0.5, box.get_y() + 0.5) for box in boxes] == [
        (float(first), float(unit)) for unit, first in enumerate(clusters["first_site"].values)
    ]
    assert [box.get_linestyle() in ("-", "solid") for box in boxes] == found.tolist()
    assert ax.get_title() == f"{found.sum()} of 3 units with a cluster of 3 sites"
