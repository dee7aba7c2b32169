"""Figures and report of a sweep show the medians of its grid, and nothing where it has no point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

import tiny
from psiprune.reporting.figures import LOOKS
from psiprune.reporting.page import Provenance, Report, render
from psiprune.reporting.traced import Number
from psiprune.sweeps.dataset import MOST_VARIANTS, drawn_variants
from psiprune.sweeps.figures import plot_multiples, plot_phase_diagram, plot_prunable
from psiprune.sweeps.points import Outcome, points_of
from psiprune.sweeps.report import figures_of, sweep_report
from psiprune.sweeps.settings import SweepSettings
from refusals import check_facts

RATIOS = [0.5, 0.7, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0]


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    """Two variants, sizes 10 and 50, the larger at every second field only, three seeds."""
    chance = np.random.default_rng(0)
    shape = (2, 2, len(RATIOS), 3)
    prunable = chance.uniform(0.3, 0.9, shape)
    prunable[:, 1, 1::2] = np.nan
    kl = chance.uniform(0.01, 0.1, (*shape, 4))
    kl[:, 1, 1::2] = np.nan
    pruned = np.broadcast_to([0.0, 0.2, 0.4, 0.6], kl.shape).copy()
    pruned[:, 1, 1::2] = np.nan
    dims = ("variant", "sites", "ratio", "seed")
    with np.errstate(divide="ignore"):
        length = 1 / np.abs(np.log(RATIOS))
    return xr.Dataset(
        {
            "prunable": (dims, prunable),
            "prunable_all": (dims, np.where(np.isnan(prunable), np.nan, prunable > 0.85)),
            "kl_floor": ((*dims, "level"), 0.1 * np.ones_like(kl) * [1.0, 0.5, 0.2, 0.1]),
            "correlation_length": ("ratio", length),
            "kl": ((*dims, "level"), kl),
            "fraction_pruned": ((*dims, "level"), pruned),
        },
        {"variant": ["magnitude", "surgeon"], "sites": [10, 50], "ratio": RATIOS, "seed": range(3)},
    )


def test_the_fraction_prunable_by_field(grid: xr.Dataset) -> None:
    figure = plot_prunable(grid)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["10 sites", "50 sites"]
    for ax, sites in zip(panels, (10, 50), strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        for variant in ("magnitude", "surgeon"):
            median = (
                grid["prunable"].sel(variant=variant, sites=sites).median("seed").dropna("ratio")
            )
            np.testing.assert_array_equal(lines[variant].get_xdata(), median["ratio"])
            np.testing.assert_allclose(np.asarray(lines[variant].get_ydata()), median)


def test_the_legend_names_the_length_only_where_it_is_finite(grid: xr.Dataset) -> None:
    for one, named in ((grid, True), (grid.sel(ratio=[1.0]), False)):
        words = [text.get_text() for text in plot_prunable(one).legends[0].get_texts()]
        assert any(word.startswith("correlation length") for word in words) is named


def test_the_phase_diagram(grid: xr.Dataset) -> None:
    figure = plot_phase_diagram(grid)
    (magnitude, surgeon) = (ax for ax in figure.axes if ax.get_title())
    meshes = [each for each in surgeon.get_children() if isinstance(each, QuadMesh)]
    expected = grid["prunable"].median("seed").sel(variant="surgeon")
    assert [mesh.get_array().size for mesh in meshes] == [8, 4]  # type: ignore[union-attr]
    for mesh, sites in zip(meshes, (10, 50), strict=True):
        shown = np.asarray(mesh.get_array()).ravel()
        np.testing.assert_allclose(shown, expected.sel(sites=sites).dropna("ratio"))
    assert [tick.get_text() for tick in magnitude.get_yticklabels()] == ["10", "50"]


def test_of_many_fields_those_of_all_sizes_are_shown(grid: xr.Dataset) -> None:
    figure = plot_multiples(grid)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    # 50 sites have every second field; h = J, which they lack, is shown all the same.
    assert titles == [f"h/J = {ratio:g}" for ratio in (0.5, 0.9, 1.0, 1.2, 2.0)]
    assert len(figure.axes) == 10
    line = figure.axes[0].get_lines()[1]
    median = grid["kl"].sel(variant="surgeon", sites=10, ratio=0.5).median("seed")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), median)
    assert [bool(ax.get_lines()) for ax in figure.axes[5:]] == [True, True, False, True, True]


@pytest.fixture
def many(grid: xr.Dataset) -> xr.Dataset:
    """20 variants with long names."""
    names = [f"magnitude, train_learning_rate_decay 0.{k:03d}, shots {k}000" for k in range(20)]
    return grid.isel(variant=np.zeros(20, int)).assign_coords(variant=names)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("plot", [plot_prunable, plot_phase_diagram, plot_multiples])
def test_of_many_variants_the_first_are_drawn(
    many: xr.Dataset, plot: Callable[[xr.Dataset], Figure]
) -> None:
    figure = plot(many)
    figure.draw_without_rendering()
    assert figure.get_figwidth() < 16
    assert figure.get_figheight() < 9
    labels = {line.get_label() for ax in figure.axes for line in ax.get_lines()}
    shown = labels | {ax.get_title() for ax in figure.axes}
    names = {" ".join(str(each).split()) for each in shown}
    assert names & set(many["variant"].values.tolist()) == set(drawn_variants(many))
    assert len(set(LOOKS)) >= MOST_VARIANTS  # each has a look of its own
    for legend in figure.legends:
        extent = legend.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1


def test_colours_reach_over_the_tenths_that_occur(grid: xr.Dataset) -> None:
    median = grid["prunable"].median("seed")
    bar = plot_phase_diagram(grid).axes[-1]
    low, high = bar.get_xlim()
    assert low == np.floor(10 * float(median.min())) / 10
    assert high == np.ceil(10 * float(median.max())) / 10


@pytest.mark.parametrize("plot", [plot_prunable, plot_phase_diagram, plot_multiples])
@pytest.mark.parametrize("name", ["magnitude", "", "magnitude, train_learning_rate 0.01" * 5])
@pytest.mark.filterwarnings("error")
def test_the_words_below_the_smallest_figure_fit(
    grid: xr.Dataset, plot: Callable[[xr.Dataset], Figure], name: str
) -> None:
    """Matplotlib warns, which fails here, if it cannot arrange a figure."""
    one = grid.isel(sites=[0], ratio=[3], variant=[0], seed=[0]).assign_coords(variant=[name])
    figure = plot(one)
    figure.draw_without_rendering()
    assert figure.axes
    assert all(legend.get_window_extent().x0 >= 0 for legend in figure.legends)


def test_the_report_names_the_field_of_least(grid: xr.Dataset) -> None:
    (point,) = points_of(SweepSettings(study=tiny.settings(fields=(1.0,))))
    failures = [Outcome(point, "dense: it <diverged>")]
    figures = {"phases": plot_phase_diagram(grid)}
    report = sweep_report(grid, 50, 36, failures, figures, Provenance({"psiprune": "1"}))
    first, *least = (each.text for each in report.summary.sentences)
    assert first.startswith("36 of 50 points are done, 1 failed ")
    assert len(least) == 4
    median = grid["prunable"].median("seed").sel(variant="surgeon", sites=10)
    where = float(median["ratio"].values[median.values.argmin()])
    assert f"h/J = {where:.3g}"[:10] in least[1]
    assert f"{100 * float(median.min()):.1f}\N{NO-BREAK SPACE}%" in least[1]
    assert [section.name for section in report.sections] == ["phases", "numbers", "failures"]
    table = report.sections[1].table
    assert table is not None
    assert len(table.rows) == 2 * (8 + 4)
    page = render(report)
    assert "dense: it &lt;diverged&gt;" in page
    assert point.what in page


def test_observables_have_figures_and_a_table(grid: xr.Dataset) -> None:
    """The distance of an observable is 2 KL, but known for the surgeon alone, at two fields."""
    grid = grid.isel(sites=[0], ratio=[0, 1, 2])
    loss = (2.0 * grid["kl"]).where(grid["variant"] == "surgeon")
    loss = loss.where(
        (grid["ratio"] != 0.5)
        & ((xr.DataArray(np.arange(4), dims="level") < 3) | (grid["seed"] == 0))
    )
    with_xx = grid.assign(observable_xx_loss=loss)
    figures = figures_of(with_xx)
    assert [*figures] == ["prunable", "phases", "multiples", "observable_xx"]
    ax = figures["observable_xx"].axes[1]
    assert figures["observable_xx"].axes[0].get_ylabel() == "10 sites\n|Δ xx|"
    (line,) = ax.get_lines()
    wanted = loss.sel(variant="surgeon", sites=10, ratio=0.7).median("seed")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), wanted)
    report = sweep_report(with_xx, 50, 36, [], figures, Provenance({}))
    sections = {section.name: section for section in report.sections}
    assert "largest distance of xx" in str(sections["observable_xx"].picture)
    table = sections["observables"].table
    assert table is not None
    assert len(table.rows) == 2
    name, sites, variant, ratio, first, last, seeds = table.rows[0]
    assert (name, sites, variant, ratio, seeds) == ("xx", "10", "surgeon", "0.7", "3")
    kl = with_xx["kl"].sel(variant="surgeon", sites=10, ratio=0.7).transpose("seed", "level")
    assert isinstance(first, Number)
    assert isinstance(last, Number)
    assert first.value == pytest.approx(2 * float(kl[:, 0].median()))
    ends = [kl[0, 3], kl[1, 2], kl[2, 2]]
    assert last.value == pytest.approx(2 * float(np.median(ends)))
    assert sections["observable_xx"].title == "xx through pruning"


def test_a_report_before_the_first_point() -> None:
    page = render(sweep_report(None, 5, 0, [], {}, Provenance({})))
    assert "5</data> points" in page


def report_of(grid: xr.Dataset) -> Report:
    figures = {name: Figure() for name in ("prunable", "phases", "multiples")}
    return sweep_report(grid, 9, 9, [], figures, Provenance({}))


def sentence_of(grid: xr.Dataset) -> str:
    """What the summary says of the surgeon at 10 sites."""
    texts = [each.text for each in report_of(grid).summary.sentences]
    (text,) = (text for text in texts if "10 sites, surgeon" in text)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_table_compares_the_dense_rbm_with_its_floor(grid: xr.Dataset) -> None:
    grid = grid.copy(deep=True)
    grid["kl_floor"].loc[{"variant": "surgeon", "sites": 50, "ratio": 2.0}] = np.nan
    grid["kl"].loc[{"variant": "magnitude", "sites": 10, "ratio": 1.0, "seed": 0}] = np.nan
    table = report_of(grid).sections[-1].table
    assert table is not None
    assert table.head[-2] == "dense KL"
    found = {tuple(row[:3]): row for row in table.rows}
    *_, seeds, kl, times = found["10", "magnitude", "1"]
    right = np.nanmedian(grid["kl"].sel(variant="magnitude", sites=10, ratio=1.0).values[:, 0])
    assert isinstance(kl, Number)
    assert isinstance(times, Number)
    assert seeds == "3"
    assert kl.value == pytest.approx(right)
    assert times.value == pytest.approx(right / 0.1)
    place = "[variant=magnitude, sites=10, ratio=1, level=0]"
    source = f"sweep.parquet: median over seed of kl{place}"
    assert kl.source == source
    assert times.source == f"({source}) / ({source.replace('of kl', 'of kl_floor')})"
    unknown = found["50", "surgeon", "2"][-1]
    assert isinstance(unknown, Number)
    assert unknown.shown == "–"
    assert not unknown.known


def test_points_that_never_doubled_are_counted(grid: xr.Dataset) -> None:
    never = int((grid["prunable"].sel(variant="surgeon", sites=10) > 0.85).sum())
    assert never
    assert f"; {never} of 24 points " in sentence_of(grid)
    grid = grid.assign(prunable_all=0 * grid["prunable_all"])
    assert not any("never doubled" in each.text for each in report_of(grid).summary.sentences)


def test_several_fields_may_share_the_least(grid: xr.Dataset) -> None:
    grid = grid.copy(deep=True)
    ours = {"variant": "surgeon", "sites": 10}
    grid["prunable"].loc[{**ours, "ratio": [0.7, 2.0, 3.0]}] = 0.25
    assert "h/J = 0.700, 2.00 and 3.00, 25.0 %" in sentence_of(grid)
    assert "rank" in sentence_of(grid)
    grid["prunable"].loc[ours] = 0.25
    grid["prunable_all"].loc[ours] = 1.0
    check_facts(sentence_of(grid), "all fields", "25.0 %", "24 of 24 points")
    assert "rank" not in sentence_of(grid)


def test_two_fields_have_a_least_and_no_rank(grid: xr.Dataset) -> None:
    _, *least = (each.text for each in report_of(grid.isel(ratio=[0, 2])).summary.sentences)
    assert len(least) == 4
    assert all("h/J = " in each for each in least)
    assert not any("rank" in each for each in least)


def test_one_field_has_no_curve_and_says_how_much(grid: xr.Dataset) -> None:
    one = grid.isel(ratio=[0])
    assert [*figures_of(one)] == ["multiples"]
    median = float(one["prunable"].sel(variant="surgeon", sites=10).median())
    shown = f"{100 * median:.1f} % of the weights can be pruned at h/J = 0.500"
    assert f"surgeon: {shown}" in sentence_of(one.assign(prunable_all=0 * one["prunable_all"]))
    capped = one.assign(prunable_all=0 * one["prunable_all"] + 1)
    assert f"surgeon: at least {shown}; 3 of 3 points never" in sentence_of(capped)


def test_a_quantile_of_points_that_never_doubled_is_a_bound(grid: xr.Dataset) -> None:
    grid = grid.copy(deep=True)
    at = {"variant": "surgeon", "sites": 10, "ratio": 0.5}
    grid["prunable"].loc[at] = [0.3, 0.4, 0.9]
    grid["prunable_all"].loc[at] = [0.0, 0.0, 1.0]
    table = report_of(grid).sections[-1].table
    assert table is not None
    (row,) = (row for row in table.rows if row[:3] == ["10", "surgeon", "0.5"])
    median, low, high = (part.shown for part in row[3:6] if isinstance(part, Number))
    assert "≥" not in median + low
    assert high.startswith("≥ ")
    assert "(≥: " in table.caption


def test_the_page_says_what_is_not_drawn(grid: xr.Dataset, many: xr.Dataset) -> None:
    report = report_of(many)
    for section in report.sections[:3]:
        assert [number.value for number in section.sentences[0].numbers] == [6, 20]
        assert "variants" in section.sentences[0].text
    assert [number.value for number in report.sections[2].sentences[1].numbers] == [5, 8]
    assert len(report.summary.sentences) == 1 + 2 * 6
    table = report.sections[3].table
    assert table is not None
    assert len(table.rows) == 20 * (8 + 4)
    few = report_of(grid.isel(ratio=slice(4)))
    assert not any(section.sentences for section in few.sections[:2])
