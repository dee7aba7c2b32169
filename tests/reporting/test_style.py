"""Figures have one style, at the size of a journal's columns, and leave the caller's as it is."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import invented
import psiprune as pp
from printable import check_printable, check_text_is_text
from psiprune.experiments.figures.study import study_figure
from psiprune.paper.derived import decay_of
from psiprune.paper.figures.decay import plot_decay
from psiprune.paper.figures.order import plot_order
from psiprune.paper.figures.robustness import plot_robustness
from psiprune.paper.figures.schedules import plot_schedules
from psiprune.rbm.init import initial_rbm
from psiprune.reporting.figures import LOOKS, mark_beyond
from psiprune.reporting.style import ONE_COLUMN, STYLE, styled


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No figure of pyplot remains."""
    yield
    plt.close("all")


def test_the_style_sheet_has_a_name_for_everybody() -> None:
    with plt.style.context("psiprune.psiprune"):
        assert {name: plt.rcParams[name] for name in STYLE} == STYLE
        assert plt.figure().get_figwidth() == pytest.approx(ONE_COLUMN, abs=1e-3)
    assert STYLE["svg.fonttype"] == "none"
    cycle = STYLE["axes.prop_cycle"].by_key()
    assert cycle["color"] == [color for color, *_ in LOOKS]
    assert cycle["linestyle"] == [line for *_, line in LOOKS]


def rbm() -> pp.RBM:
    return initial_rbm(12, 6, seed=1)


#: Each public function with the number of its axes.
PUBLIC: dict[str, tuple[Callable[..., Any], int]] = {
    "rbm": (lambda **ax: pp.plot_rbm(rbm(), **ax), 1),
    "clusters": (lambda **ax: pp.plot_clusters(rbm(), pp.find_clusters(rbm()), **ax), 1),
    "path": (lambda **ax: pp.plot_path(invented.path(), **ax), 6),
    "study": (lambda **ax: pp.plot_study(invented.study(levels=4), **ax), 10),
}


@pytest.mark.parametrize(
    "name",
    ["rbm", "path", *(pytest.param(x, marks=pytest.mark.slow) for x in ("clusters", "study"))],
)
def test_public_functions_return_axes_and_take_them(name: str) -> None:
    plot, count = PUBLIC[name]
    before = dict(matplotlib.rcParams)
    drawn = np.ravel(np.asarray(plot(), object))
    assert dict(matplotlib.rcParams) == before
    assert len(drawn) == count
    (figure,) = {ax.figure for ax in drawn}
    assert figure is plt.gcf()  # so that notebooks show it
    check_printable(figure)
    mine = [Figure().subplots() for _ in range(count)]
    again = plot(ax=mine if count > 1 else mine[0])
    assert np.ravel(np.asarray(again, object)).tolist() == mine
    assert all(ax.lines or ax.images for ax in mine)
    assert len(plt.get_fignums()) == 1
    with pytest.raises(pp.InputError, match=r"^ax: must be .* leave it out"):
        plot(ax=[mine[0]] * (count + 1))
    with pytest.raises(pp.InputError, match="found a str"):
        plot(ax=["path.png"] * count)


def test_axes_of_the_caller_keep_the_callers_style() -> None:
    with plt.style.context({"axes.labelsize": 17.0}):
        ax = Figure().subplots()
        pp.plot_rbm(rbm(), ax=ax)
        mine, ours = ax.xaxis.label.get_fontsize(), pp.plot_rbm(rbm()).xaxis.label.get_fontsize()
    assert (mine, ours) == (17.0, STYLE["axes.labelsize"])


def test_a_saved_figure_has_text_and_the_size_of_the_style(tmp_path: Path) -> None:
    figure: Any = pp.plot_rbm(rbm()).figure
    svg, png = tmp_path / "rbm.svg", tmp_path / "rbm.png"
    with plt.style.context({"svg.fonttype": "path", "savefig.dpi": 50.0}):
        figure.savefig(svg)
        pickle.loads(pickle.dumps(figure)).savefig(png)
    assert "<text" in svg.read_text()
    size = (figure.get_size_inches() * STYLE["savefig.dpi"]).astype(int)
    assert plt.imread(png).shape[1::-1] == tuple(size)
    figure.savefig(png, dpi=50.0)
    assert plt.imread(png).shape[1] == int(figure.get_figwidth() * 50)


def test_ticks_have_the_style_when_they_are_drawn_later() -> None:
    @styled
    def draw() -> Figure:
        figure = Figure()
        figure.subplots().plot([1, 2])
        return figure

    figure = draw()
    figure.draw_without_rendering()
    (ax,) = figure.get_axes()
    assert {text.get_fontsize() for text in ax.get_xticklabels()} == {STYLE["xtick.labelsize"]}


def test_points_beyond_the_axis_are_marked() -> None:
    ax = Figure().subplots()
    ax.set_yscale("log")
    ax.set_ylim(0.1, 10.0)
    mark_beyond(ax, [1, 2, 3, 4, 5], [1.0, 20.0, 0.0, -1.0, np.nan], "black")
    above, below = ax.lines
    assert (above.get_marker(), np.asarray(above.get_xdata()).tolist()) == ("^", [2])
    assert (below.get_marker(), np.asarray(below.get_xdata()).tolist()) == ("v", [3, 4])


def figures() -> dict[str, Callable[[], Figure]]:
    """Representative figures: a grid, ratios, rows with legends, labels with several lines."""
    study = invented.study(levels=20, fraction=0.1)
    large = invented.study(sites=50, levels=29, fraction=0.1, seeds=2)
    steep = invented.study(levels=20, fraction=0.05, first_fraction=0.4, seeds=2)
    return {
        "study": lambda: study_figure(study),
        "order": lambda: plot_order(study, invented.symmetry()),
        "decay": lambda: plot_decay([study, large], decay_of([study, large])),
        "schedules": lambda: plot_schedules(study, {0.2: steep, 0.4: steep}),
        "robustness": lambda: plot_robustness(study, {"cd-1": study, "exact": study}),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study", "order", "decay", "schedules", "robustness"])
def test_figures_are_printable(name: str) -> None:
    check_printable(figures()[name]())


def test_a_figure_that_is_not_printable_is_found() -> None:
    figure = study_figure(invented.study(levels=4, fields=(1.0,)))
    check_printable(figure)
    ax = figure.get_axes()[0]
    legend = ax.legend(loc="center")
    legend.set_in_layout(False)
    with pytest.raises(AssertionError, match="from samples"):
        check_printable(figure)
    legend.remove()
    ax.set_title("a title much longer than the whole figure is wide, which is a column")
    with pytest.raises(AssertionError, match="much longer"):
        check_printable(figure)


def test_text_in_svg_is_text() -> None:
    figure = pp.plot_rbm(rbm()).get_figure(root=True)
    assert figure is not None
    check_text_is_text(figure)
