"""The figures of `psiprune paper` show the datasets they are given, of any size and shape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import invented
from psiprune.paper.derived import decay_of
from psiprune.paper.figures.against_kl import plot_measures_against_kl
from psiprune.paper.figures.decay import plot_decay, shown_levels
from psiprune.paper.figures.graph import plot_graph
from psiprune.paper.figures.order import plot_order
from psiprune.paper.figures.robustness import plot_robustness
from psiprune.paper.figures.schedules import plot_schedules
from psiprune.paper.figures.sizes import plot_sizes
from psiprune.paper.figures.timing import plot_timing
from psiprune.reporting.figures import save_figure
from psiprune.reporting.weights_figure import NEGATIVE, POSITIVE
from refusals import refused


def drawn(ax: Axes) -> list[list[list[float]]]:
    """Every line of an axes as points."""
    return [np.asarray(line.get_xydata()).tolist() for line in ax.lines]


def points(x: object, y: object) -> list[list[float]]:
    return np.column_stack([np.asarray(x), np.asarray(y)]).astype(float).tolist()


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].texts]


def panels(figure: Figure) -> list[Axes]:
    """All axes but colour bars and those of legends."""
    return [ax for ax in figure.get_axes() if ax.get_label() not in ("<colorbar>", "<legend>")]


def drawings(study: xr.Dataset, other: xr.Dataset) -> dict[str, Callable[[], Figure]]:
    """Every figure of one or two studies."""
    fields = tuple(study["field"].values.tolist())
    return {
        "graph": lambda: plot_graph(invented.models()),
        "order": lambda: plot_order(study, invented.symmetry(fields)),
        "decay": lambda: plot_decay([study, other], decay_of([study, other])),
        "against": lambda: plot_measures_against_kl(study, invented.ranks(study)),
        "schedules": lambda: plot_schedules(study, {0.4: other}),
        "robustness": lambda: plot_robustness(study, {"cd-1": other}),
        "sizes": lambda: plot_sizes([study, other]),
        "timing": lambda: plot_timing(invented.timing()),
    }


@pytest.mark.slow
def test_three_fields_and_lost_levels_are_drawn_without_a_warning() -> None:
    fields = (0.5, 1.0, 2.0)
    study = invented.study(fields=fields, seeds=2, levels=4)
    other = invented.study(sites=50, fields=fields, seeds=1, levels=4)
    # A level that no seed has, and one that a single seed lacks.
    study, other = invented.without(study, 2, seed=0), invented.without(other, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, draw in drawings(study, other).items():
            figure = draw()
            if name not in ("graph", "timing"):  # which have no fields
                figure.draw_without_rendering()


def test_one_field_and_one_seed_need_no_more() -> None:
    study, other = (invented.study(sites=n, fields=(1.0,), seeds=1) for n in (10, 18))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {name: len(panels(draw())) for name, draw in drawings(study, other).items()}
    assert found == {
        "graph": 4,
        "order": 3,
        "decay": 6,
        "against": 4,
        "schedules": 5,
        "robustness": 1,
        "sizes": 4,
        "timing": 1,
    }


@pytest.mark.parametrize("name", ["graph", "decay", "against"])
def test_files_are_the_same_to_the_byte(name: str, tmp_path: Path) -> None:
    study, other = (invented.study(sites=n, fields=(1.0,), seeds=1, levels=2) for n in (12, 18))
    draw = drawings(study, other)[name]
    first, second = (save_figure(draw(), tmp_path / stem) for stem in ("a", "b"))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_the_graph_is_the_weights() -> None:
    models = invented.models()
    figure = plot_graph(models)
    axes = panels(figure)
    half = 3  # 40, 32 and 26 of 50 weights are left
    assert float(models["fraction_pruned"][half]) == pytest.approx(0.48, abs=0.02)
    order = np.abs(models["weights"].values[0]).argmax(axis=1).argsort(kind="stable")
    assert len(axes) == 4
    for level, graph, matrix in ((0, axes[0], axes[1]), (half, axes[2], axes[3])):
        one = models.isel(level=level)
        weights, mask = one["weights"].values[order], one["mask"].values[order].astype(bool)
        np.testing.assert_array_equal(matrix.images[0].get_array(), weights)
        crosses = np.asarray(matrix.lines[0].get_xydata()).tolist()
        assert crosses == np.argwhere(~mask)[:, ::-1].astype(float).tolist()
        assert [text.get_text() for text in matrix.get_yticklabels()] == [str(k) for k in order]
        shown = [text.replace("−", "-") for text in texts(matrix)]
        np.testing.assert_allclose([float(text) for text in shown], weights[mask], atol=0.051)
        lines = graph.collections[0]
        assert isinstance(lines, LineCollection)
        colors = np.asarray(lines.get_colors())
        widths = np.asarray(lines.get_linewidth())
        colored = (colors[:, :3] < 1).any(axis=1)  # white ones make a blue line hollow
        assert colored.sum() == mask.sum() == int(one["weights_kept"])
        value = np.sort(np.abs(weights[mask]))
        assert np.corrcoef(value, widths[colored])[0, 1] > 1 - 1e-9
        assert (colors[colored] == to_rgba(POSITIVE)).all(axis=1).sum() == (weights > 0).sum()
        assert (colors[colored] == to_rgba(NEGATIVE)).all(axis=1).sum() == (weights < 0).sum()
        assert f"{int(one['weights_kept'])} weights" in graph.get_title()
    assert axes[0].get_title().startswith("before pruning: 50 weights, connected")
    assert axes[2].get_title().startswith("48% pruned: 26 weights")
    assert legend(figure) == ["weight above 0", "below 0", "pruned"]


def test_the_graph_of_another_level_and_a_large_one_with_signs_only() -> None:
    models = invented.models()
    title = panels(plot_graph(models, level=6))[2].get_title()
    assert title == f"74% pruned: 13 weights, {int(models['components'][6])} parts"
    refused("level: must be from 0 to 6, found 7", plot_graph, models, level=7)
    refused("models: must be of one field", plot_graph, models.expand_dims("field"))
    matrix = panels(plot_graph(invented.models(sites=30, levels=3)))[1]
    assert set(texts(matrix)) == {"+", "−"}


def test_order_by_level_and_histograms() -> None:
    study, symmetry = invented.study(), invented.symmetry()
    figure = plot_order(study, symmetry)
    rows = np.reshape(np.array(panels(figure), object), (3, 2))
    assert [ax.get_title() for ax in rows[0]] == ["h/J = 1 (QCP)", "h/J = 2 (PM)"]
    assert [ax.get_xlabel() for ax in rows[:, 0]] == ["fraction pruned", "m", "K (with a partner)"]
    assert figure.get_suptitle() == "18 sites, median of 3 seeds"
    words = [ax for ax in figure.get_axes() if ax.get_label() == "<legend>"]
    for field, (upper, middle, lower) in zip((1.0, 2.0), rows.T, strict=True):
        here = study.sel(field=field)
        pruned = here["fraction_pruned"].isel(seed=0)
        for name in ("magnetization", "abs_magnetization"):
            assert points(pruned, here[name].median("seed")) in drawn(upper)
        exact = float(here["abs_magnetization_reference"])
        assert {exact, 0.0} <= {line[0][1] for line in drawn(upper) if len(line) == 2}
        m = 1 - 2 * np.arange(19) / 18
        prob = here["magnetization_distribution"].median("seed")
        assert points(m, here["magnetization_distribution_reference"]) in drawn(middle)
        assert points(m, here["magnetization_distribution_data"]) in drawn(middle)
        for level in (0, 3, 6):  # nearest to 0, 50, and 75 as well as 100 %
            assert points(m, prob.isel(level=level)) in drawn(middle)
        labels = [text.get_text() for text in words[1].get_legend().get_texts()]  # type: ignore[union-attr]
        assert labels == ["exact", "training set", *(f"{n}% pruned" for n in (0, 49, 74))]
        dots, caps, _ = lower.containers[0]
        here = symmetry.sel(field=field)
        ratio, spread = here["ratio"].values, here["ratio_spread"].values
        np.testing.assert_array_equal(dots.get_ydata(), ratio)
        np.testing.assert_array_equal(caps[1].get_ydata(), ratio + spread)
        ticks = [text.get_text() for text in lower.get_xticklabels()]
        assert ticks == ["10\n(10)", "100\n(98)", "1000"]


def curves(ax: Axes) -> list[list[list[float]]]:
    """The curves of C(d) of RBMs that have points, without the exact state."""
    named = [
        line for line in ax.lines if str(line.get_label()).startswith(("dense", "last", *"5789"))
    ]
    return [shown for line in named if (shown := np.asarray(line.get_xydata()).tolist())]


def test_correlations_end_where_noise_begins() -> None:
    study = invented.study(sites=18)
    weak = study["correlation"].where(study["distance"] < 4, 0.029)  # 2.9 standard errors
    study = study.assign(correlation=weak)
    figure = plot_decay([study], decay_of([study]))
    axes = panels(figure)
    assert [ax.get_xscale() for ax in axes[:2]] == ["log", "linear"]
    here = study.sel(field=1.0)
    d = np.arange(10)
    for ax in axes[:2]:
        assert ax.get_yscale() == "log"
        assert ax.get_ylabel() == "C(d)"
        levels = [0, 3, 6]  # of 0, 20, 36, 49, 59, 67, and 74 %
        middle = here["correlation"].median("seed")
        assert curves(ax) == [points(d[1:4], middle.isel(level=k)[1:4]) for k in levels]
        assert points(d[1:], here["correlation_reference"][1:]) in drawn(ax)
    assert axes[0].get_title() == "N = 18"
    assert figure.get_suptitle() == "C(d) at h/J = 1 (QCP)"


@pytest.mark.parametrize(("sites", "levels"), [(50, 29), (100, 36)])
def test_paths_to_the_weights_of_a_tree(sites: int, levels: int) -> None:
    study = invented.study(sites=sites, levels=levels, fraction=0.1, seeds=1, fields=(1.0,))
    tree = sites + sites // 2 - 1
    kept = study["weights_kept"].isel(field=0, seed=0).values
    shown = list(shown_levels(study.isel(field=0)))
    assert len(shown) <= 6
    assert len({label for *_, label in shown}) == len(shown)
    assert len({place for place, *_ in shown}) == len(shown)
    last = shown[-1][1]
    assert kept[last] >= tree
    assert last == levels or kept[last + 1] < tree
    axes = panels(plot_decay([study], decay_of([study])))
    assert len(curves(axes[0])) == len(shown)


def test_a_level_without_numbers_has_no_curve() -> None:
    study = invented.study(sites=18)
    study = study.assign(fraction_pruned=study["fraction_pruned"].where(study["level"] != 3))
    assert [level for _, level, _ in shown_levels(study.isel(field=0))] == [0, 6]


def test_the_criterion_by_level_and_of_the_exact_state() -> None:
    studies = [invented.study(sites=24), invented.study(sites=10, seeds=2, levels=4)]
    decay = decay_of(studies)
    figure = plot_decay(studies, decay)
    axes = panels(figure)
    assert [ax.get_title() for ax in axes[:2]] == ["N = 10", "N = 24"]
    small, large = axes[4:]
    assert small.get_ylabel().startswith("ΔAIC")
    assert any("fewer" in text for text in texts(small))
    assert not texts(large)
    pruned = studies[0]["fraction_pruned"].isel(field=0, seed=0)
    for field in (1.0, 2.0):
        own = decay.sel(size=24, field=field)
        assert points(pruned, own["delta_aic"].median("seed")) in drawn(large)
        exact = float(own["delta_aic_reference"])
        assert any(set(np.asarray(line.get_ydata()).tolist()) == {exact} for line in large.lines)
    labels = small.get_legend_handles_labels()[1]
    assert {"neither is better", "h/J = 2 (PM), exact"} < set(labels)


def test_measures_against_kl() -> None:
    study = invented.study()
    ranks = invented.ranks(study)
    unknown = (ranks["part"] == "training") & (ranks["measure"] == "infidelity")
    ranks = ranks.where(~unknown)
    figure = plot_measures_against_kl(study, ranks)
    axes = panels(figure)
    assert len(axes) == 8
    assert {(ax.get_xscale(), ax.get_yscale()) for ax in axes} == {("log", "log")}
    assert [ax.get_xlabel() for ax in axes[6:]] == ["KL (nat)"] * 2
    for k, ax in enumerate(axes):
        name, field = invented.RANKED[k // 2], (1.0, 2.0)[k % 2]
        here = study.sel(field=field)
        trained = here.isel(epoch=slice(1, None))
        x, y = trained["history_kl"].values, trained[f"history_{name}"].values
        assert drawn(ax)[0] == points(x.ravel(), y.ravel())
        x, y = here["kl_exact"].values, here[f"{name}_exact"].values
        dots = ax.collections[0]
        assert np.asarray(dots.get_offsets()).tolist() == points(x.ravel(), y.ravel())
        assert len(np.unique(np.asarray(dots.get_facecolor()), axis=0)) == 7  # one a level
        middle = ranks["rank_correlation"].sel(field=field, measure=name).median("seed")
        training, pruning = middle.sel(part=["training", "pruning"]).values
        shown = ax.get_title(loc="right").replace("−", "-").splitlines()
        trained = "unknown" if name == "infidelity" else f"{training:.2f}"
        assert shown[-1] == f"ρ {trained}, {pruning:.2f}"
        assert shown[:-1] == (["h/J = 1 (QCP)", "h/J = 2 (PM)"][k : k + 1] if k < 2 else [])


def test_above_20_sites_kl_is_the_estimate() -> None:
    study = invented.study(sites=24, fields=(1.0,))
    ax = panels(plot_measures_against_kl(study, invented.ranks(study)))[0]
    expected = points(*(study[name].values.ravel() for name in ("kl", "infidelity")))
    assert np.asarray(ax.collections[0].get_offsets()).tolist() == expected


def test_schedules_over_the_main_one() -> None:
    study = invented.study(levels=20, fraction=0.1)
    steep = invented.study(levels=20, fraction=0.05, first_fraction=0.4, seeds=1)
    figure = plot_schedules(study, {0.4: steep})
    axes = panels(figure)
    assert len(axes) == 10
    names = ("kl", *invented.RANKED)
    for k, ax in enumerate(axes):
        name, field = names[k // 2], (1.0, 2.0)[k % 2]
        main, here = study.sel(field=field), steep.sel(field=field)
        at, along = (each["fraction_pruned"].isel(seed=0).values for each in (main, here))
        reference = main[f"{name}_exact"].median("seed").values
        shared = 10 ** np.interp(along, at, np.log10(reference))
        values = here[f"{name}_exact"].isel(seed=0).values / shared
        values[along > at[-1]] = np.nan
        (curve,) = [line for line in ax.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(np.asarray(curve.get_ydata()), values)
        assert [0.0, 1.0] in drawn(ax)  # the main schedule itself
    assert {"10% every step, 3 seeds", "first 40%, then 5% a step, 1 seed"} < set(legend(figure))
    assert "85%: graph must fall apart" in legend(figure)


def test_a_schedule_over_itself_is_1() -> None:
    study = invented.study(levels=8, fraction=0.1, seeds=1, fields=(1.0,))
    for ax in panels(plot_schedules(study, {0.1: study})):
        (curve,) = [line for line in ax.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(np.asarray(curve.get_ydata()), 1.0)


def test_robustness_is_relative_to_the_dense_rbms_of_each_training() -> None:
    study, other = invented.study(levels=9), invented.study(sites=17, hidden=9, seeds=2)
    figure = plot_robustness(study, {"cd-1": other, "of a user": other})
    axes = panels(figure)
    assert [ax.get_title() for ax in axes] == ["h/J = 1 (QCP)", "h/J = 2 (PM)"]
    for ax, field in zip(axes, (1.0, 2.0), strict=True):
        for marker, each in zip("os", (study, other), strict=True):
            (curve,) = [line for line in ax.lines if line.get_marker() == marker]
            kl = each["kl_exact"].sel(field=field)
            over = kl.median("seed") / kl.isel(level=0).median("seed")
            np.testing.assert_allclose(np.asarray(curve.get_ydata()), over)
            assert np.asarray(curve.get_ydata())[0] == 1.0
    labels = [label.split("\n")[0] for label in legend(figure)]
    assert labels[:3] == ["CD-10, falling rate: the study", "CD-1, falling rate", "of a user"]
    dense = float(other["kl_exact"].isel(level=0, field=1).median("seed"))
    assert f"and {dense:.2g} nat, 2 seeds" in legend(figure)[1]


def test_sizes_beside_each_other() -> None:
    small, large = invented.study(sites=18), invented.study(sites=50, seeds=2)
    large = large.assign(kl=large["kl"].where(large["level"] != 1, -0.01))
    large = invented.without(large, 3)
    figure = plot_sizes([large, small])
    axes = panels(figure)
    assert len(axes) == 8
    rows = ("kl", "infidelity", "abs_magnetization_bias", "correlation_mse")
    for k, ax in enumerate(axes):
        name, field = rows[k // 2], (1.0, 2.0)[k % 2]
        for study, place in ((small, 0), (large, 1)):
            here = study.sel(field=field)
            unit = float(here[name].isel(level=0).median())
            values = (here[name] / unit).median("seed")
            curve = next(line for line in ax.lines if line.get_marker() == "os"[place])
            known = values.where((here[name] > 0).any("seed"))
            np.testing.assert_allclose(np.asarray(curve.get_ydata()), known, rtol=1e-12)
            bars = [np.asarray(p.vertices)[:, 1] for p in ax.collections[2 * place + 1].get_paths()]
            errors = (here[f"{name}_error"] / unit).median("seed").values
            known = [(y, e) for y, e in zip(values.values, errors, strict=True) if e > 0.1 * abs(y)]
            np.testing.assert_allclose(bars, [(y - e, y + e) for y, e in known])
        lost = [line for line in ax.lines if line.get_marker() == "v"]
        assert len(lost) == (name == "kl")  # the level at -0.01 of the larger size
    assert {"18 sites, 3 seeds", "50 sites, 2 seeds"} < set(legend(figure))


def test_the_sizes_whose_graph_must_fall_apart_are_named() -> None:
    small = invented.study(sites=18, levels=20, fraction=0.1)
    figure = plot_sizes([small, invented.study(sites=50)])
    fallen = [label for label in legend(figure) if "fall apart" in label]
    assert fallen == ["N = 18 must fall apart"]  # the other keeps enough weights


def test_a_dense_value_below_the_floor_is_no_unit() -> None:
    study = invented.study(fields=(1.0,))
    low = study["correlation_mse"].where(study["level"] != 0, 1e-6)
    ax = panels(plot_sizes([study.assign(correlation_mse=low)]))[3]
    curve = np.asarray(ax.lines[1].get_ydata())
    assert curve[0] == pytest.approx(1e-4)
    np.testing.assert_allclose(curve[1:], low.isel(field=0).median("seed")[1:] / 0.01)


def test_times_are_relative_to_dense() -> None:
    timing = invented.timing()
    figure = plot_timing(timing)
    ax = panels(figure)[0]
    density = [row["density"] for row in timing["rows"]]
    assert drawn(ax)[0] == [[0.0, 0.0], [1.0, 1.0]]
    for line, name in zip(drawn(ax)[1:], ("cd_update", "gibbs_step"), strict=True):
        times = np.array([row[name] for row in timing["rows"]])
        assert line == points(density, times / times[0])
    assert ax.get_xlabel() == "density (fraction of weights kept)"
    assert legend(figure) == [
        "proportional to the weights",
        "CD-10 update, 100 shots (dense: 32 µs)",
        "Gibbs step of one chain (dense: 0.9 µs)",
    ]
