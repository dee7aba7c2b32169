"""Figures of a reconstruction: what they show, for few and for many sites."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import psiprune as pp
from psiprune.reconstruction.figures import plot_answer, plot_observables
from psiprune.reconstruction.graph import draw_graph


@pytest.mark.parametrize(("sites", "hidden", "kept"), [(1, 1, 1), (5, 2, 4), (100, 20, 300)])
def test_the_graph_has_a_line_for_each_weight(sites: int, hidden: int, kept: int) -> None:
    random = np.random.default_rng(0)
    mask = np.zeros(hidden * sites, bool)
    mask[random.permutation(hidden * sites)[:kept]] = True
    weights = np.where(mask, random.normal(size=hidden * sites), 0.0).reshape(hidden, sites)
    rbm = pp.RBM(weights, np.zeros(sites), np.zeros(hidden), mask.reshape(hidden, sites))
    ax = Figure().subplots()
    draw_graph(ax, rbm)
    lines = next(each for each in ax.collections if isinstance(each, LineCollection))
    ends = np.array(lines.get_segments())
    assert len(ends) == kept
    assert ends[:, 1, 0].min() >= -0.5
    assert ends[:, 1, 0].max() <= sites - 0.5
    sizes = np.sort(np.abs(weights[weights != 0]))
    widths = np.array(lines.get_linewidth())
    assert (np.diff(widths) >= 0).all()  # the strongest on top
    np.testing.assert_allclose(
        (widths - widths[0]) * (sizes[-1] - sizes[0]),
        (widths[-1] - widths[0]) * (sizes - sizes[0]),
        atol=1e-9,
    )
    assert len({tuple(color[:3]) for color in np.atleast_2d(lines.get_color())}) == len(
        set(np.sign(weights[weights != 0]))
    )
    assert len(ax.get_xticks()) <= 20


def test_the_graph_of_independent_bits_says_so() -> None:
    rbm = pp.RBM(np.zeros((2, 3)), np.zeros(3), np.zeros(2), np.zeros((2, 3), bool))
    ax = Figure().subplots()
    draw_graph(ax, rbm)
    assert [text.get_text() for text in ax.texts] == ["no weights: independent bits"]


def points(container: object) -> Line2D:
    """Return the points of an error bar plot."""
    assert isinstance(container, ErrorbarContainer)
    line = container.lines[0]
    assert line is not None
    return line


def test_every_expectation_value_is_drawn(observable_run: object) -> None:
    made = pp.load_reconstruction(str(observable_run))
    dataset = made.dataset
    ax = plot_observables(dataset).axes[0]
    drawn = [np.array(points(each).get_xydata()) for each in ax.containers]
    pairs, singles, decay = drawn
    i, j = np.triu_indices(4, 1)
    np.testing.assert_array_equal(pairs[:, 0], dataset["pairs_shots_value"].values[i, j])
    np.testing.assert_array_equal(pairs[:, 1], dataset["pairs_value"].values[i, j])
    np.testing.assert_array_equal(singles[:, 1], np.diag(dataset["pairs_value"].values))
    np.testing.assert_array_equal(decay[:, 0], dataset["correlation_shots"].values[1:])
    assert ax.get_xlim() == ax.get_ylim()
    low, high = ax.get_xlim()
    assert all((low < each).all() and (each < high).all() for each in drawn)


def test_the_figure_of_the_answer_is_drawn(observable_run: object) -> None:
    made = pp.load_reconstruction(str(observable_run))
    figure = plot_answer(made.dataset, made.rbm, "a title")
    figure.savefig(io.BytesIO(), dpi=30)
    search = figure.axes[1]
    assert search.get_ylabel() == "change of abs_magnetization"
    found = sum(len(np.asarray(points(each).get_xdata())) for each in search.containers)
    assert found == len(made.levels)
